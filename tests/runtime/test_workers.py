# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A reaction to a fact counts once, whatever fails, dies or is slow; and the loops outlive their faults."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from mailroom.core import ids
from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.core.ids import ContentId, FolderId, MailboxId, Uid
from mailroom.delivery.returns import Returns
from mailroom.directory import queries as directory
from mailroom.events import outbox
from mailroom.events.facts import KINDS, MailArrived
from mailroom.mailboxes.contents import Bodies
from mailroom.notify.alarms import Alarms
from mailroom.notify.owners import Owners
from mailroom.runtime import reactions
from mailroom.runtime.reactions import Reaction
from mailroom.runtime.workers import Collect, React, forever
from mailroom.storage import schema
from mailroom.storage.engines import open_blobs
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.stores import Watch

_EFFECTS = select(schema.organisations.c.name)


def arrived(uid: int) -> MailArrived:
    return MailArrived(
        mailbox_id=MailboxId(1), folder_id=FolderId(1), uid=Uid(uid), content_id=ContentId(1), envelope_from=""
    )


@dataclass
class Act:
    """A reaction that leaves a row, and fails so many times before."""

    name: str
    failures: int = 0
    only: int = 0  # the uid that it fails for; 0: any
    before: Callable[[], None] = lambda: None
    calls: list[int] = field(default_factory=list)

    def __call__(self, tx: Tx, fact: MailArrived) -> None:
        self.calls.append(fact.uid)
        directory.organisations.add(tx, f"{self.name} {fact.uid}")
        if self.failures and self.only in {0, fact.uid}:
            self.failures -= 1
            raise RuntimeError("a bug")
        self.before()

    @property
    def reaction(self) -> Reaction:
        return Reaction(self.name, self)


def react(store: Store, *acts: Act) -> React:
    return React(store, {MailArrived: tuple(act.reaction for act in acts)}, ids.new)


async def emit(store: Store, *uids: int) -> None:
    for uid in uids:
        await store.write(lambda tx, uid=uid: outbox.emit(tx, arrived(uid)))  # type: ignore[misc]  # a lambda's default


async def effects(store: Store) -> Counter[str]:
    return Counter(row[0] for row in await store.read(lambda tx: tx.all(_EFFECTS)))


def once(names: Sequence[str]) -> Counter[str]:
    return Counter(dict.fromkeys(names, 1))


def test_every_fact_has_its_reactions_under_names_of_their_own() -> None:
    table = reactions.table(
        alarms=Alarms("mx.corp.example"),
        owners=Owners("mx.corp.example"),
        returns=Returns("mx.corp.example", make.posting()),
    )
    assert set(table) == set(KINDS.values())
    for acts in table.values():
        assert len({act.name for act in acts}) == len(acts) > 0


async def test_facts_are_reacted_to_once_and_forgotten(store: Store) -> None:
    await emit(store, 1, 2, 3)
    worker = react(store, Act("push"), Act("count"))
    assert (await worker.once(), await worker.once()) == (3, 0)
    assert await effects(store) == once([f"{name} {uid}" for uid in (1, 2, 3) for name in ("push", "count")])
    assert await store.read(outbox.backlog) == (0, 0)


async def test_a_failure_repeats_neither_other_facts_nor_other_reactions(store: Store, watch: Watch) -> None:
    await emit(store, 1, 2, 3)
    # In the common transaction, then alone, then alone at the second attempt.
    good, bad = Act("good"), Act("bad", failures=4, only=2)
    worker = react(store, good, bad)
    await worker.once()
    assert await effects(store) == once(["good 1", "bad 1", "good 2", "good 3", "bad 3"])
    assert await store.read(outbox.backlog) == (0, 1)
    for _ in range(2):
        assert await worker.once() == 0  # not before its time
        watch.now += 10 * MINUTE
        assert await worker.once() == 1
    assert await effects(store) == once(["good 1", "bad 1", "good 2", "bad 2", "good 3", "bad 3"])
    assert await store.read(outbox.backlog) == (0, 0)


async def test_waits_grow_from_seconds_to_minutes_and_a_duty_is_never_given_up(store: Store, watch: Watch) -> None:
    await emit(store, 1)
    worker = react(store, Act("bad", failures=99))
    await worker.once()
    for seconds in (2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600):
        watch.now += seconds * SECOND - 1
        assert await worker.once() == 0
        watch.now += 1
        assert await worker.once() == 1
    assert await store.read(outbox.backlog) == (0, 1)
    assert await effects(store) == Counter()


async def test_a_worker_that_was_too_slow_does_nothing_twice(store: Store, watch: Watch) -> None:
    await emit(store, 1)
    other = react(store, Act("push"))
    [mine] = await store.write(lambda tx: outbox.claim(tx, lease="slow", until=tx.now + 1, limit=9))
    watch.now += 1
    assert await other.once() == 1
    slow = react(store, late := Act("push"))
    await slow._react_alone(mine, "slow")
    assert (await effects(store), late.calls) == (once(["push 1"]), [])


async def test_a_worker_whose_lease_ends_while_it_works_does_nothing_twice(store: Store, watch: Watch) -> None:
    await emit(store, 1, 2)
    first = Act("push", failures=1)  # makes it go on one by one
    worker = react(store, first)
    other = react(store, Act("push"))

    async def overtaken() -> None:
        [*mine] = await store.write(lambda tx: outbox.claim(tx, lease="slow", until=tx.now + 1, limit=9))
        await worker._react_alone(mine[0], "slow")  # fails once: given back
        watch.now += HOUR
        await other.once()
        await worker._react_alone(mine[1], "slow")

    await overtaken()
    assert await effects(store) == once(["push 1", "push 2"])
    assert await store.read(outbox.backlog) == (0, 0)


async def test_a_worker_that_died_half_way_leaves_the_rest_to_the_next(store: Store, watch: Watch) -> None:
    await emit(store, 1)
    [mine] = await store.write(lambda tx: outbox.claim(tx, lease="dies", until=tx.now + 30 * SECOND, limit=9))

    def half(tx: Tx) -> None:
        outbox.note(tx, mine.id, "push", lease="dies")
        directory.organisations.add(tx, "push 1")

    await store.write(half)
    worker = react(store, push := Act("push"), Act("count"))
    assert await worker.once() == 0
    watch.now += 30 * SECOND
    assert await worker.once() == 1
    assert (await effects(store), push.calls) == (once(["push 1", "count 1"]), [])


async def test_the_loop_wakes_by_hint_and_ends_when_cancelled(store: Store) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell() -> None:
        loop.call_soon_threadsafe(done.set)

    worker = react(store, Act("push", before=tell))
    task = asyncio.create_task(worker.run())
    await emit(store, 1)
    await asyncio.wait_for(done.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_loop_goes_on_after_a_fault() -> None:
    runs, enough = 0, asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            enough.set()
        raise RuntimeError("a bug")

    task = asyncio.create_task(forever("test", work))
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    await asyncio.wait([task])


async def test_spools_of_the_dead_are_swept_after_a_day(store: Store, watch: Watch, tmp_path: Path) -> None:
    spools = tmp_path / "spools"
    spools.mkdir()
    for name, age in {"old": DAY + MINUTE, "young": DAY - MINUTE}.items():
        (spools / name).write_bytes(b"half a mail")
        os.utime(spools / name, times=((watch.now - age) / SECOND,) * 2)
    Collect(store, Bodies(store, open_blobs(f"file://{tmp_path}/blobs")), [spools], watch)._sweep()
    assert [each.name for each in spools.iterdir()] == ["young"]
