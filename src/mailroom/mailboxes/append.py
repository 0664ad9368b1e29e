# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Putting mails into folders: the one place that gives out UIDs and changes quotas and counters upwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NoReturn

from mailroom.core.errors import MailboxDisabled, NotFound, OverQuota, TooMany
from mailroom.core.ids import ContentId, FolderId, MailboxId, MemberId
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import NO_MARKS, Flag, Folder, FolderRole, MailboxStatus, Marks, Placed, topic
from mailroom.storage.ports import Tx

KEYWORDS_MOST = 200  # that one folder gets to know


def append(
    tx: Tx,
    content_id: ContentId,
    *,
    into: FolderId,
    size: int,
    marks: Marks = NO_MARKS,
    internal_date: int,
    envelope_from: str = "",
    sent_by: MemberId | None = None,
) -> Placed:
    """Put a mail at the end of a folder, and charge its mailbox. The content must count this mail among its `refs`
    already. Raises `NotFound`, `MailboxDisabled`, `OverQuota`, `TooMany` (keywords).
    """
    mailbox_id = queries.folders.mailbox_of(tx, into)
    if mailbox_id is None:
        raise NotFound(what="folder", name=str(into))
    charge(tx, mailbox_id, size)
    unseen = 0 if Flag.SEEN in marks.flags else 1
    placed = queries.folders.next_uids(tx, into, 1, unseen=unseen, octets=size)
    queries.mails.add(
        tx,
        placed,
        content_id,
        replace(marks, keywords=note(tx, into, marks.keywords)),
        size=size,
        internal_date=internal_date,
        envelope_from=envelope_from,
        sent_by=sent_by,
    )
    tx.hint(topic(mailbox_id))
    return placed


def hold(tx: Tx, *mailbox_ids: MailboxId) -> None:
    """Lock the mailboxes in their order, for who is to put mails into them in another."""
    queries.mailboxes.lock(tx, *mailbox_ids)


def deliver(
    tx: Tx, content_id: ContentId, mailbox_id: MailboxId, *, role: FolderRole, size: int, envelope_from: str
) -> Placed:
    """Put a new mail into the mailbox's folder of that role, as arrived now and unseen. Raises as `append` does.

    The last mail may pass the quota. Its room was asked for at RCPT, by a size that the client need not have told: were
    it refused now, one mailbox that is nearly full would keep the mail from all its other recipients, at each retry.
    """
    if not queries.mailboxes.charge_last(tx, mailbox_id, size):
        _refuse(tx, mailbox_id)
    placed = queries.folders.next_uid_by_role(tx, mailbox_id, role, octets=size)
    return _arrived(tx, placed, content_id, mailbox_id, size=size, envelope_from=envelope_from)


def deliver_into(
    tx: Tx, content_id: ContentId, folder: Folder, *, marks: Marks, size: int, envelope_from: str
) -> Placed:
    """Put a new mail into this folder, marked so; else as `deliver`. Keywords are left out where there are too many."""
    if not queries.mailboxes.charge_last(tx, folder.mailbox_id, size):
        _refuse(tx, folder.mailbox_id)
    placed = queries.folders.next_uids(tx, folder.id, 1, unseen=0 if Flag.SEEN in marks.flags else 1, octets=size)
    try:
        marks = replace(marks, keywords=note(tx, folder.id, marks.keywords))
    except TooMany:
        marks = replace(marks, keywords=frozenset())
    return _arrived(tx, placed, content_id, folder.mailbox_id, marks=marks, size=size, envelope_from=envelope_from)


def _arrived(
    tx: Tx,
    placed: Placed,
    content_id: ContentId,
    mailbox_id: MailboxId,
    *,
    marks: Marks = NO_MARKS,
    size: int,
    envelope_from: str,
) -> Placed:
    queries.mails.add(
        tx,
        placed,
        content_id,
        marks,
        size=size,
        internal_date=tx.now,
        envelope_from=envelope_from,
        sent_by=None,
    )
    tx.hint(topic(mailbox_id))
    return placed


def charge(tx: Tx, mailbox_id: MailboxId, size: int) -> None:
    """Count `size` octets more against the mailbox's quota. Raises `OverQuota`, `MailboxDisabled`, `NotFound`."""
    if not queries.mailboxes.charge(tx, mailbox_id, size):
        _refuse(tx, mailbox_id)


def note(tx: Tx, folder_id: FolderId, keywords: Iterable[str]) -> frozenset[str]:
    """Let the folder know the keywords, each as it was first spelt; they themselves, as rows hold them. Raises
    `TooMany`.
    """
    spelt = {keyword.lower(): keyword for keyword in keywords}
    if spelt:
        known = queries.folders.keywords(tx, folder_id)
        if len(known | spelt) > KEYWORDS_MOST:
            raise TooMany(what="keywords", limit=KEYWORDS_MOST)
        queries.folders.add_keywords(tx, folder_id, {low: spelt[low] for low in sorted(spelt.keys() - known)})
    return frozenset(spelt)


def _refuse(tx: Tx, mailbox_id: MailboxId) -> NoReturn:
    mailbox = queries.mailboxes.mailbox(tx, mailbox_id)
    if mailbox is None:
        raise NotFound(what="mailbox", name=str(mailbox_id))
    if mailbox.status is not MailboxStatus.ACTIVE:
        raise MailboxDisabled(address=mailbox.name)
    raise OverQuota
