# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What is asked at each mail, and at each notice, is found by a key."""

from __future__ import annotations

import contextlib

import pytest
from sqlalchemy.sql.expression import Executable

from mailroom.notify.queries import links, notices, preferences, tickets
from mailroom.storage.engines.sqlite import connect, statements

STATEMENTS: dict[str, Executable] = {
    "who hears": notices._HEARERS,
    "what he may join": notices._HOLD,
    "what is unread": notices._FRESH,
    "the last of it": notices._LATEST,
    "the count of a day": notices._RESERVE,
    "a link": links._ONE,
    "whose link is dead": links._BREAK,
    "a switch": preferences._IS_ON,
    "a scene": tickets._BY_SCENE,
    "the last proof": tickets._LATEST,
    "codes to a number": tickets._MADE_TO,
    "codes to a member": tickets._MADE_BY,
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_no_table_is_read_through(sqlite_url: str, statement: Executable) -> None:
    given = dict.fromkeys(statement.compile().params, 1)  # type: ignore[attr-defined]  # executables are compiled elements
    text, values = statements.get(statement).bind(given)
    used = {name: value for name, value in values.items() if f":{name}" in text}
    with contextlib.closing(connect(sqlite_url.removeprefix("sqlite:///"))) as file:
        plan = [str(row[3]) for row in file.execute(f"EXPLAIN QUERY PLAN {text}", used)]
    assert plan
    assert not any(step.startswith("SCAN") for step in plan), plan
