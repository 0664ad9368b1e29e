# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The loops that run beside the servers. The only place, with the servers' outermost frames, that catches everything:
a fault is logged once, and the loop goes on after a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.asyncresolver

from mailroom.core import log
from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND, Clock
from mailroom.core.ids import NewId
from mailroom.delivery import posting, reports, rules
from mailroom.delivery.checks import greylist
from mailroom.delivery.returns import Returns
from mailroom.directory import brake, credentials
from mailroom.directory.dkim_keys import DkimKeys
from mailroom.events import outbox
from mailroom.events.outbox import Claimed, LeaseLost
from mailroom.mailboxes.contents import Bodies
from mailroom.messaging import log as log_
from mailroom.runtime.reactions import Reaction, Reactions
from mailroom.storage.ports import Store, Tx

_LOG = log.get("workers")

_AT_ONCE = 100
_LEASE = 30 * SECOND
# A lost hint costs so many seconds.
_POLL = 1.0
_PAUSE_AFTER_FAULT = 1.0
_LONGEST_PAUSE = 10 * MINUTE
# What was sent stays in the log for so long.
_LOG_KEPT = 90 * DAY
_COLLECT_EVERY = HOUR / SECOND
_LOOK_EVERY = 10 * MINUTE / SECOND


async def forever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` again and again until cancelled; it is expected not to return."""
    while True:
        try:
            await work()
        except Exception:  # the outermost frame: logged once, and the loop goes on
            _LOG.exception("loop failed", loop=name)
        await asyncio.sleep(_PAUSE_AFTER_FAULT)


@dataclass(frozen=True, slots=True)
class React:
    """Gives every fact to who reacts to it."""

    store: Store
    reactions: Reactions
    new_id: NewId

    async def run(self) -> None:
        """React until cancelled."""
        with self.store.hints.listen(outbox.TOPIC) as ear:
            while True:
                if await self.once() < _AT_ONCE:
                    await ear.wait(_POLL)

    async def once(self) -> int:
        """React to the facts that are due; how many there were."""
        lease = self.new_id()
        try:
            return await self.store.write(lambda tx: self._react_all(tx, lease))
        except Exception:  # which of them it was, and what to log, shows when each runs alone
            facts = await self.store.write(lambda tx: _claim(tx, lease))
        for fact in facts:
            await self._react_alone(fact, lease)
        return len(facts)

    def _react_all(self, tx: Tx, lease: str) -> int:
        # One transaction from claim to settlement: it is the one that is synced for each mail beside the mail's own.
        facts = _claim(tx, lease)
        for fact in facts:
            done = outbox.reacted(tx, fact.id) if fact.attempts > 1 else frozenset[str]()
            for reaction in self._reactions(fact):
                if reaction.name not in done:
                    reaction.react(tx, fact.fact)
        outbox.settle(tx, *(fact.id for fact in facts), lease=lease)
        return len(facts)

    async def _react_alone(self, fact: Claimed, lease: str) -> None:
        done = await self.store.read(lambda tx: outbox.reacted(tx, fact.id))
        try:
            failed = [
                one for one in self._reactions(fact) if one.name not in done and not await self._done(fact, one, lease)
            ]
            await self.store.write(lambda tx: _finish(tx, fact, lease, failed=len(failed)))
        except LeaseLost:
            _LOG.info("lease lost", fact=fact.id)  # to a worker that sees to the fact now
        except (KeyError, TypeError, ValueError):
            _LOG.exception("fact not understood", fact=fact.id, kind=fact.kind)
            await self.store.write(lambda tx: _finish(tx, fact, lease, failed=1))

    def _reactions(self, fact: Claimed) -> tuple[Reaction, ...]:
        return self.reactions[type(fact.fact)]

    async def _done(self, fact: Claimed, reaction: Reaction, lease: str) -> bool:
        try:
            await self.store.write(lambda tx: _react(tx, fact, reaction, lease))
        except LeaseLost:
            raise
        except Exception:  # logged once; the fact is due again
            _LOG.exception("reaction failed", reaction=reaction.name, fact=fact.id, attempt=fact.attempts)
            return False
        return True


def _claim(tx: Tx, lease: str) -> Sequence[Claimed]:
    return outbox.claim(tx, lease=lease, until=tx.now + _LEASE, limit=_AT_ONCE)


def _react(tx: Tx, fact: Claimed, reaction: Reaction, lease: str) -> None:
    outbox.note(tx, fact.id, reaction.name, lease=lease)
    reaction.react(tx, fact.fact)


def _finish(tx: Tx, fact: Claimed, lease: str, *, failed: int) -> None:
    if not failed:
        outbox.settle(tx, fact.id, lease=lease)
    else:  # for as long as it takes: a fact is a duty, and the fault may be mended by the next release
        outbox.again(tx, fact.id, lease=lease, at=tx.now + min(SECOND << min(fact.attempts, 10), _LONGEST_PAUSE))


@dataclass(frozen=True, slots=True)
class Publish:
    """Lets new keys sign once the DNS shows them."""

    keys: DkimKeys
    resolver: dns.asyncresolver.Resolver

    async def run(self) -> None:
        """Look every ten minutes until cancelled."""
        while True:
            await self.keys.advance(self.resolver)
            await asyncio.sleep(_LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class Delays:
    """Tells the senders of mails that take long."""

    store: Store
    returns: Returns

    async def run(self) -> None:
        """Look every minute until cancelled."""
        while True:
            while await self.store.write(self.returns.late):
                pass
            await asyncio.sleep(MINUTE / SECOND)


@dataclass(frozen=True, slots=True)
class Collect:
    """Deletes what nobody refers to any more, and what has been kept for long enough."""

    store: Store
    bodies: Bodies
    spools: Path
    clock: Clock

    async def run(self) -> None:
        """Collect every hour until cancelled."""
        while True:
            while await self.bodies.collect():
                pass
            while await self.store.write(lambda tx: log_.forget(tx, before=tx.now - _LOG_KEPT, limit=_AT_ONCE)):
                pass
            await self.store.write(credentials.forget_sessions)
            await self.store.write(brake.forget)
            await self.store.write(greylist.forget)
            await self.store.write(rules.forget)
            await self.store.write(reports.forget)
            await self.store.write(posting.forget)
            await asyncio.to_thread(self._sweep)
            await asyncio.sleep(_COLLECT_EVERY)

    def _sweep(self) -> None:
        """Delete the spools of processes that died: nothing in them was promised."""
        for left in self.spools.iterdir():
            with contextlib.suppress(FileNotFoundError):  # its owner has just finished with it
                if left.is_file() and left.stat().st_mtime * SECOND < self.clock() - DAY:
                    left.unlink()
