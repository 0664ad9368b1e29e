# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The loop that sends: no more at once than a sender may, nothing lost when it is stopped or dies."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.core.ids import SenderId
from mailroom.core.secrets import Secret
from mailroom.messaging import log, queries, send
from mailroom.messaging.dispatch import Dispatch
from mailroom.messaging.model import Draft, Due, Origin, Withdrawn
from mailroom.messaging.send import Target
from mailroom.messaging.senders import Senders
from mailroom.senders.contract import Pace, Refused, Scope, Sent, TryLater
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store, Tx
from tests.messaging import kinds
from tests.messaging.kinds import MANIFEST, Told
from tests.stores import Watch

FAILING = TryLater("503", "busy", Scope.SENDER)
# A lease of this kind ends then.
LEASE = MANIFEST.timeout + MINUTE


@pytest.fixture
def kind() -> Told:
    return Told()


@pytest.fixture
def ways(tmp_path: Path, kind: Told) -> Senders:
    return kinds.senders(tmp_path, kind)


@pytest.fixture
async def sender_id(store: Store, ways: Senders) -> SenderId:
    return await store.write(lambda tx: kinds.save(tx, ways))


@pytest.fixture
def dispatch(store: Store, ways: Senders, watch: Watch) -> Dispatch:
    return kinds.dispatch(store, ways, watch)


async def put(store: Store, sender_id: SenderId, *addresses: str) -> None:
    await store.write(lambda tx: kinds.enqueue(tx, sender_id, *addresses))


