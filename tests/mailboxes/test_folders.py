# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Folders by name: their parents, their children, and what becomes of the mails in them."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, func, insert, select

from mailroom.core.errors import InUse, InvalidValue, NameTaken, NotFound, Refusal, TooMany
from mailroom.core.ids import FolderId, MailboxId
from mailroom.mailboxes import change, folders, read, views
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import NO_FLAGS, Flag, Folder, FolderRole, Marks
from mailroom.mailboxes.uids import EVERY
from mailroom.storage import schema
from mailroom.storage.ports import Store, Tx
from tests import make

_ADD = insert(schema.folders).values(
    mailbox_id=bindparam("mailbox_id"), name=bindparam("name"), uidvalidity=1, created_at=0
)
_SUBSCRIBE = insert(schema.subscriptions).values(mailbox_id=bindparam("mailbox_id"), name=bindparam("name"))
FIRST = {"INBOX", "Drafts", "Sent", "Junk", "Trash"}
_LEFT = [select(func.count()).select_from(table) for table in (schema.contents, schema.bodies, schema.mails)]


async def amys(store: Store) -> MailboxId:
    return (await make.organisation(store)).mailboxes["amy"]


async def made(store: Store, mailbox_id: MailboxId, *names: str) -> FolderId:
    return (await store.write(lambda tx: [folders.create(tx, mailbox_id, name) for name in names]))[-1]


async def names(store: Store, mailbox_id: MailboxId) -> set[str]:
    return {each.name for each in await store.read(lambda tx: read.folders(tx, mailbox_id))} - FIRST


async def by_name(store: Store, mailbox_id: MailboxId, name: str) -> Folder:
    found = await store.read(lambda tx: folders.by_name(tx, mailbox_id, name))
    assert found is not None
    return found


async def refused(store: Store, refusal: type[Refusal], mailbox_id: MailboxId, name: str, to: str) -> None:
    before = await names(store, mailbox_id)
    with pytest.raises(refusal):
        await store.write(lambda tx: folders.rename(tx, mailbox_id, name, to))
    assert await names(store, mailbox_id) == before


async def test_what_is_missing_above_a_new_folder_is_made(store: Store) -> None:
    amy = await amys(store)
    await made(store, amy, "a/b/c", "inbox/d", "a/x")
    assert await names(store, amy) == {"a", "a/b", "a/b/c", "a/x", "INBOX/d"}
    assert (await by_name(store, amy, "iNbOx/d")).name == "INBOX/d"


async def test_no_folder_hides_behind_what_is_shared(store: Store) -> None:
    amy = await amys(store)
    await made(store, amy, "a/Shared", "shared/x")
    for name in ("Shared", "Shared/sales@corp.example/INBOX"):
        with pytest.raises(InvalidValue):
            await made(store, amy, name)
        await refused(store, InvalidValue, amy, "a", name)


@pytest.mark.parametrize("part", ["", " ", " a", "a ", ".", "..", "*", "a*b", "50%", "a\tb", "a\0", "a\x7f", "\u202e"])
async def test_what_is_no_name_of_a_folder(part: str, store: Store) -> None:
    amy = await amys(store)
    await made(store, amy, "z", "...", ".hidden", "a..b")
    for name in (part, f"{part}/a", f"a/{part}", f"a/{part}/b"):
        with pytest.raises(InvalidValue):
            await made(store, amy, name)
        await refused(store, InvalidValue, amy, "z", name)
    assert await names(store, amy) == {"z", "...", ".hidden", "a..b"}


async def test_a_mailbox_has_one_folder_of_a_role(store: Store) -> None:
    amy = await amys(store)
    await store.write(lambda tx: folders.create(tx, amy, "Archive", role=FolderRole.ARCHIVE))
    with pytest.raises(NameTaken):
        await store.write(lambda tx: folders.create(tx, amy, "Other", role=FolderRole.ARCHIVE))
    assert await names(store, amy) == {"Archive"}


