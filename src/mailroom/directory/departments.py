# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Departments: the parts of the organisation, one within another. What is given to one is given to all who are in it or
in a department below it; what is taken from them is gone with the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from mailroom.core.errors import CannotDisable, InUse, InvalidValue, NameTaken, NotFound, TooMany
from mailroom.core.ids import DepartmentId, MailboxId, MemberId, OrganisationId
from mailroom.directory import access, audit, members, queries, rights
from mailroom.directory.model import Actor, Department, Member
from mailroom.directory.names import printable
from mailroom.storage.ports import Conflict, Row, Tx

MOST: Final = 10_000
_DEEPEST: Final = 15
_NAME_MOST: Final = 64


def add(
    tx: Tx, by: Actor, organisation_id: OrganisationId, name: str, *, parent: Department | None = None
) -> Department:
    """Make a department within `parent`, or at the top. Raises `NoPermission`, `InvalidValue`, `NameTaken`,
    `TooMany`.
    """
    _hold(tx, by)
    name = _named(name)
    if len(every(tx)) >= MOST:
        raise TooMany(what="departments", limit=MOST)
    path = _path(name, parent)
    try:
        which = queries.departments.add(tx, organisation_id, parent.id if parent else None, name)
    except Conflict as taken:
        raise NameTaken(what="department", name=path) from taken
    audit.record(tx, by, "department.add", path)
    return Department(which, parent.id if parent else None, name, is_disabled=False, path=path)


def every(tx: Tx) -> Sequence[Department]:
    """All departments, by path: each after the one that it lies in."""
    return sorted(_placed(queries.departments.every(tx)), key=lambda one: one.path.split("/"))


def _placed(rows: Iterable[Row]) -> Sequence[Department]:
    """Departments of which all that they lie in are there as well."""
    named = {row[0]: row for row in rows}
    paths: dict[int, str] = {}

    def path(which: int) -> str:
        if which not in paths:
            _, parent, name, _ = named[which]
            paths[which] = name if parent is None else f"{path(parent)}/{name}"
        return paths[which]

    return [
        Department(
            DepartmentId(which),
            None if parent is None else DepartmentId(parent),
            name,
            is_disabled=bool(is_disabled),
            path=path(which),
        )
        for which, parent, name, is_disabled in named.values()
    ]


def get(tx: Tx, which: DepartmentId) -> Department:
    """The department with that id. Raises `NotFound`."""
    return _one(which, [one for one in _placed(queries.departments.above(tx, which)) if one.id == which])


def at(tx: Tx, path: str) -> Department:
    """The department at that path, such as `Sales/East`. Raises `NotFound`."""
    return _one(path, [one for one in every(tx) if one.path == path.strip("/")])


def _one(name: object, found: Sequence[Department]) -> Department:
    if not found:
        raise NotFound(what="department", name=str(name))
    return found[0]


def of(tx: Tx, member_id: MemberId) -> Sequence[Department]:
    """The departments that the member is in, by path."""
    within = set(queries.departments.of(tx, member_id))
    return [one for one in every(tx) if one.id in within] if within else []


def userids(tx: Tx, department: Department) -> Sequence[str]:
    """Who is in the department itself."""
    return queries.departments.userids(tx, department.id)


def rename(tx: Tx, by: Actor, department: Department, name: str) -> Department:
    """Call it something else. Raises `NoPermission`, `InvalidValue`, `NameTaken`."""
    _hold(tx, by)
    name = _named(name)
    path = "/".join((*department.path.split("/")[:-1], name))
    try:
        queries.departments.rename(tx, department.id, name)
    except Conflict as taken:
        raise NameTaken(what="department", name=path) from taken
    audit.record(tx, by, "department.rename", department.path, after={"path": path})
    return replace(department, name=name, path=path)


def move(tx: Tx, by: Actor, department: Department, parent: Department | None) -> Department:
    """Put it, with all that lies in it, into another department or at the top (none). Raises `NoPermission`,
    `InvalidValue` (into itself, or too deep), `NameTaken`.
    """
    _hold(tx, by)  # two moves at once could each put one into the other
    below = queries.departments.below(tx, department.id)
    if parent is not None and parent.id in below:
        raise InvalidValue(name="department", reason=f"{department.path} cannot lie within itself")
    _stir(tx, queries.departments.mailboxes(tx, department.id))
    parent_id, path = parent.id if parent else None, _path(department.name, parent)
    try:
        queries.departments.move(tx, department.id, parent_id)
    except Conflict as taken:
        raise NameTaken(what="department", name=path) from taken
    deepest = max(one.path.count("/") for one in every(tx) if one.id in below) + 1
    if deepest > _DEEPEST:
        raise InvalidValue(name="department", reason=f"{_DEEPEST} levels at most")
    settle(tx, by)
    audit.record(tx, by, "department.move", department.path, after={"path": path})
    return replace(department, parent_id=parent_id, path=path)


