# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Making mailboxes and folders."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.errors import AliasLimit, InvalidValue, MemberHasMailbox, NameTaken, PublicMailboxLimit
from mailroom.core.ids import FolderId, MailboxId, OrganisationId
from mailroom.directory import access, addresses, domains, members
from mailroom.directory.addresses import Address
from mailroom.directory.model import AddressRole, Member, Role
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import FIRST_FOLDERS, FolderRole, MailboxKind
from mailroom.storage.ports import Conflict, Tx

PUBLIC_MOST = 3
ALIASES_MOST = 5
_NAME_MOST = 64
_FOLDER_NAME_MOST = 255


def personal(tx: Tx, owner: Member, address: Address) -> MailboxId:
    """Make the member's own mailbox. Raises `MemberHasMailbox`, `AddressTaken`, `NotFound` (no such domain)."""
    try:
        mailbox_id = queries.add_mailbox(tx, owner.organisation_id, MailboxKind.PERSONAL, owner.name, owner.id)
    except Conflict as taken:
        raise MemberHasMailbox(userid=owner.userid) from taken
    return _furnish(tx, mailbox_id, address)


def member(
    tx: Tx,
    organisation_id: OrganisationId,
    userid: str,
    *,
    name: str,
    password_hash: str,
    role: Role,
    address: str = "",
) -> Member:
    """Add a member together with his mailbox. Its address, unless given, is the userid at the first domain that works,
    or else at the first that there is. Raises as `members.add` and `personal` do.
    """
    added = members.add(tx, organisation_id, userid, name=name, password_hash=password_hash, role=role)
    known = domains.every(tx)
    if not address and known:
        first = next((domain for domain in known if domain.state.works), known[0])
        address = f"{userid}@{first.name}"
    if address:
        personal(tx, added, addresses.parse_new(address))
    return added


def public(
    tx: Tx, organisation_id: OrganisationId, address: Address, *, name: str, users: Sequence[Member]
) -> MailboxId:
    """Make a mailbox that several members use.

    Raises `InvalidValue`, `PublicMailboxLimit`, `AddressTaken`, `NotFound` (no such domain).
    """
    if not name.strip() or len(name) > _NAME_MOST or not name.isprintable():
        raise InvalidValue(name="name", reason=f"1 to {_NAME_MOST} printable characters")
    if not users:
        raise InvalidValue(name="user", reason="a public mailbox has at least one user")
    if queries.count_public(tx, organisation_id) >= PUBLIC_MOST:
        raise PublicMailboxLimit(limit=PUBLIC_MOST)
    mailbox_id = queries.add_mailbox(tx, organisation_id, MailboxKind.PUBLIC, name.strip(), None)
    for member in users:
        access.grant(tx, mailbox_id, member.id)
    return _furnish(tx, mailbox_id, address)


def _furnish(tx: Tx, mailbox_id: MailboxId, address: Address) -> MailboxId:
    addresses.take(tx, address, mailbox_id, AddressRole.PRIMARY)
    for role, name in FIRST_FOLDERS.items():
        queries.add_folder(tx, mailbox_id, name, role)
    return mailbox_id


def alias(tx: Tx, mailbox_id: MailboxId, address: Address) -> None:
    """Let the mailbox answer to one more address. Raises `AliasLimit`, `AddressTaken`, `NotFound`."""
    if len(addresses.aliases(tx, mailbox_id)) >= ALIASES_MOST:
        raise AliasLimit(address=addresses.primary(tx, mailbox_id), limit=ALIASES_MOST)
    addresses.take(tx, address, mailbox_id, AddressRole.ALIAS)


def folder(tx: Tx, mailbox_id: MailboxId, name: str) -> FolderId:
    """Make a folder; `name` is its whole path, parts joined by "/". Raises `InvalidValue`, `NameTaken`."""
    parts = name.split("/")
    if len(name) > _FOLDER_NAME_MOST or not name.isprintable() or not all(part.strip() == part != "" for part in parts):
        raise InvalidValue(name="folder", reason=f"1 to {_FOLDER_NAME_MOST} printable characters, no empty parts")
    if name.upper() == "INBOX":
        raise NameTaken(what="folder", name=name)
    try:
        return queries.add_folder(tx, mailbox_id, name, FolderRole.OWN)
    except Conflict as taken:
        raise NameTaken(what="folder", name=name) from taken
