# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What only PostgreSQL does: deadlocks, connections that break, and commits of which nobody knows."""

from __future__ import annotations

import asyncio
import threading
import time

import psycopg
import pytest
from sqlalchemy import bindparam, insert, select, update

from mailroom.core.errors import NoSpace, Unavailable
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Tx, Work

_blobs = schema.blobs
PIN = insert(_blobs).values(name=bindparam("name"), pinned_at=0)
REFER = update(_blobs).where(_blobs.c.name == bindparam("which")).values(refs=_blobs.c.refs + 1)
REFS = select(_blobs.c.name, _blobs.c.refs).order_by(_blobs.c.name)

END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mailroom' AND datname = %s"


def end_connections(url: str) -> None:
    """As a restart of the server does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(END_ALL, [connection.info.dbname])


def on_insert(url: str, body: str, *, when: str = "AFTER INSERT ON blobs FOR EACH ROW") -> None:
    """Let the server run `body` for each new blob."""
    kind = "CONSTRAINT TRIGGER" if "DEFERRED" in when else "TRIGGER"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$".encode()
        )
        connection.execute(f"CREATE {kind} fail {when} EXECUTE FUNCTION fail()".encode())


async def test_works_that_lock_each_other_out_both_come_through(postgres_url: str) -> None:
    store = open_store(postgres_url)
    await store.write(lambda tx: tx.many(PIN, [{"name": "a"}, {"name": "b"}]))
    both = threading.Barrier(2, timeout=10)

    def crosswise(one: str, other: str, meets: list[threading.Barrier]) -> Work[None]:
        def work(tx: Tx) -> None:
            tx.run(REFER, which=one)
            if meets:  # once: the second time, the other may be done
                meets.pop().wait()
            tx.run(REFER, which=other)

        return work

    first = asyncio.ensure_future(store.write(crosswise("a", "b", [both])))
    while not both.n_waiting:  # noqa: ASYNC110  # so that another lane takes the second; it waits in a thread
        await asyncio.sleep(0.01)
    await asyncio.gather(first, store.write(crosswise("b", "a", [both])))

    assert await store.read(lambda tx: tx.all(REFS)) == [("a", 2), ("b", 2)]
    await store.close()


async def test_batches_that_touch_the_same_rows_in_any_order_lose_nothing(postgres_url: str) -> None:
    store = open_store(postgres_url)
    names = [f"{number}" for number in range(6)]
    await store.write(lambda tx: tx.many(PIN, [{"name": name} for name in names]))

    async def refer(number: int) -> None:
        ordered = names if number % 2 else names[::-1]
        await store.write(lambda tx: tx.many(REFER, [{"which": name} for name in ordered]))

    await asyncio.gather(*(refer(number) for number in range(200)))
    assert await store.read(lambda tx: tx.all(REFS)) == [(name, 200) for name in names]
    await store.close()


async def test_broken_connections_are_made_anew_unnoticed(postgres_url: str) -> None:
    store = open_store(postgres_url)
    for round_ in range(3):
        await asyncio.gather(
            *(store.write(lambda tx, n=n, r=round_: tx.run(PIN, name=f"{r}-{n}")) for n in range(30)),  # type: ignore[misc]  # mypy infers no lambda with a default
            *(store.read(lambda tx: tx.all(REFS)) for _ in range(10)),
        )
        end_connections(postgres_url)
    assert len(await store.read(lambda tx: tx.all(REFS))) == 90
    await store.close()


async def test_a_connection_that_breaks_in_the_middle_is_no_loss(postgres_url: str) -> None:
    store = open_store(postgres_url)
    broken: list[bool] = []

    def work(tx: Tx) -> None:
        tx.run(PIN, name="a")
        if not broken:
            broken.append(True)
            end_connections(postgres_url)
        tx.run(PIN, name="b")

    await store.write(work)
    assert await store.read(lambda tx: tx.all(REFS)) == [("a", 0), ("b", 0)]
    await store.close()


async def test_a_commit_of_which_nobody_knows_is_unavailable_and_not_run_again(postgres_url: str) -> None:
    on_insert(
        postgres_url,
        "PERFORM pg_terminate_backend(pg_backend_pid());",
        when="AFTER INSERT ON blobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
    )
    store = open_store(postgres_url)
    ran = []

    def work(tx: Tx) -> None:
        ran.append(True)
        tx.run(PIN, name="a")

    with pytest.raises(Unavailable):
        await store.write(work)
    assert len(ran) == 1
    assert await store.write(lambda tx: tx.run(REFER, which="none")) == 0
    await store.close()


async def test_a_full_disk_is_no_space(postgres_url: str) -> None:
    on_insert(postgres_url, "RAISE EXCEPTION USING ERRCODE = 'disk_full';")
    store = open_store(postgres_url)
    results = await asyncio.gather(
        *(store.write(lambda tx: tx.run(PIN, name="a")) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [NoSpace] * 3
    await store.close()


def test_a_server_that_is_away_is_unavailable() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(Unavailable):
        open_store(nowhere)


async def test_who_listens_hears_again_after_the_connection_broke(postgres_url: str) -> None:
    store, other = open_store(postgres_url), open_store(postgres_url)
    end_connections(postgres_url)
    with store.hints.listen("facts") as ear:
        heard = 0
        async with asyncio.timeout(20):
            while heard < 3:
                await other.write(lambda tx: tx.hint("facts"))
                began = time.monotonic()
                await ear.wait(0.5)
                heard = heard + 1 if time.monotonic() - began < 0.5 else 0
    await store.close()
    await other.close()
