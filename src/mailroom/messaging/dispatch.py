# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The one loop that sends: claim what is due, let the sender kind do it, write down what became of it.

The network is outside, transactions are inside: claim (transaction), send (network), record (transaction). When the
process dies between the last two, the lease runs out and the recipient is claimed again; where a provider cannot tell a
repeat from a second message it is then not tried again, and ends as unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from mailroom.core import log
from mailroom.core.clock import MINUTE, SECOND, Clock
from mailroom.core.errors import NoSpace, Unavailable
from mailroom.core.ids import MessageId, NewId, SenderId
from mailroom.messaging import pace as pace_
from mailroom.messaging import queries, receipts
from mailroom.messaging.model import Due, Origin, Sender, Withdrawn
from mailroom.messaging.receipts import FAILURES_BEFORE_PAUSE, Attempt
from mailroom.messaging.send import TOPIC
from mailroom.messaging.senders import Senders
from mailroom.senders.contract import Account, Manifest, Outcome, Pace, Parcel, Scope, TryLater, Unknown
from mailroom.storage.ports import Store, Tx

T = TypeVar("T")

# Called once for each turn, in the transaction that claims: what is to be sent, as what, and what not after all.
Prepares = Mapping[Origin, Callable[[Tx, Sequence[Due]], Sequence[Due | Withdrawn]]]
_Claimed = tuple[Sender, Due]

_LOG = log.get("dispatch")

# A lost hint costs so many seconds.
POLL = 1.0
# How much longer a lease lasts than the kind's own time limit.
_MARGIN = MINUTE
# When a recipient that could not be prepared is due again.
_UNPREPARED = MINUTE


