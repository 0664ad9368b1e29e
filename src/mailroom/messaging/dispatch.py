# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The one loop that sends: claim what is due, let the sender kind do it, write down what became of it.

The network is outside, transactions are inside: claim (transaction), send (network), record (transaction). When the
process dies between the last two, the lease runs out and the recipient is claimed again; a kind whose provider cannot
tell a repeat from a second message is then not tried again, and the recipient ends as unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from mailroom.core import log
from mailroom.core.clock import MINUTE, Clock
from mailroom.core.ids import MessageId, NewId, SenderId
from mailroom.messaging import queries, receipts
from mailroom.messaging.model import Content, Due, Sender
from mailroom.messaging.receipts import FAILURES_BEFORE_PAUSE, Attempt
from mailroom.messaging.send import TOPIC
from mailroom.messaging.senders import Senders
from mailroom.senders.contract import Account, Manifest, Outcome, Parcel, Scope, TryLater, Unknown
from mailroom.storage.ports import Store, Tx

T = TypeVar("T")
C = TypeVar("C")

_LOG = log.get("dispatch")

# A lost hint costs so many seconds.
POLL = 1.0
# How much longer a lease lasts than the kind's own time limit.
_MARGIN = MINUTE


@dataclass(frozen=True, slots=True)
class _Ended:
    """An attempt, and whose it was."""

    sender: Sender
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Sends what is due. `chance` gives numbers from 0 to 1, for the jitter of retries. `over` is called with messages
    of which a recipient has ended without a word to anybody, in the transaction that writes it down; `octets` gives, in
    the transaction that claims them, what goes with messages beside their content.
    """

    store: Store
    senders: Senders
    clock: Clock
    new_id: NewId
    chance: Callable[[], float]
    over: Callable[[Tx, Sequence[MessageId]], None]
    octets: Callable[[Tx, Sequence[Content]], Sequence[Callable[[], bytes] | None]]
    _under_way: Counter[tuple[SenderId, str]] = field(default_factory=Counter)  # by sender and lane
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _ended: list[_Ended] = field(default_factory=list)  # what is to be written down next
    _news: asyncio.Event = field(default_factory=asyncio.Event)  # something is due, or has ended

    async def run(self) -> None:
        """Send until cancelled; then finish what has been begun."""
        end = self.store.hints.call(TOPIC, self._news.set)
        try:
            while True:
                self._news.clear()
                # Shielded, since what has been claimed must be begun: else it would wait for its lease to end.
                await asyncio.shield(self._keep(self._turn()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        await self._news.wait()
        finally:
            end()
            while self._tasks or self._ended:
                if ended := self._take():
                    await self._write_down(ended, lambda _: ())
                else:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _turn(self) -> int:
        """Write down what has ended, and begin what is due in its place; how much that was. It is one transaction, and
        what ends meanwhile is gathered for the next.
        """
        ended, lease = self._take(), self.new_id()
        busy = +self._under_way
        claimed = await self._write_down(ended, lambda tx: self._claim(tx, lease, busy))
        opened: dict[SenderId, Account] = {}
        for sender, due in claimed:
            self._under_way[sender.id, due.lane] += 1
            _ = self._keep(self._attempt(sender, due, lease, opened))
        return len(claimed)

    def _take(self) -> Sequence[_Ended]:
        """What has ended; whatever becomes of writing it down, it is under way no more."""
        ended = list(self._ended)
        self._ended.clear()
        for one in ended:
            self._under_way[one.sender.id, one.attempt.due.lane] -= 1
        return ended

    def _claim(self, tx: Tx, lease: str, busy: Counter[tuple[SenderId, str]]) -> Sequence[tuple[Sender, Due]]:
        claimed: list[tuple[Sender, Due]] = []
        for sender in queries.senders_due(tx, kinds=tuple(self.senders.kinds)):
            manifest = self.senders.kind(sender.kind).manifest
            lanes = Counter({lane: count for (sender_id, lane), count in busy.items() if sender_id == sender.id})
            # A failing sender is probed by one.
            at_once = 1 if sender.failures >= FAILURES_BEFORE_PAUSE else manifest.concurrency
            more = _claim_free(tx, sender, manifest, at_once=at_once, lanes=lanes, lease=lease)
            octets = self.octets(tx, [due.content for due in more])
            claimed += [(sender, replace(due, octets=own)) for due, own in zip(more, octets, strict=True)]
        return claimed

    async def _attempt(self, sender: Sender, due: Due, lease: str, opened: dict[SenderId, Account]) -> None:
        began = self.clock()
        outcome = await self._outcome(sender, due, began, opened)
        self._ended.append(_Ended(sender, Attempt(due, lease, began, self.clock() - began, outcome)))
        self._news.set()

    async def _write_down(self, ended: Sequence[_Ended], then: Callable[[Tx], Sequence[C]]) -> Sequence[C]:
        """Write down what has ended, and do what follows in the same transaction."""

        def work(tx: Tx) -> Sequence[C]:
            if ended:
                attempts = [one.attempt for one in ended]
                self.over(tx, receipts.record_all(tx, attempts, manifest=self._manifest, chance=self.chance))
            return then(tx)

        try:
            done = await self.store.write(work)
        except Exception:
            if len(ended) > 1:  # which of them it was shows when each is written alone
                await asyncio.gather(*(self._write_down([one], lambda _: ()) for one in ended))
            elif ended:  # the lease runs out, and the recipient is tried again
                [one] = ended
                _LOG.exception("attempt failed", recipient=one.attempt.due.code, sender=one.sender.code)
            else:
                raise
            self._news.set()
            return ()
        for one in ended:
            due, outcome = one.attempt.due, one.attempt.outcome
            _LOG.info(
                "attempted",
                recipient=due.code,
                sender=one.sender.code,
                outcome=type(outcome).__name__,
                code=outcome.code,
            )
        return done

    async def _outcome(self, sender: Sender, due: Due, began: int, opened: dict[SenderId, Account]) -> Outcome:
        try:
            return await self._send(sender, due, began, opened)
        except Exception as bug:
            _LOG.exception("sending failed", recipient=due.code, sender=sender.code)
            if self.senders.kind(sender.kind).manifest.idempotent:
                return TryLater("internal", type(bug).__name__, Scope.SENDER)
            return Unknown("internal", type(bug).__name__)

    async def _send(self, sender: Sender, due: Due, began: int, opened: dict[SenderId, Account]) -> Outcome:
        kind = self.senders.kind(sender.kind)
        if due.interrupted and not kind.manifest.idempotent:
            return Unknown("interrupted", "an earlier attempt was cut off; a repeat might double the message")
        parcel = Parcel(due.code, due.address, due.content, due.attempts, began, due.options, due.octets)
        if sender.id not in opened:
            opened[sender.id] = self.senders.account(sender)
        return await kind.send(opened[sender.id], parcel)

    def _manifest(self, sender: Sender) -> Manifest:
        return self.senders.kind(sender.kind).manifest


def _claim_free(
    tx: Tx, sender: Sender, manifest: Manifest, *, at_once: int, lanes: Counter[str], lease: str
) -> Sequence[Due]:
    """As much as the sender may do beside what is under way in `lanes`. A few at a time, so that the recipients of one
    destination, however many and however slow, do not take the places of all others.
    """
    claimed: list[Due] = []
    until = tx.now + manifest.timeout + _MARGIN
    while (free := at_once - lanes.total()) > 0:
        most = min(free, manifest.per_lane or free)
        full = [lane for lane, count in lanes.items() if manifest.per_lane and count >= manifest.per_lane]
        more = queries.claim(tx, sender.id, lease=lease, until=until, limit=most, full=full)
        claimed += more
        lanes.update(due.lane for due in more)
        if len(more) < most:
            break
    return claimed
