# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Rows in PostgreSQL, or anything that speaks it: for many nodes.

A few lanes write, each batch of works in one commit; others read. Writes run at READ COMMITTED: what one statement read
may have changed when the next one writes, so whatever counts (UIDs, quotas, references) is one `UPDATE ... RETURNING`,
whose row lock lasts until the commit. Reads see one snapshot (REPEATABLE READ).

Two batches that lock the same rows in opposite order would wait for PostgreSQL to find the deadlock, a second later.
So a lock is waited for but a moment; then the works are run again, each alone, and those that meet a lock even then by
the one lane that waits for it some seconds. However long somebody holds a row, the other lanes go on; and a holder that
has died, or lost its power, is noticed by the server within half a minute.

Nodes wake each other by NOTIFY, sent by one connection after the commits, since a NOTIFY within them would make them
queue for one lock. A hint that is lost costs a second: who listens looks from time to time anyway.
"""

from __future__ import annotations

import asyncio
import json
import re
import selectors
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.expression import Executable

from mailroom.core import log
from mailroom.core.clock import Clock
from mailroom.core.errors import InvalidValue, NoSpace, Unavailable
from mailroom.storage import migrations
from mailroom.storage.engines.hints import Hub
from mailroom.storage.engines.lane import Again, ConnectionLost, Lane, Lanes
from mailroom.storage.ports import Conflict, Row, Work
from mailroom.storage.sql import Statements

T = TypeVar("T")

_WRITERS = 3
_READERS = 3
_MOST_WRITES = 60  # works in one commit: PostgreSQL slows down beyond 64 savepoints that wrote
_LOCK_WAIT = 20  # milliseconds
_CHANNEL = "mailroom"
_PAYLOAD_MOST = 7000  # octets; PostgreSQL takes 8000
_RECONNECT = 1.0  # seconds
_UPGRADE_LOCK = 0x6D61696C726F6F6D  # any number, always the same

_log = log.get("postgres")
_statements = Statements(PGDialect_psycopg(paramstyle="pyformat"))  # type: ignore[no-untyped-call] # SQLAlchemy's

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "mailroom",
    "target_session_attrs": "read-write",  # of several hosts, the one that is not a standby
}
# When the server itself gives us up: a transaction that does nothing (30 s), and a host that has gone (25 s).
_SESSION = """
    SET idle_in_transaction_session_timeout = 30000;
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3
"""
# A URL by RFC 3986. libpq takes more, and finds a piece of the password where it looks for the host or the port: it
# would say so in a message, which is logged.
_URL = re.compile(r"[a-z]+://(?:[^@/?#]*@)?[^@/?#]*(?:/[^@/?#]*)?(?:\?.*)?", re.DOTALL)
_PORTS = re.compile(r"[\d,]*")
# Classes of errors (and single ones) after which this connection is no good: it broke, the server goes down or has
# become a standby, or it has had enough of us.
_LOST = ("08", "57P", "25006", "25P03", "53300")


def connect(url: str) -> psycopg.Connection[Row]:
    """A connection as we want it. Raises `InvalidValue`, `Unavailable`."""
    given = _parsed(url)
    try:
        connection = psycopg.connect(**{**_DEFAULTS, **given}, autocommit=True)
        connection.execute(_SESSION)
    except psycopg.Error as fault:
        _log.error("postgres_away", error=str(fault))
        raise Unavailable(what="database") from fault
    connection.prepare_threshold = 2
    # One type for every number: else each size of number is another prepared statement.
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    return connection


def _parsed(url: str) -> dict[str, Any]:
    try:
        given = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        given = {}
    if not given or not _URL.fullmatch(url) or not _PORTS.fullmatch(str(given.get("port", ""))):
        # Without the fault: its message has the password in it.
        raise InvalidValue(name="database", reason="is no PostgreSQL URL (signs in a password are written as %XX)")
    return given


class _Tx:
    """A `lane.LaneTx`."""

    __slots__ = ("_clock", "_cursor", "conflict", "now", "topics")

    def __init__(self, connection: psycopg.Connection[Row], clock: Clock) -> None:
        self._cursor = connection.cursor(binary=True)
        self._clock = clock
        self.now = 0
        self.topics: list[str] = []
        self.conflict: Conflict | None = None

    def start(self) -> None:
        self.now = self._clock()
        self.topics = []

    def all(self, statement: Executable, /, **values: Any) -> Sequence[Row]:
        self._execute(statement, values)
        return self._cursor.fetchall()

    def first(self, statement: Executable, /, **values: Any) -> Row | None:
        self._execute(statement, values)
        return self._cursor.fetchone()

    def run(self, statement: Executable, /, **values: Any) -> int:
        self._execute(statement, values)
        return self._cursor.rowcount

    def many(self, statement: Executable, rows: Sequence[Mapping[str, Any]], /) -> None:
        for row in rows:
            self._execute(statement, row)

    def hint(self, topic: str, /) -> None:
        self.topics.append(topic)

    def _execute(self, statement: Executable, values: Mapping[str, Any]) -> None:
        text, bound = _statements.get(statement).bind(values)
        try:
            self._cursor.execute(text, bound)
        except errors.UniqueViolation as fault:
            self.conflict = Conflict(str(fault))
            raise self.conflict from fault
        except psycopg.Error as fault:
            raise _meaning(fault) from fault


def _meaning(fault: psycopg.Error) -> Exception:
    """What an error of PostgreSQL's means to us; a bug stays as it is."""
    match fault:
        case errors.DeadlockDetected() | errors.SerializationFailure() | errors.LockNotAvailable():
            return Again(str(fault))
        case errors.DiskFull():
            return NoSpace()
        case psycopg.OperationalError() if fault.sqlstate is None:
            return ConnectionLost(str(fault))
        case psycopg.Error() if (fault.sqlstate or "").startswith(_LOST):
            return ConnectionLost(str(fault))
        case psycopg.OperationalError():
            _log.error("postgres_failed", error=str(fault))
            return Unavailable(what="database")
        case _:
            return fault


