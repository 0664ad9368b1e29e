# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Durable work on every store: claimed by one at a time, due again when its holder dies, settled by its holder only."""

from __future__ import annotations

import asyncio

from sqlalchemy import bindparam, insert, select, update

from mailroom.core import ids
from mailroom.core.clock import MINUTE
from mailroom.storage import schema
from mailroom.storage.claim import Claims
from mailroom.storage.ports import Store, Tx
from tests.stores import Watch

_facts = schema.facts
CLAIMS = Claims(_facts, columns=("payload",))
OF_KIND = Claims(_facts, columns=("payload",), where=_facts.c.kind == bindparam("of_kind"))
ADD = insert(_facts).values(
    kind=bindparam("kind"), payload=bindparam("payload"), created_at=0, next_at=bindparam("next_at")
)
LEASES = select(_facts.c.payload, _facts.c.lease, _facts.c.next_at).order_by(_facts.c.id)


async def add(store: Store, watch: Watch, *payloads: str, kind: str = "k", later: int = 0) -> None:
    rows = [{"kind": kind, "payload": payload, "next_at": watch.now + later} for payload in payloads]
    await store.write(lambda tx: tx.many(ADD, rows))


async def claim(store: Store, lease: str, *, limit: int = 10) -> dict[str, int]:
    """What was claimed for a minute: ids by payload."""
    rows = await store.write(lambda tx: CLAIMS.claim(tx, lease=lease, until=tx.now + MINUTE, limit=limit))
    return {row[2]: row[0] for row in rows}


async def test_what_is_due_is_claimed_by_one_and_what_is_not_by_none(store: Store, watch: Watch) -> None:
    await add(store, watch, "a", "b", "c")
    await add(store, watch, "later", later=1)
    first, second = await asyncio.gather(claim(store, "one", limit=2), claim(store, "two", limit=2))
    assert sorted([*first, *second]) == ["a", "b", "c"]
    assert await claim(store, "three") == {}
    watch.now += 1
    assert list(await claim(store, "four")) == ["later"]


async def test_the_longest_due_go_first_in_the_order_of_their_ids(store: Store, watch: Watch) -> None:
    await add(store, watch, "new", later=-1)
    await add(store, watch, "older", later=-3)
    await add(store, watch, "old", later=-2)
    assert list(await claim(store, "one", limit=2)) == ["older", "old"]
    assert list(await claim(store, "two", limit=2)) == ["new"]


async def test_a_narrowed_claim_takes_nothing_else(store: Store, watch: Watch) -> None:
    await add(store, watch, "a", kind="k")
    await add(store, watch, "b", kind="l")

    def work(tx: Tx) -> list[str]:
        return [row[2] for row in OF_KIND.claim(tx, lease="x", until=tx.now + 1, limit=9, of_kind="l")]

    assert await store.write(work) == ["b"]


async def test_done_is_done(store: Store, watch: Watch) -> None:
    await add(store, watch, "a", "b")
    mine = await claim(store, "one")
    assert await store.write(lambda tx: CLAIMS.done(tx, mine.values(), lease="one")) == set(mine.values())
    assert await store.write(lambda tx: CLAIMS.done(tx, mine.values(), lease="one")) == frozenset()
    assert await store.write(lambda tx: CLAIMS.done(tx, [], lease="one")) == frozenset()
    watch.now += 10 * MINUTE
    assert await claim(store, "two") == {}


async def test_a_dead_holders_work_is_due_again_and_its_ghost_changes_nothing(store: Store, watch: Watch) -> None:
    await add(store, watch, "a")
    [fact_id] = (await claim(store, "dead")).values()
    assert await claim(store, "too soon") == {}
    watch.now += MINUTE
    assert list(await claim(store, "heir")) == ["a"]

    assert await store.write(lambda tx: CLAIMS.done(tx, [fact_id], lease="dead")) == frozenset()
    assert not await store.write(lambda tx: CLAIMS.again(tx, fact_id, lease="dead", at=0))
    assert not await store.write(lambda tx: CLAIMS.give_up(tx, fact_id, lease="dead"))
    assert await store.write(lambda tx: CLAIMS.renew(tx, [fact_id], lease="dead", until=0)) == frozenset()
    assert await store.read(lambda tx: tx.all(LEASES)) == [("a", "heir", watch.now + MINUTE)]
    assert await store.write(lambda tx: CLAIMS.done(tx, [fact_id], lease="heir")) == {fact_id}


async def test_again_is_due_when_it_says_and_attempts_count(store: Store, watch: Watch) -> None:
    await add(store, watch, "a")
    for attempt in range(1, 4):
        rows = await store.write(lambda tx: CLAIMS.claim(tx, lease="x", until=tx.now + MINUTE, limit=1))
        assert [row[1:] for row in rows] == [(attempt, "a")]
        assert await store.write(lambda tx: CLAIMS.again(tx, 1, lease="x", at=tx.now + 5))
        watch.now += 4
        assert await claim(store, "too soon") == {}
        watch.now += 1


async def test_what_is_given_up_stays_and_is_not_claimed(store: Store, watch: Watch) -> None:
    await add(store, watch, "a")
    [fact_id] = (await claim(store, "one")).values()
    assert await store.write(lambda tx: CLAIMS.give_up(tx, fact_id, lease="one"))
    watch.now += 10 * MINUTE
    assert await claim(store, "two") == {}
    assert await store.read(lambda tx: tx.all(LEASES)) == [("a", "", None)]


async def test_a_holder_may_hold_on(store: Store, watch: Watch) -> None:
    await add(store, watch, "a")
    mine = await claim(store, "one")
    await store.write(lambda tx: CLAIMS.renew(tx, mine.values(), lease="one", until=tx.now + 3 * MINUTE))
    watch.now += 2 * MINUTE
    assert await claim(store, "two") == {}
    watch.now += MINUTE
    assert list(await claim(store, "two")) == ["a"]


async def test_many_claimers_at_once_share_without_overlap_and_leave_nothing(store: Store, watch: Watch) -> None:
    await add(store, watch, *(f"{number:03}" for number in range(300)))
    taken: list[str] = []

    async def worker() -> None:
        while mine := await claim(store, ids.new(), limit=7):
            assert len(mine) <= 7
            taken.extend(mine)

    async with asyncio.TaskGroup() as workers:
        for _ in range(8):
            workers.create_task(worker())
    assert sorted(taken) == [f"{number:03}" for number in range(300)]


async def test_what_is_deleted_elsewhere_is_not_ours(store: Store, watch: Watch) -> None:
    await add(store, watch, "a")
    mine = await claim(store, "one")
    await store.write(lambda tx: tx.run(update(_facts).values(lease="stolen")))
    assert await store.write(lambda tx: CLAIMS.done(tx, mine.values(), lease="one")) == frozenset()
