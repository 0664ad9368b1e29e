# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Lanes: threads that run callers' transactions, many in one commit.

A lane takes all works that wait, runs each in a savepoint of one transaction, commits once (one fsync) and then answers
everybody with a single call into the event loop. Nothing waits for a timer: while one batch commits, the next gathers,
so batches grow with the load and are of one when there is none. Several lanes may draw from one queue, each with its
own connection.

A work that raises loses its savepoint and only its caller hears. What an engine's connection raises to the lane itself:
a `Refusal` (disk full, database away: nothing of the batch is kept, everyone concerned hears it), `Again` (a deadlock,
or a lock that others hold: each work is run again, alone, and one that meets it even then goes to a lane that has the
patience to wait) and `ConnectionLost` (before the commit: all is run again on a new connection).

Whatever goes wrong, the thread lives on: who waits for a lane that has ended would wait for ever.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from mailroom.core import log
from mailroom.core.errors import Refusal, Unavailable
from mailroom.storage.ports import Conflict, Tx, Work

T = TypeVar("T")

_PAUSE = 60.0
_PATIENCE = 5.0  # seconds for which one work is run again while others hold what it needs

_log = log.get("storage")


class Again(Exception):
    """The database chose this transaction to end a deadlock, or would not wait for a lock."""


class ConnectionLost(Exception):
    """The connection has gone, and with it the open transaction."""


class LaneTx(Tx, Protocol):
    """A transaction as the lane sees it."""

    topics: list[str]  # hinted at so far
    conflict: Conflict | None  # raised in the present work, which is lost by that

    def start(self) -> None:
        """A transaction begins: it has a new `now` and no topics."""


class Connection(Protocol):
    """What an engine lends to a lane; used by the lane's thread only. Every method may raise `Refusal`, `Again` and
    `ConnectionLost`.
    """

    @property
    def tx(self) -> LaneTx: ...

    @property
    def open(self) -> bool:
        """Whether a transaction is going on that a commit could still keep."""

    def begin(self) -> None: ...

    def begin_again(self, patience: float) -> None:
        """Begin a transaction for one work that had to give way to others: it waits that many seconds for a lock."""

    def savepoint(self) -> None: ...

    def release(self) -> None: ...

    def undo(self) -> None:
        """Back to the savepoint, and forget it."""

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """End the transaction, if there is one, and keep nothing. Raises nothing."""

    def close(self) -> None:
        """Raises nothing."""


C = TypeVar("C", bound=Connection)


