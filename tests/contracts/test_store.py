# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What every store promises: whole transactions or nothing, answered when durable, whatever others do meanwhile."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import bindparam, delete, func, insert, select, update

from mailroom.core.errors import OverQuota, Unavailable
from mailroom.storage import schema, sql
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Conflict, Store, Tx
from tests.stores import Watch

_messages = schema.messages  # a table with a unique text, and another text
PUT = insert(_messages).values(msgid=bindparam("key"), content=bindparam("value"), origin="", created_at=0)
GET = select(_messages.c.content).where(_messages.c.msgid == bindparam("key"))
KEYS = select(_messages.c.msgid).order_by(_messages.c.msgid)
SOME = KEYS.where(_messages.c.msgid.in_(bindparam("keys", expanding=True)))
FORGET = delete(_messages).where(_messages.c.msgid.like("old%"))
_put = sql.insert(_messages).values(msgid=bindparam("key"), content=bindparam("value"), origin="", created_at=0)
PUT_OR_CHANGE = _put.on_conflict_do_update(index_elements=[_messages.c.msgid], set_={"content": bindparam("value")})
PUT_OR_LEAVE = _put.on_conflict_do_nothing()
FOUND = (
    insert(schema.organisations)
    .values(name=bindparam("name"), created_at=bindparam("now"))
    .returning(schema.organisations.c.id)
)
DISSOLVE = delete(schema.organisations).where(schema.organisations.c.id == bindparam("which"))
PIN = insert(schema.blobs).values(name="b", pinned_at=0)
REFER = (
    update(schema.blobs)
    .where(schema.blobs.c.name == "b")
    .values(refs=schema.blobs.c.refs + 1)
    .returning(schema.blobs.c.refs)
)
COUNT = select(func.count()).select_from(_messages)


async def keys(store: Store) -> list[str]:
    return [row[0] for row in await store.read(lambda tx: tx.all(KEYS))]


async def test_a_write_returns_what_the_work_returns(store: Store) -> None:
    assert await store.write(lambda tx: tx.run(PUT, key="a", value="1")) == 1
    assert await store.read(lambda tx: tx.first(GET, key="a")) == ("1",)
    assert await store.read(lambda tx: tx.first(GET, key="b")) is None


async def test_text_of_any_script_and_octets_come_back_as_they_were(store: Store) -> None:
    text = "报价 ✉ \N{PILE OF POO} 'quoted' %s :name $1"
    await store.write(lambda tx: tx.run(PUT, key="a", value=text))
    assert await store.read(lambda tx: tx.first(GET, key="a")) == (text,)


async def test_a_work_that_raises_leaves_nothing(store: Store) -> None:
    def work(tx: Tx) -> None:
        tx.run(PUT, key="a", value="")
        raise OverQuota

    with pytest.raises(OverQuota):
        await store.write(work)
    assert await keys(store) == []


async def test_one_work_that_raises_in_a_batch_harms_no_other(store: Store) -> None:
    async def one(number: int) -> None:
        def work(tx: Tx) -> None:
            tx.run(PUT, key=f"{number:03}", value="")
            if number % 3 == 0:
                raise OverQuota

        await store.write(work)

    results = await asyncio.gather(*(one(number) for number in range(100)), return_exceptions=True)

    assert [type(result) for result in results] == [
        OverQuota if number % 3 == 0 else type(None) for number in range(100)
    ]
    assert await keys(store) == [f"{number:03}" for number in range(100) if number % 3]


async def test_a_taken_key_is_a_conflict_and_harms_no_other_work(store: Store) -> None:
    results = await asyncio.gather(
        *(store.write(lambda tx, n=n: tx.run(PUT, key=f"{n % 10}", value="")) for n in range(30)),  # type: ignore[misc] # mypy infers no lambda with a default
        return_exceptions=True,
    )
    assert sum(isinstance(result, Conflict) for result in results) == 20
    assert results.count(1) == 10
    assert await keys(store) == [str(n) for n in range(10)]


