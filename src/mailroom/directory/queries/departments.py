# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Departments, who is in them, and whose mailboxes are disabled with them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from mailroom.core.ids import DepartmentId, MailboxId, MemberId, OrganisationId
from mailroom.directory.model import MemberStatus
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_departments = schema.departments
_placed = schema.department_members
_access = schema.access_departments
_mailboxes = schema.mailboxes
_members = schema.members

_COLUMNS = (_departments.c.id, _departments.c.parent_id, _departments.c.name, _departments.c.is_disabled)
_EVERY = select(*_COLUMNS).order_by(_departments.c.id)
_OF = (
    select(_placed.c.department_id)
    .where(_placed.c.member_id == bindparam("member_id"))
    .order_by(_placed.c.department_id)
)
_ADD = (
    insert(_departments)
    .values(
        organisation_id=bindparam("organisation_id"),
        parent_id=bindparam("parent_id"),
        name=bindparam("name"),
        created_at=bindparam("now"),
    )
    .returning(_departments.c.id)
)
_THIS = update(_departments).where(_departments.c.id == bindparam("which"))
_RENAME = _THIS.values(name=bindparam("new_name"))
_MOVE = _THIS.values(parent_id=bindparam("new_parent"))
_DISABLE = _THIS.values(is_disabled=bindparam("disabled"))
_REMOVE = delete(_departments).where(_departments.c.id == bindparam("which"))
_PUT = (
    sql.insert(_placed)
    .values(department_id=bindparam("department_id"), member_id=bindparam("member_id"))
    .on_conflict_do_nothing()
)
_TAKE = delete(_placed).where(
    _placed.c.department_id == bindparam("department_id"), _placed.c.member_id == bindparam("member_id")
)
_TAKE_FROM_ALL = delete(_placed).where(_placed.c.member_id == bindparam("member_id"))
_USERIDS = (
    select(_members.c.userid)
    .join(_placed, _placed.c.member_id == _members.c.id)
    .where(_placed.c.department_id == bindparam("department_id"))
    .order_by(_members.c.userid)
)
_below = select(_departments.c.id).where(_departments.c.id == bindparam("department_id")).cte("below", recursive=True)
_below = _below.union(select(_departments.c.id).join(_below, _departments.c.parent_id == _below.c.id))
_BELOW = select(_below.c.id)
_above = (
    select(_departments.c.id, _departments.c.parent_id)
    .where(_departments.c.id == bindparam("department_id"))
    .cte("above", recursive=True)
)
_above = _above.union(
    select(_departments.c.id, _departments.c.parent_id).join(_above, _departments.c.id == _above.c.parent_id)
)
_ABOVE = select(*_COLUMNS).join(_above, _above.c.id == _departments.c.id)
# The public mailboxes that whoever is in the department uses through it, or through one above it.
_MAILBOXES = select(_access.c.mailbox_id).join(_above, _above.c.id == _access.c.department_id).distinct()
_COUNT_MAILBOXES = (
    select(func.count()).select_from(_access).where(_access.c.department_id == bindparam("department_id"))
)

_shut = select(_departments.c.id).where(_departments.c.is_disabled == 1).cte("shut", recursive=True)
_shut = _shut.union(select(_departments.c.id).join(_shut, _departments.c.parent_id == _shut.c.id))
# Not joined: SQLite would read all of the table, and there is mostly none that is shut.
_shut_out = select(_placed.c.member_id).where(_placed.c.department_id.in_(select(_shut.c.id)))
_SHUT = (
    update(_mailboxes)
    .where(_mailboxes.c.status == "active", _mailboxes.c.owner_id.in_(_shut_out))
    .values(status="department_disabled")
    .returning(_mailboxes.c.id, _mailboxes.c.owner_id)
)
_OPEN = (
    update(_mailboxes)
    .where(
        schema.SHUT,
        or_(_mailboxes.c.owner_id.is_(None), _mailboxes.c.owner_id.not_in(_shut_out)),
    )
    .values(status="active")
    .returning(_mailboxes.c.id)
)
_CREATORS = select(_members.c.id).where(_members.c.is_creator == 1, _members.c.status != MemberStatus.REMOVED.value)


def every(tx: Tx) -> Sequence[Row]:
    """Id, parent's id, name and whether it is disabled."""
    return tx.all(_EVERY)


def above(tx: Tx, department_id: DepartmentId) -> Sequence[Row]:
    """The same of the department, if there is one, and of those that it lies in."""
    return tx.all(_ABOVE, department_id=department_id)


def of(tx: Tx, member_id: MemberId) -> Sequence[DepartmentId]:
    return [DepartmentId(row[0]) for row in tx.all(_OF, member_id=member_id)]


def add(tx: Tx, organisation_id: OrganisationId, parent_id: DepartmentId | None, name: str) -> DepartmentId:
    row = tx.first(_ADD, organisation_id=organisation_id, parent_id=parent_id, name=name, now=tx.now)
    return DepartmentId(sql.returned(row))


def rename(tx: Tx, which: DepartmentId, name: str) -> None:
    tx.run(_RENAME, which=which, new_name=name)


def move(tx: Tx, which: DepartmentId, parent_id: DepartmentId | None) -> None:
    tx.run(_MOVE, which=which, new_parent=parent_id)


def disable(tx: Tx, which: DepartmentId, *, disabled: bool) -> None:
    tx.run(_DISABLE, which=which, disabled=int(disabled))


def remove(tx: Tx, which: DepartmentId) -> None:
    tx.run(_REMOVE, which=which)


def put(tx: Tx, department_id: DepartmentId, member_id: MemberId) -> int:
    """1 when he was not in it, else 0."""
    return tx.run(_PUT, department_id=department_id, member_id=member_id)


def take(tx: Tx, department_id: DepartmentId, member_id: MemberId) -> int:
    """1 when he was in it, else 0."""
    return tx.run(_TAKE, department_id=department_id, member_id=member_id)


def take_from_all(tx: Tx, member_id: MemberId) -> None:
    tx.run(_TAKE_FROM_ALL, member_id=member_id)


def userids(tx: Tx, department_id: DepartmentId) -> Sequence[str]:
    return [row[0] for row in tx.all(_USERIDS, department_id=department_id)]


def below(tx: Tx, department_id: DepartmentId) -> frozenset[DepartmentId]:
    """The department and all within it."""
    return frozenset(DepartmentId(row[0]) for row in tx.all(_BELOW, department_id=department_id))


def mailboxes(tx: Tx, department_id: DepartmentId) -> Sequence[MailboxId]:
    return [MailboxId(row[0]) for row in tx.all(_MAILBOXES, department_id=department_id)]


def count_mailboxes(tx: Tx, department_id: DepartmentId) -> int:
    """Of those given to this very department."""
    return int(sql.returned(tx.first(_COUNT_MAILBOXES, department_id=department_id)))


def shut(tx: Tx) -> Sequence[tuple[MailboxId, MemberId]]:
    """Disable what is to be disabled with a department; those mailboxes and their owners."""
    return [(MailboxId(row[0]), MemberId(row[1])) for row in tx.all(_SHUT)]


def open_(tx: Tx) -> Sequence[MailboxId]:
    """Enable what was disabled with a department and is to be so no more."""
    return [MailboxId(row[0]) for row in tx.all(_OPEN)]


def creators(tx: Tx) -> frozenset[MemberId]:
    return frozenset(MemberId(row[0]) for row in tx.all(_CREATORS))
