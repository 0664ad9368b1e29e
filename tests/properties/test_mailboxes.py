# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever is done to two mailboxes, in any order: the rows agree with a model that a child could read, the counters
with the rows, and a client that asks for changes now and then sees just what is there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from mailroom.core.errors import OverQuota
from mailroom.core.ids import ContentId, FolderId, MailboxId, Modseq, Uid
from mailroom.directory import members
from mailroom.mailboxes import change, fetch, queries, read, views
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import NO_FLAGS, Flag, FolderRole, Mail, MailboxKind, Marks, Placed
from mailroom.mailboxes.uids import EVERY, ranges
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store, Tx, Work
from tests import make
from tests.stores import Watch

ROLES = (FolderRole.INBOX, FolderRole.SENT, FolderRole.TRASH)
BEGINNING = Modseq(0)
_REFS = select(schema.contents.c.id, schema.contents.c.refs)
_BODIES = select(schema.bodies.c.content_id)

folders = some.integers(0, 2 * len(ROLES) - 1)
flags = some.sampled_from([NO_FLAGS, Flag.SEEN, Flag.DELETED, Flag.SEEN | Flag.DELETED, Flag.FLAGGED])
keywords = some.frozensets(some.sampled_from(["$work", "later"]), max_size=2)
chosen = some.sets(some.integers(1, 8), max_size=4).map(lambda uids: [Uid(uid) for uid in sorted(uids)])


@dataclass
class Shelf:
    """A folder as the model has it, and as a client last saw it."""

    id: FolderId
    mailbox: int
    next: int = 1
    mails: dict[int, tuple[Marks, int]] = field(default_factory=dict)  # marks and size
    view: dict[int, Marks] = field(default_factory=dict)
    synced: Modseq = BEGINNING
    modseq: int = 1

    def place(self, mail: tuple[Marks, int]) -> int:
        self.mails[self.next] = mail
        self.next += 1
        return self.next - 1

    def there(self, uids: list[Uid]) -> list[Uid]:
        return [uid for uid in uids if uid in self.mails]


