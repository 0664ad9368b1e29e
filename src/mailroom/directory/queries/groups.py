# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailing groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Table, Text, bindparam, delete, func, insert, select, union, update

from mailroom.core.ids import GroupId, OrganisationId
from mailroom.directory.model import AddressRole, Allow, Group
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_addresses = schema.addresses

_groups = schema.groups

_GROUPS = (
    select(_groups.c.id, _addresses.c.address, _groups.c.name, _groups.c.allow)
    .join(_addresses, _addresses.c.group_id == _groups.c.id)
    .order_by(_addresses.c.address)
)
_GROUP = _GROUPS.where(_groups.c.id == bindparam("which"))
_LOCK = select(_groups.c.id).where(_groups.c.id == bindparam("which")).with_for_update(key_share=True)
_ADD_GROUP = (
    insert(_groups)
    .values(
        organisation_id=bindparam("organisation_id"),
        name=bindparam("name"),
        allow=bindparam("allow"),
        created_at=bindparam("now"),
    )
    .returning(_groups.c.id)
)
_CHANGE_GROUP = (
    update(_groups).where(_groups.c.id == bindparam("which")).values(name=bindparam("name"), allow=bindparam("allow"))
)
_REMOVE_GROUP = delete(_groups).where(_groups.c.id == bindparam("which"))
# The own addresses of the members who are in departments, however deep, or bear tags.
_departments = schema.departments
_below = (
    select(_departments.c.id)
    .where(_departments.c.id.in_(bindparam("departments", expanding=True)))
    .cte("below", recursive=True)
)
_below = _below.union(select(_departments.c.id).join(_below, _departments.c.parent_id == _below.c.id))
_placed, _borne = schema.department_members, schema.tag_members
_people = union(
    select(_placed.c.member_id).where(_placed.c.department_id.in_(select(_below.c.id))),
    select(_borne.c.member_id).where(_borne.c.tag_id.in_(bindparam("tags", expanding=True))),
)
_WITHIN = (
    select(_addresses.c.address)
    .join(schema.mailboxes, schema.mailboxes.c.id == _addresses.c.mailbox_id)
    .where(schema.mailboxes.c.owner_id.in_(_people), _addresses.c.role == AddressRole.PRIMARY.value)
    .order_by(_addresses.c.address)
)
_REMOVE_GROUP_ADDRESSES = delete(_addresses).where(_addresses.c.group_id == bindparam("which"))


def _to_group(row: Row) -> Group:
    return Group(GroupId(row[0]), row[1], row[2], Allow(row[3]))


def get(tx: Tx, group_id: GroupId) -> Group | None:
    row = tx.first(_GROUP, which=group_id)
    return _to_group(row) if row else None


def lock(tx: Tx, group_id: GroupId) -> None:
    """Nobody else who asks for this lock goes on until the commit."""
    tx.first(_LOCK, which=group_id)


def every(tx: Tx) -> Sequence[Group]:
    return [_to_group(row) for row in tx.all(_GROUPS)]


def add(tx: Tx, organisation_id: OrganisationId, name: str, allow: Allow) -> GroupId:
    row = tx.first(_ADD_GROUP, organisation_id=organisation_id, name=name, allow=allow.value, now=tx.now)
    return GroupId(sql.returned(row))


def change(tx: Tx, group_id: GroupId, name: str, allow: Allow) -> None:
    tx.run(_CHANGE_GROUP, which=group_id, name=name, allow=allow.value)


def remove(tx: Tx, group_id: GroupId) -> None:
    tx.run(_REMOVE_GROUP_ADDRESSES, which=group_id)
    tx.run(_REMOVE_GROUP, which=group_id)


def within(tx: Tx, departments: Sequence[int], tags: Sequence[int]) -> Sequence[str]:
    """The own addresses of the members who are in the departments, or below them, or bear the tags."""
    return [row[0] for row in tx.all(_WITHIN, departments=departments or [0], tags=tags or [0])]


class GroupList:
    """What a group names, its members or who may send to it: addresses, and departments and tags, as `groups` writes
    them.
    """

    def __init__(self, table: Table) -> None:
        mine = table.c.group_id == bindparam("which")
        self._all = select(table.c.address).where(mine).order_by(table.c.address)
        self._add = (
            sql.insert(table).values(group_id=bindparam("which"), address=bindparam("address")).on_conflict_do_nothing()
        )
        self._remove = delete(table).where(mine, table.c.address == bindparam("address"))
        self._clear = delete(table).where(mine)
        renamed = select(table.c.group_id, bindparam("to", type_=Text)).where(table.c.address == bindparam("old"))
        self._rename = sql.insert(table).from_select(["group_id", "address"], renamed).on_conflict_do_nothing()
        self._forget = delete(table).where(table.c.address == bindparam("old"))
        self._naming = select(func.count()).select_from(table).where(table.c.address == bindparam("address"))
        self._units = select(table.c.address).where(mine, table.c.address.not_like("%@%"))
        self._count = select(func.count()).select_from(table).where(mine)
        self._named = (
            select(table.c.address).where(mine, table.c.address.in_(bindparam("addresses", expanding=True))).limit(1)
        )
        self._groups = (
            select(_addresses.c.group_id)
            .join(table, table.c.address == _addresses.c.address)
            .where(mine, _addresses.c.group_id.is_not(None))
        )

    def all(self, tx: Tx, group_id: GroupId) -> Sequence[str]:
        return [row[0] for row in tx.all(self._all, which=group_id)]

    def count(self, tx: Tx, group_id: GroupId) -> int:
        return int(sql.returned(tx.first(self._count, which=group_id)))

    def units(self, tx: Tx, group_id: GroupId) -> Sequence[str]:
        """The departments and tags in it."""
        return [row[0] for row in tx.all(self._units, which=group_id)]

    def count_naming(self, tx: Tx, address: str) -> int:
        """How many groups name it."""
        return int(sql.returned(tx.first(self._naming, address=address)))

    def add(self, tx: Tx, group_id: GroupId, addresses: Iterable[str]) -> None:
        tx.many(self._add, [{"which": group_id, "address": address} for address in addresses])

    def remove(self, tx: Tx, group_id: GroupId, address: str) -> int:
        """1 when it was there, else 0."""
        return tx.run(self._remove, which=group_id, address=address)

    def rename(self, tx: Tx, old: str, to: str) -> None:
        """In every group's list."""
        tx.run(self._rename, old=old, to=to)
        tx.run(self._forget, old=old)

    def clear(self, tx: Tx, group_id: GroupId) -> None:
        tx.run(self._clear, which=group_id)

    def names(self, tx: Tx, group_id: GroupId, addresses: Sequence[str]) -> bool:
        """Whether one of the addresses is in it."""
        return tx.first(self._named, which=group_id, addresses=addresses) is not None

    def groups(self, tx: Tx, group_id: GroupId) -> Sequence[GroupId]:
        """The groups in it."""
        return [GroupId(row[0]) for row in tx.all(self._groups, which=group_id)]


members = GroupList(schema.group_members)
senders = GroupList(schema.group_senders)


def count_naming(tx: Tx, unit: str) -> int:
    """How many lists name that department or tag."""
    return members.count_naming(tx, unit) + senders.count_naming(tx, unit)
