# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails in folders: numbers that only rise, counters that are right, flags, copies, moves and quotas."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest

from mailroom.core.errors import (
    InvalidValue,
    MailboxDisabled,
    MemberHasMailbox,
    NameTaken,
    NotFound,
    OverQuota,
    PublicMailboxLimit,
)
from mailroom.core.ids import FolderId, MailboxId, Modseq, Uid
from mailroom.directory import addresses, users
from mailroom.directory.model import SYSTEM, Users
from mailroom.mailboxes import access as doors
from mailroom.mailboxes import change, create, folders, queries, quota, read
from mailroom.mailboxes.change import Copied, How
from mailroom.mailboxes.model import NO_FLAGS, Flag, FolderRole, MailboxStatus, Marks
from mailroom.mailboxes.uids import ranges
from mailroom.storage.ports import Store, Tx
from tests import make

SEEN, DELETED, FLAGGED = Flag.SEEN, Flag.DELETED, Flag.FLAGGED


async def inbox(store: Store, mailbox_id: MailboxId, role: FolderRole = FolderRole.INBOX) -> FolderId:
    return (await store.read(lambda tx: make.folder(tx, mailbox_id, role))).id


async def put(store: Store, into: FolderId, count: int = 1, *, flags: Flag = NO_FLAGS) -> list[Uid]:
    return [
        placed.uid
        for placed in await store.write(lambda tx: [make.appended(tx, into, flags=flags) for _ in range(count)])
    ]


def counters(tx: Tx, folder_id: FolderId) -> tuple[int, int]:
    """How many mails, and unseen ones, the folder says that it has; and it tells the truth."""
    folder = queries.folders.folder(tx, folder_id)
    assert folder is not None
    mails = read.changes(tx, folder_id, since=Modseq(0)).changed
    assert (len(mails), sum(SEEN not in mail.flags for mail in mails)) == (folder.mails, folder.unseen)
    return folder.mails, folder.unseen


def moved(uid: int, to: int) -> Copied:
    return Copied(array("I", [uid]), Uid(to))


async def used(store: Store, mailbox_id: MailboxId) -> int:
    return (await store.read(lambda tx: read.mailbox(tx, mailbox_id))).used


