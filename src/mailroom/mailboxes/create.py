# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Making mailboxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mailroom.core.errors import AliasLimit, InvalidValue, MemberHasMailbox, PublicMailboxLimit
from mailroom.core.ids import MailboxId, OrganisationId
from mailroom.directory import access, addresses, domains, members
from mailroom.directory.addresses import Address
from mailroom.directory.model import AddressRole, Member, Role, Verifiers
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import FIRST_FOLDERS, MailboxKind
from mailroom.storage.ports import Conflict, Tx

PUBLIC_MOST = 3
ALIASES_MOST = 5
_NAME_MOST = 64


def personal(tx: Tx, owner: Member, address: Address) -> MailboxId:
    """Make the member's own mailbox. Raises `MemberHasMailbox`, `AddressTaken`, `NotFound` (no such domain)."""
    try:
        mailbox_id = queries.mailboxes.add(tx, owner.organisation_id, MailboxKind.PERSONAL, owner.name, owner.id)
    except Conflict as taken:
        raise MemberHasMailbox(userid=owner.userid) from taken
    return _furnish(tx, mailbox_id, address)


def member(
    tx: Tx,
    organisation_id: OrganisationId,
    userid: str,
    *,
    name: str,
    password_hash: Verifiers | Literal[""],
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
    if queries.mailboxes.count_public(tx, organisation_id) >= PUBLIC_MOST:
        raise PublicMailboxLimit(limit=PUBLIC_MOST)
    mailbox_id = queries.mailboxes.add(tx, organisation_id, MailboxKind.PUBLIC, name.strip(), None)
    for member in users:
        access.grant(tx, mailbox_id, member.id)
    return _furnish(tx, mailbox_id, address)


def _furnish(tx: Tx, mailbox_id: MailboxId, address: Address) -> MailboxId:
    addresses.take(tx, address, mailbox_id, AddressRole.PRIMARY)
    for role, name in FIRST_FOLDERS.items():
        queries.folders.add(tx, mailbox_id, name, role)
        queries.folders.subscribe(tx, mailbox_id, name)
    return mailbox_id


def alias(tx: Tx, mailbox_id: MailboxId, address: Address) -> None:
    """Let the mailbox answer to one more address. Raises `AliasLimit`, `AddressTaken`, `NotFound`."""
    if len(addresses.aliases(tx, mailbox_id)) >= ALIASES_MOST:
        raise AliasLimit(address=addresses.primary(tx, mailbox_id), limit=ALIASES_MOST)
    addresses.take(tx, address, mailbox_id, AddressRole.ALIAS)