async def test_folders_are_not_made_without_end(store: Store) -> None:
    amy = await amys(store)
    others = {f"old/{number}" for number in range(folders.FOLDERS_MOST - len(FIRST) - 3)}
    await store.write(lambda tx: tx.many(_ADD, [{"mailbox_id": amy, "name": name} for name in others]))
    await made(store, amy, "a/b")
    with pytest.raises(TooMany):
        await made(store, amy, "c/d")
    await made(store, amy, "c")
    with pytest.raises(TooMany):
        await store.write(lambda tx: folders.rename(tx, amy, "c", "d/e"))
    assert await names(store, amy) == {"a", "a/b", "c", *others}


async def test_a_folder_is_renamed_with_all_below_it_and_stays_itself(store: Store) -> None:
    amy = await amys(store)
    folder_id = await made(store, amy, "ab", "a/b/c", "a/b/d")
    await store.write(lambda tx: make.appended(tx, folder_id))
    before = await by_name(store, amy, "a/b/d")
    await store.write(lambda tx: folders.rename(tx, amy, "a/b", "x/y"))
    assert await names(store, amy) == {"ab", "a", "x", "x/y", "x/y/c", "x/y/d"}
    after = await by_name(store, amy, "x/y/d")
    assert (after.id, after.uidvalidity, after.mails) == (before.id, before.uidvalidity, 1)


async def test_a_folder_comes_up_to_the_place_of_a_parent_that_is_none(store: Store) -> None:
    amy = await amys(store)
    await made(store, amy, "a/b/b/c")
    parent = await by_name(store, amy, "a")
    await store.write(lambda tx: folders.remove(tx, parent.id))
    await store.write(lambda tx: folders.rename(tx, amy, "a/b", "a"))
    assert await names(store, amy) == {"a", "a/b", "a/b/c"}


async def test_a_parent_that_is_no_folder_is_renamed_as_well(store: Store) -> None:
    amy = await amys(store)
    await made(store, amy, "a/b")
    await store.write(lambda tx: folders.remove(tx, folders.by_name(tx, amy, "a").id))  # type: ignore[union-attr]  # it is there
    await store.write(lambda tx: folders.rename(tx, amy, "a", "z"))
    assert await names(store, amy) == {"z/b"}


async def test_a_rename_that_cannot_be_changes_nothing(store: Store) -> None:
    amy = await amys(store)
    await made(store, amy, "a/b", "c/b", "d")
    await refused(store, NotFound, amy, "e", "f")
    await refused(store, NameTaken, amy, "a", "c")
    await refused(store, NameTaken, amy, "a", "a")
    await refused(store, NameTaken, amy, "d", "inbox")
    await refused(store, InvalidValue, amy, "a", "a/b/c")
    await refused(store, InvalidValue, amy, "a", "x//y")
    await refused(store, InvalidValue, amy, "a", "x" * 254)  # too long for the one below


async def test_a_folder_with_a_role_keeps_it_under_another_name(store: Store) -> None:
    amy = await amys(store)
    await store.write(lambda tx: folders.rename(tx, amy, "Sent", "Gesendet"))
    assert (await by_name(store, amy, "Gesendet")).role is FolderRole.SENT


async def test_renaming_inbox_moves_its_mails_and_nothing_else(store: Store) -> None:
    amy = await amys(store)
    await made(store, amy, "INBOX/below")
    inbox = await by_name(store, amy, "INBOX")
    await store.write(lambda tx: [make.appended(tx, inbox.id, keywords=["Work"]) for _ in range(3)])
    await store.write(lambda tx: folders.rename(tx, amy, "inbox", "old/mails"))
    assert await names(store, amy) == {"INBOX/below", "old", "old/mails"}
    moved = await by_name(store, amy, "old/mails")
    left = await by_name(store, amy, "INBOX")
    assert (moved.mails, moved.size, left.id, left.mails, left.size) == (3, 3 * len(make.mail()), inbox.id, 0, 0)
    assert await store.read(lambda tx: folders.keywords(tx, moved.id)) == {"work": "Work"}


