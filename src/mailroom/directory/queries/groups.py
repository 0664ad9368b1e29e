# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailing groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Table, bindparam, delete, func, insert, select, update

from mailroom.core.ids import GroupId, OrganisationId
from mailroom.directory.model import Allow, Group
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
_REMOVE_GROUP_ADDRESSES = delete(_addresses).where(_addresses.c.group_id == bindparam("which"))


def _to_group(row: Row) -> Group:
    return Group(GroupId(row[0]), row[1], row[2], Allow(row[3]))


def get(tx: Tx, group_id: GroupId) -> Group | None:
    row = tx.first(_GROUP, which=group_id)
    return _to_group(row) if row else None


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


class GroupList:
    """The addresses that a group names: its members, or who may send to it."""

    def __init__(self, table: Table) -> None:
        mine = table.c.group_id == bindparam("which")
        self._all = select(table.c.address).where(mine).order_by(table.c.address)
        self._add = (
            sql.insert(table).values(group_id=bindparam("which"), address=bindparam("address")).on_conflict_do_nothing()
        )
        self._remove = delete(table).where(mine, table.c.address == bindparam("address"))
        self._clear = delete(table).where(mine)
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

    def add(self, tx: Tx, group_id: GroupId, addresses: Iterable[str]) -> None:
        tx.many(self._add, [{"which": group_id, "address": address} for address in addresses])

    def remove(self, tx: Tx, group_id: GroupId, address: str) -> int:
        """1 when it was there, else 0."""
        return tx.run(self._remove, which=group_id, address=address)

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
