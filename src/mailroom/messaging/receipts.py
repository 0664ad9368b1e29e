# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What became of an attempt, and what the provider says later, written down: the one place that changes a recipient's
state and a sender's health.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mailroom.core.clock import DAY, MINUTE
from mailroom.core.errors import NotQueued
from mailroom.core.ids import RecipientId, SenderId
from mailroom.events import outbox
from mailroom.events.facts import RecipientSettled, SenderDisabled
from mailroom.messaging import queries
from mailroom.messaging.model import Due, Origin, Sender, SenderState
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


def record_all(tx: Tx, attempts: Sequence[Attempt], *, manifest: Callable[[Sender], Manifest], chance: Chance) -> None:
    """`record`, for attempts that ended together, in that order for each sender. `manifest` is that of its kind."""
    # All who lock several senders do so in this order.
    for attempt, sender in _with_senders(tx, sorted(attempts, key=lambda one: one.due.sender_id)):
        _record(tx, attempt, sender, manifest=manifest(sender), chance=chance)


def _record(tx: Tx, attempt: Attempt, sender: Sender, *, manifest: Manifest, chance: Chance) -> None:
    due, outcome = attempt.due, attempt.outcome
    queries.add_attempt(
        tx,
        due,
        began_at=attempt.began_at,
        took=attempt.took,
        outcome=type(outcome).__name__,
        code=outcome.code,
        detail=outcome.text,
    )
    match outcome:
        case Sent(provider_id=provider_id):
            _end(tx, attempt, News.ACCEPTED, provider_id=provider_id)
        case Refused():
            _end(tx, attempt, News.REFUSED)
        case Unknown():
            _end(tx, attempt, News.ANSWER_LOST)
        case TryLater(after=wait):
            at = next_attempt(manifest, due.attempts, tx.now, wait=wait, chance=chance)
            if at is None:
                _end(tx, attempt, News.EXHAUSTED)
            else:
                queries.try_again(
                    tx, due.id, lease=attempt.lease, at=at, reason=f"{outcome.code} {outcome.text}".strip()
                )
    _judge_sender(tx, sender, outcome)


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
    before = queries.recipient_state(tx, recipient_id)
    state = after(before, receipt.news)
    if state is not before:
        reason = "" if receipt.news is News.ARRIVED else f"{receipt.code} {receipt.text}".strip()
        _settle(tx, recipient_id, state, reason=reason)
    return state


def cancel(tx: Tx, recipient_id: RecipientId, *, reason: str) -> None:
    """Take a recipient back before it leaves. Raises `NotFound`, `NotQueued`."""
    before = queries.recipient_state(tx, recipient_id)
    if before is not State.QUEUED:
        raise NotQueued(state=before.value)
    _settle(tx, recipient_id, after(before, News.CANCEL), reason=reason)


def next_attempt(manifest: Manifest, attempts: int, now: int, *, wait: int | None, chance: Chance) -> int | None:
    """When to try again after so many attempts: by the kind's schedule, with its jitter, but not before the `wait` that
    the other end asked for; none when the schedule has ended.
    """
    if attempts > len(manifest.retries):
        return None
    planned = manifest.retries[attempts - 1]
    jittered = round(planned * (1 + manifest.jitter * (2 * chance() - 1)))
    return now + max(jittered, wait or 0)


def _end(tx: Tx, attempt: Attempt, news: News, *, provider_id: str = "") -> None:
    before = queries.recipient_state(tx, attempt.due.id)  # locks it: only then is the lease sure to stay
    # A stale holder may only say that the provider has taken it; the rest is for who holds the lease now.
    if news is not News.ACCEPTED and not queries.holds(tx, attempt.due.id, attempt.lease):
        return
    state = after(before, news)
    if state is before:
        return
    reason = "" if news is News.ACCEPTED else f"{attempt.outcome.code} {attempt.outcome.text}".strip()
    told = int(isinstance(attempt.outcome, Sent) and attempt.outcome.reports)
    _settle(tx, attempt.due.id, state, provider_id=provider_id, reason=reason, told=told)


def _settle(
    tx: Tx, recipient_id: RecipientId, state: State, *, reason: str, provider_id: str | None = None, told: int = 0
) -> None:
    message_id, origin = queries.change_state(
        tx, recipient_id, state=state, provider_id=provider_id, reason=reason, told=told
    )
    if origin is Origin.MAIL:  # nobody asks how the others end
        outbox.emit(tx, RecipientSettled(recipient_id=recipient_id, message_id=message_id, state=state.value))


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