class _Reader:
    """A `lane.Connection` that only reads, one work at a time."""

    def __init__(self, raw: psycopg.Connection[Row], clock: Clock) -> None:
        self.raw = raw
        self.tx = _Tx(raw, clock)
        self._control = raw.cursor()

    @property
    def open(self) -> bool:
        return self.raw.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}

    def begin(self) -> None:
        self.tx.start()
        self._do("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def begin_again(self, patience: float) -> None:  # who only reads waits for no lock
        self.begin()

    def savepoint(self) -> None:
        raise NotImplementedError("read works are run one at a time")

    release = undo = savepoint

    def commit(self) -> None:
        self._do("COMMIT")

    def rollback(self) -> None:
        if self.open:
            with suppress(psycopg.Error):
                self._control.execute("ROLLBACK")

    def close(self) -> None:
        with suppress(psycopg.Error):
            self.raw.close()

    def _do(self, statement: str) -> None:
        try:
            self._control.execute(statement)
        except psycopg.Error as fault:
            raise _meaning(fault) from fault


class _Writer(_Reader):
    """A `lane.Connection` that writes."""

    def __init__(self, raw: psycopg.Connection[Row], clock: Clock) -> None:
        super().__init__(raw, clock)
        self._released = False
        self._do(f"SET lock_timeout = {_LOCK_WAIT}")

    def begin(self) -> None:
        self._released = False
        self.tx.start()
        self._do("BEGIN")

    def begin_again(self, patience: float) -> None:
        self._released = False
        self.tx.start()
        self._do(f"BEGIN; SET LOCAL lock_timeout = {int(patience * 1000) + 1}")

    def savepoint(self) -> None:
        # Two statements at once are one trip to the server.
        self._do("RELEASE work; SAVEPOINT work" if self._released else "SAVEPOINT work")
        self._released = False

    def release(self) -> None:
        self._released = True

    def undo(self) -> None:
        self._do("ROLLBACK TO work")
        self._released = True

    def commit(self) -> None:
        try:
            self._do("COMMIT")
        except ConnectionLost as lost:
            # Committed or not, nobody can tell: it must not be run again.
            self.close()
            _log.error("commit_unknown", error=str(lost))
            raise Unavailable(what="database") from lost


class _Courier:
    """Carries hints between the nodes: one thread and connection tells the others, one hears them."""

    def __init__(self, url: str, hub: Hub) -> None:
        self._url = url
        self._hub = hub
        self._waiting: SimpleQueue[Sequence[str] | None] = SimpleQueue()
        self._ending = threading.Event()
        self._end = socket.socketpair()
        self._own = 0  # the process id, at the server, of the connection that tells
        self._threads = [
            threading.Thread(target=self._tell, name="postgres-notifier", daemon=True),
            threading.Thread(target=self._hear, name="postgres-listener", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def send(self, topics: Sequence[str]) -> None:
        self._hub.wake(topics)
        self._waiting.put(topics)

    def _tell(self) -> None:
        connection: psycopg.Connection[Row] | None = None
        while (topics := self._gather()) is not None:
            try:
                if connection is None or connection.closed:
                    connection = connect(self._url)
                    self._own = connection.info.backend_pid
                for payload in _payloads(topics):
                    connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, payload))
            except (psycopg.Error, Unavailable) as fault:
                _log.warning("hints_not_sent", error=str(fault))
                if connection is not None:
                    connection.close()
                self._ending.wait(_RECONNECT)
        if connection is not None:
            connection.close()

    def _gather(self) -> set[str] | None:
        """All topics that wait, each once; none at the end."""
        batch = self._waiting.get()
        topics: set[str] = set()
        while batch is not None:
            topics.update(batch)
            try:
                batch = self._waiting.get_nowait()
            except Empty:
                return topics
        return None

    def _hear(self) -> None:
        while not self._ending.is_set():
            try:
                with connect(self._url) as connection:
                    connection.execute(f"LISTEN {_CHANNEL}")
                    self._hub.wake_from_thread(None)  # whatever was missed
                    self._pass_on(connection)
            except (psycopg.Error, Unavailable, OSError, UnicodeDecodeError) as fault:
                _log.warning("hints_not_heard", error=str(fault))
                self._ending.wait(_RECONNECT)

    def _pass_on(self, connection: psycopg.Connection[Row]) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(connection, selectors.EVENT_READ)
            ready.register(self._end[0], selectors.EVENT_READ)
            while not self._ending.is_set():
                ready.select()
                for notice in connection.notifies(timeout=0):
                    if notice.pid != self._own:
                        self._hub.wake_from_thread(_topics(notice.payload))

    async def close(self) -> None:
        self._ending.set()
        self._waiting.put(None)
        self._end[1].close()  # wakes the thread that hears
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._end[0].close()


def _payloads(topics: set[str]) -> Iterator[str]:
    """The topics as JSON lists, each short enough for one NOTIFY."""
    part: list[str] = []
    size = 0
    for topic in topics:
        if size + len(topic) > _PAYLOAD_MOST:
            yield json.dumps(part)
            part, size = [], 0
        part.append(topic)
        size += len(topic) + 4
    if part:
        yield json.dumps(part)


def _topics(payload: str) -> list[str] | None:
    """The topics in it; none for what is not of our making, which may mean anything."""
    try:
        topics = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return topics if isinstance(topics, list) and all(isinstance(topic, str) for topic in topics) else None


class Postgres:
    """A `ports.Store`."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.hints = Hub()
        self._courier = _Courier(url, self.hints)
        self._writes = Lanes()
        self._patient = Lanes()
        self._reads = Lanes()

        def writer(lanes: Lanes, name: str, *, most: int, patient: Lanes | None) -> None:
            lanes.add(
                Lane(
                    lanes,
                    lambda: _Writer(connect(url), clock),
                    name=name,
                    most=most,
                    told=self._courier.send,
                    patient=patient,
                )
            )

        for number in range(_WRITERS):
            writer(self._writes, f"postgres-writer-{number}", most=_MOST_WRITES, patient=self._patient)
        writer(self._patient, "postgres-waiter", most=1, patient=None)
        for number in range(_READERS):
            self._reads.add(
                Lane(
                    self._reads,
                    lambda: _Reader(connect(url), clock),
                    name=f"postgres-reader-{number}",
                    most=1,
                )
            )

    async def write(self, work: Work[T]) -> T:
        return await self._writes.run(work)

    async def read(self, work: Work[T]) -> T:
        return await self._reads.run(work)

    async def glance(self, work: Work[T]) -> T:
        return await self._reads.run(work)

    async def close(self) -> None:
        await self._reads.close()
        await self._writes.close()
        await self._patient.close()
        await self._courier.close()


def open_postgres(url: str, clock: Clock) -> Postgres:
    """The store in the database, whose schema is brought up to date. Raises `InvalidValue`, `NoSpace`,
    `Unavailable`.
    """
    with connect(url) as connection:
        if _version(connection) != migrations.NEWEST:
            _upgrade(connection)
    return Postgres(url, clock)


def _version(connection: psycopg.Connection[Row]) -> str:
    try:
        row = connection.execute(migrations.VERSION).fetchone()
    except errors.UndefinedTable:
        return ""
    return str(row[0]) if row else ""


def _upgrade(connection: psycopg.Connection[Row]) -> None:
    connection.autocommit = False
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
    try:
        migrations.upgrade(engine, lock=f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
    except DBAPIError as fault:
        meaning = _meaning(fault.orig) if isinstance(fault.orig, psycopg.Error) else fault
        raise (Unavailable(what="database") if isinstance(meaning, ConnectionLost | Again) else meaning) from fault
