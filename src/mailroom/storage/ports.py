# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The two doors to what is kept: `Store` for rows, `Blobs` for large bodies. Engines implement them; one contract
test suite runs over all engines.

A transaction is a function. `await store.write(work)` runs `work(tx)` in the engine's own thread, possibly with other
callers' work around it in one commit, and returns its result once that commit is durable (fsynced). If `work` raises,
nothing that it wrote is kept, and the exception reaches the caller. An engine may run `work` again from the start (a
deadlock on PostgreSQL), so it does nothing but read and write rows: no network, no clock, no chance.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy.sql.expression import Executable

T = TypeVar("T")
Row = tuple[Any, ...]


class Conflict(Exception):
    """A row with this unique key is there already. Who writes it turns this into the refusal that fits."""


class Tx(Protocol):
    """One transaction. Statements are SQLAlchemy Core, made once at module level, with `bindparam` for what varies."""

    @property
    def now(self) -> int:
        """The transaction's time in milliseconds, the same from its beginning to its end."""

    def all(self, statement: Executable, /, **values: Any) -> Sequence[Row]:
        """Every row."""

    def first(self, statement: Executable, /, **values: Any) -> Row | None:
        """The first row, or none."""

    def run(self, statement: Executable, /, **values: Any) -> int:
        """Write; the number of rows concerned. Raises `Conflict` for a unique key that is taken: the transaction is
        then lost, and `work` can but raise.
        """

    def many(self, statement: Executable, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Write one statement for many rows."""

    def hint(self, topic: str, /) -> None:
        """After the commit, wake who listens to `topic`. A hint may be lost; what it hints at is in the rows."""


Work = Callable[[Tx], T]


class Hints(Protocol):
    """Who waits for news. Topics: `facts`, `recipients`, `mailbox:<id>`."""

    def listen(self, topic: str) -> AbstractContextManager[Listener]:
        """Hear the hints of one topic while the context lasts."""

    def call(self, topic: str, heard: Callable[[], None]) -> Callable[[], None]:
        """Have `heard` called, in this event loop, at each hint of the topic, until what this gives back is called. It
        raises nothing. For those who are many and wait long: it costs no task.
        """


class Listener(Protocol):
    """One ear."""

    async def wait(self, seconds: float) -> None:
        """Return when the topic was hinted at since the last call, or when the time is up: look in both cases."""


class Store(Protocol):
    """Rows, in transactions."""

    @property
    def hints(self) -> Hints: ...

    async def write(self, work: Work[T]) -> T:
        """Run `work`; return when it is durable. Raises `NoSpace` (disk full) and `Unavailable` (database away);
        then nothing was kept, unless the connection broke in the very commit: what came of that nobody knows.
        """

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads, on one consistent view that has all earlier writes."""

    async def glance(self, work: Work[T]) -> T:
        """The same for a work that finds a few rows by their keys: an engine that can may run it at once, in the way of
        all else that its caller's event loop does.
        """

    async def close(self) -> None:
        """Finish what was begun; take nothing new."""


class Blobs(Protocol):
    """Large bodies, named by their SHA-256 in hex."""

    async def keep(self, name: str, source: Path) -> None:
        """Make the file's octets durable under `name` (fsynced, folder too). Doing it again is harmless. The file
        itself may be taken (renamed) or copied; the caller deletes what is left of it. Raises `NoSpace`, `Unavailable`.
        """

    def read(self, name: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The octets from `start` up to `end`, in chunks of bounded size. Raises `Unavailable`."""

    async def drop(self, name: str) -> None:
        """Forget the body. One that is not there is no error."""
