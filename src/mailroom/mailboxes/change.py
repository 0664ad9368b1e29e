# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Changing mails where they lie: flags, copy, move, expunge. Every change raises the folder's modseq once and gives
the new number to all it concerns, so that views catch up with one query. Locks come first, in the order that
`queries.lock` lays down: on PostgreSQL two changes of one mail would else overwrite each other.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from mailroom.core.ids import FolderId, Uid
from mailroom.mailboxes import append, contents, queries
from mailroom.mailboxes.model import Flag, Mail, topic
from mailroom.storage.ports import Tx


class How(enum.Enum):
    """What to do with the named flags (RFC 9051 §6.4.6)."""

    ADD = "+"
    REMOVE = "-"
    REPLACE = "="


@dataclass(frozen=True, slots=True)
class Marks:
    """Flags and keywords together."""

    flags: Flag
    keywords: frozenset[str] = frozenset()


def mark(tx: Tx, folder_id: FolderId, uids: Sequence[Uid], how: How, marks: Marks) -> Sequence[Mail]:
    """Change the flags of the mails that are there; the ones that really changed, as they are now."""
    mailbox_id = queries.lock_folder(tx, folder_id)
    before = queries.mails(tx, folder_id, uids)
    after = [(mail, _changed(mail, how, marks)) for mail in before]
    changed = [(mail, new) for mail, new in after if (mail.flags, mail.keywords) != (new.flags, new.keywords)]
    if not changed:
        return []
    unseen = sum(_unseen(new.flags) - _unseen(mail.flags) for mail, new in changed)
    modseq = queries.touch(tx, folder_id, mails=0, unseen=unseen)
    queries.change_marks(tx, folder_id, modseq, [(mail.uid, new.flags, new.keywords) for mail, new in changed])
    tx.hint(topic(mailbox_id))
    return queries.mails(tx, folder_id, [mail.uid for mail, _ in changed])


def _changed(mail: Mail, how: How, marks: Marks) -> Marks:
    match how:
        case How.ADD:
            return Marks(mail.flags | marks.flags, mail.keywords | marks.keywords)
        case How.REMOVE:
            return Marks(mail.flags & ~marks.flags, mail.keywords - marks.keywords)
        case How.REPLACE:
            return marks


def _unseen(flags: Flag) -> int:
    return 0 if Flag.SEEN in flags else 1


def copy(tx: Tx, folder_id: FolderId, uids: Sequence[Uid], *, into: FolderId) -> dict[Uid, Uid]:
    """Copy the mails that are there; the old UIDs with their new ones, in the order of the old. Contents are shared.
    Raises `OverQuota`, `MailboxDisabled`, `NotFound` for the target; then nothing is copied.
    """
    _, mailbox_id = queries.lock(tx, folder_id, into)
    mails = queries.mails(tx, folder_id, uids)
    if not mails:
        return {}
    append.charge(tx, mailbox_id, sum(mail.size for mail in mails))
    _share(tx, mails, by=1)
    new = _transfer(tx, mails, into)
    tx.hint(topic(mailbox_id))
    return new


def _share(tx: Tx, mails: Sequence[Mail], *, by: int) -> None:
    for content_id in sorted(mail.content_id for mail in mails):
        contents.share(tx, content_id, by=by)


def _transfer(tx: Tx, mails: Sequence[Mail], into: FolderId) -> dict[Uid, Uid]:
    last = queries.next_uids(tx, into, len(mails), unseen=sum(_unseen(mail.flags) for mail in mails))
    first = last.uid - len(mails) + 1
    new = {mail.uid: Uid(first + place) for place, mail in enumerate(mails)}
    queries.copy_mails(tx, mails[0].folder_id, into, last.modseq, new)
    return new


def move(tx: Tx, folder_id: FolderId, uids: Sequence[Uid], *, into: FolderId) -> dict[Uid, Uid]:
    """Move the mails that are there (RFC 6851); the old UIDs with their new ones. Within one mailbox the quota is not
    asked. Raises as `copy` does.
    """
    source, target = queries.lock(tx, folder_id, into)
    mails = queries.mails(tx, folder_id, uids)
    if not mails:
        return {}
    if source != target:
        size = sum(mail.size for mail in mails)
        append.charge(tx, target, size)
        queries.discharge(tx, source, size)
    new = _transfer(tx, mails, into)
    _remove(tx, folder_id, mails)
    tx.hint(topic(source))
    tx.hint(topic(target))
    return new


def expunge(tx: Tx, folder_id: FolderId, uids: Sequence[Uid] | None = None) -> Sequence[Uid]:
    """Remove for good the mails marked as deleted (only those among `uids`, if given: RFC 4315); their UIDs. What shows
    a content last takes it along.
    """
    [mailbox_id] = queries.lock(tx, folder_id)
    named = None if uids is None else frozenset(uids)
    mails = [mail for mail in queries.deleted_mails(tx, folder_id) if named is None or mail.uid in named]
    if not mails:
        return []
    _remove(tx, folder_id, mails)
    _share(tx, mails, by=-1)
    queries.discharge(tx, mailbox_id, sum(mail.size for mail in mails))
    tx.hint(topic(mailbox_id))
    return [mail.uid for mail in mails]


def _remove(tx: Tx, folder_id: FolderId, mails: Sequence[Mail]) -> None:
    modseq = queries.touch(tx, folder_id, mails=-len(mails), unseen=-sum(_unseen(mail.flags) for mail in mails))
    queries.remove_mails(tx, folder_id, modseq, [mail.uid for mail in mails])
