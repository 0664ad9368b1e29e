# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Removing mailboxes for good: by hand, or when their time in the recycle bin is over.

A job does it, some hundred mails at a time; the mailbox itself and its addresses go last, in one transaction. Whoever
takes one of the addresses then begins with nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from mailroom.core.clock import DAY
from mailroom.core.ids import EntryId, MailboxId
from mailroom.directory import audit, rights
from mailroom.directory.model import SYSTEM, Actor
from mailroom.events import jobs
from mailroom.events.jobs import Held, Job
from mailroom.mailboxes import contents, copying, queries, recycle
from mailroom.mailboxes.model import Entry, EntryState, Folder
from mailroom.storage.ports import Store, Tx

KIND: Final = "purge"
_AT_ONCE: Final = 500  # rows of one transaction
_STARTS_MOST: Final = 1_000  # of one look
_KEPT: Final = 180 * DAY  # the row of what has gone, for the log


def start(tx: Tx, by: Actor, mailbox_id: MailboxId) -> Job:
    """Remove a mailbox that waits in the bin, for good; from the commit on nothing brings it back. Raises
    `NoPermission`, `NotFound`, `NotInBin`, `InUse` (it is being copied).
    """
    rights.over_all(by)
    recycle.hold(tx, mailbox_id)
    entry = recycle.waiting(tx, mailbox_id)
    copying.ask_idle(tx, mailbox_id)
    return _start(tx, by, entry)


def look(tx: Tx, due_before: Collection[EntryId]) -> frozenset[EntryId]:
    """Start to purge what is due now and was due at the look before too: a clock that had jumped ahead was put right
    meanwhile. What somebody is still copying waits. See to it that every purge goes on. What is due now.
    """
    due = [entry.id for entry in queries.recycled.due(tx, limit=_STARTS_MOST)]
    for entry_id in due:
        if entry_id in due_before:
            _start_due(tx, entry_id)
    at_work = {job.task["entry_id"] for job in jobs.pending(tx, KIND)}
    for entry in queries.recycled.purging(tx):
        if entry.id not in at_work:  # its job was cancelled, or has failed
            _enqueue(tx, SYSTEM, entry)
    queries.recycled.forget(tx, before=tx.now - _KEPT)
    return frozenset(due)


def _start_due(tx: Tx, entry_id: EntryId) -> None:
    entry = queries.recycled.entry(tx, entry_id)
    if entry is not None and queries.mailboxes.lock(tx, entry.mailbox_id):
        now = queries.recycled.of(tx, entry.mailbox_id)  # another may have been before us
        if now is not None and now.state is EntryState.EXPIRED and not copying.job(tx, entry.mailbox_id):
            _start(tx, SYSTEM, now)


def _start(tx: Tx, by: Actor, entry: Entry) -> Job:
    queries.recycled.purge(tx, entry.id)
    before = {"source": entry.source.value, "userid": entry.userid, "entered_at": entry.entered_at}
    audit.record(tx, by, "bin.purge", entry.address, before=before, mailbox_id=entry.mailbox_id)
    return _enqueue(tx, by, entry)


def _enqueue(tx: Tx, by: Actor, entry: Entry) -> Job:
    task = {"entry_id": entry.id, "mailbox_id": entry.mailbox_id}
    total = queries.recycled.count_mails(tx, entry.mailbox_id)
    return jobs.start(tx, KIND, task, by=str(by), subject=entry.address, total=total)


@dataclass(frozen=True, slots=True)
class Purge:
    """Does the job."""

    store: Store
    at_once: int = _AT_ONCE

    async def advance(self, held: Held) -> Held | None:
        """See `jobs.Worker`."""
        return await self.store.write(partial(_go_on, held=held, room=self.at_once))


def _go_on(tx: Tx, *, held: Held, room: int) -> Held | None:
    mailbox_id = MailboxId(held.job.task["mailbox_id"])
    if queries.mailboxes.lock(tx, mailbox_id):
        removed, is_empty = _empty(tx, mailbox_id, room)
        held = jobs.progress(tx, held, finished=held.job.finished + removed)
        if not is_empty:
            return held
        queries.recycled.drop(tx, mailbox_id)
        queries.recycled.end(tx, EntryId(held.job.task["entry_id"]), EntryState.EXPIRED)
    jobs.finish(tx, held)
    return None


def _empty(tx: Tx, mailbox_id: MailboxId, room: int) -> tuple[int, bool]:
    """Take away what the mailbox holds, up to `room` rows: how many mails that were, and whether nothing is left."""
    removed = 0
    for folder in queries.folders.folders(tx, mailbox_id):
        mails = _take(tx, folder, limit=room)
        removed += mails
        room -= mails
        room -= queries.recycled.drop_expunged(tx, folder.id, limit=room) if room else 0
        if not room:
            return removed, False
        queries.recycled.drop_marks(tx, folder.id)
        queries.folders.remove(tx, folder.id)
        room -= 1
        if not room:
            return removed, False
    return removed, True


def _take(tx: Tx, folder: Folder, *, limit: int) -> int:
    mails = queries.recycled.some_mails(tx, folder.id, limit=limit)
    if mails:
        size, unseen = sum(mail[2] for mail in mails), sum(1 for mail in mails if not mail[3] & 1)
        queries.folders.touch(tx, folder.id, mails=-len(mails), unseen=-unseen, octets=-size)
        queries.mailboxes.discharge(tx, folder.mailbox_id, size)
        queries.recycled.drop_mails(tx, folder.id, last=mails[-1][0])
        contents.share_all(tx, [mail[1] for mail in mails], by=-1)
    return len(mails)
