# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What became of an attempt, and what the provider says later, written down: the one place that changes a recipient's
state and a sender's health.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from mailroom.core.clock import DAY, MINUTE
from mailroom.core.errors import NotQueued
from mailroom.core.ids import MessageId, RecipientId, SenderId
from mailroom.events import outbox
from mailroom.events.facts import NoticeFailed, RecipientSettled, SenderDisabled, SenderFaulty
from mailroom.messaging import queries
from mailroom.messaging.model import Due, Origin, Sender, SenderState, Try
from mailroom.messaging.queries.recipients import End, Held
from mailroom.messaging.states import News, State, after
from mailroom.senders import contract
from mailroom.senders.contract import Manifest, Outcome, Refused, Reported, Scope, Sent, TryLater, Unknown, Why
from mailroom.storage.ports import Tx

# After so many failures in a row a sender is only probed, once a minute, by one recipient.
FAILURES_BEFORE_PAUSE = 5
PAUSE = MINUTE
# A sender whose every attempt has failed for so long, and so often, is disabled.
FAILING_MOST = 5 * DAY
FAILURES_BEFORE_DISABLING = 20

Chance = Callable[[], float]

_NEWS = {
    Sent: News.ACCEPTED,
    Refused: News.REFUSED,
    TryLater: News.EXHAUSTED,  # after the last attempt
    Unknown: News.ANSWER_LOST,
}
_SAID = {contract.News.ARRIVED: News.ARRIVED, contract.News.READ: News.READ, contract.News.LOST: News.LOST}
# What these fail for is not the recipient's fault, and passes.
_COSTS_NOTHING = {Why.ACCOUNT, Why.QUOTA}
_NOTICES = {Origin.NOTICE, Origin.CODE, Origin.TEST}
_IN_VAIN = {State.FAILED, State.UNDELIVERED, State.CANCELLED}
_NO_WORDS = {News.ARRIVED, News.READ}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says later of a recipient that it took: that it `arrived`, was `read`, or was `lost`."""

    provider_id: str  # "" where it is known otherwise of whom it speaks
    news: News
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try that has ended."""

    due: Due
    lease: str
    began_at: int
    took: int
    outcome: Outcome


def record(tx: Tx, attempt: Attempt, *, manifest: Manifest, chance: Chance) -> None:
    """Write down an attempt and what follows from it: the end, or the next attempt. A stale one (its lease was lost) is
    logged, and changes the recipient only if it says that the provider took it.
    """
    record_all(tx, [attempt], manifest=lambda _: manifest, chance=chance)


def record_all(
    tx: Tx, attempts: Sequence[Attempt], *, manifest: Callable[[Sender], Manifest], chance: Chance
) -> Sequence[MessageId]:
    """`record`, for attempts that ended together, in that order for each sender. `manifest` is that of its kind. The
    messages of which a recipient has ended without a word to anybody; no fact says so.
    """
    held = queries.recipients.hold_all(tx, (one.due.id for one in attempts))
    queries.log.add_attempts(tx, ((one.due.id, _try(one)) for one in attempts))
    ends: list[End] = []
    may_be_early: list[End] = []
    # All who lock several senders do so in this order.
    for attempt, sender in _with_senders(tx, sorted(attempts, key=lambda one: one.due.sender_id)):
        way = manifest(sender)
        end = _record(tx, attempt, held[attempt.due.id], manifest=way, chance=chance)
        if end is not None:
            held[attempt.due.id] = replace(held[attempt.due.id], state=end.state, lease="")
            ends.append(end)
            # What is said of a mail comes as a mail, and by its recipient's own code.
            if end.provider_id and (way.receipt or way.asks) and attempt.due.origin is not Origin.MAIL:
                may_be_early.append(end)
        _judge_sender(tx, sender, attempt)
    queries.recipients.end(tx, ends)
    for end in ends:
        _emit(tx, held[end.recipient_id], end)
    _take_early(tx, may_be_early)
    return [held[end.recipient_id].message_id for end in ends if end.told]


