# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whom a public mailbox is given to: members, departments and tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from mailroom.core.errors import InvalidValue, NotFound, TooMany
from mailroom.core.ids import DepartmentId, MailboxId, TagId
from mailroom.directory import access, addresses, audit, departments, queries, rights
from mailroom.directory import members as members_
from mailroom.directory import tags as tags_
from mailroom.directory.model import Actor, Department, Member, Tag, Users
from mailroom.storage.ports import Tx

T = TypeVar("T", Member, Department, Tag)

MOST: Final = 1_000  # named for one mailbox, of each kind
_NOBODY: Final = Users()


def of(tx: Tx, mailbox_id: MailboxId) -> Users:
    """Whom the mailbox is given to."""
    within, borne = queries.access.departments(tx, mailbox_id), queries.access.tags(tx, mailbox_id)
    return Users(
        tuple(queries.access.members(tx, mailbox_id)),
        tuple(one for one in departments.every(tx) if one.id in within) if within else (),
        tuple(one for one in queries.tags.every(tx) if one.id in borne) if borne else (),
    )


def named(
    tx: Tx, userids: Sequence[str] | None, department_ids: Sequence[int] | None, tag_ids: Sequence[int] | None
) -> dict[str, Any]:
    """Those whom a program names, as `assign` takes them; None where a list is absent. Raises `NotFound`."""
    return {
        "members": None if userids is None else [members_.get(tx, one) for one in userids],
        "departments": (
            None if department_ids is None else [departments.get(tx, DepartmentId(one)) for one in department_ids]
        ),
        "tags": None if tag_ids is None else [tags_.get(tx, TagId(one)) for one in tag_ids],
    }


def assign(
    tx: Tx,
    by: Actor,
    mailbox_id: MailboxId,
    *,
    members: Sequence[Member] | None = None,
    departments: Sequence[Department] | None = None,
    tags: Sequence[Tag] | None = None,
) -> Users:
    """Give the public mailbox to these and to nobody else; of a kind that is not named, to whom it is given now. Who
    loses it loses it at once, open sessions included. Client passwords of the mailbox's own stay.
    Raises `NoPermission`, `NotFound` (no public mailbox), `InvalidValue` (to nobody at all), `TooMany`.
    """
    rights.over_mailbox(tx, by, mailbox_id)
    queries.organisations.lock(tx)  # of two changes at once, the later sees the earlier: somebody must be left
    if not queries.access.is_public(tx, mailbox_id):
        raise NotFound(what="public mailbox", name=addresses.primary(tx, mailbox_id))
    was = of(tx, mailbox_id)
    now = Users(
        was.members if members is None else tuple(members),
        was.departments if departments is None else tuple(departments),
        was.tags if tags is None else tuple(tags),
    )
    if not now:
        raise InvalidValue(name="users", reason="a public mailbox has a member, a department or a tag at least")
    for kind, before, after in (
        ("member", was.members, now.members),
        ("department", was.departments, now.departments),
        ("tag", was.tags, now.tags),
    ):
        if len(after) > MOST:
            raise TooMany(what="users", limit=MOST)
        old, new = {one.id for one in before}, {one.id for one in after}
        queries.access.add(tx, mailbox_id, kind, sorted(new - old))
        queries.access.remove(tx, mailbox_id, kind, sorted(old - new))
    access.recheck(tx, mailbox_id)
    audit.record(
        tx,
        by,
        "mailbox.users",
        addresses.primary(tx, mailbox_id),
        before=_shown(was),
        after=_shown(now),
        mailbox_id=mailbox_id,
    )
    return now


def change(tx: Tx, by: Actor, mailbox_id: MailboxId, *, add: Users = _NOBODY, remove: Users = _NOBODY) -> Users:
    """Give the public mailbox to these as well, and to those no more. Raises as `assign` does, and `NotFound` where it
    was not given to one of those by name.
    """
    queries.organisations.lock(tx)  # else of two changes at once the later would undo the earlier
    was = of(tx, mailbox_id)
    return assign(
        tx,
        by,
        mailbox_id,
        members=_changed(was.members, add.members, remove.members),
        departments=_changed(was.departments, add.departments, remove.departments),
        tags=_changed(was.tags, add.tags, remove.tags),
    )


def _changed(was: Sequence[T], add: Sequence[T], remove: Sequence[T]) -> Sequence[T]:
    for one in remove:
        if one not in was:
            raise NotFound(what="user", name=_name(one))
    return [one for one in was if one not in remove] + [one for one in add if one not in was]


def _name(one: Member | Department | Tag) -> str:
    match one:
        case Member():
            return one.userid
        case Department():
            return one.path
        case Tag():
            return one.name


def _shown(users: Users) -> dict[str, Any]:
    return {
        "members": [_name(one) for one in users.members],
        "departments": [_name(one) for one in users.departments],
        "tags": [_name(one) for one in users.tags],
    }
