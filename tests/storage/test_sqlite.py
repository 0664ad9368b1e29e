# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What only SQLite does: a file that is full, locked, away, or in memory; and the log that must not grow for ever."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from pathlib import Path

import apsw
import pytest
from sqlalchemy import bindparam, insert, select

from mailroom.core import clock
from mailroom.core.errors import InvalidValue, NoSpace, Unavailable
from mailroom.storage import schema
from mailroom.storage.engines import IN_MEMORY, open_store
from mailroom.storage.engines.sqlite import Sqlite, connect
from mailroom.storage.ports import Store, Tx

PUT = insert(schema.messages).values(msgid=bindparam("key"), content=bindparam("value"), origin="", created_at=0)
KEYS = select(schema.messages.c.msgid).order_by(schema.messages.c.msgid)


def path_of(url: str) -> str:
    return url.removeprefix("sqlite:///")


def size(path: str) -> int:
    return Path(path).stat().st_size if Path(path).exists() else 0


async def put(store: Store, key: str, size: int) -> str:
    await store.write(lambda tx: tx.run(PUT, key=key, value="x" * size))
    return key


async def test_a_full_disk_refuses_and_keeps_only_what_was_answered(sqlite_url: str) -> None:
    path = path_of(sqlite_url)
    writer = connect(path)
    pages = int(writer.pragma("page_count"))
    writer.pragma("max_page_count", pages + 20)
    store = Sqlite(path, writer, clock.now)

    sizes = [10, 200_000, 10, 30_000, 300_000, 10]
    answers = await asyncio.gather(
        *(put(store, f"{number}", size) for number, size in enumerate(sizes)), return_exceptions=True
    )
    kept = [answer for answer in answers if isinstance(answer, str)]
    refused = [answer for answer in answers if not isinstance(answer, str)]

    assert len(refused) >= 2
    assert all(isinstance(answer, NoSpace) for answer in refused)
    assert [row[0] for row in await store.read(lambda tx: tx.all(KEYS))] == kept
    assert await put(store, "still writable", 10) == "still writable"
    with pytest.raises(NoSpace):
        await put(store, "alone", 300_000)
    await store.close()


async def test_a_transaction_that_never_ends_elsewhere_makes_us_unavailable(sqlite_url: str) -> None:
    path = path_of(sqlite_url)
    writer = connect(path)
    writer.set_busy_timeout(50)
    store = Sqlite(path, writer, clock.now)
    with contextlib.closing(apsw.Connection(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await put(store, "a", 1)
        other.execute("ROLLBACK")
    assert await put(store, "a", 1) == "a"
    await store.close()


async def test_what_readers_get_is_read_only(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    for ask in (store.read, store.glance):
        with pytest.raises(Unavailable):
            await ask(lambda tx: tx.run(PUT, key="a", value=""))
    await store.close()


async def test_a_glance_needs_no_thread_and_waits_for_no_writer(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    await put(store, "a", 1)
    with contextlib.closing(apsw.Connection(path_of(sqlite_url))) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await store.glance(lambda tx: (tx.all(KEYS), threading.get_ident())) == ([("a",)], threading.get_ident())
    await store.close()


async def test_a_glance_that_cannot_be_is_a_read(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    await put(store, "a", 1)

    def look(tx: Tx) -> tuple[object, int]:
        if threading.get_ident() == here:
            raise Unavailable(what="database")  # as when another process mends the log
        return tx.all(KEYS), threading.get_ident()

    here = threading.get_ident()
    found, there = await store.glance(look)
    assert found == [("a",)]
    assert there != here
    await store.close()


def test_a_statement_is_prepared_once(sqlite_url: str) -> None:
    asked: list[object] = []

    def allow(*what: object) -> int:  # is called when one is prepared
        asked.append(what)
        return apsw.SQLITE_OK

    with contextlib.closing(connect(path_of(sqlite_url))) as file:
        file.authorizer = allow
        counts = []
        for letter in "abc":
            file.execute("SELECT id FROM folders WHERE name LIKE :name", {"name": f"{letter}%"}).fetchall()
            counts.append(len(asked))
    assert counts[0] == counts[-1] > 0


async def test_the_log_is_carried_back_while_writing_goes_on(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    path = path_of(sqlite_url)
    before = size(path)
    async with asyncio.timeout(20):
        for number in itertools.count():
            await put(store, f"{number}", 50_000)
            if size(path) > before + 100_000:
                break
    await store.close()
    assert size(path + "-wal") == 0


async def test_a_store_in_memory_lives_as_long_as_it_is_open() -> None:
    store = open_store(IN_MEMORY)
    await store.write(lambda tx: tx.run(PUT, key="a", value=""))
    assert await store.read(lambda tx: tx.all(KEYS)) == [("a",)]
    await store.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///  ", "sqlite:///:memory:"])
def test_a_path_that_was_forgotten_is_refused_and_no_store_in_memory(url: str) -> None:
    with pytest.raises(InvalidValue, match="sqlite:///<path>"):
        open_store(url)


def test_a_file_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        open_store(f"sqlite:///{tmp_path}/file/mailroom.db")


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "mailroom.db").write_text("this is not a database, " * 1000)
    with pytest.raises(Unavailable):
        open_store(f"sqlite:///{tmp_path}/mailroom.db")
