# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Rows in one SQLite file: for one machine, and for trying things out.

One lane writes, with group commit; three read beside it (WAL). A commit is durable when it returns: synchronous=FULL
syncs the log once per batch. The log is carried back into the file by a thread of its own, since SQLite doing it in the
writer's way costs latency. Other processes may use the file at the same time, as the command line does; what they
commit is noticed within a twentieth of a second, by a counter that SQLite keeps.

apsw brings a current SQLite: those that distributions carry have the WAL-reset bug (fixed in 3.51.3).
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import apsw
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import Executable, FromClause

from mailroom.core import log
from mailroom.core.clock import Clock
from mailroom.core.errors import NoSpace, Unavailable
from mailroom.storage import migrations
from mailroom.storage.engines.hints import Hub
from mailroom.storage.engines.lane import Lane, Lanes
from mailroom.storage.ports import Conflict, Row, Work
from mailroom.storage.sql import Statements

T = TypeVar("T")

_READERS = 3
_MOST_WRITES = 200  # works in one commit
_MOST_READS = 8  # works on one snapshot; few, since the last is answered with the first
_POLL = 0.05  # seconds between looks at other processes' commits
_CHECKPOINT = 0.5  # seconds from a write until the log is carried back
_LOG_MOST = 64 << 20  # octets; a larger log is cut, for which writers wait a moment
_BUSY = 30_000  # milliseconds to wait for another process's transaction

_log = log.get("sqlite")


