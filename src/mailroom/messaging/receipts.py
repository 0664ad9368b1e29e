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
from mailroom.events.facts import RecipientSettled, SenderDisabled
from mailroom.messaging import queries
from mailroom.messaging.model import Due, Origin, Sender, SenderState, Try
from mailroom.messaging.queries import End, Held
from mailroom.messaging.states import News, State, after
from mailroom.senders.contract import Manifest, Outcome, Refused, Scope, Sent, TryLater, Unknown
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


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says later of a recipient that it took: that it `arrived`, or that it was `lost`."""

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
    held = queries.hold_all(tx, (one.due.id for one in attempts))
    queries.add_attempts(tx, ((one.due.id, _try(one)) for one in attempts))
    ends: list[End] = []
    # All who lock several senders do so in this order.
    for attempt, sender in _with_senders(tx, sorted(attempts, key=lambda one: one.due.sender_id)):
        end = _record(tx, attempt, held[attempt.due.id], manifest=manifest(sender), chance=chance)
        if end is not None:
            held[attempt.due.id] = replace(held[attempt.due.id], state=end.state, lease="")
            ends.append(end)
        _judge_sender(tx, sender, attempt.outcome)
    queries.end(tx, ends)
    for end in ends:
        _emit(tx, held[end.recipient_id], end)
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
        at = next_attempt(manifest, attempt.due.attempts, tx.now, wait=outcome.after, chance=chance)
        if at is not None:
            queries.try_again(tx, held.id, lease=attempt.lease, at=at, reason=reason)
            return None
    # A stale holder may only say that the provider has taken it; the rest is for who holds the lease now.
    if news is not News.ACCEPTED and held.lease != attempt.lease:
        return None
    state = after(held.state, news)
    if state is held.state:
        return None
    if isinstance(outcome, Sent):
        return End(held.id, state, "", provider_id=outcome.provider_id, told=outcome.told)
    return End(held.id, state, reason, provider_id="")


def _with_senders(tx: Tx, attempts: Sequence[Attempt]) -> Iterator[tuple[Attempt, Sender]]:
    """Each attempt with its sender, locked, as the attempts before have left it."""
    sender: Sender | None = None
    for attempt in attempts:
        if sender is None or sender.id != attempt.due.sender_id:
            sender = queries.lock_sender(tx, attempt.due.sender_id)
        yield attempt, sender
        if sender.failures or not isinstance(attempt.outcome, Sent):  # it may have changed
            sender = None


def receive(tx: Tx, sender_id: SenderId, receipt: Receipt) -> State:
    """Write down a receipt, and what it changes; the recipient's state then. It may be late or double.

    Raises `NotFound` when the sender has nobody under that provider's id.
    """
    return hear(tx, queries.recipient_by_provider(tx, sender_id, receipt.provider_id), receipt)


def hear(tx: Tx, recipient_id: RecipientId, receipt: Receipt) -> State:
    """`receive`, when it is known of whom the receipt speaks."""
    queries.add_receipt(tx, recipient_id, says=receipt.news.value, code=receipt.code, detail=receipt.text)
    held = queries.hold(tx, recipient_id)
    state = after(held.state, receipt.news)
    if state is not held.state:
        reason = "" if receipt.news is News.ARRIVED else f"{receipt.code} {receipt.text}".strip()
        _end(tx, held, End(recipient_id, state, reason))
    return state


def cancel(tx: Tx, recipient_id: RecipientId, *, reason: str) -> None:
    """Take a recipient back before it leaves. Raises `NotFound`, `NotQueued`."""
    held = queries.hold(tx, recipient_id)
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
    queries.end(tx, [end])
    _emit(tx, held, end)


def _emit(tx: Tx, held: Held, end: End) -> None:
    if held.origin is Origin.MAIL and not end.told:  # nobody asks how the others end
        outbox.emit(tx, RecipientSettled(recipient_id=held.id, message_id=held.message_id, state=end.state.value))


def _judge_sender(tx: Tx, sender: Sender, outcome: Outcome) -> None:
    if isinstance(outcome, Sent):
        if sender.failures:
            queries.sender_works(tx, sender.id)
        return
    if isinstance(outcome, Refused) and outcome.scope is Scope.SENDER:
        _disable(tx, sender, f"{outcome.code} {outcome.text}".strip())
        return
    if isinstance(outcome, Refused | Unknown) or outcome.scope is not Scope.SENDER:
        return
    failures = sender.failures + 1
    since = tx.now if sender.failing_since is None else sender.failing_since
    if failures >= FAILURES_BEFORE_DISABLING and tx.now - since >= FAILING_MOST:
        _disable(tx, sender, f"{outcome.code} {outcome.text}".strip())
        return
    paused_until = sender.paused_until  # by one that was under way at the same time
    if pause := outcome.after or (PAUSE if failures >= FAILURES_BEFORE_PAUSE else 0):
        paused_until = max(paused_until or 0, tx.now + pause)
    queries.sender_fails(tx, sender.id, failures=failures, since=since, paused_until=paused_until)


def _disable(tx: Tx, sender: Sender, reason: str) -> None:
    if queries.change_sender_state(tx, sender.id, SenderState.DISABLED, reason):
        outbox.emit(tx, SenderDisabled(sender_id=sender.id, code=sender.code, reason=reason))
