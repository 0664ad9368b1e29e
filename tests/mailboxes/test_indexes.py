# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Partial indexes are used: a query that asks for the same in other words would read the whole table."""

from __future__ import annotations

import contextlib

import apsw
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from mailroom.mailboxes import queries
from mailroom.storage.sql import Statements


def test_the_collector_does_not_read_through_all_blobs(sqlite_url: str) -> None:
    sql, values = (
        Statements(SQLiteDialect(paramstyle="named"))
        .get(queries._COLLECTABLE_BLOBS)
        .bind({"unpinned_before": 1, "doomed_before": 1, "limit": 1})
    )
    with contextlib.closing(apsw.Connection(sqlite_url.removeprefix("sqlite:///"))) as file:
        plan = [str(row[3]) for row in file.execute(f"EXPLAIN QUERY PLAN {sql}", dict(values))]
    assert any("blobs_unreferred" in step for step in plan), plan