class _Compiler(SQLiteCompiler):
    """Writes INDEXED BY, which SQLAlchemy would leave out."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        return text


class _Dialect(SQLiteDialect):
    statement_compiler = _Compiler


statements = Statements(_Dialect(paramstyle="named"))

_TAKEN = {
    apsw.SQLITE_CONSTRAINT_UNIQUE,
    apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
    apsw.SQLITE_CONSTRAINT_ROWID,
}
_AWAY = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.IOError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
)


def connect(path: str, flags: int = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE) -> apsw.Connection:
    """A connection to the file as we want it. Raises `NoSpace`, `Unavailable`."""
    try:
        connection = apsw.Connection(path, flags=flags, statementcachesize=500)
        connection.set_busy_timeout(_BUSY)
        if not flags & apsw.SQLITE_OPEN_READONLY:
            _keep_a_log(connection)
            connection.pragma("synchronous", "FULL")
            connection.pragma("wal_autocheckpoint", 0)
        # A plan that depends on the values would be made anew, and the statement prepared, at each call with others.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        connection.pragma("foreign_keys", 1)
        connection.pragma("cache_size", -16_000)
    except apsw.Error as fault:
        raise _meaning(fault) from fault
    return connection


def _keep_a_log(connection: apsw.Connection) -> None:
    """Turns WAL on. Of two that do so with a new file SQLite refuses one at once, whatever the busy timeout: both hold
    a read lock, and neither could have the file alone (https://sqlite.org/c3ref/busy_handler.html).
    """
    end = time.monotonic() + _BUSY / 1000
    while True:
        try:
            connection.pragma("journal_mode", "WAL")
        except apsw.BusyError:
            if time.monotonic() > end:
                raise
            time.sleep(_POLL)  # SQLite tells nobody when the other has left the file
        else:
            return


def _meaning(fault: apsw.Error) -> Exception:
    """What an error of SQLite's means to us; a bug stays as it is."""
    if isinstance(fault, apsw.ConstraintError) and getattr(fault, "extendedresult", 0) in _TAKEN:
        return Conflict(str(fault))
    if isinstance(fault, apsw.FullError):
        return NoSpace()
    if isinstance(fault, _AWAY):
        _log.error("sqlite_failed", error=repr(fault))
        return Unavailable(what="database")
    return fault


class _Tx:
    """A `lane.LaneTx`."""

    __slots__ = ("_clock", "_connection", "_cursor", "conflict", "now", "topics")

    def __init__(self, connection: apsw.Connection, clock: Clock) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._clock = clock
        self.now = 0
        self.topics: list[str] = []
        self.conflict: Conflict | None = None

    def start(self) -> None:
        self.now = self._clock()
        self.topics = []

    def all(self, statement: Executable, /, **values: Any) -> Sequence[Row]:
        try:
            return self._cursor.execute(*statements.get(statement).bind(values)).fetchall()
        except apsw.Error as fault:
            raise self._translated(fault) from fault

    def first(self, statement: Executable, /, **values: Any) -> Row | None:
        # All rows are fetched: a write with RETURNING must run to its end.
        rows = self.all(statement, **values)
        return rows[0] if rows else None

    def run(self, statement: Executable, /, **values: Any) -> int:
        self.all(statement, **values)
        return self._connection.changes()

    def many(self, statement: Executable, rows: Sequence[Mapping[str, Any]], /) -> None:
        compiled = statements.get(statement)
        try:
            for row in rows:
                self._cursor.execute(*compiled.bind(row))
        except apsw.Error as fault:
            raise self._translated(fault) from fault

    def hint(self, topic: str, /) -> None:
        self.topics.append(topic)

    def _translated(self, fault: apsw.Error) -> Exception:
        meaning = _meaning(fault)
        if isinstance(meaning, Conflict):
            self.conflict = meaning
        return meaning


class _Reader:
    """A `lane.Connection` that only reads: one snapshot for all works of a batch, and nothing to undo."""

    def __init__(self, connection: apsw.Connection, clock: Clock) -> None:
        self.raw = connection
        self.tx = _Tx(connection, clock)

    @property
    def open(self) -> bool:
        return self.raw.in_transaction

    def begin(self) -> None:
        self._do("BEGIN")
        self.tx.start()

    def begin_again(self, patience: float) -> None:
        raise NotImplementedError("SQLite lets nobody give way: its one writer waits for other processes")

    def savepoint(self) -> None:
        pass

    def release(self) -> None:
        pass

    def undo(self) -> None:
        pass

    def commit(self) -> None:
        self._do("COMMIT")

    def rollback(self) -> None:
        if self.raw.in_transaction:
            with suppress(apsw.Error):
                self.raw.execute("ROLLBACK")

    def close(self) -> None:
        with suppress(apsw.Error):
            self.raw.close()

    def _do(self, statement: str) -> None:
        try:
            self.raw.execute(statement)
        except apsw.Error as fault:
            raise _meaning(fault) from fault


class _Writer(_Reader):
    """A `lane.Connection` that writes."""

    def __init__(self, connection: apsw.Connection, clock: Clock, written: threading.Event, hub: Hub) -> None:
        super().__init__(connection, clock)
        self._written = written
        self._hub = hub
        self._version = self._foreign_commits()

    def begin(self) -> None:
        self._do("BEGIN IMMEDIATE")
        self.tx.start()

    def savepoint(self) -> None:
        self._do("SAVEPOINT work")

    def release(self) -> None:
        self._do("RELEASE work")

    def undo(self) -> None:
        self._do("ROLLBACK TO work")
        self._do("RELEASE work")

    def commit(self) -> None:
        self._do("COMMIT")
        self._written.set()

    def look(self) -> None:
        """Wake all who listen when another connection has committed."""
        version = self._foreign_commits()
        if version != self._version:
            self._version = version
            self._hub.wake_from_thread(None)

    def _foreign_commits(self) -> int:
        """A number that other connections' commits change, and this one's own do not."""
        try:
            return int(self.raw.execute("PRAGMA data_version").get)
        except apsw.Error as fault:
            raise _meaning(fault) from fault


class _Checkpoints:
    """Carries the log back into the file, in a thread of its own, a moment after something was written."""

    def __init__(self, path: str, written: threading.Event) -> None:
        self._log = Path(path + "-wal")
        self._written = written
        self._ending = threading.Event()
        self._raw = connect(path)
        # Cutting the log waits for readers while it keeps writers out.
        self._raw.set_busy_timeout(100)
        self._thread = threading.Thread(target=self._run, name="sqlite-checkpoints", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._written.wait()
            self._ending.wait(_CHECKPOINT)
            self._written.clear()
            try:
                self._raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if self._log.stat().st_size > _LOG_MOST:
                    self._raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except (apsw.BusyError, apsw.LockedError):
                continue  # somebody reads an old snapshot; next time
            except (apsw.Error, OSError) as fault:
                _log.warning("checkpoint_failed", error=repr(fault))
        self._raw.close()

    async def close(self) -> None:
        self._ending.set()
        self._written.set()
        await asyncio.to_thread(self._thread.join)


class _Glances:
    """Runs works at once, in the thread that asks, on a connection of their own. In WAL mode a reader waits for nobody,
    and what a few keys lead to lies in memory: to hand it to a lane would cost several times as much.
    """

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._reader: _Reader | None = None

    def run(self, work: Work[T]) -> T:
        """Its result, or what it raises. Raises `Unavailable` also where a lane would wait, and may succeed."""
        reader = self._reader = self._reader or self._open()
        reader.begin()
        try:
            return work(reader.tx)
        finally:
            reader.rollback()

    def _open(self) -> _Reader:
        raw = connect(self._path, apsw.SQLITE_OPEN_READONLY)
        raw.set_busy_timeout(0)
        raw.pragma("cache_size", -2_000)
        return _Reader(raw, self._clock)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


class Sqlite:
    """A `ports.Store` on one file, or in memory for `path` "". `writer` becomes the store's."""

    def __init__(self, path: str, writer: apsw.Connection, clock: Clock) -> None:
        self.hints = Hub()
        written = threading.Event()
        self._writes = Lanes()
        self._reads = Lanes() if path else self._writes
        self._checkpoints = _Checkpoints(path, written) if path else None
        self._glances = _Glances(path, clock) if path else None
        self._writes.add(
            Lane(
                self._writes,
                lambda: _Writer(writer, clock, written, self.hints),
                name="sqlite-writer",
                most=_MOST_WRITES,
                told=self.hints.wake,
                look=_Writer.look,
                pause=_POLL,
            )
        )
        for number in range(_READERS if path else 0):
            self._reads.add(
                Lane(
                    self._reads,
                    lambda: _Reader(connect(path, apsw.SQLITE_OPEN_READONLY), clock),
                    name=f"sqlite-reader-{number}",
                    most=_MOST_READS,
                )
            )

    async def write(self, work: Work[T]) -> T:
        return await self._writes.run(work)

    async def read(self, work: Work[T]) -> T:
        return await self._reads.run(work)

    async def glance(self, work: Work[T]) -> T:
        if self._glances is not None:
            with suppress(Unavailable):
                return self._glances.run(work)
        return await self._reads.run(work)

    async def close(self) -> None:
        if self._glances is not None:
            self._glances.close()
            self._glances = None
        await self._reads.close()
        if self._checkpoints is not None:
            await self._checkpoints.close()
        await self._writes.close()


def open_sqlite(path: str, clock: Clock) -> Sqlite:
    """The store in the file, or in memory for "". Made if need be, for our eyes only; its schema is brought up to date.
    Raises `InvalidValue`, `NoSpace`, `Unavailable`.
    """
    if path:
        _make(Path(path))
    writer = connect(path or ":memory:")
    try:
        if _version(writer) != migrations.NEWEST:
            from mailroom.storage.engines.apsw_dialect import engine

            migrations.upgrade(engine(writer))
    except DBAPIError as fault:
        raise (_meaning(fault.orig) if isinstance(fault.orig, apsw.Error) else fault) from fault
    return Sqlite(path, writer, clock)


def _make(file: Path) -> None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as fault:
        raise Unavailable(what=f"database {file}") from fault


def _version(connection: apsw.Connection) -> str:
    try:
        return str(connection.execute(migrations.VERSION).get)
    except apsw.SQLError:  # no such table: a new file
        return ""
