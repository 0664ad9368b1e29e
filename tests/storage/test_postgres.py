# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What only PostgreSQL does: deadlocks, connections that break, and commits of which nobody knows."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback

import psycopg
import pytest
from sqlalchemy import bindparam, func, insert, select, text, update

from mailroom.core.errors import InvalidValue, NoSpace, Unavailable
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.engines.postgres import connect
from mailroom.storage.ports import Listener, Store, Tx, Work

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


async def test_a_row_that_somebody_holds_stops_only_who_needs_it(postgres_url: str) -> None:
    store = open_store(postgres_url)
    await store.write(lambda tx: tx.many(PIN, [{"name": "held"}, {"name": "free"}]))
    with psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT 1 FROM blobs WHERE name = 'held' FOR UPDATE")
        stuck = []
        for _ in range(9):  # one after the other, so that every lane meets the lock
            stuck.append(asyncio.ensure_future(store.write(lambda tx: tx.run(REFER, which="held"))))
            await asyncio.wait_for(store.write(lambda tx: tx.run(REFER, which="free")), 3)
        assert not any(each.done() for each in stuck)
        holder.rollback()
        assert await asyncio.gather(*stuck) == [1] * 9
    assert await store.read(lambda tx: tx.all(REFS)) == [("free", 9), ("held", 9)]
    await store.close()


async def test_who_needs_a_row_that_is_held_for_long_is_told_so(postgres_url: str) -> None:
    store = open_store(postgres_url)
    await store.write(lambda tx: tx.run(PIN, name="held"))
    with psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT 1 FROM blobs WHERE name = 'held' FOR UPDATE")
        async with asyncio.timeout(15):  # for all of them: who waited in the queue has waited
            answers = await asyncio.gather(
                *(store.write(lambda tx: tx.run(REFER, which="held")) for _ in range(9)), return_exceptions=True
            )
    assert [type(answer) for answer in answers] == [Unavailable] * 9
    assert await store.write(lambda tx: tx.run(REFER, which="held")) == 1
    await store.close()


def test_the_server_ends_our_transaction_when_we_have_fallen_silent(postgres_url: str) -> None:
    with connect(postgres_url) as connection:
        assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("30s",)


async def on_each_lane(store: Store, work: Work[object]) -> None:
    """Run the work in all three writers, at once."""
    all_there = threading.Barrier(3, timeout=10)

    def together(tx: Tx) -> None:
        all_there.wait()
        work(tx)

    running = []
    for number in range(3):
        running.append(asyncio.ensure_future(store.write(together)))
        while number < 2 and all_there.n_waiting <= number:  # noqa: ASYNC110  # it waits in a thread
            await asyncio.sleep(0.01)
    await asyncio.gather(*running)


async def test_a_server_that_has_become_read_only_is_left(postgres_url: str) -> None:
    store = open_store(postgres_url)
    await on_each_lane(store, lambda tx: tx.run(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")))
    await asyncio.gather(*(store.write(lambda tx, n=n: tx.run(PIN, name=f"{n}")) for n in range(9)))  # type: ignore[misc]  # mypy infers no lambda with a default
    assert len(await store.read(lambda tx: tx.all(REFS))) == 9
    await store.close()


@pytest.mark.parametrize(
    "code",
    ["admin_shutdown", "crash_shutdown", "cannot_connect_now", "too_many_connections", "read_only_sql_transaction"],
)
async def test_a_server_that_cannot_go_on_is_asked_again_on_another_connection(postgres_url: str, code: str) -> None:
    on_insert(postgres_url, f"RAISE EXCEPTION USING ERRCODE = '{code}';")
    store = open_store(postgres_url)
    connections = []

    def work(tx: Tx) -> None:
        connections.append(tx.first(select(func.pg_backend_pid())))
        tx.run(PIN, name="a")

    with pytest.raises(Unavailable):
        await store.write(work)
    assert len(set(connections)) == 2
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


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("postgresql://u:hunter%zebra@127.0.0.1:1/db", "zebra"),
        ("postgresql://u:hunter@zebra@127.0.0.1:1/db", "zebra"),
        ("postgresql://u:hunter/zebra@127.0.0.1:1/db", "hunter"),
        ("postgresql://u:hunter?zebra@127.0.0.1:1/db", "hunter"),
        ("postgresql://u:hunter", "hunter"),
        ("postgresql://u:hunter@127.0.0.1:1/db?pasword=zebra", "zebra"),
        ("postgresql://u:hunter%2Fzebra@127.0.0.1:1/db", "zebra"),
    ],
)
def test_nothing_that_is_said_of_a_url_holds_its_password(
    url: str, secret: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((InvalidValue, Unavailable)) as refused:
        open_store(url)
    fault: BaseException | None = refused.value
    while fault is not None:
        assert secret not in "".join(traceback.format_exception_only(fault))
        fault = fault.__cause__ if fault.__suppress_context__ else fault.__context__
    assert secret not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "payload", ["", "not json", "5", "null", '"facts"', '{"facts": 1}', "[[1]]", "[" * 7000], ids=lambda text: text[:10]
)
async def test_no_payload_silences_the_listener(postgres_url: str, payload: str) -> None:
    store, other = open_store(postgres_url), open_store(postgres_url)
    with store.hints.listen("facts") as ear, store.hints.listen("other") as bystander:
        async with asyncio.timeout(20):
            while not await heard(bystander):  # it listens by now
                await other.write(lambda tx: tx.hint("other"))
            while await heard(ear):
                pass
            with psycopg.connect(postgres_url, autocommit=True) as stranger:
                stranger.execute("SELECT pg_notify('mailroom', %s)", [payload])
            assert await heard(ear, within=10)  # whatever it was, everybody looks
            await other.write(lambda tx: tx.hint("facts"))
            assert await heard(ear, within=10)
    await store.close()
    await other.close()


async def heard(ear: Listener, *, within: float = 0.5) -> bool:
    began = time.monotonic()
    await ear.wait(within)
    return time.monotonic() - began < within


async def test_who_listens_hears_again_after_the_connection_broke(postgres_url: str) -> None:
    store, other = open_store(postgres_url), open_store(postgres_url)
    end_connections(postgres_url)
    with store.hints.listen("facts") as ear:
        times = 0
        async with asyncio.timeout(20):
            while times < 3:
                await other.write(lambda tx: tx.hint("facts"))
                times = times + 1 if await heard(ear) else 0
    await store.close()
    await other.close()
