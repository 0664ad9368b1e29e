# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""From a SQLAlchemy Core statement to the text and values that a driver takes.

SQLAlchemy writes the SQL; the driver runs it. SQLAlchemy's own way of running a statement costs more than SQLite does,
so each statement is compiled once per dialect and from then on costs a look-up. For this, statements are constants of
their modules. Values pass to the driver as they are: the schema knows integers, text and bytes only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import Executable

from mailroom.storage.ports import Row

# `insert` is PostgreSQL's: SQLite speaks its ON CONFLICT as well, and SQLAlchemy writes it for both.
__all__ = ["Compiled", "Statements", "insert", "returned"]

_LIST = re.compile(r"__\[POSTCOMPILE_(\w+)")


def returned(row: Row | None) -> Any:
    """The first column of a row that must be there: of a count, or of RETURNING after a write that cannot miss."""
    assert row is not None
    return row[0]


class Compiled:
    """One statement in one dialect."""

    __slots__ = ("_compiler", "_constants", "_lists", "_text", "_texts")

    def __init__(self, compiler: SQLCompiler) -> None:
        self._compiler = compiler
        self._text = str(compiler)
        self._lists = tuple(dict.fromkeys(_LIST.findall(self._text)))
        given = {name: bind.value for bind, name in compiler.bind_names.items() if not bind.required}
        self._constants = {name: value for name, value in given.items() if name not in self._lists}
        self._texts: dict[tuple[int, ...], str] = {}

    def bind(self, values: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The text to run and the values to run it with: the caller's and the statement's own."""
        if self._lists:
            return self._spread(values)
        return self._text, {**self._constants, **values} if self._constants else values

    def _spread(self, values: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Each list becomes as many parameters as it has items, filled up to a power of two with its last item: that
        keeps the number of different texts, and of prepared statements, small.
        """
        spread = {**self._constants, **values}
        lists = {name: _padded(spread.pop(name)) for name in self._lists}
        lengths = tuple(map(len, lists.values()))
        text = self._texts.get(lengths)
        if text is None:
            text = self._texts[lengths] = self._compiler.construct_expanded_state({**spread, **lists}).statement
        for name, items in lists.items():
            for number, item in enumerate(items, 1):
                spread[f"{name}_{number}"] = item
        return text, spread


def _padded(items: Iterable[Any]) -> list[Any]:
    padded = list(items)
    if padded:
        full: int = 1 << (len(padded) - 1).bit_length()
        padded += padded[-1:] * (full - len(padded))
    return padded


class Statements:
    """Every statement that one dialect has seen, compiled."""

    __slots__ = ("_compiled", "_dialect")

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: dict[Executable, Compiled] = {}

    def get(self, statement: Executable) -> Compiled:
        """The statement in this dialect; compiled at the first call and kept for good. Any thread may call."""
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = self._compiled[statement] = self._compile(statement)
        return compiled

    def _compile(self, statement: Executable) -> Compiled:
        if isinstance(statement, Insert):
            statement = statement.inline()  # no RETURNING that nobody asked for
        compiler = statement.compile(dialect=self._dialect)  # type: ignore[attr-defined]  # executables are compiled elements
        assert isinstance(compiler, SQLCompiler)
        return Compiled(compiler)