async def test_a_folder_goes_with_its_mails_and_those_below_stay(store: Store) -> None:
    amy = await amys(store)
    folder_id = await made(store, amy, "a/b")
    parent = await by_name(store, amy, "a")
    await store.write(
        lambda tx: [make.appended(tx, each, keywords=["x"]) for each in (folder_id, parent.id, parent.id)]
    )
    await store.write(lambda tx: folders.remove(tx, parent.id))
    assert await names(store, amy) == {"a/b"}
    size = (await store.read(lambda tx: read.mailbox(tx, amy))).used
    assert size == len(make.mail())
    assert await store.read(lambda tx: [tx.all(count)[0][0] for count in _LEFT]) == [1, 1, 1]
    again = await made(store, amy, "a")
    assert again != parent.id
    assert (await by_name(store, amy, "a")).uidvalidity > parent.uidvalidity


async def test_what_every_mailbox_has_is_not_removed(store: Store) -> None:
    amy = await amys(store)
    for each in await store.read(lambda tx: read.folders(tx, amy)):
        with pytest.raises(InUse):
            await store.write(lambda tx, folder_id=each.id: folders.remove(tx, folder_id))  # type: ignore[misc]  # a lambda's default
    with pytest.raises(NotFound):
        await store.write(lambda tx: folders.remove(tx, FolderId(999)))


async def test_mail_for_a_folder_that_has_gone_is_refused(store: Store) -> None:
    amy = await amys(store)
    folder_id = await made(store, amy, "a")
    await store.write(lambda tx: folders.remove(tx, folder_id))
    for work in (
        lambda tx: make.appended(tx, folder_id),
        lambda tx: views.uids(tx, folder_id),
        lambda tx: folders.create(tx, MailboxId(999), "a"),
    ):
        with pytest.raises(NotFound):
            await store.write(work)


async def test_the_first_folders_are_subscribed_and_names_without_folders_may_be(store: Store) -> None:
    amy = await amys(store)
    assert await store.read(lambda tx: folders.subscriptions(tx, amy)) == FIRST

    def work(tx: Tx) -> frozenset[str]:
        for name in ("Shared/sales/INBOX", "gone", "gone", "inbox"):
            folders.subscribe(tx, amy, name)
        for name in ("Junk", "Junk", "never"):
            folders.unsubscribe(tx, amy, name)
        return folders.subscriptions(tx, amy)

    assert await store.write(work) == FIRST - {"Junk"} | {"Shared/sales/INBOX", "gone"}


async def test_names_are_not_subscribed_to_without_end(store: Store) -> None:
    amy = await amys(store)
    others = [f"old/{number}" for number in range(folders.SUBSCRIPTIONS_MOST - len(FIRST) - 1)]
    await store.write(lambda tx: tx.many(_SUBSCRIBE, [{"mailbox_id": amy, "name": name} for name in others]))
    await store.write(lambda tx: folders.subscribe(tx, amy, "a"))
    with pytest.raises(TooMany):
        await store.write(lambda tx: folders.subscribe(tx, amy, "b"))
    for name in ("", "x" * 1001, "a\nb"):
        with pytest.raises(InvalidValue):
            await store.write(lambda tx, name=name: folders.subscribe(tx, amy, name))  # type: ignore[misc]  # a lambda's default


async def test_what_status_asks_for(store: Store) -> None:
    inbox = await by_name(store, await amys(store), "INBOX")

    def work(tx: Tx) -> None:
        for flags in (Flag.SEEN, NO_FLAGS, Flag.DELETED, Flag.SEEN | Flag.DELETED):
            make.appended(tx, inbox.id, flags=flags)
        assert (folders.deleted(tx, inbox.id), folders.deleted_size(tx, inbox.id)) == (2, 2 * len(make.mail()))
        assert folders.first_unseen(tx, inbox.id) == 2
        change.mark(tx, inbox.id, EVERY, How.ADD, Marks(Flag.SEEN))
        assert folders.first_unseen(tx, inbox.id) is None

    await store.write(work)
    after = await by_name(store, inbox.mailbox_id, "INBOX")
    assert (after.mails, after.unseen, after.size) == (4, 0, 4 * len(make.mail()))
