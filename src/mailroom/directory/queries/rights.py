# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who administers a single domain."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import BindParameter, bindparam, delete, exists, select

from mailroom.core.ids import DomainId, MailboxId, MemberId
from mailroom.directory.model import AddressRole, Member, MemberStatus, Role
from mailroom.directory.queries.members import COLUMNS, to_member
from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_administrators = schema.domain_administrators
_addresses = schema.addresses
_mailboxes = schema.mailboxes
_members = schema.members

_DOMAINS = select(_administrators.c.domain_id).where(_administrators.c.member_id == bindparam("member_id"))
_ADD = (
    sql.insert(_administrators)
    .values(member_id=bindparam("member_id"), domain_id=bindparam("domain_id"))
    .on_conflict_do_nothing()
)
_CLEAR = delete(_administrators).where(_administrators.c.member_id == bindparam("member_id"))
_REMOVE_ALL = delete(_administrators).where(_administrators.c.domain_id == bindparam("domain"))
_DOMAIN_OF = select(_addresses.c.domain_id).where(
    _addresses.c.mailbox_id == bindparam("mailbox_id"), _addresses.c.role == AddressRole.PRIMARY.value
)

_in_domains: BindParameter[Sequence[int]] = bindparam("domains", expanding=True)
_MEMBERS = (
    select(*COLUMNS)
    .join(_mailboxes, _mailboxes.c.owner_id == _members.c.id)
    .join(_addresses, _addresses.c.mailbox_id == _mailboxes.c.id)
    .where(
        _addresses.c.role == AddressRole.PRIMARY.value,
        _addresses.c.domain_id.in_(_in_domains),
        _members.c.role != Role.ADMINISTRATOR.value,
        _members.c.status != MemberStatus.REMOVED.value,
        ~exists().where(_administrators.c.member_id == _members.c.id, _administrators.c.domain_id.not_in(_in_domains)),
    )
    .order_by(_members.c.userid)
)


def domains(tx: Tx, member_id: MemberId) -> frozenset[DomainId]:
    return frozenset(DomainId(row[0]) for row in tx.all(_DOMAINS, member_id=member_id))


def add(tx: Tx, member_id: MemberId, domain_id: DomainId) -> None:
    tx.run(_ADD, member_id=member_id, domain_id=domain_id)


def clear(tx: Tx, member_id: MemberId) -> None:
    tx.run(_CLEAR, member_id=member_id)


def remove_all(tx: Tx, domain_id: DomainId) -> None:
    tx.run(_REMOVE_ALL, domain=domain_id)


def members(tx: Tx, domains: Collection[DomainId]) -> Sequence[Member]:
    """With their own mailbox in one of the domains, who administer no more than those."""
    return [to_member(row) for row in tx.all(_MEMBERS, domains=sorted(domains) or [0])]


def domain_of(tx: Tx, mailbox_id: MailboxId) -> DomainId | None:
    """The domain of the mailbox's own address."""
    row = tx.first(_DOMAIN_OF, mailbox_id=mailbox_id)
    return DomainId(row[0]) if row else None
