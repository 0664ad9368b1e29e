# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The one name-space of addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, delete, insert, select

from mailroom.core.ids import DomainId, GroupId, MailboxId
from mailroom.directory.model import AddressRole, DomainState, Lease
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_domains = schema.domains
_mailboxes = schema.mailboxes
_addresses = schema.addresses

# How many values one statement names.
_CHUNK = 500

_LEASE_OF = select(
    _addresses.c.address,
    _addresses.c.domain_id,
    _domains.c.state,
    _addresses.c.mailbox_id,
    _addresses.c.group_id,
    _addresses.c.role,
).join(_domains, _domains.c.id == _addresses.c.domain_id)
_LEASE = _LEASE_OF.where(_addresses.c.address == bindparam("address"))
_LEASES = _LEASE_OF.where(_addresses.c.address.in_(bindparam("addresses", expanding=True)))
_HOLDER_KIND = select(_mailboxes.c.kind).where(_mailboxes.c.id == bindparam("mailbox_id"))
_ADD_ADDRESS = insert(_addresses).values(
    address=bindparam("address"),
    domain_id=bindparam("domain_id"),
    mailbox_id=bindparam("mailbox_id"),
    role=bindparam("role"),
    created_at=bindparam("now"),
)
_ADD_GROUP_ADDRESS = insert(_addresses).values(
    address=bindparam("address"),
    domain_id=bindparam("domain_id"),
    group_id=bindparam("group_id"),
    role=AddressRole.PRIMARY.value,
    created_at=bindparam("now"),
)
_REMOVE_ADDRESS = delete(_addresses).where(_addresses.c.address == bindparam("address"))
_PRIMARY_ADDRESS = select(_addresses.c.address).where(
    _addresses.c.mailbox_id == bindparam("mailbox_id"), _addresses.c.role == AddressRole.PRIMARY.value
)
_ALIASES = (
    select(_addresses.c.address)
    .where(_addresses.c.mailbox_id == bindparam("mailbox_id"), _addresses.c.role == AddressRole.ALIAS.value)
    .order_by(_addresses.c.address)
)


def _to_lease(row: Row) -> Lease:
    return Lease(
        row[0],
        DomainId(row[1]),
        DomainState(row[2]),
        None if row[3] is None else MailboxId(row[3]),
        None if row[4] is None else GroupId(row[4]),
        AddressRole(row[5]),
    )


def lease(tx: Tx, address: str) -> Lease | None:
    row = tx.first(_LEASE, address=address)
    return _to_lease(row) if row else None


def leases(tx: Tx, addresses: Sequence[str]) -> Mapping[str, Lease]:
    chunks = (addresses[start : start + _CHUNK] for start in range(0, len(addresses), _CHUNK))
    return {row[0]: _to_lease(row) for chunk in chunks for row in tx.all(_LEASES, addresses=chunk)}


def holder_kind(tx: Tx, holder: Lease) -> str:
    """Where an address is taken, in the words of `address_taken`: group, alias, member or public."""
    if holder.group_id is not None:
        return "group"
    if holder.role is AddressRole.ALIAS:
        return "alias"
    kind = sql.returned(tx.first(_HOLDER_KIND, mailbox_id=holder.mailbox_id))
    return "member" if kind == "personal" else str(kind)


def add(tx: Tx, address: str, domain_id: DomainId, mailbox_id: MailboxId, role: AddressRole) -> None:
    tx.run(_ADD_ADDRESS, address=address, domain_id=domain_id, mailbox_id=mailbox_id, role=role.value, now=tx.now)


def add_for_group(tx: Tx, address: str, domain_id: DomainId, group_id: GroupId) -> None:
    tx.run(_ADD_GROUP_ADDRESS, address=address, domain_id=domain_id, group_id=group_id, now=tx.now)


def remove(tx: Tx, address: str) -> None:
    tx.run(_REMOVE_ADDRESS, address=address)


def primary(tx: Tx, mailbox_id: MailboxId) -> str | None:
    row = tx.first(_PRIMARY_ADDRESS, mailbox_id=mailbox_id)
    return row[0] if row else None


def aliases(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    return [row[0] for row in tx.all(_ALIASES, mailbox_id=mailbox_id)]


_ADDRESSES_OF = select(_addresses.c.address).where(_addresses.c.mailbox_id == bindparam("mailbox_id"))


def addresses_of(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    return [row[0] for row in tx.all(_ADDRESSES_OF, mailbox_id=mailbox_id)]
