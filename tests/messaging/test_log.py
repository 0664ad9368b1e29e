# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The log: who looks after what has gone out finds it, page by page, and is told how much it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mailroom.core.clock import DAY, HOUR
from mailroom.core.errors import NotFound
from mailroom.core.ids import MailboxId, MemberId, RecipientId, SenderId
from mailroom.messaging import log, send
from mailroom.messaging.log import Figure
from mailroom.messaging.model import Draft, Origin
from mailroom.messaging.send import Target
from mailroom.messaging.senders import Senders
from mailroom.messaging.states import State
from mailroom.senders.contract import Refused
from mailroom.storage.ports import Store, Tx
from tests.messaging import kinds
from tests.messaging.kinds import MANIFEST, Told
from tests.stores import Watch

AMYS, BOBS = MailboxId(7), MailboxId(8)
AMY, BOB = MemberId(1), MemberId(2)
# 2025-06-15 in UTC.
DAY_0 = 20_254


@pytest.fixture
def ways(tmp_path: Path) -> Senders:
    other = Told(replace(MANIFEST, kind="other"))
    told = kinds.senders(tmp_path, Told(answers={"refused": [Refused("400", "no")]}))
    return replace(told, kinds={**told.kinds, "other": other})


@pytest.fixture
async def sender_ids(store: Store, ways: Senders) -> tuple[SenderId, SenderId]:
    def work(tx: Tx) -> tuple[SenderId, SenderId]:
        other = ways.save(tx, code="o", name="O", kind="other", settings={"url": "x:"}, secrets={})
        return kinds.save(tx, ways), other

    return await store.write(work)


async def put(store: Store, sender_id: SenderId, draft: Draft, *addresses: str) -> None:
    await store.write(lambda tx: send.enqueue(tx, draft, [Target(sender_id, address) for address in addresses]))


@pytest.fixture
async def many(store: Store, ways: Senders, sender_ids: tuple[SenderId, SenderId], watch: Watch) -> None:
    """Six recipients: of two kinds, origins, mailboxes, members and days."""
    told, other = sender_ids
    watch.now = DAY_0 * DAY + 23 * HOUR
    await put(store, told, Draft(Origin.NOTICE, {}, "<Q1_a@x>", mailbox_id=AMYS, member_id=AMY), "ok", "refused")
    await put(store, other, Draft(Origin.NOTICE, {}, "<Q1xa@x>", mailbox_id=AMYS, member_id=BOB), "other")
    await put(store, told, Draft(Origin.MAIL, {"mail": 0}, "<mail@x>"), "mail")
    watch.now += 2 * HOUR
    await put(store, told, Draft(Origin.TEST, {}, member_id=AMY), "test")
    await put(store, told, Draft(Origin.NOTICE, {}, "<3@x>", mailbox_id=BOBS, member_id=BOB), "bobs")
    await kinds.round_(kinds.dispatch(store, ways, watch))
    await kinds.round_(kinds.dispatch(store, ways, watch))


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["bobs", "test", "mail", "other", "refused", "ok"]),
        ({"states": [State.FAILED]}, ["refused"]),
        ({"origins": [Origin.NOTICE]}, ["bobs", "other", "refused", "ok"]),
        ({"kinds": ["other"]}, ["other"]),
        ({"kinds": ["other", "told"]}, ["bobs", "test", "mail", "other", "refused", "ok"]),
        ({"mailbox_ids": [AMYS]}, ["other", "refused", "ok"]),
        ({"mailbox_ids": [AMYS, BOBS]}, ["bobs", "other", "refused", "ok"]),
        ({"mailbox_ids": [MailboxId(n) for n in range(1000, 2000)] + [BOBS]}, ["bobs"]),
        ({"mailbox_ids": []}, []),
        ({"member_id": AMY}, ["test", "refused", "ok"]),
        ({"since": (DAY_0 + 1) * DAY}, ["bobs", "test"]),
        ({"until": (DAY_0 + 1) * DAY, "mailbox_ids": [AMYS], "kinds": ["told"]}, ["refused", "ok"]),
        ({"text": "q1_A"}, ["refused", "ok"]),
        ({"text": "FUSE"}, ["refused"]),
        ({"text": "%"}, []),
        ({"text": "\\"}, []),
    ],
)
async def test_it_finds_what_is_asked_for_and_pages(store: Store, wanted: dict[str, Any], found: list[str]) -> None:
    everything = await store.read(lambda tx: log.entries(tx, **wanted, limit=99))
    assert [entry.address for entry in everything] == found
    paged: list[str] = []
    before = None
    while page := await store.read(lambda tx, before=before: log.entries(tx, **wanted, before=before, limit=2)):  # type: ignore[misc]  # a lambda's default
        paged += [entry.address for entry in page]
        before = page[-1].id
    assert paged == found


@pytest.mark.usefixtures("many")
async def test_an_entry_says_on_whose_behalf_and_to_whom_it_went(store: Store) -> None:
    newest = await store.read(lambda tx: log.entries(tx, limit=2))
    assert [(entry.mailbox_id, entry.member_id) for entry in newest] == [(BOBS, BOB), (None, AMY)]
    assert await store.read(lambda tx: log.entry(tx, newest[1].id)) == newest[1]
    with pytest.raises(NotFound):
        await store.read(lambda tx: log.entry(tx, RecipientId(newest[0].id + 1)))


@pytest.mark.usefixtures("many")
async def test_figures_count_by_day_and_kind(store: Store) -> None:
    ends = (DAY_0 * DAY, (DAY_0 + 2) * DAY)
    notices = [Origin.NOTICE, Origin.TEST]
    assert await store.read(lambda tx: log.figures(tx, *ends, origins=notices)) == [
        Figure(DAY_0, "other", {State.SENT: 1}),
        Figure(DAY_0, "told", {State.SENT: 1, State.FAILED: 1}),
        Figure(DAY_0 + 1, "told", {State.SENT: 2}),
    ]
    # In a place where the second day has begun when the first ones are put in.
    [figure] = await store.read(lambda tx: log.figures(tx, *ends, origins=notices, kinds=["told"], offset=2 * HOUR))
    assert figure == Figure(DAY_0 + 1, "told", {State.SENT: 3, State.FAILED: 1})
    [bobs] = await store.read(lambda tx: log.figures(tx, *ends, mailbox_ids=[BOBS]))
    assert bobs == Figure(DAY_0 + 1, "told", {State.SENT: 1})
    assert await store.read(lambda tx: log.figures(tx, ends[1], ends[1] + DAY)) == []
