# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs on every store: done by one at a time, a piece counts once, and whoever was cancelled or too slow changes
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import select

from mailroom.core import ids
from mailroom.core.clock import MINUTE, SECOND
from mailroom.core.errors import NotFound, NotRunning, TargetTooSmall
from mailroom.core.ids import JobId
from mailroom.directory import queries as directory
from mailroom.events import jobs
from mailroom.events.jobs import LEASE, Held, Job, JobLost, JobState
from mailroom.storage import schema
from mailroom.storage.ports import Store, Tx
from tests.stores import Watch

KINDS = {"k"}
_EFFECTS = select(schema.organisations.c.name).order_by(schema.organisations.c.id)


async def start(store: Store, *, kind: str = "k", total: int = 10) -> JobId:
    """A job that was asked for."""
    job = await store.write(lambda tx: jobs.start(tx, kind, {"n": 1}, by="operator:root", subject="it", total=total))
    return job.id


async def claim(store: Store, lease: str = "") -> Held | None:
    return await store.write(lambda tx: jobs.claim(tx, KINDS, lease=lease or ids.new()))


async def claimed(store: Store, lease: str = "") -> Held:
    held = await claim(store, lease)
    assert held is not None
    return held


async def get(store: Store, job_id: JobId) -> Job:
    return await store.read(lambda tx: jobs.get(tx, job_id))


async def effects(store: Store) -> list[str]:
    return [row[0] for row in await store.read(lambda tx: tx.all(_EFFECTS))]


def piece(held: Held, name: str, finished: int) -> Callable[[Tx], Held]:
    """Leave a row, and note it."""

    def work(tx: Tx) -> Held:
        directory.organisations.add(tx, name)
        return jobs.progress(tx, held, finished=finished)

    return work


async def test_a_job_is_claimed_gets_on_and_is_done(store: Store, watch: Watch) -> None:
    job_id = await start(store)
    fresh = await get(store, job_id)
    assert (fresh.state, fresh.finished, fresh.total, fresh.task) == (JobState.QUEUED, 0, 10, {"n": 1})
    assert (fresh.actor, fresh.subject, fresh.created_at) == ("operator:root", "it", watch.now)
    held = await claimed(store)
    assert held.job == fresh
    further = await store.write(lambda tx: jobs.progress(tx, held, finished=4, total=12, notes={"at": "é"}))
    assert further.job == await get(store, job_id)
    assert (further.job.state, further.job.finished, further.job.total) == (JobState.RUNNING, 4, 12)
    assert further.job.notes == {"at": "é"}
    kept = await store.write(lambda tx: jobs.progress(tx, further, finished=5))
    assert (kept.job.total, kept.job.notes) == (12, {"at": "é"})
    watch.now += 1
    await store.write(lambda tx: jobs.finish(tx, kept, {"copied": 5}))
    done = await get(store, job_id)
    assert (done.state, done.result, done.ended_at) == (JobState.DONE, {"copied": 5}, watch.now)
    assert done.state.has_ended
    watch.now += 10 * LEASE
    assert await claim(store) is None


async def test_what_nobody_here_can_do_is_left_to_others(store: Store) -> None:
    await start(store, kind="later")
    assert await claim(store) is None
    assert await store.write(lambda tx: jobs.claim(tx, set(), lease="x")) is None
    held = await store.write(lambda tx: jobs.claim(tx, {"k", "later"}, lease="y"))
    assert held is not None
    assert held.attempts == 1


async def test_many_workers_take_each_job_once(store: Store) -> None:
    wanted = [await start(store) for _ in range(20)]
    taken: list[int] = []

    async def worker() -> None:
        while (held := await claim(store)) is not None:
            taken.append(held.job.id)

    await asyncio.gather(*(worker() for _ in range(8)))
    assert sorted(taken) == wanted


async def test_who_was_too_slow_changes_nothing(store: Store, watch: Watch) -> None:
    job_id = await start(store)
    slow = await claimed(store, "slow")
    watch.now += LEASE - 1
    assert await claim(store) is None
    watch.now += 1
    heir = await claimed(store, "heir")
    assert (heir.attempts, heir.job.id) == (2, job_id)
    late: list[Callable[[Tx], object]] = [
        piece(slow, "late", 1),
        lambda tx: jobs.finish(tx, slow),
        lambda tx: jobs.fail(tx, slow, NotFound(what="mailbox", name="1")),
        lambda tx: jobs.again(tx, slow, "why"),
        lambda tx: jobs.wait(tx, slow, until=0),
    ]
    for work in late:
        with pytest.raises(JobLost):
            await store.write(work)
    assert await effects(store) == []
    await store.write(piece(heir, "heir", 3))
    assert (await get(store, job_id)).finished == 3
    assert await effects(store) == ["heir"]