def remove(tx: Tx, by: Actor, department: Department) -> None:
    """Give up a department that nobody is in and nothing depends on. Raises `NoPermission`, `InUse`."""
    _hold(tx, by)
    uses = {
        "departments within it": len(queries.departments.below(tx, department.id)) - 1,
        "members": len(queries.departments.userids(tx, department.id)),
        "public mailboxes": queries.departments.count_mailboxes(tx, department.id),
        "mailing groups": queries.groups.count_naming(tx, f"department:{department.id}"),
    }
    for what, count in uses.items():
        if count:
            raise InUse(what="department", name=department.path, by=f"{count} {what}")
    queries.departments.remove(tx, department.id)
    audit.record(tx, by, "department.remove", department.path)


def put(tx: Tx, by: Actor, department: Department, who: Sequence[Member]) -> None:
    """Let these members be in it too. Doing it again is harmless. Raises `NoPermission`, `CannotDisable` (into one that
    is disabled).
    """
    _hold(tx, by)
    added = [one.userid for one in who if queries.departments.put(tx, department.id, one.id)]
    if added:
        settle(tx, by)
        audit.record(tx, by, "department.put", department.path, after={"members": added})


def take(tx: Tx, by: Actor, department: Department, who: Sequence[Member]) -> None:
    """Let these members be in it no more; what they used through it ends at once. Raises `NoPermission`, `NotFound`."""
    _hold(tx, by)
    for one in who:
        if not queries.departments.take(tx, department.id, one.id):
            raise NotFound(what="member", name=f"{one.userid} ({department.path})")
    _stir(tx, queries.departments.mailboxes(tx, department.id))
    settle(tx, by)
    audit.record(tx, by, "department.take", department.path, before={"members": [one.userid for one in who]})


def disable(tx: Tx, by: Actor, department: Department) -> None:
    """Disable the own mailboxes of all who are in the department or below it. Raises `NoPermission`, `CannotDisable`
    (the creator is among them, or `by` himself).
    """
    _hold(tx, by)
    queries.departments.disable(tx, department.id, disabled=True)
    settle(tx, by)
    audit.record(tx, by, "department.disable", department.path)


def enable(tx: Tx, by: Actor, department: Department) -> None:
    """Enable the mailboxes that were disabled with the department, and are not so with another. Raises
    `NoPermission`.
    """
    _hold(tx, by)
    queries.departments.disable(tx, department.id, disabled=False)
    settle(tx, by)
    audit.record(tx, by, "department.enable", department.path)


def settle(tx: Tx, by: Actor) -> None:
    """Disable and enable own mailboxes as the departments now have it: after any change of who is in which, and of
    whose an active mailbox is. Open sessions end. Raises `CannotDisable`.
    """
    queries.organisations.lock(tx)  # of two changes at once, the later sees the earlier
    shut = queries.departments.shut(tx)
    kept = queries.departments.creators(tx) | ({by.member.id} if by.member else set())
    for mailbox_id, owner_id in shut:
        if owner_id in kept:
            raise CannotDisable(userid=members.by_id(tx, owner_id).userid)
        access.recheck(tx, mailbox_id)
    _stir(tx, queries.departments.open_(tx))


def _hold(tx: Tx, by: Actor) -> None:
    """Let `by`, if he may, change departments, and nobody else until the commit: before any row of theirs is locked."""
    rights.over_all(by)
    queries.organisations.lock(tx)


def _stir(tx: Tx, mailbox_ids: Sequence[MailboxId]) -> None:
    for mailbox_id in mailbox_ids:
        access.recheck(tx, mailbox_id)


def _path(name: str, parent: Department | None) -> str:
    path = f"{parent.path}/{name}" if parent else name
    if path.count("/") >= _DEEPEST:
        raise InvalidValue(name="department", reason=f"{_DEEPEST} levels at most")
    return path


def _named(name: str) -> str:
    if "/" in name:
        raise InvalidValue(name="name", reason="without a slash, which divides a path")
    return printable(name, most=_NAME_MOST)