def _try(attempt: Attempt) -> Try:
    outcome = attempt.outcome
    return Try(
        number=attempt.due.attempts,
        began_at=attempt.began_at,
        took=attempt.took,
        outcome=type(outcome).__name__,
        code=outcome.code,
        detail=outcome.text,
    )


def _record(tx: Tx, attempt: Attempt, held: Held, *, manifest: Manifest, chance: Chance) -> End | None:
    """How the attempt ends its recipient, if it does."""
    outcome = attempt.outcome
    news, reason = _NEWS[type(outcome)], f"{outcome.code} {outcome.text}".strip()
    if isinstance(outcome, TryLater):
        if outcome.why in _COSTS_NOTHING:
            then = tx.now + max(outcome.after or 0, PAUSE)
            queries.recipients.try_again(tx, held.id, lease=attempt.lease, at=then, reason=reason, spared=1)
            return None
        at = next_attempt(manifest, attempt.due.attempts, tx.now, wait=outcome.after, chance=chance)
        if at is not None:
            queries.recipients.try_again(tx, held.id, lease=attempt.lease, at=at, reason=reason)
            return None
    # A stale holder may only say that the provider has taken it; the rest is for who holds the lease now.
    if news is not News.ACCEPTED and held.lease != attempt.lease:
        return None
    state = after(held.state, news)
    if state is held.state:
        return None
    if isinstance(outcome, Sent):
        ask_at = tx.now + manifest.asks[0] if manifest.asks and outcome.provider_id else None
        return End(held.id, state, "", outcome.provider_id, outcome.told, sent_at=tx.now, ask_at=ask_at)
    why = Why.OTHER if isinstance(outcome, Unknown) else outcome.why
    return End(held.id, state, reason, provider_id="", why=why)


def _with_senders(tx: Tx, attempts: Sequence[Attempt]) -> Iterator[tuple[Attempt, Sender]]:
    """Each attempt with its sender, locked, as the attempts before have left it."""
    sender: Sender | None = None
    for attempt in attempts:
        if sender is None or sender.id != attempt.due.sender_id:
            sender = queries.senders.lock(tx, attempt.due.sender_id)
        yield attempt, sender
        if sender.failing_since is not None or not isinstance(attempt.outcome, Sent):  # it may have changed
            sender = None


def receive(tx: Tx, sender_id: SenderId, said: Reported) -> None:
    """Write down a receipt, and what it changes. It may be late or double; one that is early is kept, and heeded once
    the attempt is written down. The caller holds the sender.
    """
    known = queries.receipts.of_whom(tx, sender_id, said.provider_id)
    recipient_id = _meant(known, said.address)
    if recipient_id is None:
        queries.receipts.keep_early(tx, sender_id, said, says=_SAID[said.news])
    else:
        hear(tx, recipient_id, Receipt(said.provider_id, _SAID[said.news], said.code, said.text))


def _meant(known: Sequence[tuple[RecipientId, str]], address: str) -> RecipientId | None:
    """Of those whom the provider knows by the same id, the newest first, the one with that address. Providers write
    addresses in capitals or not, and numbers without the country.
    """
    said = address.casefold()
    for recipient_id, ours in known:
        own = ours.casefold()
        if not said or own.endswith(said) or said.endswith(own):
            return recipient_id
    return None


def _take_early(tx: Tx, ends: Sequence[End]) -> None:
    """Heed what was said of recipients before it was known that the provider had taken them."""
    for early in queries.receipts.early_of(tx, [end.recipient_id for end in ends]) if ends else ():
        if _meant([(early.recipient_id, early.address)], early.said_of) is not None:
            hear(tx, early.recipient_id, Receipt("", early.news, early.code, early.text))
            queries.receipts.drop_early(tx, early.id)


def hear(tx: Tx, recipient_id: RecipientId, receipt: Receipt) -> State:
    """`receive`, when it is known of whom the receipt speaks."""
    queries.receipts.add(tx, recipient_id, says=receipt.news.value, code=receipt.code, detail=receipt.text)
    held = queries.recipients.hold(tx, recipient_id)
    state = after(held.state, receipt.news)
    if state is not held.state:
        reason = "" if receipt.news in _NO_WORDS else f"{receipt.code} {receipt.text}".strip()
        _end(tx, held, End(recipient_id, state, reason))
    return state