class Mailboxes(RuleBasedStateMachine):
    """The store, and the model beside it."""

    def __init__(self, runner: asyncio.Runner, store: Store) -> None:
        super().__init__()
        self.runner, self.store = runner, store
        self.mailboxes: list[MailboxId] = []
        self.shelves: list[Shelf] = []
        self.quotas = [0, 0]
        self.write(self.furnish)

    def write(self, work: Work[Any]) -> Any:
        async def run() -> Any:
            return await self.store.write(work)

        return self.runner.run(run())

    def furnish(self, tx: Tx) -> None:
        organisation_id = members.organisation(tx)
        for number in range(2):
            mailbox_id = queries.mailboxes.add(tx, organisation_id, MailboxKind.PUBLIC, "x", None)
            self.mailboxes.append(mailbox_id)
            self.shelves += [Shelf(queries.folders.add(tx, mailbox_id, role.name, role), number) for role in ROLES]

    def used(self, mailbox: int) -> int:
        return sum(size for shelf in self.shelves if shelf.mailbox == mailbox for _, size in shelf.mails.values())

    def fits(self, mailbox: int, size: int) -> bool:
        return not self.quotas[mailbox] or self.used(mailbox) + size <= self.quotas[mailbox]

    @rule(to=folders, flags=flags, keywords=keywords, size=some.integers(200, 1000))
    def append(self, to: int, flags: Flag, keywords: frozenset[str], size: int) -> None:
        shelf, octets = self.shelves[to], make.mail(size=size)

        def work(tx: Tx) -> Placed:
            return make.appended(tx, shelf.id, octets, flags=flags, keywords=sorted(keywords))

        if self.fits(shelf.mailbox, size):
            assert self.write(work).uid == shelf.place((Marks(flags, keywords), size))
        else:
            with pytest.raises(OverQuota):
                self.write(work)

    @rule(at=folders, uids=chosen, how=some.sampled_from(How), flags=flags, keywords=keywords)
    def mark(self, at: int, uids: list[Uid], how: How, flags: Flag, keywords: frozenset[str]) -> None:
        shelf = self.shelves[at]
        changed = set()
        for uid in shelf.there(uids):
            before, size = shelf.mails[uid]
            after = {
                How.ADD: Marks(before.flags | flags, before.keywords | keywords),
                How.REMOVE: Marks(before.flags & ~flags, before.keywords - keywords),
                How.REPLACE: Marks(flags, keywords),
            }[how]
            shelf.mails[uid] = (after, size)
            if after != before:
                changed.add(uid)

        def work(tx: Tx) -> set[int]:
            marked = change.mark(tx, shelf.id, ranges(uids), how, Marks(flags, keywords))
            return {row[0] for row in fetch.flags(tx, shelf.id, EVERY) if row[3] == marked.modseq}

        assert self.write(work) == changed

    @rule(at=folders, to=folders, uids=chosen, verb=some.sampled_from([change.copy, change.move]))
    def transfer(self, at: int, to: int, uids: list[Uid], verb: Any) -> None:
        source, target = self.shelves[at], self.shelves[to]
        moving = {uid: source.mails[uid] for uid in source.there(uids)}

        def work(tx: Tx) -> Any:
            copied = verb(tx, source.id, ranges(uids), into=target.id)
            return {uid: copied.first + place for place, uid in enumerate(copied.uids)}

        stays_home = verb is change.move and source.mailbox == target.mailbox
        if moving and not stays_home and not self.fits(target.mailbox, sum(size for _, size in moving.values())):
            with pytest.raises(OverQuota):
                self.write(work)
            return
        expected = {uid: target.place(mail) for uid, mail in moving.items()}
        if verb is change.move:
            for uid in moving:
                del source.mails[uid]
        assert self.write(work) == expected

    @rule(at=folders, uids=some.none() | chosen)
    def expunge(self, at: int, uids: list[Uid] | None) -> None:
        shelf = self.shelves[at]
        gone = [
            uid
            for uid, (marks, _) in sorted(shelf.mails.items())
            if Flag.DELETED in marks.flags and (uids is None or uid in uids)
        ]
        for uid in gone:
            del shelf.mails[uid]
        these = EVERY if uids is None else ranges(uids)
        assert list(self.write(lambda tx: change.expunge(tx, shelf.id, these))) == gone

    @rule(at=some.integers(0, 1), limit=some.sampled_from([0, 1000, 3000]))
    def limit(self, at: int, limit: int) -> None:
        self.quotas[at] = limit
        self.write(lambda tx: queries.mailboxes.change_quota(tx, self.mailboxes[at], limit))

    @rule(at=folders)
    def sync(self, at: int) -> None:
        shelf = self.shelves[at]
        news = self.write(lambda tx: read.changes(tx, shelf.id, since=shelf.synced))
        for uid in news.vanished:
            shelf.view.pop(uid, None)
        for mail in news.changed:
            assert mail.modseq > shelf.synced
            shelf.view[mail.uid] = Marks(mail.flags, mail.keywords)
        shelf.synced = news.modseq
        assert shelf.view == {uid: marks for uid, (marks, _) in shelf.mails.items()}

    @precondition(lambda self: self.shelves)
    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        self.write(self.look)

    def look(self, tx: Tx) -> None:
        shown: Counter[ContentId] = Counter()
        for shelf in self.shelves:
            folder = queries.folders.folder(tx, shelf.id)
            assert folder is not None
            mails = read.changes(tx, shelf.id, since=BEGINNING).changed
            assert {mail.uid: (Marks(mail.flags, mail.keywords), mail.size) for mail in mails} == shelf.mails
            unseen = sum(Flag.SEEN not in marks.flags for marks, _ in shelf.mails.values())
            size = sum(size for _, size in shelf.mails.values())
            assert (folder.uidnext, folder.mails, folder.unseen) == (shelf.next, len(shelf.mails), unseen)
            assert folder.size == size
            assert list(views.uids(tx, shelf.id)) == sorted(shelf.mails)
            assert folder.modseq >= shelf.modseq
            assert all(mail.modseq <= folder.modseq for mail in mails)
            shelf.modseq = folder.modseq
            shown.update(mail.content_id for mail in mails)
        for number, mailbox_id in enumerate(self.mailboxes):
            assert read.mailbox(tx, mailbox_id).used == self.used(number)
        assert dict(tx.all(_REFS)) == shown
        assert {row[0] for row in tx.all(_BODIES)} == set(shown)

    def teardown(self) -> None:
        def clear(tx: Tx) -> None:
            for shelf in self.shelves:
                everything: list[Mail] = list(read.changes(tx, shelf.id, since=BEGINNING).changed)
                uids = [mail.uid for mail in everything]
                change.mark(tx, shelf.id, ranges(uids), How.ADD, Marks(Flag.DELETED))
                change.expunge(tx, shelf.id)

        self.write(clear)


@pytest.mark.parametrize(("engine", "examples"), [("sqlite", 60), ("postgres", 8)])
def test_two_mailboxes_are_as_the_model_says(request: pytest.FixtureRequest, engine: str, examples: int) -> None:
    url = request.getfixturevalue(f"{engine}_url")
    with asyncio.Runner() as runner:

        async def opened() -> Store:
            store = open_store(url, Watch())
            await store.write(lambda tx: members.found_organisation(tx, "Corp"))
            return store

        store = runner.run(opened())

        class Here(Mailboxes):
            def __init__(self) -> None:
                super().__init__(runner, store)

        try:
            run_state_machine_as_test(Here, settings=settings(max_examples=examples, stateful_step_count=30))
        finally:
            runner.run(store.close())
