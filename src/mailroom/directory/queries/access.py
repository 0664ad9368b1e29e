# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who may use which mailbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, delete, select, union

from mailroom.core.ids import DepartmentId, MailboxId, MemberId, TagId
from mailroom.directory.model import Member, MemberStatus
from mailroom.directory.queries.members import COLUMNS, to_member
from mailroom.storage import schema, sql, uses
from mailroom.storage.ports import Tx

_members = schema.members
_mailboxes = schema.mailboxes
_access = schema.access
_departments = schema.departments
_placed = schema.department_members
_borne = schema.tag_members
_to_departments = schema.access_departments
_to_tags = schema.access_tags

_HOLDERS = {
    "member": (_access, _access.c.member_id),
    "department": (_to_departments, _to_departments.c.department_id),
    "tag": (_to_tags, _to_tags.c.tag_id),
}
_ADD = {
    kind: sql.insert(table)
    .values({table.c.mailbox_id: bindparam("mailbox_id"), holder: bindparam("holder")})
    .on_conflict_do_nothing()
    for kind, (table, holder) in _HOLDERS.items()
}
_REMOVE = {
    kind: delete(table).where(table.c.mailbox_id == bindparam("mailbox_id"), holder == bindparam("holder"))
    for kind, (table, holder) in _HOLDERS.items()
}
_CLEAR = [delete(table).where(table.c.mailbox_id == bindparam("mailbox_id")) for table, _ in _HOLDERS.values()]
_REMOVE_MEMBER = delete(_access).where(_access.c.member_id == bindparam("member_id"))
_MEMBERS = (
    select(*COLUMNS)
    .join(_access, _access.c.member_id == _members.c.id)
    .where(_access.c.mailbox_id == bindparam("mailbox_id"))
    .order_by(_members.c.userid)
)
_DEPARTMENTS = select(_to_departments.c.department_id).where(_to_departments.c.mailbox_id == bindparam("mailbox_id"))
_TAGS = select(_to_tags.c.tag_id).where(_to_tags.c.mailbox_id == bindparam("mailbox_id"))
_within = _DEPARTMENTS.cte("within", recursive=True)
_within = _within.union(select(_departments.c.id).join(_within, _departments.c.parent_id == _within.c.department_id))
_ids = union(
    select(_access.c.member_id).where(_access.c.mailbox_id == bindparam("mailbox_id")),
    select(_placed.c.member_id).where(_placed.c.department_id.in_(select(_within.c.department_id))),
    select(_borne.c.member_id)
    .join(_to_tags, _to_tags.c.tag_id == _borne.c.tag_id)
    .where(_to_tags.c.mailbox_id == bindparam("mailbox_id")),
)
_USERIDS = (
    select(_members.c.userid)
    .where(_members.c.id.in_(_ids), _members.c.status != MemberStatus.REMOVED.value)
    .order_by(_members.c.userid)
)
_IS_PUBLIC = select(_mailboxes.c.id).where(
    _mailboxes.c.id == bindparam("mailbox_id"), _mailboxes.c.kind == "public", _mailboxes.c.status != "recycled"
)
_OWN_MAILBOX = select(_mailboxes.c.id).where(_mailboxes.c.owner_id == bindparam("member_id"))
_shared = uses.public_mailboxes(bindparam("member_id")).subquery()
_SHARED_MAILBOXES = select(_shared.c.mailbox_id).order_by(_shared.c.mailbox_id)


def add(tx: Tx, mailbox_id: MailboxId, kind: str, holders: Iterable[int]) -> None:
    """Give a public mailbox to holders of one kind: member, department or tag."""
    for holder in holders:
        tx.run(_ADD[kind], mailbox_id=mailbox_id, holder=holder)


def remove(tx: Tx, mailbox_id: MailboxId, kind: str, holders: Iterable[int]) -> None:
    for holder in holders:
        tx.run(_REMOVE[kind], mailbox_id=mailbox_id, holder=holder)


def clear(tx: Tx, mailbox_id: MailboxId) -> None:
    for statement in _CLEAR:
        tx.run(statement, mailbox_id=mailbox_id)


def remove_member(tx: Tx, member_id: MemberId) -> None:
    tx.run(_REMOVE_MEMBER, member_id=member_id)


def members(tx: Tx, mailbox_id: MailboxId) -> Sequence[Member]:
    return [to_member(row) for row in tx.all(_MEMBERS, mailbox_id=mailbox_id)]


def departments(tx: Tx, mailbox_id: MailboxId) -> frozenset[DepartmentId]:
    return frozenset(DepartmentId(row[0]) for row in tx.all(_DEPARTMENTS, mailbox_id=mailbox_id))


def tags(tx: Tx, mailbox_id: MailboxId) -> frozenset[TagId]:
    return frozenset(TagId(row[0]) for row in tx.all(_TAGS, mailbox_id=mailbox_id))


def userids(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    """Of all who use it, through whatever."""
    return [row[0] for row in tx.all(_USERIDS, mailbox_id=mailbox_id)]


def is_public(tx: Tx, mailbox_id: MailboxId) -> bool:
    """Whether it is a public mailbox that is in use, be it disabled."""
    return tx.first(_IS_PUBLIC, mailbox_id=mailbox_id) is not None


def own_mailbox(tx: Tx, member_id: MemberId) -> MailboxId | None:
    row = tx.first(_OWN_MAILBOX, member_id=member_id)
    return MailboxId(row[0]) if row else None


def shared_mailboxes(tx: Tx, member_id: MemberId) -> Sequence[MailboxId]:
    return [MailboxId(row[0]) for row in tx.all(_SHARED_MAILBOXES, member_id=member_id)]
