# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Asking for receipts: at the manifest's times, until there is one, each once over all nodes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mailroom.core.clock import MINUTE, SECOND
from mailroom.core.ids import SenderId
from mailroom.messaging import send
from mailroom.messaging.inquiries import Inquiries
from mailroom.messaging.senders import Senders
from mailroom.senders.contract import Asks, Hears, News, Question, Refused, Reported, Sent
from mailroom.storage.ports import Store
from tests.messaging import kinds
from tests.messaging.kinds import MANIFEST, Talking, Told
from tests.stores import Watch

TIMES = (5 * SECOND, MINUTE, 5 * MINUTE)


@pytest.fixture
def kind() -> Talking:
    return Talking(replace(MANIFEST, asks=TIMES))


@pytest.fixture
def ways(tmp_path: Path, kind: Talking) -> Senders:
    return kinds.senders(tmp_path, kind)


@pytest.fixture
async def sender_id(store: Store, ways: Senders) -> SenderId:
    return await store.write(lambda tx: kinds.save(tx, ways))


@pytest.fixture
def inquiries(store: Store, ways: Senders) -> Inquiries:
    return Inquiries(store, ways)


async def sent(store: Store, ways: Senders, watch: Watch, sender_id: SenderId, *addresses: str) -> None:
    await store.write(lambda tx: kinds.enqueue(tx, sender_id, *addresses))
    while await kinds.round_(kinds.dispatch(store, ways, watch)):
        pass


def test_the_fake_is_what_it_stands_for(kind: Talking) -> None:
    assert isinstance(kind, Asks)
    assert isinstance(kind, Hears)
    assert not isinstance(Told(), Asks | Hears)


async def test_it_asks_at_its_times_until_there_is_a_receipt(
    *, store: Store, ways: Senders, watch: Watch, sender_id: SenderId, kind: Talking, inquiries: Inquiries
) -> None:
    kind.answers = {"a": [Sent("p-a")], "b": [Sent("p-b")], "c": [Refused("1", "")], "d": [Sent("")]}
    await sent(store, ways, watch, sender_id, *"abcd")
    began = watch.now
    kind.said = [Reported("p-a", News.ARRIVED), Reported("other", News.LOST)]
    watch.now = began + TIMES[0] - 1
    assert await inquiries.once() == 0
    watch.now = began + TIMES[0]
    assert [await inquiries.once(), await inquiries.once()] == [2, 0]
    assert kind.asked == [[Question("p-a", "a", began), Question("p-b", "b", began)]]
    assert await kinds.states(store) == {"a": "delivered", "b": "sent", "c": "failed", "d": "sent"}
    kind.asked.clear()
    watch.now = began + TIMES[1]
    assert [await inquiries.once(), await inquiries.once()] == [1, 0]
    kind.said = [Reported("p-b", News.READ)]
    watch.now = began + TIMES[2]
    assert [await inquiries.once(), await inquiries.once()] == [1, 0]
    assert kind.asked == [[Question("p-b", "b", began)]] * 2
    assert (await kinds.states(store))["b"] == "read"


async def test_after_the_last_time_it_asks_no_more_and_what_was_missed_is_not_made_up_for(
    *, store: Store, ways: Senders, watch: Watch, sender_id: SenderId, kind: Talking, inquiries: Inquiries
) -> None:
    await sent(store, ways, watch, sender_id, "a")
    kind.said = [Reported("other", News.LOST)]
    watch.now += TIMES[1]  # both of the first times have passed
    assert [await inquiries.once(), await inquiries.once()] == [1, 0]
    watch.now += TIMES[2]
    assert await inquiries.once() == 1
    watch.now += 1000 * MINUTE
    assert await inquiries.once() == 0
    assert len(kind.asked) == 2


async def test_a_kind_with_a_bug_is_logged_and_asked_again(
    *,
    store: Store,
    ways: Senders,
    watch: Watch,
    sender_id: SenderId,
    kind: Talking,
    inquiries: Inquiries,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await sent(store, ways, watch, sender_id, "a")
    watch.now += TIMES[0]
    assert await inquiries.once() == 1
    assert "a bug of the kind" in "".join(capfd.readouterr())
    kind.said = [Reported("id", News.LOST, "1", "gone")]
    watch.now += TIMES[1]
    assert await inquiries.once() == 1
    assert await kinds.states(store) == {"a": "undelivered"}


async def test_an_answer_that_cannot_be_written_down_is_logged_and_asked_for_again(
    *,
    store: Store,
    ways: Senders,
    watch: Watch,
    sender_id: SenderId,
    kind: Talking,
    inquiries: Inquiries,
    capfd: pytest.CaptureFixture[str],
) -> None:
    await sent(store, ways, watch, sender_id, "a")
    kind.said = [Reported("id", "no news")]  # type: ignore[arg-type]  # a bug of the kind
    watch.now += TIMES[0]
    assert await inquiries.once() == 1
    assert "asking failed" in "".join(capfd.readouterr())
    kind.said = [Reported("id", News.ARRIVED)]
    watch.now += TIMES[1]
    assert await inquiries.once() == 1
    assert await kinds.states(store) == {"a": "delivered"}


async def test_two_nodes_share_the_questions(
    *, store: Store, ways: Senders, watch: Watch, sender_id: SenderId, kind: Talking, inquiries: Inquiries
) -> None:
    addresses = [f"{number}" for number in range(30)]
    kind.answers = {address: [Sent(f"p-{address}")] for address in addresses}
    kind.said = [Reported("other", News.LOST)]
    await sent(store, ways, watch, sender_id, *addresses)
    watch.now += TIMES[0]
    asked = await asyncio.gather(*(inquiries.once() for _ in range(4)))
    assert sum(asked) == 30
    questions = [question.address for questions in kind.asked for question in questions]
    assert sorted(questions) == sorted(addresses)


async def test_what_was_sent_again_is_asked_for_again(
    *, store: Store, ways: Senders, watch: Watch, sender_id: SenderId, kind: Talking, inquiries: Inquiries
) -> None:
    kind.said = [Reported("id", News.LOST)]
    await sent(store, ways, watch, sender_id, "a")
    watch.now += TIMES[0]
    assert await inquiries.once() == 1
    [entry] = await kinds.entries(store)
    await store.write(lambda tx: send.resend(tx, entry.id))
    await kinds.round_(kinds.dispatch(store, ways, watch))
    watch.now += TIMES[0]
    kind.said = [Reported("id", News.ARRIVED)]
    assert await inquiries.once() == 1
    assert await kinds.states(store) == {"a": "delivered"}
