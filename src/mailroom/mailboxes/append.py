# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Putting mails into folders: the one place that gives out UIDs and changes quotas and counters upwards."""

from __future__ import annotations

from typing import NoReturn

from mailroom.core.errors import MailboxDisabled, NotFound, OverQuota
from mailroom.core.ids import ContentId, FolderId, MailboxId
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import NO_FLAGS, Flag, FolderRole, MailboxStatus, Placed, topic
from mailroom.storage.ports import Tx


def append(
    tx: Tx,
    content_id: ContentId,
    *,
    into: FolderId,
    size: int,
    flags: Flag = NO_FLAGS,
    keywords: frozenset[str] = frozenset(),
    internal_date: int,
    envelope_from: str = "",
) -> Placed:
    """Put a mail at the end of a folder, and charge its mailbox. The content must count this mail among its `refs`
    already. Raises `NotFound`, `MailboxDisabled`, `OverQuota`.
    """
    mailbox_id = queries.mailbox_of(tx, into)
    if mailbox_id is None:
        raise NotFound(what="folder", name=str(into))
    charge(tx, mailbox_id, size)
    placed = queries.next_uids(tx, into, 1, unseen=0 if Flag.SEEN in flags else 1)
    queries.add_mail(
        tx,
        placed,
        content_id,
        flags=flags,
        keywords=keywords,
        size=size,
        internal_date=internal_date,
        envelope_from=envelope_from,
    )
    tx.hint(topic(mailbox_id))
    return placed


def deliver(
    tx: Tx, content_id: ContentId, mailbox_id: MailboxId, *, role: FolderRole, size: int, envelope_from: str
) -> Placed:
    """Put a new mail into the mailbox's folder of that role, as arrived now and unseen. Raises as `append` does.

    The last mail may pass the quota. Its room was asked for at RCPT, by a size that the client need not have told: were
    it refused now, one mailbox that is nearly full would keep the mail from all its other recipients, at each retry.
    """
    if not queries.charge_last(tx, mailbox_id, size):
        _refuse(tx, mailbox_id)
    placed = queries.next_uid_by_role(tx, mailbox_id, role)
    queries.add_mail(
        tx,
        placed,
        content_id,
        flags=NO_FLAGS,
        keywords=frozenset(),
        size=size,
        internal_date=tx.now,
        envelope_from=envelope_from,
    )
    tx.hint(topic(mailbox_id))
    return placed


def charge(tx: Tx, mailbox_id: MailboxId, size: int) -> None:
    """Count `size` octets more against the mailbox's quota. Raises `OverQuota`, `MailboxDisabled`, `NotFound`."""
    if not queries.charge(tx, mailbox_id, size):
        _refuse(tx, mailbox_id)


def _refuse(tx: Tx, mailbox_id: MailboxId) -> NoReturn:
    mailbox = queries.mailbox(tx, mailbox_id)
    if mailbox is None:
        raise NotFound(what="mailbox", name=str(mailbox_id))
    if mailbox.status is not MailboxStatus.ACTIVE:
        raise MailboxDisabled(address=mailbox.name)
    raise OverQuota