async def test_a_mailbox_begins_with_five_folders(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    folders = await store.read(lambda tx: read.folders(tx, amy))
    assert [(each.name, each.role.value) for each in folders] == [
        ("INBOX", "inbox"), ("Drafts", "drafts"), ("Sent", "sent"), ("Junk", "junk"), ("Trash", "trash"),
    ]  # fmt: skip  # a table
    assert len({each.uidvalidity for each in folders}) == 5
    assert {(each.mails, each.unseen, each.uidnext) for each in folders} == {(0, 0, 1)}


async def test_what_names_no_folder_is_refused(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    for name in ("", " a", "a/", "/a", "a//b", "a/ b", "a\nb", "x" * 256):
        with pytest.raises(InvalidValue):
            await store.write(lambda tx, name=name: folders.create(tx, amy, name))  # type: ignore[misc]  # a lambda's default


async def test_folders_of_ones_own_come_last_by_name_and_differ(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    for name in ("work/2026", "Work", "会议"):
        await store.write(lambda tx, name=name: folders.create(tx, amy, name))  # type: ignore[misc]  # a lambda's default
    names = [each.name for each in await store.read(lambda tx: read.folders(tx, amy))]
    assert names[5:] == ["Work", "work", "work/2026", "会议"]
    for name in ("Work", "work", "Sent", "inbox", "INBOX"):
        with pytest.raises(NameTaken):
            await store.write(lambda tx, name=name: folders.create(tx, amy, name))  # type: ignore[misc]  # a lambda's default


async def test_uids_ascend_and_are_not_given_again_after_an_expunge(store: Store) -> None:
    folder = await inbox(store, (await make.organisation(store)).mailboxes["amy"])
    assert await put(store, folder, 3, flags=DELETED) == [1, 2, 3]
    assert await store.write(lambda tx: change.expunge(tx, folder)) == array("I", [1, 2, 3])
    assert await put(store, folder) == [4]


async def test_every_change_raises_modseq_and_says_so(store: Store) -> None:
    folder = await inbox(store, (await make.organisation(store)).mailboxes["amy"])
    await put(store, folder, 2)
    seen: list[int] = []

    async def now() -> int:
        changes = await store.read(lambda tx: read.changes(tx, folder, since=Modseq(0)))
        seen.append(changes.modseq)
        return changes.modseq

    since = await now()
    await store.write(lambda tx: change.mark(tx, folder, ((1, 1),), How.ADD, Marks(SEEN)))
    changes = await store.read(lambda tx: read.changes(tx, folder, since=Modseq(since)))
    assert ([mail.uid for mail in changes.changed], changes.vanished) == ([1], ())
    since = await now()
    await store.write(lambda tx: change.mark(tx, folder, ((2, 2),), How.ADD, Marks(DELETED)))
    await now()
    await store.write(lambda tx: change.expunge(tx, folder))
    await now()
    changes = await store.read(lambda tx: read.changes(tx, folder, since=Modseq(since)))
    assert (changes.changed, changes.vanished) == ((), (2,))
    # What changes nothing is no change.
    await store.write(lambda tx: change.mark(tx, folder, ((1, 2), (9, 9)), How.ADD, Marks(SEEN)))
    assert await store.write(lambda tx: len(change.expunge(tx, folder))) == 0
    assert await now() == seen[-2]
    assert sorted(set(seen)) == seen[:-1]


MARKED = [
    (How.ADD, Marks(FLAGGED, frozenset({"new"})), Marks(SEEN | FLAGGED, frozenset({"old", "new"}))),
    (How.ADD, Marks(SEEN), Marks(SEEN, frozenset({"old"}))),
    (How.REMOVE, Marks(SEEN | FLAGGED, frozenset({"new"})), Marks(NO_FLAGS, frozenset({"old"}))),
    (How.REMOVE, Marks(NO_FLAGS, frozenset({"old"})), Marks(SEEN)),
    (How.REPLACE, Marks(FLAGGED, frozenset({"new"})), Marks(FLAGGED, frozenset({"new"}))),
    (How.REPLACE, Marks(NO_FLAGS), Marks(NO_FLAGS)),
]


async def test_flags_are_added_removed_and_replaced(store: Store) -> None:
    folder = await inbox(store, (await make.organisation(store)).mailboxes["amy"])
    for how, marks, expected in MARKED:
        uid = (await store.write(lambda tx: make.appended(tx, folder, flags=SEEN, keywords=["old"]))).uid
        await store.write(lambda tx, u=uid, h=how, m=marks: change.mark(tx, folder, ((u, u),), h, m))  # type: ignore[misc]  # a lambda's default
        mail, _ = await store.read(lambda tx, uid=uid: read.mail(tx, folder, uid))  # type: ignore[misc]  # a lambda's default
        assert Marks(mail.flags, mail.keywords) == expected
    assert await store.read(lambda tx: counters(tx, folder)) == (6, 3)


async def test_only_the_named_and_deleted_are_expunged(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    folder = await inbox(store, amy)
    await put(store, folder, 2, flags=DELETED)
    await put(store, folder, 2)
    assert await store.write(lambda tx: list(change.expunge(tx, folder, ((2, 3), (9, 9))))) == [2]
    assert await store.read(lambda tx: counters(tx, folder)) == (3, 3)
    assert await used(store, amy) == 3 * len(make.mail())


async def test_copies_keep_their_flags_and_count_against_the_quota(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    source, target = await inbox(store, amy), await inbox(store, amy, FolderRole.TRASH)
    await put(store, target)
    await put(store, source, 2, flags=SEEN | FLAGGED)
    await put(store, source)
    uids = ranges([3, 1, 1, 7])
    assert await store.write(lambda tx: change.copy(tx, source, uids, into=target)) == Copied(
        array("I", [1, 3]), Uid(2)
    )
    mail, content = await store.read(lambda tx: read.mail(tx, target, Uid(2)))
    assert (mail.flags, content.message_id) == (SEEN | FLAGGED, "<1@out.example>")
    assert await store.read(lambda tx: counters(tx, target)) == (3, 2)
    assert await used(store, amy) == 6 * len(make.mail())


async def test_a_copy_that_does_not_fit_is_refused_whole(store: Store) -> None:
    made = (await make.organisation(store)).mailboxes
    source, target = await inbox(store, made["amy"]), await inbox(store, made["bob"])
    await put(store, source, 3)
    await store.write(lambda tx: quota.change(tx, SYSTEM, made["bob"], 2 * len(make.mail())))
    uids = ((1, 3),)
    for verb in (change.copy, change.move):
        with pytest.raises(OverQuota):
            await store.write(lambda tx, verb=verb: verb(tx, source, uids, into=target))  # type: ignore[misc]  # a lambda's default
    assert await store.read(lambda tx: (counters(tx, source)[0], counters(tx, target)[0])) == (3, 0)
    assert (await used(store, made["amy"]), await used(store, made["bob"])) == (3 * len(make.mail()), 0)
    await store.write(lambda tx: change.copy(tx, source, ((1, 2),), into=target))


async def test_a_move_takes_the_octets_along_and_asks_no_quota_at_home(store: Store) -> None:
    made = (await make.organisation(store)).mailboxes
    source, trash = await inbox(store, made["amy"]), await inbox(store, made["amy"], FolderRole.TRASH)
    target = await inbox(store, made["bob"])
    await put(store, source, 2)
    size = len(make.mail())
    await store.write(lambda tx: quota.change(tx, SYSTEM, made["amy"], 2 * size))
    assert await store.write(lambda tx: change.move(tx, source, ((1, 1),), into=trash)) == moved(1, 1)
    assert await used(store, made["amy"]) == 2 * size
    assert await store.write(lambda tx: change.move(tx, source, ((2, 2),), into=target)) == moved(2, 1)
    assert (await used(store, made["amy"]), await used(store, made["bob"])) == (size, size)
    assert (await store.read(lambda tx: read.changes(tx, source, since=Modseq(0)))).vanished == (1, 2)


async def test_a_move_within_one_folder_gives_a_new_number(store: Store) -> None:
    folder = await inbox(store, (await make.organisation(store)).mailboxes["amy"])
    await put(store, folder, 2)
    assert await store.write(lambda tx: change.move(tx, folder, ((1, 1),), into=folder)) == moved(1, 3)
    mails = (await store.read(lambda tx: read.changes(tx, folder, since=Modseq(0)))).changed
    assert [mail.uid for mail in mails] == [2, 3]


async def test_a_full_mailbox_takes_what_still_fits(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    folder, size = await inbox(store, amy), len(make.mail())
    await store.write(lambda tx: quota.change(tx, SYSTEM, amy, 2 * size))
    await put(store, folder, 2)
    with pytest.raises(OverQuota):
        await put(store, folder)
    await store.write(lambda tx: quota.change(tx, SYSTEM, amy, size))  # what is there stays
    assert await used(store, amy) == 2 * size
    await store.write(lambda tx: quota.change(tx, SYSTEM, amy, 0))  # no limit
    await put(store, folder)
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: quota.change(tx, SYSTEM, amy, -1))


async def test_room_is_asked_before_the_mail_comes(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    await store.write(lambda tx: quota.change(tx, SYSTEM, amy, 100))
    for size in (0, 1, 100):
        await store.read(lambda tx, size=size: quota.ask(tx, amy, size=size, address="amy"))  # type: ignore[misc]  # a lambda's default
    with pytest.raises(OverQuota):
        await store.read(lambda tx: quota.ask(tx, amy, size=101, address="amy"))


async def test_a_disabled_mailbox_takes_nothing_and_opens_for_nobody(store: Store) -> None:
    made = await make.organisation(store)
    amy = made.mailboxes["amy"]
    folder = await inbox(store, amy)
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, amy, MailboxStatus.DISABLED))
    with pytest.raises(MailboxDisabled):
        await put(store, folder)
    with pytest.raises(MailboxDisabled):
        await store.read(lambda tx: quota.ask(tx, amy, size=1, address="amy@corp.example"))
    with pytest.raises(NotFound):
        await store.read(lambda tx: doors.open_folder(tx, made.members["amy"], folder))
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, amy, MailboxStatus.ACTIVE))
    assert (await store.read(lambda tx: doors.open_folder(tx, made.members["amy"], folder))).id == folder


async def test_not_yours_looks_like_not_there(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob", "carol"]})
    amy, bob, sales = made.members["amy"], made.members["bob"], made.mailboxes["sales"]
    for mailbox_id in (made.mailboxes["bob"], sales, MailboxId(999)):
        with pytest.raises(NotFound, match=f"no mailbox {mailbox_id}"):
            await store.read(lambda tx, m=mailbox_id: doors.open_mailbox(tx, amy, m))  # type: ignore[misc]  # a lambda's default
    with pytest.raises(NotFound):
        await store.read(lambda tx: doors.open_folder(tx, amy, FolderId(999)))
    assert (await store.read(lambda tx: doors.open_mailbox(tx, bob, sales))).id == sales
    await store.write(lambda tx: users.change(tx, SYSTEM, sales, remove=Users((bob,))))  # ends at once
    with pytest.raises(NotFound):
        await store.read(lambda tx: doors.open_mailbox(tx, bob, sales))


async def test_an_administrator_finds_a_mailbox_by_any_of_its_addresses(store: Store) -> None:
    made = await make.organisation(store)
    amy, alias = made.mailboxes["amy"], addresses.parse_new("a@corp.example")
    await store.write(lambda tx: create.alias(tx, SYSTEM, amy, alias))
    for address in ("amy@corp.example", "A@corp.example", "amy+tag@corp.example"):
        found = await store.read(lambda tx, a=address: doors.by_address(tx, addresses.parse(a)))  # type: ignore[misc]  # a lambda's default
        assert found.id == amy
    with pytest.raises(NotFound):
        await store.read(lambda tx: doors.by_address(tx, addresses.parse("b@corp.example")))


async def test_a_member_has_one_mailbox_and_the_organisation_three_public_ones(store: Store) -> None:
    made = await make.organisation(store, public={"p1": ["amy"], "p2": ["amy"]})
    amy, address = made.members["amy"], addresses.parse_new("new@corp.example")
    with pytest.raises(MemberHasMailbox):
        await store.write(lambda tx: create.personal(tx, SYSTEM, amy, address))

    def public(tx: Tx, name: str, userids: Sequence[str]) -> MailboxId:
        given = Users(tuple(made.members[each] for each in userids))
        at = addresses.parse_new(f"{name[:3].lower() or 'x'}@corp.example")
        return create.public(tx, SYSTEM, made.id, at, name=name, users=given)

    for name, userids in (("", ["amy"]), ("x" * 65, ["amy"]), ("New", [])):
        with pytest.raises(InvalidValue):
            await store.write(lambda tx, n=name, u=userids: public(tx, n, u))  # type: ignore[misc]  # a lambda's default
    third = await store.write(lambda tx: public(tx, "New", ["amy"]))
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, third, MailboxStatus.DISABLED))
    with pytest.raises(PublicMailboxLimit, match=r"\(3\)"):
        await store.write(lambda tx: public(tx, "One more", ["amy"]))


async def test_headlines_come_newest_first_and_page_by_page(store: Store) -> None:
    folder = await inbox(store, (await make.organisation(store)).mailboxes["amy"])
    for number in range(5):
        octets = make.mail(subject=f"No. {number}")
        await store.write(lambda tx, octets=octets: make.appended(tx, folder, octets))  # type: ignore[misc]  # a lambda's default
    first = await store.read(lambda tx: read.headlines(tx, folder, limit=3))
    rest = await store.read(lambda tx: read.headlines(tx, folder, before=first[-1].mail.uid, limit=3))
    assert [each.subject for each in (*first, *rest)] == ["No. 4", "No. 3", "No. 2", "No. 1", "No. 0"]
    assert (first[0].sender, first[0].preview, first[0].attachments) == (
        "Bob Li <bob@out.example>",
        "Hi Amy,\nsee you.",
        (),
    )


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    folder = await inbox(store, (await make.organisation(store)).mailboxes["amy"])
    gone = FolderId(999)
    for work in (
        lambda tx: read.mail(tx, folder, Uid(1)),
        lambda tx: read.mailbox(tx, MailboxId(999)),
        lambda tx: read.changes(tx, gone, since=Modseq(0)),
        lambda tx: change.mark(tx, gone, ((1, 1),), How.ADD, Marks(SEEN)),
        lambda tx: change.copy(tx, gone, ((1, 1),), into=folder),
        lambda tx: change.move(tx, folder, ((1, 1),), into=gone),
        lambda tx: change.expunge(tx, gone),
        lambda tx: make.appended(tx, gone),
    ):
        with pytest.raises(NotFound):
            await store.write(work)


async def test_many_mails_are_changed_at_once(store: Store) -> None:
    folder = await inbox(store, (await make.organisation(store)).mailboxes["amy"])
    uids = await put(store, folder, 1200)
    await store.write(lambda tx: change.mark(tx, folder, ranges(uids), How.ADD, Marks(SEEN | DELETED)))
    assert (await store.read(lambda tx: make.folder(tx, MailboxId(1)))).unseen == 0
    assert len(await store.write(lambda tx: change.expunge(tx, folder, ranges(uids[:1100])))) == 1100
    assert await store.read(lambda tx: counters(tx, folder)) == (100, 0)
