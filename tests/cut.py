# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Transactions that are cut off, one statement later each time: what is kept is nothing, or all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from sqlalchemy import select
from sqlalchemy.sql.expression import Executable

from mailroom.storage import schema
from mailroom.storage.ports import Hints, Row, Store, T, Tx, Work

_EVERYTHING = {table.name: select(table) for table in schema.metadata.sorted_tables}


class Cut(Exception):
    """The process was gone."""


@dataclass
class Short:
    """A transaction that is cut off after so many statements."""

    tx: Tx
    left: int

    @property
    def now(self) -> int:
        return self.tx.now

    def _spend(self) -> None:
        if not self.left:
            raise Cut
        self.left -= 1

    def all(self, statement: Executable, /, **values: Any) -> Sequence[Row]:
        self._spend()
        return self.tx.all(statement, **values)

    def first(self, statement: Executable, /, **values: Any) -> Row | None:
        self._spend()
        return self.tx.first(statement, **values)

    def run(self, statement: Executable, /, **values: Any) -> int:
        self._spend()
        return self.tx.run(statement, **values)

    def many(self, statement: Executable, rows: Sequence[Mapping[str, Any]], /) -> None:
        self._spend()
        self.tx.many(statement, rows)

    def hint(self, topic: str, /) -> None:
        self.tx.hint(topic)


@dataclass
class ShortStore:
    """A store whose writes are cut off after so many statements."""

    store: Store
    left: int

    @property
    def hints(self) -> Hints:
        return self.store.hints

    async def write(self, work: Work[T]) -> T:
        return await self.store.write(lambda tx: work(Short(tx, self.left)))

    async def read(self, work: Work[T]) -> T:
        return await self.store.read(work)

    async def glance(self, work: Work[T]) -> T:
        return await self.store.glance(work)

    async def close(self) -> None:
        await self.store.close()


async def everything(store: Store) -> Mapping[str, list[Row]]:
    """All rows that there are."""
    return await store.read(
        lambda tx: {name: sorted(tx.all(statement), key=repr) for name, statement in _EVERYTHING.items()}
    )


async def at_every_statement(store: Store, work: Callable[[Tx], object]) -> int:
    """Have `work` done at last, after it was cut before each of its statements in turn, which changed nothing; how many
    statements it has.
    """
    before = await everything(store)
    for statements in count():
        try:
            await store.write(lambda tx, left=statements: work(Short(tx, left)))  # type: ignore[misc]  # a lambda's default
        except Cut:
            assert await everything(store) == before, statements
        else:
            return statements
    raise AssertionError
