# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The loops that run beside the servers. The only place, with the servers' outermost frames, that catches everything:
a fault is logged once, and the loop goes on after a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dns.asyncresolver

from mailroom.core import log
from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND, Clock
from mailroom.core.errors import Kind, Refusal
from mailroom.core.ids import EntryId, NewId
from mailroom.delivery import posting, reports, rules
from mailroom.delivery.checks import greylist
from mailroom.delivery.returns import Returns
from mailroom.directory import brake, credentials, domains
from mailroom.directory.dkim_keys import DkimKeys
from mailroom.directory.domain_checks import DomainChecks
from mailroom.events import jobs, outbox
from mailroom.events.jobs import Held, JobLost
from mailroom.events.outbox import Claimed, LeaseLost
from mailroom.mailboxes import purge
from mailroom.mailboxes.contents import Bodies
from mailroom.messaging import calls, tokens
from mailroom.messaging import log as log_
from mailroom.notify.alarms import Alarms
from mailroom.runtime.reactions import Reaction, Reactions
from mailroom.storage import repeats
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
# What is said to people's phones is no news after so long.
_NEWS_KEPT = 3 * DAY
_COLLECT_EVERY = HOUR / SECOND
_WATCH = 30.0
_BIN_EVERY = HOUR / SECOND
_LOOK_EVERY = 10 * MINUTE / SECOND
_INTERRUPTED = "internal: A fault of the server, see its log."


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
class Work:
    """Does long work: so many jobs at once in this process."""

    store: Store
    workers: Mapping[str, jobs.Worker]  # by kind
    new_id: NewId
    at_once: int = 2

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.at_once):
                group.create_task(forever("jobs", self._run))

    async def _run(self) -> None:
        with self.store.hints.listen(jobs.TOPIC) as ear:
            while True:
                if not await self.once():
                    await ear.wait(_POLL)

    async def once(self) -> bool:
        """Do one job that is due, to its end; whether there was one."""
        lease = self.new_id()
        held = await self.store.write(lambda tx: jobs.claim(tx, self.workers, lease=lease))
        if held is None:
            return False
        try:
            await self._see_through(held)
        except JobLost:
            _LOG.info("job left", job=held.job.id)  # cancelled, or another worker sees to it now
        return True

    async def _see_through(self, held: Held) -> None:
        worker = self.workers[held.job.kind]
        about = {"job": held.job.id, "kind": held.job.kind}
        try:
            while (further := await worker.advance(held)) is not None:
                held = further
        except JobLost:
            raise
        except asyncio.CancelledError:  # we are told to stop: another may go on at once
            with contextlib.suppress(JobLost, Refusal):
                await self.store.write(lambda tx: jobs.wait(tx, held, until=tx.now))
            raise
        except Refusal as refusal:
            if refusal.kind in {Kind.UNAVAILABLE, Kind.NO_SPACE}:  # it may be there again later
                _LOG.warning("job put off", **about, code=refusal.code)
                await self.store.write(partial(jobs.again, held=held, reason=jobs.said(refusal)))
                return
            _LOG.info("job failed", **about, code=refusal.code)
            await self.store.write(partial(jobs.fail, held=held, refusal=refusal))
        except Exception:  # logged once; the job is due again
            _LOG.exception("job interrupted", **about, attempt=held.attempts)
            await self.store.write(partial(jobs.again, held=held, reason=_INTERRUPTED))


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at the records of our domains when it is time to."""

    store: Store
    checks: DomainChecks

    async def run(self) -> None:
        """Look until cancelled."""
        with self.store.hints.listen(domains.TOPIC) as ear:
            while True:
                if not await self.checks.due():
                    await ear.wait(_WATCH)


@dataclass(frozen=True, slots=True)
class Bin:
    """Warns of what will soon be purged, and purges what is due."""

    store: Store
    alarms: Alarms

    async def run(self) -> None:
        """Look every hour until cancelled."""
        due: frozenset[EntryId] = frozenset()
        while True:
            due = await self.once(due)
            await asyncio.sleep(_BIN_EVERY)

    async def once(self, due: frozenset[EntryId]) -> frozenset[EntryId]:
        """Look once; `due` is what the look before gave back."""
        await self.store.write(self.alarms.bin)
        return await self.store.write(partial(purge.look, due_before=due))


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
    left_behind: Sequence[Path]  # folders of files that nobody needs after a day
    clock: Clock

    async def run(self) -> None:
        """Collect every hour until cancelled."""
        while True:
            while await self.bodies.collect():
                pass
            while await self.store.write(lambda tx: log_.give_up(tx, before=tx.now - _NEWS_KEPT, limit=_AT_ONCE)):
                pass
            while await self.store.write(lambda tx: log_.forget(tx, before=tx.now - _LOG_KEPT, limit=_AT_ONCE)):
                pass
            await self.store.write(lambda tx: jobs.forget(tx, before=tx.now - _LOG_KEPT))
            await self.store.write(credentials.forget_sessions)
            await self.store.write(brake.forget)
            await self.store.write(repeats.forget)
            await self.store.write(greylist.forget)
            await self.store.write(rules.forget)
            await self.store.write(reports.forget)
            await self.store.write(posting.forget)
            await self.store.write(calls.forget)
            await self.store.write(tokens.forget)
            await asyncio.to_thread(self._sweep)
            await asyncio.sleep(_COLLECT_EVERY)

    def _sweep(self) -> None:
        """Delete exports that have had their day, and the spools of processes that died: nothing in them was
        promised.
        """
        for left in (each for folder in self.left_behind for each in folder.iterdir()):
            with contextlib.suppress(FileNotFoundError):  # its owner has just finished with it
                if left.is_file() and left.stat().st_mtime * SECOND < self.clock() - DAY:
                    left.unlink()