async def test_a_conflict_that_a_work_swallows_is_raised_all_the_same(store: Store) -> None:
    def work(tx: Tx) -> str:
        tx.run(PUT, key="b", value="")
        try:
            tx.run(PUT, key="a", value="")
        except Conflict:
            return "swallowed"
        return "no conflict"

    await store.write(lambda tx: tx.run(PUT, key="a", value=""))
    swallowed, *rest = await asyncio.gather(
        store.write(work),
        *(store.write(lambda tx, n=n: tx.run(PUT, key=f"c{n}", value="")) for n in range(3)),  # type: ignore[misc] # likewise
        return_exceptions=True,
    )
    assert isinstance(swallowed, Conflict)
    assert rest == [1, 1, 1]
    assert await keys(store) == ["a", "c0", "c1", "c2"]


async def test_a_bug_in_a_work_reaches_its_caller_and_no_other(store: Store) -> None:
    def bug(tx: Tx) -> None:
        tx.run(PUT, key="bug", value=None)  # NOT NULL

    def stop(_tx: Tx) -> None:
        next(iter(()))

    results = await asyncio.gather(
        store.write(bug),
        store.write(stop),
        store.read(stop),
        store.write(lambda tx: tx.run(PUT, key="a", value="")),
        return_exceptions=True,
    )
    assert all(isinstance(result, Exception) for result in results[:3])
    assert not any(isinstance(result, Conflict) for result in results)
    assert results[3] == 1
    assert await keys(store) == ["a"]


async def test_counting_concurrently_loses_nothing(store: Store) -> None:
    await store.write(lambda tx: tx.run(PIN))
    counts = await asyncio.gather(
        *(store.write(lambda tx: sql.returned(tx.first(REFER))) for _ in range(300)),
    )
    assert sorted(counts) == list(range(1, 301))


async def test_a_reader_sees_all_that_was_answered(store: Store) -> None:
    async def write_then_read(number: int) -> None:
        await store.write(lambda tx: tx.run(PUT, key=f"{number}", value="x"))
        assert await store.read(lambda tx: tx.first(GET, key=f"{number}")) == ("x",)
        assert await store.glance(lambda tx: tx.first(GET, key=f"{number}")) == ("x",)

    await asyncio.gather(*(write_then_read(number) for number in range(100)))


async def test_a_read_has_one_view_whatever_is_written_meanwhile(store: Store) -> None:
    seen, written = threading.Event(), threading.Event()

    def look_twice(tx: Tx) -> tuple[object, object]:
        first = tx.first(COUNT)
        seen.set()
        assert written.wait(10)
        return first, tx.first(COUNT)

    read = asyncio.ensure_future(store.read(look_twice))
    await asyncio.to_thread(seen.wait, 10)
    await store.write(lambda tx: tx.run(PUT, key="a", value=""))
    written.set()
    assert await read == ((0,), (0,))
    assert await store.read(lambda tx: tx.first(COUNT)) == (1,)


async def test_a_glance_that_raises_reaches_its_caller_and_no_other(store: Store) -> None:
    def refuse(_: Tx) -> None:
        raise OverQuota

    with pytest.raises(OverQuota):
        await store.glance(refuse)
    assert await store.glance(lambda tx: tx.first(COUNT)) == (0,)


async def test_many_rows_with_one_statement(store: Store) -> None:
    rows = [{"key": f"{number:04}", "value": "v"} for number in range(1000)]
    await store.write(lambda tx: tx.many(PUT, rows))
    await store.write(lambda tx: tx.many(PUT, []))
    assert await keys(store) == [row["key"] for row in rows]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 9])
async def test_lists_of_any_length(store: Store, count: int) -> None:
    await store.write(lambda tx: tx.many(PUT, [{"key": f"{number}", "value": ""} for number in range(9)]))
    wanted = [f"{number}" for number in range(count)]
    assert await store.read(lambda tx: [row[0] for row in tx.all(SOME, keys=[*wanted, "none"])]) == wanted
    assert len(await store.read(lambda tx: tx.all(SOME, keys=wanted))) == count


