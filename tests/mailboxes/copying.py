# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mailbox with a tree of mails, another to copy it into, and what lies in both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import bindparam, func, select

from mailroom.core import ids
from mailroom.core.ids import ContentId, FolderId, JobId, MailboxId, Modseq
from mailroom.directory.model import SYSTEM
from mailroom.events import jobs
from mailroom.events.jobs import Job
from mailroom.mailboxes import backup, change, folders, read
from mailroom.mailboxes.backup import Backups
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import NO_FLAGS, Flag, Folder, Mail, Marks
from mailroom.mailboxes.uids import ranges
from mailroom.runtime.workers import Work
from mailroom.storage import schema
from mailroom.storage.ports import Hints, Store, Tx
from tests import make
from tests.cut import Cut, Short

T = TypeVar("T")

_REFS = select(schema.contents.c.id, schema.contents.c.refs, func.count(schema.mails.c.uid)).select_from(
    schema.contents.outerjoin(schema.mails, schema.mails.c.content_id == schema.contents.c.id)
)
_REFS = _REFS.group_by(schema.contents.c.id, schema.contents.c.refs)
_SENT_BY = select(schema.mails.c.sent_by, schema.mails.c.envelope_from).where(
    schema.mails.c.folder_id == bindparam("folder_id")
)

Said = tuple[ContentId, Flag, frozenset[str], int, int]
"""Content, flags, keywords, size, internal date of a mail: what a copy shares with it."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Amy's mailbox, which is copied into Bob's."""

    store: Store
    made: make.Organisation

    @property
    def amy(self) -> MailboxId:
        return self.made.mailboxes["amy"]

    @property
    def bob(self) -> MailboxId:
        return self.made.mailboxes["bob"]

    async def folder(self, name: str, mailbox_id: MailboxId | None = None) -> FolderId:
        """The folder of that name in Amy's mailbox; made, unless it is there."""

        def work(tx: Tx) -> FolderId:
            found = folders.by_name(tx, mailbox_id or self.amy, name)
            return found.id if found else folders.create(tx, mailbox_id or self.amy, name)

        return await self.store.write(work)

    async def put(
        self,
        name: str,
        *subjects: str,
        flags: Flag = NO_FLAGS,
        keywords: Sequence[str] = (),
        into: MailboxId | None = None,
    ) -> FolderId:
        """Mails with these subjects in a folder of Amy's."""
        folder_id = await self.folder(name, into)

        def work(tx: Tx) -> None:
            for subject in subjects:
                make.appended(tx, folder_id, make.mail(subject=subject), flags=flags, keywords=keywords)

        await self.store.write(work)
        return folder_id

    async def start(self, source: MailboxId | None = None, target: MailboxId | None = None) -> Job:
        """Ask for a backup of Amy's mailbox into Bob's."""
        return await self.store.write(lambda tx: backup.start(tx, SYSTEM, source or self.amy, target or self.bob))

    def work(self, *, at_once: int = 3) -> Work:
        """A worker that copies few mails at once."""
        return Work(self.store, {backup.KIND: Backups(self.store, at_once)}, ids.new)

    async def run(self, job: Job | None = None, *, at_once: int = 3) -> Job:
        """Have a backup done, and see what came of it."""
        job = job or await self.start()
        while await self.work(at_once=at_once).once():
            pass
        return await self.job(job.id)

    async def job(self, job_id: JobId) -> Job:
        return await self.store.read(lambda tx: jobs.get(tx, job_id))

    async def tree(self, mailbox_id: MailboxId | None = None) -> dict[str, list[Said]]:
        """What lies in a mailbox (Bob's), by folder."""
        return await self.store.read(lambda tx: tree(tx, mailbox_id or self.bob))

    async def copies(self, root: str) -> dict[str, list[Said]]:
        """What lies below a folder of Bob's, by the names that its folders have in Amy's mailbox."""
        found = await self.tree()
        return {name.removeprefix(f"{root}/"): said for name, said in found.items() if name.startswith(f"{root}/")}

    async def originals(self) -> dict[str, list[Said]]:
        """What of Amy's is to be copied."""
        found = await self.tree(self.amy)
        return {name: said for name, said in found.items() if name.partition("/")[0] not in {"Trash", "Junk"}}

    async def expunge(self, folder_id: FolderId, *uids: int) -> None:
        def work(tx: Tx) -> None:
            change.mark(tx, folder_id, ranges(uids), How.ADD, Marks(Flag.DELETED))
            change.expunge(tx, folder_id, ranges(uids))

        await self.store.write(work)

    async def is_sound(self) -> bool:
        """Whether every count in the store is right."""
        return await self.store.read(_is_sound)


