# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever providers answer, and whenever processes die: every recipient is seen through, and none is sent twice by a
sender whose provider cannot tell.
"""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mailroom.core.clock import HOUR, MINUTE
from mailroom.core.ids import SenderId
from mailroom.messaging import queries
from mailroom.messaging.states import State
from mailroom.senders.contract import Outcome, Refused, Scope, Sent, TryLater, Unknown, Why
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store
from tests.messaging import kinds
from tests.messaging.kinds import MANIFEST, Told
from tests.stores import Watch

DIES = "the process dies"
ACCOUNT = TryLater("401", "", Scope.SENDER, why=Why.ACCOUNT)
QUOTA = TryLater("429", "", Scope.SENDER, HOUR, why=Why.QUOTA)
outcomes = some.sampled_from(
    [
        ACCOUNT,
        QUOTA,
        Sent("id"),
        Refused("400", ""),
        TryLater("503", ""),
        TryLater("503", "", Scope.SENDER, HOUR),
        Unknown("cut", ""),
    ]
)
stories = some.lists(some.lists(outcomes | some.just(DIES), max_size=4), min_size=1, max_size=5)


def expected(story: list[Outcome | str], *, idempotent: bool) -> tuple[State, int]:
    """How a recipient ends whose attempts go so, and how many parcels leave."""
    attempts = parcels = 0
    for turn in [*story, Sent("id")]:
        attempts += 1
        if turn == DIES:
            if not idempotent:
                return State.UNKNOWN, parcels
            continue
        parcels += 1
        match turn:
            case Sent():
                return State.SENT, parcels
            case Refused():
                return State.FAILED, parcels
            case Unknown():
                return State.UNKNOWN, parcels
            case TryLater(why=Why.ACCOUNT | Why.QUOTA):
                attempts -= 1
                continue
        if attempts > len(MANIFEST.retries):
            return State.FAILED, parcels
    raise AssertionError("a story ends with what was sent")


@pytest.mark.parametrize("idempotent", [True, False])
def test_every_recipient_ends_as_its_story_says(sqlite_url: str, tmp_path: Path, *, idempotent: bool) -> None:
    kind = Told(dataclasses.replace(MANIFEST, idempotent=lambda _settings: idempotent))
    ways, watch = kinds.senders(tmp_path, kind), Watch()

    async def live(store: Store, story: list[Outcome | str]) -> tuple[State, int]:
        sender_id = await store.write(lambda tx: kinds.save(tx, ways))
        kind.answers = {"a": [turn for turn in story if not isinstance(turn, str)]}
        kind.parcels.clear()
        await store.write(lambda tx: kinds.enqueue(tx, sender_id, "a"))
        dispatch = kinds.dispatch(store, ways, watch)
        for turn in [*story, ""]:
            if turn == DIES:
                await claimed_by_the_dead(store, sender_id, watch)
            else:
                await kinds.round_(dispatch)
            watch.now += 2 * HOUR
        await kinds.round_(dispatch)
        *_, entry = await kinds.entries(store)
        assert entry.next_at is None
        return entry.state, len(kind.parcels)

    with asyncio.Runner() as runner:

        async def opened() -> Store:
            return open_store(sqlite_url, watch)

        store = runner.run(opened())

        @settings(max_examples=60)
        @given(stories)
        def run(many: list[list[Outcome | str]]) -> None:
            for story in many:
                assert runner.run(live(store, story)) == expected(story, idempotent=idempotent)

        try:
            run()
        finally:
            runner.run(store.close())


async def claimed_by_the_dead(store: Store, sender_id: SenderId, watch: Watch) -> None:
    lease = f"dead at {watch.now}"
    await store.write(lambda tx: queries.recipients.claim(tx, sender_id, lease=lease, until=tx.now + MINUTE, limit=1))