@asynccontextmanager
async def running(dispatch: Dispatch) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(dispatch.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def ended(store: Store, addresses: Sequence[str]) -> None:
    """Wait until the addresses are in the state sent."""
    async with asyncio.timeout(20):
        with store.hints.listen("recipients") as ear:
            while await kinds.states(store) != dict.fromkeys(addresses, "sent"):
                await ear.wait(0.1)


async def test_what_is_due_goes_out_as_it_was_put_in(
    store: Store, dispatch: Dispatch, kind: Told, sender_id: SenderId, watch: Watch
) -> None:
    await put(store, sender_id, "a")
    assert await kinds.round_(dispatch) == 1
    [parcel], [account] = kind.parcels, kind.accounts
    [entry] = await kinds.entries(store)
    assert (parcel.address, parcel.content, parcel.attempt, parcel.now) == ("a", {"text": "王 Hi"}, 1, watch.now)
    assert parcel.code.startswith("msg_")
    assert (account.code, account.settings, account.secrets["secret"]) == ("way", {"url": "x:"}, Secret("s3cret"))
    assert (entry.state.value, entry.trace, entry.provider_id, entry.attempts) == ("sent", "<1@out.example>", "id", 1)
    assert await kinds.round_(dispatch) == 0


async def test_never_more_at_once_than_the_kind_allows(
    store: Store, dispatch: Dispatch, kind: Told, ways: Senders, sender_id: SenderId
) -> None:
    other = await store.write(lambda tx: kinds.save(tx, ways, "other"))
    gates = {f"{number}": asyncio.Event() for number in range(8)}
    kind.answers = {address: [gate] for address, gate in gates.items()}
    await put(store, sender_id, *list(gates)[:5])
    await put(store, other, *list(gates)[5:])
    async with running(dispatch):
        await kind.sending(6)
        assert [parcel.address for parcel in kind.parcels] == ["0", "1", "2", "5", "6", "7"]
        gates["1"].set()
        await kind.sending(7)
        assert kind.parcels[6].address == "3"
        for gate in gates.values():
            gate.set()
        await ended(store, list(gates))
    assert kind.most == 6


async def test_a_failing_sender_is_probed_by_one(
    store: Store, dispatch: Dispatch, kind: Told, sender_id: SenderId, watch: Watch
) -> None:
    kind.answers = {f"{number}": [FAILING] * 2 for number in range(6)}
    await put(store, sender_id, *kind.answers)
    assert [await kinds.round_(dispatch) for _ in range(3)] == [3, 3, 0]
    watch.now += MINUTE
    assert [await kinds.round_(dispatch) for _ in range(2)] == [1, 0]
    kind.answers = {}
    watch.now += MINUTE
    assert [await kinds.round_(dispatch) for _ in range(2)] == [1, 3]  # the probe came through: all at once again


async def test_the_same_code_goes_with_every_attempt(
    store: Store, dispatch: Dispatch, kind: Told, sender_id: SenderId, watch: Watch
) -> None:
    kind.answers = {"a": [TryLater("503", ""), TryLater("503", "")]}
    await put(store, sender_id, "a")
    for _ in range(3):
        assert await kinds.round_(dispatch) == 1
        assert await kinds.round_(dispatch) == 0
        watch.now += MINUTE
    assert len({parcel.code for parcel in kind.parcels}) == 1
    assert [parcel.attempt for parcel in kind.parcels] == [1, 2, 3]
    assert await kinds.states(store) == {"a": "sent"}


async def test_the_loop_wakes_by_hint(store: Store, dispatch: Dispatch, kind: Told, sender_id: SenderId) -> None:
    async with running(dispatch):
        await put(store, sender_id, "a")
        await kind.sending(1)
        await ended(store, ["a"])


async def test_a_stopped_loop_finishes_what_it_began_and_begins_no_more(
    store: Store, dispatch: Dispatch, kind: Told, sender_id: SenderId
) -> None:
    gate = asyncio.Event()
    kind.answers = {address: [gate] for address in "abc"}
    await put(store, sender_id, *"abcd")
    async with running(dispatch) as task:
        await kind.sending(3)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        gate.set()
        await asyncio.wait([task])
    assert await kinds.states(store) == {"a": "sent", "b": "sent", "c": "sent", "d": "queued"}


async def test_a_loop_stopped_at_any_step_leaves_nothing_claimed(
    store: Store, dispatch: Dispatch, sender_id: SenderId
) -> None:
    for steps in range(12):
        await put(store, sender_id, f"{steps}")
        task = asyncio.create_task(dispatch.run())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        left = {(entry.state.value, entry.attempts) for entry in await kinds.entries(store)}
        assert left <= {("sent", 1), ("queued", 0)}


async def test_a_kind_with_a_bug_is_logged_and_its_recipient_tried_again(
    *,
    store: Store,
    dispatch: Dispatch,
    kind: Told,
    sender_id: SenderId,
    watch: Watch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    kind.answers = {"a": [RuntimeError("a bug of the kind")]}
    await put(store, sender_id, "a", "b")
    await kinds.round_(dispatch)
    assert await kinds.states(store) == {"a": "queued", "b": "sent"}
    assert "a bug of the kind" in "".join(capfd.readouterr())
    assert not dispatch._under_way
    assert {entry.address: entry.reason for entry in await kinds.entries(store)}["a"] == "internal RuntimeError"
    watch.now += 15 * SECOND  # the first wait and its jitter
    assert await kinds.round_(dispatch) == 1
    assert await kinds.states(store) == {"a": "sent", "b": "sent"}


async def test_after_a_bug_what_may_have_left_is_not_repeated(
    store: Store, tmp_path: Path, watch: Watch, capfd: pytest.CaptureFixture[str]
) -> None:
    unrecognised = dataclasses.replace(MANIFEST, idempotent=lambda settings: settings["url"] != "x:")
    ways = kinds.senders(tmp_path, Told(unrecognised, {"a": [RuntimeError("a bug of the kind")]}))
    sender_id = await store.write(lambda tx: kinds.save(tx, ways))
    await put(store, sender_id, "a")
    await kinds.round_(kinds.dispatch(store, ways, watch))
    assert await kinds.states(store) == {"a": "unknown"}
    assert "a bug of the kind" in "".join(capfd.readouterr())


@pytest.mark.parametrize(("recognises", "state", "parcels"), [("x:", "sent", 1), ("y:", "unknown", 0)])
async def test_after_a_crash_only_a_repeat_that_is_recognised_is_sent(
    *, store: Store, tmp_path: Path, watch: Watch, recognises: str, state: str, parcels: int
) -> None:
    kind = Told(dataclasses.replace(MANIFEST, idempotent=lambda settings: settings["url"] == recognises))
    ways = kinds.senders(tmp_path, kind)
    sender_id = await store.write(lambda tx: kinds.save(tx, ways))
    await put(store, sender_id, "a")
    # A process that dies with the lease.
    await store.write(lambda tx: queries.recipients.claim(tx, sender_id, lease="dead", until=tx.now + LEASE, limit=9))
    survivor = kinds.dispatch(store, ways, watch)
    assert await kinds.round_(survivor) == 0
    watch.now += LEASE
    assert await kinds.round_(survivor) == 1
    assert await kinds.states(store) == {"a": state}
    assert len(kind.parcels) == parcels


async def test_what_an_ordinary_failure_left_is_no_interruption(store: Store, tmp_path: Path, watch: Watch) -> None:
    kind = Told(dataclasses.replace(MANIFEST, idempotent=lambda _settings: False), {"a": [TryLater("503", "")]})
    ways = kinds.senders(tmp_path, kind)
    sender_id = await store.write(lambda tx: kinds.save(tx, ways))
    await put(store, sender_id, "a")
    dispatch = kinds.dispatch(store, ways, watch)
    await kinds.round_(dispatch)
    watch.now += HOUR
    await kinds.round_(dispatch)
    assert await kinds.states(store) == {"a": "sent"}


async def test_what_cannot_be_written_down_holds_up_nothing_that_ended_with_it(
    store: Store, dispatch: Dispatch, kind: Told, sender_id: SenderId, watch: Watch
) -> None:
    kind.answers = {"b": [Sent("id", "200", "\ud800")]}  # no store takes half a character
    await put(store, sender_id, "a", "b", "c")
    await kinds.round_(dispatch)
    assert await kinds.states(store) == {"a": "sent", "b": "queued", "c": "sent"}
    assert not dispatch._under_way
    watch.now += LEASE
    await kinds.round_(dispatch)
    assert await kinds.states(store) == {"a": "sent", "b": "sent", "c": "sent"}


async def test_what_ended_while_the_store_was_away_is_written_down_later_and_not_sent_again(
    *, store: Store, store_url: str, kind: Told, ways: Senders, sender_id: SenderId, watch: Watch
) -> None:
    go = asyncio.Event()
    kind.answers = {"a": [go]}
    await put(store, sender_id, "a")
    away = open_store(store_url, watch)
    dispatch = kinds.dispatch(away, ways, watch)
    await dispatch._turn()
    await kind.sending(1)
    await away.close()
    go.set()
    await asyncio.wait(dispatch._tasks)
    await dispatch._write_down(dispatch._take())
    assert dispatch._under_way.total() == 1
    dispatch = dataclasses.replace(dispatch, store=store)
    await kinds.round_(dispatch)
    assert await kinds.states(store) == {"a": "sent"}
    assert not dispatch._under_way
    watch.now += LEASE
    assert await kinds.round_(dispatch) == 0
    assert len(kind.parcels) == 1


async def test_two_dispatchers_share_the_work(
    *, store: Store, dispatch: Dispatch, kind: Told, ways: Senders, sender_id: SenderId, watch: Watch
) -> None:
    other = dataclasses.replace(
        kinds.dispatch(store, ways, watch), new_id=iter(f"other-{n}" for n in range(999)).__next__
    )
    addresses = [f"{number}" for number in range(30)]
    await put(store, sender_id, *addresses)
    async with running(dispatch), running(other):
        await ended(store, addresses)
    assert sorted(parcel.address for parcel in kind.parcels) == sorted(addresses)


async def test_a_sender_that_is_gone_keeps_its_queue(
    store: Store, dispatch: Dispatch, kind: Told, sender_id: SenderId, watch: Watch
) -> None:
    kind.answers = {"a": [Refused("410", "gone", Scope.SENDER)]}
    await put(store, sender_id, "a")
    await kinds.round_(dispatch)
    await put(store, sender_id, "b")
    watch.now += HOUR
    assert await kinds.round_(dispatch) == 0
    assert await kinds.states(store) == {"a": "failed", "b": "queued"}


async def test_the_log_shows_every_attempt_and_pages_backwards(
    store: Store, dispatch: Dispatch, kind: Told, sender_id: SenderId, watch: Watch
) -> None:
    kind.answers = {"a": [TryLater("503", "busy"), Sent("id-1", "200", "ok")]}
    await put(store, sender_id, "a", "b", "c")
    await kinds.round_(dispatch)
    watch.now += 10 * SECOND
    await kinds.round_(dispatch)
    newest = await store.read(lambda tx: log.entries(tx, limit=2))
    assert [entry.address for entry in newest] == ["c", "b"]
    [oldest] = await store.read(lambda tx: log.entries(tx, before=newest[-1].id, limit=2))
    tries = await store.read(lambda tx: log.attempts(tx, oldest.id))
    assert [(one.number, one.outcome, one.code, one.detail) for one in tries] == [
        (1, "TryLater", "503", "busy"),
        (2, "Sent", "200", "ok"),
    ]
    assert (oldest.sender, oldest.kind, oldest.updated_at) == ("way", "told", watch.now)


def says(text: str) -> Callable[[Tx, Sequence[Due]], Sequence[Due]]:
    """A preparation that has every message say this, for the log and for retries too."""

    def prepare(tx: Tx, dues: Sequence[Due]) -> Sequence[Due]:
        for due in dues:
            send.rewrite(tx, due.message_id, {"text": text})
        return [dataclasses.replace(due, content={"text": text}) for due in dues]

    return prepare


async def test_what_leaves_is_what_its_origin_prepares_once_for_all_senders(
    *, store: Store, kind: Told, ways: Senders, sender_id: SenderId, watch: Watch
) -> None:
    turns: list[list[str]] = []

    def prepare(tx: Tx, dues: Sequence[Due]) -> Sequence[Due | Withdrawn]:
        turns.append([due.address for due in dues])
        fresh = [due for due in dues if due.attempts == 1]
        ready = {due.id: due for due in says("new")(tx, fresh)}
        return [Withdrawn(due, "read") if due.address == "b" else ready.get(due.id, due) for due in reversed(dues)]

    other = await store.write(lambda tx: kinds.save(tx, ways, "other"))
    kind.answers = {"a": [TryLater("503", "busy")]}
    await put(store, sender_id, "a", "b")
    await put(store, other, "c")
    await store.write(lambda tx: send.enqueue(tx, Draft(Origin.TEST, {"text": "test"}), [Target(other, "t")]))
    dispatch = kinds.dispatch(store, ways, watch, {Origin.NOTICE: prepare})
    assert await kinds.round_(dispatch) == 3
    assert turns == [["a", "b", "c"]]
    watch.now += MINUTE
    await kinds.round_(dispatch)
    assert [(parcel.address, parcel.content["text"]) for parcel in kind.parcels] == [
        ("a", "new"),
        ("c", "new"),
        ("t", "test"),
        ("a", "new"),  # as it was prepared the first time
    ]
    assert await kinds.states(store) == {"a": "sent", "b": "cancelled", "c": "sent", "t": "sent"}
    assert {entry.address: entry.reason for entry in await kinds.entries(store)}["b"] == "read"


async def test_what_cannot_be_prepared_waits_and_holds_up_nothing(
    *,
    store: Store,
    tmp_path: Path,
    watch: Watch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def prepare(tx: Tx, dues: Sequence[Due]) -> Sequence[Due]:
        if any(due.address == "b" for due in dues) and broken:
            send.rewrite(tx, dues[0].message_id, {"text": "half done"})
            raise RuntimeError("a bug of the preparation")
        return says("new")(tx, dues)

    broken = True
    kind = Told(dataclasses.replace(MANIFEST, idempotent=lambda _settings: False))
    ways = kinds.senders(tmp_path, kind)
    sender_id = await store.write(lambda tx: kinds.save(tx, ways))
    dispatch = kinds.dispatch(store, ways, watch, {Origin.NOTICE: prepare})
    await put(store, sender_id, "0")
    await dispatch._turn()
    await asyncio.wait(dispatch._tasks)  # it has ended, and is to be written down with what follows
    for address in "abc":
        await put(store, sender_id, address)
    assert await kinds.round_(dispatch) == 2
    assert "a bug of the preparation" in "".join(capfd.readouterr())
    assert await kinds.states(store) == {"0": "sent", "a": "sent", "b": "queued", "c": "sent"}
    assert [(entry.attempts, entry.next_at) for entry in await kinds.entries(store) if entry.address == "b"] == [
        (0, watch.now + MINUTE)
    ]
    watch.now += MINUTE
    broken = False
    assert await kinds.round_(dispatch) == 1
    assert await kinds.states(store) == {"0": "sent", "a": "sent", "b": "sent", "c": "sent"}
    assert {parcel.content["text"] for parcel in kind.parcels} == {"new"}


def paced(pace: Pace, **more: Any) -> Told:
    return Told(dataclasses.replace(MANIFEST, pace=lambda _: pace, concurrency=99, **more))


async def test_never_faster_than_the_pace_and_the_loop_wakes_for_the_next(
    store: Store, tmp_path: Path, watch: Watch
) -> None:
    kind = paced(Pace(every=250, burst=2))
    ways = kinds.senders(tmp_path, kind)
    sender_id = await store.write(lambda tx: kinds.save(tx, ways))
    dispatch = kinds.dispatch(store, ways, watch)
    await put(store, sender_id, *"abcdef")
    assert [await kinds.round_(dispatch) for _ in range(2)] == [2, 0]
    assert dispatch._rest() == 0.25
    watch.now += 249
    assert await kinds.round_(dispatch) == 0
    assert dispatch._rest() == 0.001
    watch.now += 1
    assert [await kinds.round_(dispatch) for _ in range(2)] == [1, 0]
    watch.now += MINUTE
    assert await kinds.round_(dispatch) == 2
    watch.now += 250
    assert await kinds.round_(dispatch) == 1
    watch.now += 500
    assert await kinds.round_(dispatch) == 0
    assert dispatch._rest() == 1  # nothing waits for its turn
    assert [parcel.address for parcel in kind.parcels] == list("abcdef")


async def test_all_nodes_together_keep_to_the_pace(store: Store, store_url: str, tmp_path: Path, watch: Watch) -> None:
    kind = paced(Pace(every=1000, burst=5))
    ways = kinds.senders(tmp_path, kind)
    sender_id = await store.write(lambda tx: kinds.save(tx, ways))
    await put(store, sender_id, *map(str, range(40)))
    stores = [open_store(store_url, watch) for _ in range(4)]
    nodes = [
        dataclasses.replace(kinds.dispatch(each, ways, watch), new_id=map(f"{node}-{{}}".format, range(99)).__next__)
        for node, each in enumerate(stores)
    ]
    try:
        for turn in range(8):
            begun = sum(await asyncio.gather(*map(kinds.round_, nodes)))
            begun += await kinds.round_(nodes[0])  # one that finds another at work leaves the sender to it
            assert (begun, len(kind.parcels)) == (5 if turn == 0 else 2, 5 + 2 * turn)
            watch.now += 2 * SECOND
    finally:
        for each in stores:
            await each.close()


async def test_a_pace_leaves_lanes_their_share(store: Store, tmp_path: Path, watch: Watch) -> None:
    kind = paced(Pace(every=1000, burst=4), per_lane=1)
    ways = kinds.senders(tmp_path, kind)
    sender_id = await store.write(lambda tx: kinds.save(tx, ways))
    targets = [Target(sender_id, address, lane=address[0]) for address in ("a1", "a2", "a3", "b1", "c1")]
    await store.write(lambda tx: send.enqueue(tx, Draft(Origin.NOTICE, {}), targets))
    dispatch = kinds.dispatch(store, ways, watch)
    await dispatch._turn()
    await kind.sending(3)
    assert {parcel.address for parcel in kind.parcels} == {"a1", "b1", "c1"}
    await kinds.round_(dispatch)
    assert len(kind.parcels) == 4