def cancel(tx: Tx, recipient_id: RecipientId, *, reason: str) -> None:
    """Take a recipient back before it leaves. Raises `NotFound`, `NotQueued`."""
    held = queries.recipients.hold(tx, recipient_id)
    if held.state is not State.QUEUED:
        raise NotQueued(state=held.state.value)
    _end(tx, held, End(recipient_id, after(held.state, News.CANCEL), reason))


def next_attempt(manifest: Manifest, attempts: int, now: int, *, wait: int | None, chance: Chance) -> int | None:
    """When to try again after so many attempts: by the kind's schedule, with its jitter, but not before the `wait` that
    the other end asked for; none when the schedule has ended.
    """
    if attempts > len(manifest.retries):
        return None
    planned = manifest.retries[attempts - 1]
    jittered = round(planned * (1 + manifest.jitter * (2 * chance() - 1)))
    return now + max(jittered, wait or 0)


def _end(tx: Tx, held: Held, end: End) -> None:
    queries.recipients.end(tx, [end])
    _emit(tx, held, end)


def _emit(tx: Tx, held: Held, end: End) -> None:
    if held.origin is Origin.MAIL:
        if not end.told:
            outbox.emit(tx, RecipientSettled(recipient_id=held.id, message_id=held.message_id, state=end.state.value))
    elif held.origin in _NOTICES and end.state in _IN_VAIN:
        outbox.emit(tx, NoticeFailed(recipient_id=held.id, state=end.state.value, why=end.why.value))


def _judge_sender(tx: Tx, sender: Sender, attempt: Attempt) -> None:
    outcome = attempt.outcome
    if isinstance(outcome, Sent):
        # One that began before the failures that it is paused for proves nothing.
        if sender.failing_since is not None and (
            sender.paused_until is None or attempt.began_at >= sender.failing_since
        ):
            queries.senders.works(tx, sender.id)
    elif isinstance(outcome, Refused) and outcome.scope is Scope.SENDER:
        _disable(tx, sender, _words(outcome))
    elif isinstance(outcome, TryLater) and outcome.scope is Scope.SENDER:
        _sender_fails(tx, sender, outcome)


def _sender_fails(tx: Tx, sender: Sender, outcome: TryLater) -> None:
    failures = sender.failures + 1
    since = tx.now if sender.failing_since is None else sender.failing_since
    passes = outcome.why in _COSTS_NOTHING
    if not passes and failures >= FAILURES_BEFORE_DISABLING and tx.now - since >= FAILING_MOST:
        _disable(tx, sender, _words(outcome))
        return
    pause = max(outcome.after or 0, PAUSE if passes or failures >= FAILURES_BEFORE_PAUSE else 0)
    paused_until = sender.paused_until  # by one that was under way at the same time
    if pause:
        paused_until = max(paused_until or 0, tx.now + pause)
    is_faulty = outcome.why is Why.ACCOUNT
    # It may work for some recipients and not for others.
    is_news = is_faulty and (sender.told_at is None or tx.now - sender.told_at >= DAY)
    failing = replace(
        sender,
        reason=_words(outcome),
        failures=failures,
        failing_since=since,
        paused_until=paused_until,
        faulty=sender.faulty or is_faulty,
        told_at=tx.now if is_news else sender.told_at,
    )
    queries.senders.fails(tx, failing)
    if is_news:
        outbox.emit(tx, SenderFaulty(sender_id=sender.id, code=sender.code, reason=failing.reason))


def _words(failure: Refused | TryLater) -> str:
    return f"{failure.code} {failure.text}".strip()


def _disable(tx: Tx, sender: Sender, reason: str) -> None:
    if queries.senders.change_state(tx, sender.id, SenderState.DISABLED, reason):
        outbox.emit(tx, SenderDisabled(sender_id=sender.id, code=sender.code, reason=reason))
