# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Views: a folder as it was, and what has happened to it since."""

from __future__ import annotations

from array import array
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mailroom.core.ids import FolderId, Modseq, Uid
from mailroom.mailboxes import change, queries, views
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import Flag, Marks
from mailroom.mailboxes.uids import EVERY, beyond, each, ranges
from mailroom.storage.ports import Store, Tx
from tests import make


async def filled(store: Store, count: int) -> FolderId:
    amy = (await make.organisation(store)).mailboxes["amy"]

    def work(tx: Tx) -> FolderId:
        inbox = make.folder(tx, amy).id
        for _ in range(count):
            make.appended(tx, inbox)
        return inbox

    return await store.write(work)


def expunge(tx: Tx, folder_id: FolderId, *uids: int) -> None:
    change.mark(tx, folder_id, ranges(uids), How.ADD, Marks(Flag.DELETED))
    change.expunge(tx, folder_id, ranges(uids))


def state(tx: Tx, folder_id: FolderId) -> tuple[Modseq, Uid]:
    folder = queries.folders.folder(tx, folder_id)
    assert folder is not None
    return folder.modseq, folder.uidnext


@pytest.mark.parametrize("gone", [[], [1], [2, 3, 9], list(range(1, 9)), list(range(1, 11))], ids=str)
async def test_a_view_can_be_had_again(store: Store, gone: list[int]) -> None:
    folder = await filled(store, 10)
    await store.write(lambda tx: expunge(tx, folder, *gone))
    at, below = await store.read(lambda tx: state(tx, folder))
    there = [uid for uid in range(1, 11) if uid not in gone]
    assert list(await store.read(lambda tx: views.uids(tx, folder))) == there

    def later(tx: Tx) -> None:
        expunge(tx, folder, 4, 10)
        make.appended(tx, folder)
        make.appended(tx, folder)
        expunge(tx, folder, 12)
        assert list(views.uids_at(tx, folder, at=at, below=below)) == there
        assert list(views.uids(tx, folder)) == [uid for uid in there if uid not in (4, 10)] + [11]

    await store.write(later)


async def test_news_are_all_that_has_happened_and_no_more(store: Store) -> None:
    folder = await filled(store, 5)
    since, below = await store.read(lambda tx: state(tx, folder))
    nothing = await store.read(lambda tx: views.news(tx, folder, since=since, below=below))
    assert nothing == views.News(since, below, array("I"), array("I"), ())

    def work(tx: Tx) -> None:
        change.mark(tx, folder, ((2, 3),), How.ADD, Marks(Flag.SEEN, frozenset({"Work"})))
        make.appended(tx, folder)
        make.appended(tx, folder)
        expunge(tx, folder, 1, 6)
        change.mark(tx, folder, ((7, 7),), How.ADD, Marks(Flag.SEEN))

    await store.write(work)
    news = await store.read(lambda tx: views.news(tx, folder, since=since, below=below))
    assert (list(news.vanished), list(news.arrived), news.uidnext) == ([1, 6], [7], 8)
    assert [row[:3] for row in news.changed] == [(2, Flag.SEEN, " work "), (3, Flag.SEEN, " work ")]
    assert all(since < row[3] <= news.modseq for row in news.changed)
    assert list(await store.read(lambda tx: views.vanished(tx, folder, since=since))) == [1, 6]


async def test_many_changes_come_piece_by_piece(store: Store) -> None:
    folder = await filled(store, 25)
    since, below = await store.read(lambda tx: state(tx, folder))
    await store.write(lambda tx: change.mark(tx, folder, EVERY, How.ADD, Marks(Flag.SEEN)))

    def pieces(tx: Tx) -> list[int]:
        piece = views.news(tx, folder, since=since, below=below, limit=10).changed
        found = [row[0] for row in piece]
        while len(piece) == 10:
            piece = views.changed(tx, folder, since=since, above=Uid(found[-1]), below=below, limit=10)
            found += [row[0] for row in piece]
        return found

    assert await store.read(pieces) == list(range(1, 26))


async def test_which_have_changed_since(store: Store) -> None:
    folder = await filled(store, 30)
    since, below = await store.read(lambda tx: state(tx, folder))
    for uids in ((7, 9), (2, 2), (30, 30)):
        await store.write(lambda tx, uids=uids: change.mark(tx, folder, (uids,), How.ADD, Marks(Flag.FLAGGED)))  # type: ignore[misc]  # a lambda's default
    for limit, changed in ((below, [2, 7, 8, 9, 30]), (Uid(9), [2, 7, 8])):
        found = await store.read(lambda tx, limit=limit: views.changed_uids(tx, folder, since=since, below=limit))  # type: ignore[misc]  # likewise
        assert list(found) == changed


@given(some.sets(some.integers(1, 60)), some.integers(0, 60))
@settings(max_examples=200)
def test_ranges_are_few_and_hold_just_what_they_were_made_of(uids: set[int], above: int) -> None:
    found = ranges(uids)
    assert list(each(found)) == sorted(uids)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(found))
    assert list(each(beyond(found, above))) == sorted(uid for uid in uids if uid > above)
