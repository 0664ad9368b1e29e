# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""As much of a DB-API over apsw as Alembic needs to migrate our SQLite file.

The interpreter's own sqlite3 would be a second SQLite, of another version, on the same file: that is unsafe (each would
drop the other's POSIX locks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import apsw
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.pool import StaticPool


class _Cursor:
    arraysize = 1
    lastrowid: int | None = None

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._rows: list[Any] = []
        self.description: Sequence[tuple[Any, ...]] | None = None
        self.rowcount = -1

    def execute(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> None:
        self.description = None
        self._cursor.exec_trace = self._describe
        self._rows = self._cursor.execute(statement, values).fetchall()
        self.rowcount = self._connection.changes()
        self.lastrowid = self._connection.last_insert_rowid()

    def _describe(self, cursor: apsw.Cursor, _statement: str, _values: Any) -> bool:
        self.description = [(*column, None, None, None, None, None) for column in cursor.description] or None
        return True

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            self.execute(statement, row)

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 1) -> list[Any]:
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken

    def fetchall(self) -> list[Any]:
        taken, self._rows = self._rows, []
        return taken

    def close(self) -> None:
        self._rows = []


class _Connection:
    """The apsw connection is its owner's: closing this one leaves it open."""

    def __init__(self, raw: apsw.Connection) -> None:
        self._raw = raw

    def cursor(self) -> _Cursor:
        return _Cursor(self._raw)

    def commit(self) -> None:
        if self._raw.in_transaction:
            self._raw.execute("COMMIT")

    def rollback(self) -> None:
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    def close(self) -> None:
        self.rollback()


_VERSION = tuple(map(int, apsw.sqlite_lib_version().split(".")))
_dbapi = SimpleNamespace(
    paramstyle="qmark",
    apilevel="2.0",
    threadsafety=1,
    sqlite_version_info=_VERSION,
    Error=apsw.Error,
    **{
        name: type(name, (apsw.Error,), {})
        for name in (
            "InterfaceError",
            "DatabaseError",
            "DataError",
            "OperationalError",
            "IntegrityError",
            "InternalError",
            "ProgrammingError",
            "NotSupportedError",
        )
    },
)


class ApswDialect(SQLiteDialect):
    """SQLite for SQLAlchemy, through apsw. A transaction begins with the write lock in hand."""

    driver = "apsw"
    default_paramstyle = "qmark"
    supports_statement_cache = True

    def _get_server_version_info(self, _connection: Any) -> tuple[int, ...]:
        return _VERSION

    def do_begin(self, dbapi_connection: Any) -> None:
        dbapi_connection.cursor().execute("BEGIN IMMEDIATE")


registry.register("sqlite.apsw", __name__, "ApswDialect")


def engine(raw: apsw.Connection) -> Engine:
    """A SQLAlchemy engine whose one connection is `raw`."""
    return create_engine("sqlite+apsw://", module=_dbapi, creator=lambda: _Connection(raw), poolclass=StaticPool)