class Job:
    """A work, who waits for it, and what became of it."""

    __slots__ = ("fault", "future", "result", "until", "work")

    def __init__(self, work: Work[Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.result: Any = None
        self.fault: BaseException | None = None
        self.until = 0.0  # when our patience ends; set once the work had to give way

    def answer(self) -> None:
        """Tell the caller, unless it has gone. In the caller's event loop."""
        if self.future.done():
            return
        if self.fault is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.fault)


Told = Callable[[Sequence[str]], None]
_Begin = Callable[[Connection], None]


class Lane(Generic[C]):
    """One thread with one connection. `told` hears the topics hinted at by what was committed, in the event loop;
    `look` is called in the lane's thread, between two batches, about every `pause` seconds. Works that must wait for a
    lock go to the `patient` lanes; without any, this one waits itself.
    """

    def __init__(
        self,
        lanes: Lanes,
        connect: Callable[[], C],
        *,
        name: str,
        most: int,
        told: Told | None = None,
        look: Callable[[C], None] | None = None,
        pause: float = _PAUSE,
        patient: Lanes | None = None,
    ) -> None:
        self._queue = lanes.queue
        self._connect = connect
        self._most = most
        self._told = told
        self._look = look
        self._pause = pause
        self._patient = patient
        self._look_at = 0.0
        self._connection: C | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the lane has served all that came before its end mark in the queue."""
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            self._look_around()
            if jobs := self._take():
                topics: list[str] = []
                settled = self._serve(jobs, topics)
                self._answer(settled, topics)
        if self._connection is not None:
            self._connection.close()

    def _look_around(self) -> None:
        if self._look is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._pause
        try:
            self._look(self._connected())
        except Exception as fault:  # noqa: BLE001  # whatever it is, there is work to be done
            _log.warning("look_failed", error=repr(fault))

    def _connected(self) -> C:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _take(self) -> list[Job]:
        """All that waits, up to `most`; when nothing does, sleep until something comes or it is time to look."""
        try:
            job = self._queue.get(timeout=self._pause)
        except Empty:
            return []
        jobs: list[Job] = []
        while job is not None:
            if not job.future.cancelled():
                jobs.append(job)
            if len(jobs) == self._most:
                return jobs
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs
        self._closing = True
        return jobs

    def _serve(self, jobs: Sequence[Job], topics: list[str]) -> Sequence[Job]:
        """Leave in every job what its caller is to hear, and in `topics` what was hinted at; the jobs to be answered,
        which are all but those that another lane has now.
        """
        try:
            self._settle(jobs, topics, _begin)
        except Again:
            if len(jobs) > 1:
                return [settled for job in jobs for settled in self._serve([job], topics)]
            [job] = jobs
            job.until = job.until or time.monotonic() + _PATIENCE
            if self._patient is not None:
                self._patient.queue.put(job)
                return []
            self._insist(job, topics)
        return jobs

    def _insist(self, job: Job, topics: list[str]) -> None:
        while (patience := job.until - time.monotonic()) > 0:
            with suppress(Again):
                return self._settle([job], topics, partial(_begin_again, patience=patience))
        _log.warning("gave_way_too_long")
        return _fail([job], Unavailable(what="database"))

    def _settle(self, jobs: Sequence[Job], topics: list[str], begin: _Begin) -> None:
        """`_commit`, and whom it concerns hears of it when that fails. Raises `Again`."""
        for retry in (False, True):
            try:
                topics += self._commit(jobs, begin)
            except Refusal as refusal:
                _fail(jobs, refusal)
            except ConnectionLost as lost:
                self._drop()
                if not retry:
                    continue
                _log.warning("database_lost", error=str(lost))
                _fail(jobs, Unavailable(what="database"))
            except Again:
                raise
            except Exception as bug:  # noqa: BLE001  # an engine's: the lane lives on, and every caller hears of it
                for job in jobs:
                    job.fault = bug
            return

    def _commit(self, jobs: Sequence[Job], begin: _Begin) -> Sequence[str]:
        """One transaction with every job in it; on return it is durable. The topics hinted at."""
        connection = self._connected()
        try:
            begin(connection)
            if len(jobs) == 1:
                if not _attempt(connection, jobs[0]):
                    return ()
            else:
                for job in jobs:
                    _guard(connection, job)
            topics = connection.tx.topics
            connection.commit()
        finally:
            connection.rollback()
        return topics

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answer(self, jobs: Sequence[Job], topics: Sequence[str]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        for job in jobs:
            by_loop.setdefault(job.future.get_loop(), []).append(job)
        for loop, theirs in by_loop.items():
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_tell, theirs, self._told, topics)


def _begin(connection: Connection) -> None:
    connection.begin()


def _begin_again(connection: Connection, *, patience: float) -> None:
    connection.begin_again(patience)


def _tell(jobs: Sequence[Job], told: Told | None, topics: Sequence[str]) -> None:
    if told is not None and topics:
        told(topics)
    for job in jobs:
        job.answer()


def _guard(connection: Connection, job: Job) -> None:
    """Run one work of several, in a savepoint. Raises only what concerns them all."""
    hinted = len(connection.tx.topics)
    connection.savepoint()
    if _attempt(connection, job):
        connection.release()
        return
    if not connection.open:
        raise _whole(job.fault)
    connection.undo()
    del connection.tx.topics[hinted:]


def _attempt(connection: Connection, job: Job) -> bool:
    """Run one work. Whether it went well; if not, what it raised is the job's fault."""
    tx = connection.tx
    tx.conflict = job.fault = None
    try:
        job.result = job.work(tx)
        if tx.conflict is not None:
            raise tx.conflict
    except (Again, ConnectionLost):
        raise
    except StopIteration as fault:  # no future can carry it
        job.fault = RuntimeError("the work raised StopIteration")
        job.fault.__cause__ = fault
    except BaseException as fault:  # noqa: BLE001 # it is the caller's, and reaches it
        job.fault = fault
    return job.fault is None


def _whole(fault: BaseException | None) -> Refusal:
    """The database threw away the whole transaction, with the works before this one in it."""
    return fault if isinstance(fault, Refusal) else Unavailable(what="database")


def _fail(jobs: Iterable[Job], refusal: Refusal) -> None:
    for job in jobs:
        # Each caller gets its own exception: one that is raised twice gathers both tracebacks.
        job.fault = type(refusal)(**refusal.about)


class Lanes:
    """A queue and the lanes that draw from it."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lanes: list[Lane[Any]] = []
        self._closed = False

    def add(self, lane: Lane[Any]) -> None:
        self._lanes.append(lane)

    async def run(self, work: Work[T]) -> T:
        """Hand a work to the lanes; its result, or what it raised."""
        if self._closed:
            raise Unavailable(what="database")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.queue.put(Job(work, future))
        return await future

    async def close(self) -> None:
        """Finish what is in the queue and end the threads."""
        if not self._closed:
            self._closed = True
            for _ in self._lanes:
                self.queue.put(None)
        for lane in self._lanes:
            await asyncio.to_thread(lane.join)