async def test_who_is_slow_goes_on_when_nobody_has_taken_it(store: Store, watch: Watch) -> None:
    job_id = await start(store)
    held = await claimed(store)
    watch.now += 10 * LEASE
    held = await store.write(piece(held, "slow", 1))
    assert await claim(store) is None  # held anew from then on
    await store.write(lambda tx: jobs.finish(tx, held))
    assert (await get(store, job_id)).state is JobState.DONE


async def test_what_was_cancelled_goes_no_further(store: Store, watch: Watch) -> None:
    waiting, running = await start(store), await start(store)
    await store.write(lambda tx: jobs.cancel(tx, waiting))
    held = await claimed(store)
    held = await store.write(piece(held, "first", 1))
    cancelled = await store.write(lambda tx: jobs.cancel(tx, running))
    assert (cancelled.state, cancelled.finished, cancelled.ended_at) == (JobState.CANCELLED, 1, watch.now)
    with pytest.raises(JobLost):
        await store.write(piece(held, "second", 2))
    assert await effects(store) == ["first"]
    watch.now += 10 * LEASE
    assert await claim(store) is None
    for job_id in (waiting, running):
        with pytest.raises(NotRunning) as refused:
            await store.write(lambda tx, job_id=job_id: jobs.cancel(tx, job_id))  # type: ignore[misc]  # a lambda's default
        assert refused.value.about == {"job": job_id, "state": "cancelled"}
    with pytest.raises(NotFound):
        await store.write(lambda tx: jobs.cancel(tx, JobId(99)))


async def test_of_an_end_and_a_cancelling_at_once_one_counts(store: Store) -> None:
    for number in range(20):
        job_id = await start(store)
        held = await claimed(store)
        ends = [
            store.write(lambda tx, held=held: jobs.finish(tx, held, "all")),  # type: ignore[misc]  # a lambda's default
            store.write(lambda tx, job_id=job_id: jobs.cancel(tx, job_id)),  # type: ignore[misc]  # likewise
        ]
        said = await asyncio.gather(*(ends if number % 2 else ends[::-1]), return_exceptions=True)
        refused = [type(one) for one in said if isinstance(one, Exception)]
        state = (await get(store, job_id)).state
        assert (state, refused) in [(JobState.DONE, [NotRunning]), (JobState.CANCELLED, [JobLost])]


async def test_a_failure_says_why(store: Store) -> None:
    job_id = await start(store)
    held = await claimed(store)
    refusal = TargetTooSmall(address="amy@corp.example", room=5, needed=7)
    await store.write(lambda tx: jobs.fail(tx, held, refusal))
    failed = await get(store, job_id)
    assert failed.state is JobState.FAILED
    assert failed.reason == "target_too_small: amy@corp.example has room for 5 octets; 7 are needed."


async def test_pauses_grow_until_the_work_gets_on(store: Store, watch: Watch) -> None:
    job_id = await start(store)

    async def stumble(seconds: int) -> None:
        held = await claimed(store)
        await store.write(lambda tx: jobs.again(tx, held, "unavailable: away"))
        watch.now += seconds * SECOND - 1
        assert await claim(store) is None
        watch.now += 1

    for seconds in (2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600):
        await stumble(seconds)
    assert (await get(store, job_id)).reason == "unavailable: away"
    held = await claimed(store)
    held = await store.write(lambda tx: jobs.progress(tx, held, finished=1))
    assert (held.attempts, held.job.reason, (await get(store, job_id)).reason) == (0, "", "")
    await store.write(lambda tx: jobs.again(tx, held, "unavailable: away"))
    watch.now += SECOND
    await stumble(2)


async def test_a_job_may_wait(store: Store, watch: Watch) -> None:
    await start(store)
    held = await claimed(store)
    await store.write(lambda tx: jobs.wait(tx, held, until=tx.now + 3 * MINUTE))
    watch.now += 3 * MINUTE - 1
    assert await claim(store) is None
    watch.now += 1
    assert await claim(store) is not None


async def test_lists_are_newest_first_and_the_old_are_forgotten(store: Store, watch: Watch) -> None:
    first, other, last = await start(store), await start(store, kind="other"), await start(store)
    assert [job.id for job in await store.read(lambda tx: jobs.page(tx, before=1 << 60, limit=2))] == [last, other]
    assert [job.id for job in await store.read(lambda tx: jobs.page(tx, before=other, limit=2))] == [first]
    assert [job.id for job in await store.read(lambda tx: jobs.pending(tx, "k"))] == [first, last]
    await store.write(lambda tx: jobs.cancel(tx, first))
    assert [job.id for job in await store.read(lambda tx: jobs.pending(tx, "k"))] == [last]
    watch.now += 1
    await store.write(lambda tx: jobs.forget(tx, before=tx.now))
    left = await store.read(lambda tx: jobs.page(tx, before=1 << 60, limit=9))
    assert [job.id for job in left] == [last, other]  # what has not ended stays