async def test_many_rows_with_one_that_is_taken_are_none(store: Store) -> None:
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.many(PUT, [{"key": key, "value": ""} for key in ("a", "b", "a")]))
    assert await keys(store) == []


async def test_a_fault_of_our_own_reaches_every_caller_and_the_store_lives_on(store_url: str) -> None:
    watch = Watch()
    faults = [ZeroDivisionError()]

    def broken_clock() -> int:
        if faults:
            raise faults.pop()
        return watch()

    store = open_store(store_url, broken_clock)
    with pytest.raises(ZeroDivisionError):
        await store.write(lambda tx: tx.run(PUT, key="a", value=""))
    assert await store.write(lambda tx: tx.run(PUT, key="b", value="")) == 1
    assert await keys(store) == ["b"]
    await store.close()


async def test_how_many_rows_a_write_concerned(store: Store) -> None:
    def work(tx: Tx) -> list[int]:
        return [
            tx.run(PUT, key="old-1", value="a"),
            tx.run(PUT_OR_LEAVE, key="old-1", value="b"),
            tx.run(PUT_OR_LEAVE, key="old-2", value="b"),
            tx.run(PUT_OR_CHANGE, key="old-1", value="c"),
            tx.run(FORGET),
            tx.run(FORGET),
        ]

    assert await store.write(work) == [1, 0, 1, 1, 2, 0]


async def test_an_identity_is_never_given_again(store: Store) -> None:
    first = await store.write(lambda tx: sql.returned(tx.first(FOUND, name="a", now=tx.now)))
    await store.write(lambda tx: tx.run(DISSOLVE, which=first))
    second = await store.write(lambda tx: sql.returned(tx.first(FOUND, name="a", now=tx.now)))
    assert second > first


async def test_the_time_stands_still_in_a_transaction(store: Store, watch: Watch) -> None:
    began = watch.now

    def work(tx: Tx) -> tuple[int, int]:
        first = tx.now
        watch.now += 1
        return first, tx.now

    assert await store.write(work) == (began, began)
    assert await store.read(lambda tx: tx.now) == began + 1


async def test_who_gives_up_waiting_breaks_nothing(store: Store) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        began.set()
        assert go_on.wait(10)
        tx.run(PUT, key="slow", value="")

    waiting = asyncio.ensure_future(store.write(slow))
    await asyncio.to_thread(began.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()

    assert await store.write(lambda tx: tx.run(PUT, key="next", value="")) == 1
    await store.close()


async def test_closing_finishes_what_was_begun_and_takes_nothing_new(store: Store, store_url: str) -> None:
    writes = [
        asyncio.ensure_future(store.write(lambda tx, n=n: tx.run(PUT, key=f"{n:03}", value="")))  # type: ignore[misc] # likewise
        for n in range(500)
    ]
    await asyncio.sleep(0)  # let each hand its work over
    await store.close()
    assert await asyncio.gather(*writes) == [1] * 500
    with pytest.raises(Unavailable):
        await store.write(lambda tx: tx.first(COUNT))
    with pytest.raises(Unavailable):
        await store.read(lambda tx: tx.first(COUNT))
    with pytest.raises(Unavailable):
        await store.glance(lambda tx: tx.first(COUNT))

    again = open_store(store_url)
    assert await keys(again) == [f"{n:03}" for n in range(500)]
    await again.close()


async def test_two_stores_on_one_database_lose_nothing(store: Store, store_url: str, watch: Watch) -> None:
    await store.write(lambda tx: tx.run(PIN))
    other = open_store(store_url, watch)
    try:
        counts = await asyncio.gather(
            *(each.write(lambda tx: sql.returned(tx.first(REFER))) for each in (store, other) for _ in range(100)),
        )
        assert sorted(counts) == list(range(1, 201))
    finally:
        await other.close()
