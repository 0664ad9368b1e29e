# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Long work is seen through whatever its workers meet: refusals, faults that pass, bugs, cancelling, and the end of the
process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from mailroom.core import ids
from mailroom.core.clock import SECOND
from mailroom.core.errors import NoSpace, TargetTooSmall, Unavailable
from mailroom.core.ids import JobId
from mailroom.events import jobs
from mailroom.events.jobs import LEASE, Held, Job, JobState
from mailroom.runtime.workers import Work
from mailroom.storage.ports import Store
from tests.stores import Watch

PIECES = 5


@dataclass
class Count:
    """A worker that counts to `PIECES`; before a piece it does what `before` says, for that piece, once."""

    store: Store
    before: dict[int, Callable[[], object]] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    blocks: bool = False

    async def advance(self, held: Held) -> Held | None:
        number = held.job.finished
        self.seen.append(number)
        self.before.pop(number, lambda: None)()
        if self.blocks:
            self.entered.set()
            await asyncio.Event().wait()
        if number == PIECES:
            await self.store.write(partial(jobs.finish, held=held, result=number))
            return None
        return await self.store.write(partial(jobs.progress, held=held, finished=number + 1))


def raises(fault: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise fault

    return fail


def work(store: Store, count: Count) -> Work:
    return Work(store, {"count": count}, ids.new)


async def start(store: Store) -> JobId:
    job = await store.write(lambda tx: jobs.start(tx, "count", {}, by="system", subject="", total=PIECES))
    return job.id


async def get(store: Store, job_id: JobId) -> Job:
    return await store.read(lambda tx: jobs.get(tx, job_id))


def told(job: Job) -> tuple[JobState, int, str]:
    return job.state, job.finished, job.reason


async def test_a_job_is_done_to_its_end(store: Store) -> None:
    job_id, count = await start(store), Count(store)
    assert await work(store, count).once()
    done = await get(store, job_id)
    assert (told(done), done.result, count.seen) == ((JobState.DONE, PIECES, ""), PIECES, [0, 1, 2, 3, 4, 5])
    assert not await work(store, count).once()


async def test_a_refusal_ends_it_and_what_is_done_stays(store: Store, watch: Watch) -> None:
    job_id = await start(store)
    full = TargetTooSmall(address="amy@corp.example", room=1, needed=2)
    assert await work(store, Count(store, {2: raises(full)})).once()
    assert told(await get(store, job_id)) == (
        JobState.FAILED,
        2,
        "target_too_small: amy@corp.example has room for 1 octets; 2 are needed.",
    )
    watch.now += 10 * LEASE
    assert not await work(store, Count(store)).once()


async def test_faults_that_pass_and_bugs_only_put_it_off(store: Store, watch: Watch) -> None:
    job_id = await start(store)
    faults: Sequence[tuple[Exception, str]] = [
        (Unavailable(what="body store"), "unavailable: body store is not available at the moment."),
        (NoSpace(), "no_space: The server has no space left."),
        (RuntimeError("a bug"), "internal: A fault of the server, see its log."),
    ]
    count = Count(store)
    for number, (fault, reason) in enumerate(faults, 1):
        count.before = {number: raises(fault)}
        assert await work(store, count).once()
        assert told(await get(store, job_id)) == (JobState.RUNNING, number, reason)
        assert not await work(store, count).once()
        watch.now += 2 * SECOND  # it had got on: the pause is the first again
    assert await work(store, count).once()
    assert told(await get(store, job_id)) == (JobState.DONE, PIECES, "")
    assert count.seen == [0, 1, 1, 2, 2, 3, 3, 4, 5]


async def test_what_is_cancelled_or_taken_over_is_left_without_a_word(store: Store, watch: Watch) -> None:
    job_id = await start(store)
    loop = asyncio.get_running_loop()
    count = Count(store)

    class Cancels(Count):
        async def advance(self, held: Held) -> Held | None:
            if held.job.finished == 2:
                await self.store.write(lambda tx: jobs.cancel(tx, job_id))
            return await super().advance(held)

    assert await work(store, Cancels(store)).once()
    assert told(await get(store, job_id)) == (JobState.CANCELLED, 2, "")

    job_id = await start(store)

    class Sleeps(Count):
        async def advance(self, held: Held) -> Held | None:
            if held.job.finished == 3:
                watch.now += LEASE
                assert await work(store, count).once()
            return await super().advance(held)

    assert await work(store, Sleeps(store)).once()
    assert told(await get(store, job_id)) == (JobState.DONE, PIECES, "")
    assert count.seen == [3, 4, 5]
    assert loop.is_running()


async def test_who_is_told_to_stop_gives_it_back_at_once(store: Store) -> None:
    job_id, blocked = await start(store), Count(store, blocks=True)
    task = asyncio.create_task(work(store, blocked).run())
    await asyncio.wait_for(blocked.entered.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await work(store, Count(store)).once()  # no lease is waited for
    assert told(await get(store, job_id)) == (JobState.DONE, PIECES, "")


async def test_who_is_told_to_stop_after_a_cancelling_stops(store: Store) -> None:
    job_id, blocked = await start(store), Count(store, blocks=True)
    task = asyncio.create_task(work(store, blocked).run())
    await asyncio.wait_for(blocked.entered.wait(), 10)
    await store.write(lambda tx: jobs.cancel(tx, job_id))
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert told(await get(store, job_id)) == (JobState.CANCELLED, 0, "")


async def test_jobs_are_done_two_at_a_time_as_they_come(store: Store) -> None:
    done = asyncio.Event()
    together, most = 0, 0

    class Meets(Count):
        async def advance(self, held: Held) -> Held | None:
            nonlocal together, most
            together += 1
            most = max(most, together)
            try:
                return await super().advance(held)
            finally:
                together -= 1

    count = Meets(store)
    task = asyncio.create_task(Work(store, {"count": count}, ids.new).run())
    started = [await start(store) for _ in range(6)]

    async def watch_them() -> None:
        with store.hints.listen(jobs.TOPIC) as ear:
            while True:
                states = [(await get(store, job_id)).state for job_id in started]
                if all(state is JobState.DONE for state in states):
                    done.set()
                    return
                await ear.wait(0.05)

    await asyncio.wait_for(watch_them(), 30)
    task.cancel()
    await asyncio.wait([task])
    assert most == 2
    assert sorted(count.seen) == sorted([*range(PIECES + 1)] * 6)
