# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Tags: labels that members bear, whatever department they are in. What is given to a tag is given to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mailroom.core.errors import InUse, NameTaken, NotFound, TooMany
from mailroom.core.ids import MemberId, OrganisationId, TagId
from mailroom.directory import access, audit, queries, rights
from mailroom.directory.model import Actor, Member, Tag
from mailroom.directory.names import printable
from mailroom.storage.ports import Conflict, Tx

MOST: Final = 3_000
_NAME_MOST: Final = 64


def add(tx: Tx, by: Actor, organisation_id: OrganisationId, name: str) -> Tag:
    """Make a tag. Raises `NoPermission`, `InvalidValue`, `NameTaken`, `TooMany`."""
    rights.over_all(by)
    name = printable(name, most=_NAME_MOST)
    if len(every(tx)) >= MOST:
        raise TooMany(what="tags", limit=MOST)
    try:
        tag_id = queries.tags.add(tx, organisation_id, name)
    except Conflict as taken:
        raise NameTaken(what="tag", name=name) from taken
    audit.record(tx, by, "tag.add", name)
    return Tag(tag_id, name)


def every(tx: Tx) -> Sequence[Tag]:
    """All tags, by name."""
    return queries.tags.every(tx)


def get(tx: Tx, tag_id: TagId) -> Tag:
    """The tag with that id. Raises `NotFound`."""
    return _known(tag_id, queries.tags.get(tx, tag_id))


def by_name(tx: Tx, name: str) -> Tag:
    """The tag of that name. Raises `NotFound`."""
    return _known(name, queries.tags.by_name(tx, name))


def _known(name: object, found: Tag | None) -> Tag:
    if found is None:
        raise NotFound(what="tag", name=str(name))
    return found


def of(tx: Tx, member_id: MemberId) -> Sequence[Tag]:
    """The tags that the member bears, by name."""
    return queries.tags.of(tx, member_id)


def userids(tx: Tx, tag: Tag) -> Sequence[str]:
    """Who bears the tag."""
    return queries.tags.userids(tx, tag.id)


def rename(tx: Tx, by: Actor, tag: Tag, name: str) -> Tag:
    """Call it something else. Raises `NoPermission`, `InvalidValue`, `NameTaken`."""
    rights.over_all(by)
    name = printable(name, most=_NAME_MOST)
    try:
        queries.tags.rename(tx, tag.id, name)
    except Conflict as taken:
        raise NameTaken(what="tag", name=name) from taken
    audit.record(tx, by, "tag.rename", tag.name, after={"name": name})
    return Tag(tag.id, name)


def remove(tx: Tx, by: Actor, tag: Tag) -> None:
    """Give up a tag that no public mailbox is given to and no group names; whoever bears it bears it no more. Raises
    `NoPermission`, `InUse`.
    """
    rights.over_all(by)
    queries.organisations.lock(tx)  # as whoever gives a mailbox to a tag does
    if count := queries.tags.count_mailboxes(tx, tag.id):
        raise InUse(what="tag", name=tag.name, by=f"{count} public mailboxes")
    if count := queries.groups.count_naming(tx, f"tag:{tag.id}"):
        raise InUse(what="tag", name=tag.name, by=f"{count} mailing groups")
    queries.tags.remove(tx, tag.id)
    audit.record(tx, by, "tag.remove", tag.name)


def put(tx: Tx, by: Actor, tag: Tag, who: Sequence[Member]) -> None:
    """Let these members bear it too. Doing it again is harmless. Raises `NoPermission`."""
    rights.over_all(by)
    added = [one.userid for one in who if queries.tags.put(tx, tag.id, one.id)]
    if added:
        audit.record(tx, by, "tag.put", tag.name, after={"members": added})


def take(tx: Tx, by: Actor, tag: Tag, who: Sequence[Member]) -> None:
    """Let these members bear it no more; what they used through it ends at once. Raises `NoPermission`, `NotFound`."""
    rights.over_all(by)
    for one in who:
        if not queries.tags.take(tx, tag.id, one.id):
            raise NotFound(what="member", name=f"{one.userid} ({tag.name})")
    for mailbox_id in queries.tags.mailboxes(tx, tag.id):
        access.recheck(tx, mailbox_id)
    audit.record(tx, by, "tag.take", tag.name, before={"members": [one.userid for one in who]})