class Died(BaseException):
    """The process is gone: nothing catches that."""


@dataclass
class Dying:
    """A store whose process dies after so many statements: within a transaction, or right after one."""

    store: Store
    left: int

    @property
    def hints(self) -> Hints:
        return self.store.hints

    async def write(self, work: Callable[[Tx], T]) -> T:
        def until_the_end(tx: Tx) -> tuple[T, int]:
            short = Short(tx, self.left)
            return work(short), short.left

        try:
            result, self.left = await self.store.write(until_the_end)
        except Cut as cut:
            raise Died from cut
        if not self.left:
            raise Died
        return result

    async def read(self, work: Callable[[Tx], T]) -> T:
        return await self.store.read(work)

    async def glance(self, work: Callable[[Tx], T]) -> T:
        return await self.store.glance(work)

    async def close(self) -> None:
        """The other one's is open still."""


async def desk(store: Store) -> Desk:
    """Amy, Bob, Carol, and the public mailbox sales."""
    return Desk(store, await make.organisation(store, public={"sales": ["carol"]}))


async def furnished(store: Store) -> Desk:
    """The same; Amy has mails in a tree of folders."""
    found = await desk(store)
    await found.put("INBOX", *(f"in {number}" for number in range(8)))
    await found.put("INBOX", "read", flags=Flag.SEEN | Flag.ANSWERED, keywords=["$Forwarded", "Work"])
    await found.put("INBOX/Club", "club")
    await found.put("Sent", "sent", flags=Flag.SEEN)
    await found.put("Drafts", "draft", flags=Flag.DRAFT)
    await found.put("项目/2026/Q1", "plan 计划", "plan 2", flags=Flag.FLAGGED)
    await found.folder("Empty")
    await found.put("Trash", "thrown away")
    await found.put("Trash/Old", "long ago")
    await found.put("Junk", "junk")
    return found


def tree(tx: Tx, mailbox_id: MailboxId) -> dict[str, list[Said]]:
    return {folder.name: [said(mail) for mail in mails(tx, folder)] for folder in read.folders(tx, mailbox_id)}


def mails(tx: Tx, folder: Folder) -> Sequence[Mail]:
    return read.changes(tx, folder.id, since=Modseq(0)).changed


def said(mail: Mail) -> Said:
    return mail.content_id, mail.flags, mail.keywords, mail.size, mail.internal_date


def contents_of(found: Mapping[str, list[Said]]) -> Counter[ContentId]:
    """How often each content is there."""
    return Counter(one[0] for each in found.values() for one in each)


def senders(tx: Tx, folder_id: FolderId) -> list[tuple[int | None, str]]:
    return [(row[0], row[1]) for row in tx.all(_SENT_BY, folder_id=folder_id)]


def _is_sound(tx: Tx) -> bool:
    for mailbox in read.mailboxes(tx):
        used = 0
        for folder in read.folders(tx, mailbox.id):
            there = mails(tx, folder)
            unseen = sum(1 for mail in there if Flag.SEEN not in mail.flags)
            size = sum(mail.size for mail in there)
            used += size
            if (folder.mails, folder.unseen, folder.size) != (len(there), unseen, size):
                return False
        if mailbox.used != used:
            return False
    return all(refs == shown for _, refs, shown in tx.all(_REFS))
