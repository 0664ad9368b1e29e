# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever is done to the folders of a mailbox, in any order: the names are those that a child would write down, each
folder keeps its mails, and what has gone leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select

from mailroom.core.errors import InUse, InvalidValue, NameTaken, NotFound, Refusal
from mailroom.core.ids import FolderId, MailboxId
from mailroom.directory import members
from mailroom.mailboxes import change, folders, queries, read
from mailroom.mailboxes.model import FIRST_FOLDERS, FolderRole, MailboxKind
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store, Tx, Work
from tests import make
from tests.stores import Watch

_LEFT = [select(func.count()).select_from(table) for table in (schema.contents, schema.mails)]
parts = some.sampled_from(["a", "b", "INBOX", "Sent"])
names = some.lists(parts, min_size=1, max_size=4).map("/".join)


class Names(RuleBasedStateMachine):
    """The folders, and by name the ids and numbers of mails that they should have."""

    def __init__(self, runner: asyncio.Runner, store: Store) -> None:
        super().__init__()
        self.runner, self.store = runner, store
        self.mailbox: MailboxId = self.write(self.furnish)
        self.known = {folder.name: [folder.id, 0] for folder in self.write(lambda tx: read.folders(tx, self.mailbox))}

    def write(self, work: Work[Any]) -> Any:
        async def run() -> Any:
            return await self.store.write(work)

        return self.runner.run(run())

    def refused(self, work: Work[Any], refusal: type[Refusal]) -> None:
        with pytest.raises(refusal):
            self.write(work)

    def furnish(self, tx: Tx) -> MailboxId:
        mailbox_id = queries.mailboxes.add(tx, members.organisation(tx), MailboxKind.PUBLIC, "x", None)
        for role, name in FIRST_FOLDERS.items():
            queries.folders.add(tx, mailbox_id, name, role)
        return mailbox_id

    def note_above(self, name: str) -> None:
        *above, _ = name.split("/")
        for count in range(1, len(above) + 1):
            self.known.setdefault("/".join(above[:count]), [None, 0])

    @rule(name=names)
    def create(self, name: str) -> None:
        def work(tx: Tx) -> FolderId:
            return folders.create(tx, self.mailbox, name)

        if name in self.known:
            self.refused(work, NameTaken)
            return
        self.known[name] = [self.write(work), 0]
        self.note_above(name)

    @rule(name=names, to=names)
    def rename(self, name: str, to: str) -> None:
        def work(tx: Tx) -> None:
            folders.rename(tx, self.mailbox, name, to)

        if name == "INBOX":
            if to in self.known:
                self.refused(work, NameTaken)
                return
            self.write(work)
            self.known[to] = [None, self.known["INBOX"][1]]
            self.known["INBOX"][1] = 0
            self.note_above(to)
            return
        moving = {old: to + old[len(name) :] for old in self.known if f"{old}/".startswith(f"{name}/")}
        staying = self.known.keys() - moving.keys()
        if not moving:
            self.refused(work, NotFound)
        elif to.startswith(f"{name}/"):
            self.refused(work, InvalidValue)
        elif to in self.known or staying & set(moving.values()):
            self.refused(work, NameTaken)
        else:
            self.write(work)
            self.known = {moving.get(old, old): what for old, what in self.known.items()}
            self.note_above(to)

    @rule(name=names)
    def remove(self, name: str) -> None:
        if name not in self.known:
            return
        folder_id = self.write(lambda tx: folders.by_name(tx, self.mailbox, name)).id
        if self.write(lambda tx: queries.folders.folder(tx, folder_id)).role is not FolderRole.OWN:
            self.refused(lambda tx: folders.remove(tx, folder_id), InUse)
            return
        self.write(lambda tx: folders.remove(tx, folder_id))
        del self.known[name]

    @rule(name=names)
    def append(self, name: str) -> None:
        if name in self.known:
            folder_id = self.write(lambda tx: folders.by_name(tx, self.mailbox, name)).id
            self.write(lambda tx: make.appended(tx, folder_id))
            self.known[name][1] += 1

    @invariant()
    def all_is_as_written_down(self) -> None:
        found = self.write(lambda tx: read.folders(tx, self.mailbox))
        assert {folder.name: folder.mails for folder in found} == {
            name: mails for name, (_, mails) in self.known.items()
        }
        for folder in found:
            assert self.known[folder.name][0] in (folder.id, None)
            self.known[folder.name][0] = folder.id
        mails = sum(folder.mails for folder in found)
        assert [row[0] for row in self.write(lambda tx: [tx.all(count)[0] for count in _LEFT])] == [mails, mails]
        assert self.write(lambda tx: read.mailbox(tx, self.mailbox)).used == mails * len(make.mail())

    def teardown(self) -> None:
        def clear(tx: Tx) -> None:
            for folder in read.folders(tx, self.mailbox):
                change.clear(tx, folder.id)

        with suppress(NotFound):
            self.write(clear)


@pytest.mark.parametrize(("engine", "examples"), [("sqlite", 60), ("postgres", 8)])
def test_folders_are_as_written_down(request: pytest.FixtureRequest, engine: str, examples: int) -> None:
    url = request.getfixturevalue(f"{engine}_url")
    with asyncio.Runner() as runner:

        async def opened() -> Store:
            store = open_store(url, Watch())
            await store.write(lambda tx: members.found_organisation(tx, "Corp"))
            return store

        store = runner.run(opened())

        class Here(Names):
            def __init__(self) -> None:
                super().__init__(runner, store)

        try:
            run_state_machine_as_test(Here, settings=settings(max_examples=examples, stateful_step_count=25))
        finally:
            runner.run(store.close())
