# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Statements become text once, with their own constants and the caller's values."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, insert, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from mailroom.storage import schema
from mailroom.storage.sql import Statements, returned

_mails = schema.mails
LISTED = select(_mails.c.uid).where(
    _mails.c.folder_id == bindparam("folder_id"),
    _mails.c.uid.in_(bindparam("uids", expanding=True)),
    _mails.c.flags != 8,
)


@pytest.fixture(params=["sqlite", "postgres"])
def statements(request: pytest.FixtureRequest) -> Statements:
    if request.param == "sqlite":
        return Statements(SQLiteDialect(paramstyle="named"))
    return Statements(PGDialect_psycopg(paramstyle="pyformat"))  # type: ignore[no-untyped-call]  # SQLAlchemy's


def test_a_statement_is_compiled_once(statements: Statements) -> None:
    assert statements.get(LISTED) is statements.get(LISTED)


def test_constants_of_the_statement_join_the_callers_values(statements: Statements) -> None:
    _, bound = statements.get(LISTED).bind({"folder_id": 1, "uids": [5]})
    assert bound == {"folder_id": 1, "uids_1": 5, "flags_1": 8}


def test_lists_are_filled_up_so_that_texts_are_few(statements: Statements) -> None:
    compiled = statements.get(LISTED)
    texts = {compiled.bind({"folder_id": 1, "uids": range(count)})[0] for count in range(1, 129)}
    assert len(texts) == 8
    assert compiled.bind({"folder_id": 1, "uids": [5, 6, 7]})[1] == {
        "folder_id": 1,
        "flags_1": 8,
        "uids_1": 5,
        "uids_2": 6,
        "uids_3": 7,
        "uids_4": 7,
    }


def test_an_insert_returns_only_what_it_is_asked_for(statements: Statements) -> None:
    plain = insert(schema.organisations).values(name=bindparam("name"), created_at=0)
    assert "RETURNING" not in statements.get(plain).bind({"name": "a"})[0]
    asking = plain.returning(schema.organisations.c.id)
    assert "RETURNING" in statements.get(asking).bind({"name": "a"})[0]


def test_a_row_that_must_be_there() -> None:
    assert returned((1, 2)) == 1
    with pytest.raises(AssertionError):
        returned(None)
