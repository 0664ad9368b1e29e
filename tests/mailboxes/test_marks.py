# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Marks: what others have changed meanwhile, and keywords in any case of letters."""

from __future__ import annotations

import pytest

from mailroom.core.errors import TooMany
from mailroom.core.ids import FolderId, MailboxId, Modseq
from mailroom.mailboxes import append, change, fetch, folders
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import NO_FLAGS, Flag, FolderRole, Marks
from mailroom.mailboxes.uids import EVERY
from mailroom.storage.ports import Store, Tx
from tests import make


def keyed(*keywords: str) -> Marks:
    return Marks(NO_FLAGS, frozenset(keywords))


async def filled(store: Store, count: int) -> FolderId:
    amy = (await make.organisation(store)).mailboxes["amy"]

    def work(tx: Tx) -> FolderId:
        inbox = make.folder(tx, amy).id
        for _ in range(count):
            make.appended(tx, inbox)
        return inbox

    return await store.write(work)


def marks(tx: Tx, folder: FolderId) -> list[tuple[int, int, str]]:
    return [(uid, flags, keywords) for uid, flags, keywords, _ in fetch.flags(tx, folder, EVERY)]


async def test_what_others_changed_since_is_left_and_named(store: Store) -> None:
    folder = await filled(store, 4)

    def work(tx: Tx) -> None:
        since = change.mark(tx, folder, EVERY, How.ADD, Marks(Flag.SEEN)).modseq
        change.mark(tx, folder, ((2, 2), (4, 4)), How.ADD, Marks(Flag.ANSWERED))
        more = Marks(Flag.FLAGGED, frozenset({"one", "two"}))
        marked = change.mark(tx, folder, ((1, 3),), How.ADD, more, unchanged_since=since)
        assert list(marked.failed) == [2]
        both = Flag.SEEN | Flag.FLAGGED
        left = (Flag.SEEN | Flag.ANSWERED, "")
        assert marks(tx, folder) == [(1, both, " one two "), (2, *left), (3, both, " one two "), (4, *left)]
        assert [row[0] for row in fetch.flags(tx, folder, EVERY) if row[3] == marked.modseq] == [1, 3]
        # Seen by all before: only those that may be changed count.
        change.mark(tx, folder, EVERY, How.REMOVE, Marks(Flag.SEEN), unchanged_since=since)
        assert make.folder(tx, MailboxId(1)).unseen == 0
        change.mark(tx, folder, EVERY, How.REMOVE, Marks(Flag.SEEN), unchanged_since=marked.modseq)
        assert make.folder(tx, MailboxId(1)).unseen == 4
        nothing = change.mark(tx, folder, EVERY, How.ADD, Marks(Flag.DRAFT), unchanged_since=Modseq(1))
        assert (nothing.modseq, list(nothing.failed)) == (0, [1, 2, 3, 4])

    await store.write(work)


async def test_a_keyword_is_spelt_as_at_first_and_found_in_any_case(store: Store) -> None:
    folder = await filled(store, 2)

    def work(tx: Tx) -> None:
        change.mark(tx, folder, ((1, 1),), How.ADD, keyed("Work", "$Forwarded"))
        change.mark(tx, folder, EVERY, How.ADD, keyed("WORK"))
        assert folders.keywords(tx, folder) == {"work": "Work", "$forwarded": "$Forwarded"}
        assert marks(tx, folder) == [(1, 0, " $forwarded work "), (2, 0, " work ")]
        change.mark(tx, folder, EVERY, How.REMOVE, keyed("wORK"))
        assert marks(tx, folder) == [(1, 0, " $forwarded "), (2, 0, "")]
        change.mark(tx, folder, EVERY, How.REPLACE, keyed("a", "b"))
        assert marks(tx, folder) == [(1, 0, " a b "), (2, 0, " a b ")]
        assert change.mark(tx, folder, EVERY, How.REPLACE, keyed("B", "A")).modseq == 0

    await store.write(work)


async def test_many_keywords_over_many_mails_that_have_others(store: Store) -> None:
    folder = await filled(store, 40)
    many = [f"k{number:03}" for number in range(150)]

    def work(tx: Tx) -> None:
        change.mark(tx, folder, ((3, 20),), How.ADD, keyed("z", "a"))
        change.mark(tx, folder, ((11, 30),), How.ADD, keyed("k007"))
        marked = change.mark(tx, folder, EVERY, How.ADD, keyed(*many))
        found = {words: [row[0] for row in marks(tx, folder) if row[2] == words] for _, _, words in marks(tx, folder)}
        alone, beside = f" {' '.join(many)} ", f" a {' '.join(many)} z "
        assert found == {alone: [1, 2, *range(21, 41)], beside: [*range(3, 21)]}
        assert {row[3] for row in fetch.flags(tx, folder, EVERY)} == {marked.modseq}
        assert change.mark(tx, folder, EVERY, How.ADD, keyed(*many)).modseq == 0
        change.mark(tx, folder, EVERY, How.REMOVE, keyed(*many))
        assert [row[2] for row in marks(tx, folder)] == ["", "", *[" a z "] * 18, *[""] * 20]
        assert change.mark(tx, folder, EVERY, How.REMOVE, keyed(*many)).modseq == 0

    await store.write(work)


async def test_a_keyword_that_looks_like_a_pattern_is_none(store: Store) -> None:
    folder = await filled(store, 3)

    def work(tx: Tx) -> None:
        change.mark(tx, folder, ((1, 1),), How.ADD, keyed("a_b"))
        change.mark(tx, folder, ((2, 2),), How.ADD, keyed("axb", "aab"))
        change.mark(tx, folder, ((3, 3),), How.ADD, keyed("a\\b%"))
        change.mark(tx, folder, EVERY, How.REMOVE, keyed("a_b", "%"))
        assert marks(tx, folder) == [(1, 0, ""), (2, 0, " aab axb "), (3, 0, " a\\b% ")]

    await store.write(work)


async def test_keywords_go_along_with_copies_and_keep_their_spelling(store: Store) -> None:
    folder = await filled(store, 2)

    def work(tx: Tx) -> None:
        change.mark(tx, folder, ((1, 1),), How.ADD, keyed("Work"))
        change.mark(tx, folder, ((2, 2),), How.ADD, keyed("Home"))
        trash = make.folder(tx, MailboxId(1), FolderRole.TRASH).id
        make.appended(tx, trash, keywords=["WORK"])
        change.copy(tx, folder, ((1, 1),), into=trash)
        assert marks(tx, trash) == [(1, 0, " work "), (2, 0, " work ")]
        assert folders.keywords(tx, trash) == {"work": "WORK"}
        change.move(tx, folder, ((2, 2),), into=trash)
        assert folders.keywords(tx, trash) == {"work": "WORK", "home": "Home"}

    await store.write(work)


async def test_a_folder_does_not_learn_keywords_without_end(store: Store) -> None:
    folder = await filled(store, 1)
    others = [f"k{number}" for number in range(append.KEYWORDS_MOST - 2)]
    await store.write(lambda tx: append.note(tx, folder, others))
    await store.write(lambda tx: change.mark(tx, folder, EVERY, How.ADD, keyed("a", "b")))
    with pytest.raises(TooMany):
        await store.write(lambda tx: change.mark(tx, folder, EVERY, How.ADD, keyed("c")))
    with pytest.raises(TooMany):
        await store.write(lambda tx: make.appended(tx, folder, keywords=["c"]))
    await store.write(lambda tx: change.mark(tx, folder, EVERY, How.REPLACE, keyed("B")))
    assert await store.read(lambda tx: marks(tx, folder)) == [(1, 0, " b ")]
