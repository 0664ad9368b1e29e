# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Putting messages in: when they are due, which never are, and until when one may still be changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailroom.core.clock import HOUR, MINUTE
from mailroom.core.errors import NotQueued, NotResendable
from mailroom.core.ids import RecipientId, SenderId
from mailroom.messaging import queries, receipts, send
from mailroom.messaging.dispatch import Dispatch
from mailroom.messaging.model import Draft, Origin
from mailroom.messaging.send import Queued, Target
from mailroom.messaging.senders import Senders
from mailroom.senders.contract import Scope, TryLater, Why
from mailroom.storage.ports import Store
from tests.messaging import kinds
from tests.messaging.kinds import Told
from tests.stores import Watch


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


async def put(store: Store, *targets: Target) -> Queued:
    return await store.write(lambda tx: send.enqueue(tx, Draft(Origin.NOTICE, {"text": "old"}), targets))


async def test_it_says_what_it_wrote_in_the_order_of_the_targets(store: Store, sender_id: SenderId) -> None:
    queued = await put(store, Target(sender_id, "a"), Target(sender_id, "b"))
    found = await kinds.entries(store)
    assert [(entry.id, entry.address) for entry in found] == list(zip(queued.recipient_ids, "ab", strict=True))
    assert {entry.message_id for entry in found} == {queued.message_id}


async def test_nothing_leaves_before_its_time(
    store: Store, sender_id: SenderId, dispatch: Dispatch, watch: Watch, kind: Told
) -> None:
    await put(store, Target(sender_id, "later", at=watch.now + MINUTE), Target(sender_id, "past", at=1))
    await kinds.round_(dispatch)
    assert [parcel.address for parcel in kind.parcels] == ["past"]
    watch.now += MINUTE - 1
    assert await kinds.round_(dispatch) == 0
    watch.now += 1
    assert await kinds.round_(dispatch) == 1


async def test_what_is_suppressed_is_written_down_and_never_leaves(
    store: Store, sender_id: SenderId, dispatch: Dispatch, watch: Watch
) -> None:
    queued = await put(store, Target(sender_id, "a", suppressed="daily_limit"))
    watch.now += HOUR
    assert await kinds.round_(dispatch) == 0
    [entry] = await kinds.entries(store)
    assert (entry.state.value, entry.reason, entry.next_at) == ("suppressed", "daily_limit", None)
    [recipient_id] = queued.recipient_ids
    with pytest.raises(NotResendable, match="suppressed"):
        await store.write(lambda tx: send.resend(tx, recipient_id))
    with pytest.raises(NotQueued):
        await store.write(lambda tx: receipts.cancel(tx, recipient_id, reason=""))
    assert await store.write(lambda tx: send.joinable(tx, recipient_id, Target(sender_id, "a"))) is None


async def test_it_can_be_joined_until_its_first_attempt(
    store: Store, sender_id: SenderId, dispatch: Dispatch, watch: Watch, kind: Told
) -> None:
    queued, put_at = await put(store, Target(sender_id, "a")), watch.now
    [recipient_id] = queued.recipient_ids

    async def joinable(address: str = "a") -> bool:
        found = await store.write(lambda tx: send.joinable(tx, recipient_id, Target(sender_id, address)))
        assert found is None or found == send.Waiting(queued.message_id, put_at)
        return found is not None

    assert await joinable()
    assert not await joinable("b")
    assert await store.write(lambda tx: send.joinable(tx, recipient_id, Target(SenderId(999), "a"))) is None
    await store.write(lambda tx: queries.recipients.claim(tx, sender_id, lease="x", until=tx.now + HOUR, limit=1))
    assert not await joinable()
    await store.write(lambda tx: queries.recipients.put_back(tx, recipient_id, lease="x", at=tx.now))
    assert await joinable()
    later = TryLater("1", "", Scope.SENDER, why=Why.ACCOUNT), TryLater("503", "busy")
    kind.answers = {"a": list(later)}
    await kinds.round_(dispatch)
    assert await joinable()  # surely nobody has had it
    watch.now += MINUTE
    await kinds.round_(dispatch)
    assert not await joinable()
    watch.now += HOUR
    await kinds.round_(dispatch)
    assert not await joinable()
    assert await store.write(lambda tx: send.joinable(tx, RecipientId(999), Target(sender_id, "a"))) is None


async def test_a_message_that_is_rewritten_leaves_so(
    store: Store, sender_id: SenderId, dispatch: Dispatch, kind: Told
) -> None:
    queued = await put(store, Target(sender_id, "a"))
    await put(store, Target(sender_id, "b"))
    await store.write(lambda tx: send.rewrite(tx, queued.message_id, {"text": "新"}))
    await kinds.round_(dispatch)
    assert {parcel.address: parcel.content["text"] for parcel in kind.parcels} == {"a": "新", "b": "old"}
