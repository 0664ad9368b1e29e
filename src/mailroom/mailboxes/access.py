# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The one door to a mailbox."""

from __future__ import annotations

from mailroom.core.errors import NotFound
from mailroom.core.ids import FolderId, MailboxId
from mailroom.directory import access, addresses
from mailroom.directory.addresses import Address
from mailroom.directory.model import Member
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import Folder, Mailbox, MailboxStatus
from mailroom.storage.ports import Tx


def open_mailbox(tx: Tx, actor: Member, mailbox_id: MailboxId) -> Mailbox:
    """The mailbox, if `actor` may read and change its mail. Raises `NotFound`: not yours looks like not there."""
    mailbox = queries.mailbox(tx, mailbox_id)
    if (
        mailbox is None
        or mailbox.status is not MailboxStatus.ACTIVE
        or mailbox_id not in access.mailboxes_of(tx, actor.id)
    ):
        raise NotFound(what="mailbox", name=str(mailbox_id))
    return mailbox


def open_folder(tx: Tx, actor: Member, folder_id: FolderId) -> Folder:
    """The folder, if `actor` may read and change its mail. Raises `NotFound`, in the same words for not yours."""
    folder = queries.folder(tx, folder_id)
    if folder is None:
        raise NotFound(what="folder", name=str(folder_id))
    try:
        open_mailbox(tx, actor, folder.mailbox_id)
    except NotFound as not_yours:
        raise NotFound(what="folder", name=str(folder_id)) from not_yours
    return folder


def by_address(tx: Tx, address: Address) -> Mailbox:
    """The mailbox that answers to an address, whoever asks: for administrators. Raises `NotFound`."""
    lease = addresses.resolve(tx, address)
    mailbox = queries.mailbox(tx, lease.mailbox_id) if lease and lease.mailbox_id else None
    if mailbox is None:
        raise NotFound(what="mailbox", name=str(address))
    return mailbox
