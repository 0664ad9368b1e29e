# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The one door to a mailbox."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.errors import NotFound
from mailroom.core.ids import FolderId, MailboxId
from mailroom.directory import access, addresses
from mailroom.directory.addresses import Address
from mailroom.directory.model import Actor, Member, Principal
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import Folder, Mailbox, MailboxKind, MailboxStatus
from mailroom.storage.ports import Tx


def open_mailbox(tx: Tx, actor: Member, mailbox_id: MailboxId) -> Mailbox:
    """The mailbox, if `actor` may read and change its mail. Raises `NotFound`: not yours looks like not there."""
    mailbox = queries.mailboxes.mailbox(tx, mailbox_id)
    if mailbox is None or mailbox.status is not MailboxStatus.ACTIVE or not access.uses(tx, actor.id, mailbox_id):
        raise NotFound(what="mailbox", name=str(mailbox_id))
    return mailbox


def open_folder(tx: Tx, actor: Member, folder_id: FolderId) -> Folder:
    """The folder, if `actor` may read and change its mail. Raises `NotFound`, in the same words for not yours."""
    folder = queries.folders.folder(tx, folder_id)
    if folder is None:
        raise NotFound(what="folder", name=str(folder_id))
    try:
        open_mailbox(tx, actor, folder.mailbox_id)
    except NotFound as not_yours:
        raise NotFound(what="folder", name=str(folder_id)) from not_yours
    return folder


def administered(tx: Tx, by: Actor, kind: MailboxKind | None = None) -> Sequence[Mailbox]:
    """The mailboxes in use, all or those of a kind, that `by` administers; the oldest first."""
    return queries.mailboxes.in_use(tx, None if by.governs_all else by.domains, kind)


def by_address(tx: Tx, address: Address) -> Mailbox:
    """The mailbox that answers to an address, whoever asks: for administrators. Raises `NotFound`."""
    lease = addresses.resolve(tx, address)
    mailbox = queries.mailboxes.mailbox(tx, lease.mailbox_id) if lease and lease.mailbox_id else None
    if mailbox is None:
        raise NotFound(what="mailbox", name=str(address))
    return mailbox


def reachable(tx: Tx, principal: Principal) -> Sequence[Mailbox]:
    """The mailboxes that a mail program may use now, the one that it has signed in to first; none when that has ended:
    the mailbox or the member was disabled, or the mailbox given to another, or the client password taken back.
    """
    member_id = None if principal.member is None else principal.member.id
    found = queries.mailboxes.reachable(tx, principal.mailbox_id, member_id, principal.client_password)
    own = [mailbox for mailbox in found if mailbox.id == principal.mailbox_id]
    return found if own and own[0].owner_id == member_id else ()