@dataclass(frozen=True, slots=True)
class _Ended:
    """An attempt, and whose it was."""

    sender: Sender
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class _Turn:
    """What is to be begun, and when the senders that may not begin more now may again."""

    claimed: Sequence[_Claimed]
    paced: Mapping[SenderId, int]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Sends what is due. `chance` gives numbers from 0 to 1, for the jitter of retries. `over` is called with messages
    of which a recipient has ended without a word to anybody, in the transaction that writes it down; `prepare` says, in
    the transaction that claims them, what becomes of recipients by the origin of their messages, the others go as they
    are.
    """

    store: Store
    senders: Senders
    clock: Clock
    new_id: NewId
    chance: Callable[[], float]
    over: Callable[[Tx, Sequence[MessageId]], None]
    prepare: Prepares
    _under_way: Counter[tuple[SenderId, str]] = field(default_factory=Counter)  # by sender and lane
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _ended: list[_Ended] = field(default_factory=list)  # what is to be written down next
    _news: asyncio.Event = field(default_factory=asyncio.Event)  # something is due, or has ended
    _paced: dict[SenderId, int] = field(default_factory=dict)  # see `_Turn`

    async def run(self) -> None:
        """Send until cancelled; then finish what has been begun."""
        end = self.store.hints.call(TOPIC, self._news.set)
        try:
            while True:
                self._news.clear()
                # Shielded, since what has been claimed must be begun: else it would wait for its lease to end.
                await asyncio.shield(self._keep(self._turn()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._rest()):
                        await self._news.wait()
        finally:
            end()
            while self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                await self._write_down(self._take())
            await self._write_down(self._take())  # what ended meanwhile

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
        busy = self._under_way.copy()

        def work(tx: Tx) -> _Turn:
            self._record(tx, ended)
            turn = self._claim(tx, lease, busy)
            return replace(turn, claimed=self._prepared(tx, turn.claimed))

        try:
            turn = await self.store.write(work)
        except Exception:  # with whom it is, and what to log, shows when each is seen to alone
            await self._write_down_each(ended)
            turn = await self._claim_each(lease, busy)
        else:
            _log(ended)
        self._paced.clear()
        self._paced.update(turn.paced)
        opened: dict[SenderId, Account] = {}
        for sender, due in turn.claimed:
            self._under_way[sender.id, due.lane] += 1
            _ = self._keep(self._attempt(sender, due, lease, opened))
        return len(turn.claimed)

    def _rest(self) -> float:
        """How many seconds to wait for news."""
        return max(0.0, min([POLL, *((at - self.clock()) / SECOND for at in self._paced.values())]))

    def _take(self) -> Sequence[_Ended]:
        """What has ended, and is under way no more."""
        ended = list(self._ended)
        self._ended.clear()
        self._under_way.subtract((one.sender.id, one.attempt.due.lane) for one in ended)
        for lane in {(one.sender.id, one.attempt.due.lane) for one in ended}:
            if not self._under_way[lane]:
                del self._under_way[lane]  # there are as many lanes as domains
        return ended

    def _give_back(self, one: _Ended) -> None:
        """It is written down when the store is there again; until then it is under way."""
        self._ended.append(one)
        self._under_way[one.sender.id, one.attempt.due.lane] += 1

    def _claim(self, tx: Tx, lease: str, busy: Counter[tuple[SenderId, str]]) -> _Turn:
        claimed: list[_Claimed] = []
        paced: dict[SenderId, int] = {}
        for sender in queries.senders.due(tx, kinds=tuple(self.senders.kinds)):
            manifest = self._manifest(sender)
            lanes = Counter({lane: count for (sender_id, lane), count in busy.items() if sender_id == sender.id})
            # A failing sender is probed by one.
            at_once = 1 if sender.failures >= FAILURES_BEFORE_PAUSE or sender.faulty else manifest.concurrency
            claim = partial(_claim_free, tx, sender, manifest, lanes=lanes, lease=lease)
            pace = manifest.pace(sender.settings)
            if pace is None:
                more = claim(most=at_once - lanes.total())
            else:
                more, paced_at = _claim_paced(tx, sender, pace, claim, most=at_once - lanes.total())
                if not pace_.allowed(pace, paced_at, tx.now):
                    paced[sender.id] = pace_.next_at(pace, paced_at)
            claimed += [(sender, due) for due in more]
        return _Turn(claimed, paced)

    def _prepared(self, tx: Tx, claimed: Sequence[_Claimed]) -> Sequence[_Claimed]:
        """What is left to be sent of it, and as what."""
        senders = {due.id: sender for sender, due in claimed}
        origins: dict[Origin, list[Due]] = {}
        for _, due in claimed:
            origins.setdefault(due.origin, []).append(due)
        ready: list[Due] = []
        for origin, dues in origins.items():
            for one in self.prepare[origin](tx, dues) if origin in self.prepare else dues:
                if isinstance(one, Withdrawn):
                    receipts.cancel(tx, one.due.id, reason=one.reason)
                else:
                    ready.append(one)
        return [(senders[due.id], due) for due in sorted(ready, key=lambda due: due.id)]

    async def _claim_each(self, lease: str, busy: Counter[tuple[SenderId, str]]) -> _Turn:
        """What is due, each prepared alone."""
        turn = await self.store.write(lambda tx: self._claim(tx, lease, busy))
        ready = [ready for one in turn.claimed for ready in await self._prepare_alone(one, lease)]
        return replace(turn, claimed=ready)

    async def _prepare_alone(self, claimed: _Claimed, lease: str) -> Sequence[_Claimed]:
        """In a transaction of its own. What cannot be prepared is due later, as if it had never been claimed."""
        _, due = claimed
        try:
            return await self.store.write(lambda tx: self._prepared(tx, [claimed]))
        except Exception:
            _LOG.exception("not prepared", recipient=due.code)
        with contextlib.suppress(Exception):  # else its lease ends
            await self.store.write(
                lambda tx: queries.recipients.put_back(tx, due.id, lease=lease, at=tx.now + _UNPREPARED)
            )
        return ()

    async def _attempt(self, sender: Sender, due: Due, lease: str, opened: dict[SenderId, Account]) -> None:
        began = self.clock()
        outcome = await self._outcome(sender, due, began, opened)
        self._ended.append(_Ended(sender, Attempt(due, lease, began, self.clock() - began, outcome)))
        self._news.set()

    def _record(self, tx: Tx, ended: Sequence[_Ended]) -> None:
        if ended:
            attempts = [one.attempt for one in ended]
            self.over(tx, receipts.record_all(tx, attempts, manifest=self._manifest, chance=self.chance))

    async def _write_down(self, ended: Sequence[_Ended]) -> None:
        """Write down what has ended; if that fails, each alone."""
        try:
            await self.store.write(lambda tx: self._record(tx, ended))
        except Exception:  # likewise
            await self._write_down_each(ended)
        else:
            _log(ended)

    async def _write_down_each(self, ended: Sequence[_Ended]) -> None:
        for one in ended:
            try:
                await self.store.write(lambda tx, one=one: self._record(tx, [one]))  # type: ignore[misc]  # likewise
            except (NoSpace, Unavailable):
                self._give_back(one)  # else it would be sent twice
            except Exception:  # the lease runs out, and the recipient is tried again
                _LOG.exception("attempt failed", recipient=one.attempt.due.code, sender=one.sender.code)
            else:
                _log([one])

    async def _outcome(self, sender: Sender, due: Due, began: int, opened: dict[SenderId, Account]) -> Outcome:
        try:
            return await self._send(sender, due, began, opened)
        except Exception as bug:
            _LOG.exception("sending failed", recipient=due.code, sender=sender.code)
            if self._manifest(sender).idempotent(sender.settings):
                return TryLater("internal", type(bug).__name__, Scope.SENDER)
            return Unknown("internal", type(bug).__name__)

    async def _send(self, sender: Sender, due: Due, began: int, opened: dict[SenderId, Account]) -> Outcome:
        if due.interrupted and not self._manifest(sender).idempotent(sender.settings):
            return Unknown("interrupted", "an earlier attempt was cut off; a repeat might double the message")
        parcel = Parcel(due.code, due.address, due.content, due.attempts, began, due.options, due.octets)
        if sender.id not in opened:
            opened[sender.id] = self.senders.account(sender)
        return await self.senders.kind(sender.kind).send(opened[sender.id], parcel)

    def _manifest(self, sender: Sender) -> Manifest:
        return self.senders.kind(sender.kind).manifest


def _log(ended: Sequence[_Ended]) -> None:
    for one in ended:
        due, outcome = one.attempt.due, one.attempt.outcome
        _LOG.info(
            "attempted", recipient=due.code, sender=one.sender.code, outcome=type(outcome).__name__, code=outcome.code
        )


def _claim_free(
    tx: Tx, sender: Sender, manifest: Manifest, *, most: int, lanes: Counter[str], lease: str
) -> Sequence[Due]:
    """Up to `most` of the sender's recipients, beside what is under way in `lanes`. A few at a time, so that those of
    one destination, however many and however slow, do not take the places of all others.
    """
    claimed: list[Due] = []
    until = tx.now + manifest.timeout + _MARGIN
    while (free := most - len(claimed)) > 0:
        few = min(free, manifest.per_lane or free)
        full = [lane for lane, count in lanes.items() if manifest.per_lane and count >= manifest.per_lane]
        more = queries.recipients.claim(tx, sender.id, lease=lease, until=until, limit=few, full=full)
        claimed += more
        lanes.update(due.lane for due in more)
        if len(more) < few:
            break
    return claimed


def _claim_paced(
    tx: Tx, sender: Sender, pace: Pace, claim: Callable[..., Sequence[Due]], *, most: int
) -> tuple[Sequence[Due], int]:
    """No more than the pace allows all nodes together; and where the pace stands then."""
    if not pace_.allowed(pace, sender.paced_at, tx.now):
        return (), sender.paced_at
    paced_at = queries.senders.lock_pace(tx, sender.id)
    if paced_at is None:  # another node is at it
        return (), sender.paced_at
    claimed = claim(most=min(most, pace_.allowed(pace, paced_at, tx.now)))
    if claimed:
        paced_at = pace_.after(pace, paced_at, tx.now, len(claimed))
        queries.senders.keep_pace(tx, sender.id, paced_at)
    return claimed, paced_at
