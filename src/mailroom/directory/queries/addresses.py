# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The one name-space of addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select, update

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
_HOLDER = select(_mailboxes.c.kind, _mailboxes.c.status).where(_mailboxes.c.id == bindparam("mailbox_id"))
_ADD: dict[str, Any] = {name: bindparam(name) for name in ("address", "domain_id", "role", "created_at")}
_ADD_ADDRESS = sql.insert(_addresses).values(_ADD | {"mailbox_id": bindparam("mailbox_id")}).on_conflict_do_nothing()
_ADD_GROUP_ADDRESS = sql.insert(_addresses).values(_ADD | {"group_id": bindparam("group_id")}).on_conflict_do_nothing()
_CHANGE_ROLE = update(_addresses).where(_addresses.c.address == bindparam("which")).values(role=bindparam("to"))
_REMOVE_ADDRESS = delete(_addresses).where(_addresses.c.address == bindparam("address"))
_PRIMARY_ADDRESS = select(_addresses.c.address).where(
    _addresses.c.mailbox_id == bindparam("mailbox_id"), _addresses.c.role == AddressRole.PRIMARY.value
)
_IN_ROLE = (
    select(_addresses.c.address)
    .where(_addresses.c.mailbox_id == bindparam("mailbox_id"), _addresses.c.role == bindparam("role"))
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
    """Where an address is taken, in the words of `address_taken`: group, recycled, alias, member or public."""
    if holder.group_id is not None:
        return "group"
    kind, status = tx.all(_HOLDER, mailbox_id=holder.mailbox_id)[0]
    if status == "recycled":
        return "recycled"
    if holder.role is not AddressRole.PRIMARY:
        return "alias"
    return "member" if kind == "personal" else str(kind)


def add(tx: Tx, address: str, domain_id: DomainId, mailbox_id: MailboxId, role: AddressRole) -> int:
    """1; or 0 when the address is taken."""
    values = {"address": address, "domain_id": domain_id, "role": role.value, "created_at": tx.now}
    return tx.run(_ADD_ADDRESS, **values, mailbox_id=mailbox_id)


def add_for_group(tx: Tx, address: str, domain_id: DomainId, group_id: GroupId) -> int:
    """1; or 0 when the address is taken."""
    values = {"address": address, "domain_id": domain_id, "role": AddressRole.PRIMARY.value, "created_at": tx.now}
    return tx.run(_ADD_GROUP_ADDRESS, **values, group_id=group_id)


def change_role(tx: Tx, address: str, role: AddressRole) -> None:
    tx.run(_CHANGE_ROLE, which=address, to=role.value)


def remove(tx: Tx, address: str) -> None:
    tx.run(_REMOVE_ADDRESS, address=address)


def primary(tx: Tx, mailbox_id: MailboxId) -> str | None:
    row = tx.first(_PRIMARY_ADDRESS, mailbox_id=mailbox_id)
    return row[0] if row else None


def in_role(tx: Tx, mailbox_id: MailboxId, role: AddressRole) -> Sequence[str]:
    return [row[0] for row in tx.all(_IN_ROLE, mailbox_id=mailbox_id, role=role.value)]


_ADDRESSES_OF = select(_addresses.c.address).where(_addresses.c.mailbox_id == bindparam("mailbox_id"))


def addresses_of(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    return [row[0] for row in tx.all(_ADDRESSES_OF, mailbox_id=mailbox_id)]
