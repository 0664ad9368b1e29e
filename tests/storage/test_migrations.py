# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Migrations and `schema.py` say the same, and a database is never left between two steps."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import apsw
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

from mailroom.core.errors import InvalidValue
from mailroom.storage.engines import open_store
from mailroom.storage.engines.apsw_dialect import engine
from mailroom.storage.engines.sqlite import connect
from mailroom.storage.migrations import NEWEST
from mailroom.storage.migrations.__main__ import draft
from mailroom.storage.schema import metadata
from tests.stores import postgres_database

OBJECTS = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%' ORDER BY name"


def objects(file: Path) -> list[tuple[str, set[str]]]:
    """Every table and index, each by its name and the lines of its definition, in whatever order they are."""
    with contextlib.closing(apsw.Connection(str(file))) as connection:
        rows = connection.execute(OBJECTS).fetchall()
    return [(str(name), {line.strip(" ,\t") for line in str(sql).splitlines()}) for name, sql in rows]


def test_the_newest_migration_is_the_one_that_programs_ask_for() -> None:
    config = Config()
    config.set_main_option("script_location", "mailroom.storage:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST]


def test_no_migration_is_missing() -> None:
    written = draft("what schema.py says beyond the migrations")
    if written is not None:
        text = written.read_text()
        written.unlink()
        pytest.fail(f"`python -m mailroom.storage.migrations` would write:\n{text}")


async def test_migrations_make_exactly_the_schema_on_sqlite(sqlite_template: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.db"
    raw = connect(str(made))
    with engine(raw).begin() as connection:
        metadata.create_all(connection)
    raw.close()
    assert objects(sqlite_template) == objects(made)


def test_migrations_make_exactly_the_schema_on_postgres(postgres_url: str) -> None:
    database = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgres_url))
    with database.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.dispose()


async def opened_by_many(url: str) -> None:
    stores = await asyncio.gather(*(asyncio.to_thread(open_store, url) for _ in range(6)))
    for store in stores:
        await store.close()


async def test_many_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    await opened_by_many(f"sqlite:///{tmp_path}/new/mailroom.db")
    assert (tmp_path / "new/mailroom.db").stat().st_mode & 0o777 == 0o600


def test_a_new_file_that_another_process_reads_is_opened_when_it_is_left(tmp_path: Path) -> None:
    """As when two start at once: the change to WAL is refused at once, without the busy timeout."""
    file = str(tmp_path / "mailroom.db")
    with contextlib.closing(apsw.Connection(file)) as other, ThreadPoolExecutor(1) as thread:
        other.execute("CREATE TABLE mark (x)")
        other.execute("BEGIN; SELECT * FROM mark").fetchall()
        opened = thread.submit(connect, file)
        assert not wait([opened], timeout=0.2).done
        other.execute("COMMIT")
        assert opened.result(10).pragma("journal_mode") == "wal"


async def test_many_processes_may_open_a_new_database_at_once(postgres_server: str) -> None:
    with postgres_database(postgres_server) as url:
        await opened_by_many(url)


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mailroom.db"
    with contextlib.closing(apsw.Connection(str(file))) as connection:
        connection.execute("CREATE TABLE senders (in_the_way)")
    with pytest.raises((DBAPIError, apsw.SQLError), match="senders"):
        open_store(f"sqlite:///{file}")
    assert [name for name, _ in objects(file)] == ["senders"]


def test_a_step_that_fails_leaves_nothing_on_postgres(postgres_server: str) -> None:
    with postgres_database(postgres_server) as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE senders (in_the_way text)")
        with pytest.raises(psycopg.errors.DuplicateTable):
            open_store(url)
        with psycopg.connect(url) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            assert tables == [("senders",)]


async def test_a_database_that_is_ahead_of_us_is_refused(store_url: str) -> None:
    ahead = "UPDATE alembic_version SET version_num = 'r9999'"
    if store_url.startswith("sqlite"):
        with contextlib.closing(apsw.Connection(store_url.removeprefix("sqlite:///"))) as file:
            file.execute(ahead)
    else:
        with psycopg.connect(store_url) as database:
            database.execute(ahead)
    with pytest.raises(InvalidValue, match="r9999"):
        open_store(store_url)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InvalidValue, match="postgresql"):
        open_store("mysql://root@localhost/mail")
