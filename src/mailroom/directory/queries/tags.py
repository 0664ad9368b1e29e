# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Tags, and who bears them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, insert, select, update

from mailroom.core.ids import MailboxId, MemberId, OrganisationId, TagId
from mailroom.directory.model import Tag
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_tags = schema.tags
_borne = schema.tag_members
_access = schema.access_tags
_members = schema.members

_TAG = select(_tags.c.id, _tags.c.name)
_GET = _TAG.where(_tags.c.id == bindparam("tag_id"))
_BY_NAME = _TAG.where(_tags.c.name == bindparam("name"))
_EVERY = _TAG.order_by(_tags.c.name)
_OF = _TAG.join(_borne, _borne.c.tag_id == _tags.c.id).where(_borne.c.member_id == bindparam("member_id"))
_OF = _OF.order_by(_tags.c.name)
_ADD = (
    insert(_tags)
    .values(organisation_id=bindparam("organisation_id"), name=bindparam("name"), created_at=bindparam("now"))
    .returning(_tags.c.id)
)
_RENAME = update(_tags).where(_tags.c.id == bindparam("which")).values(name=bindparam("new_name"))
_REMOVE = delete(_tags).where(_tags.c.id == bindparam("which"))
_CLEAR = delete(_borne).where(_borne.c.tag_id == bindparam("tag_id"))
_PUT = sql.insert(_borne).values(tag_id=bindparam("tag_id"), member_id=bindparam("member_id")).on_conflict_do_nothing()
_TAKE = delete(_borne).where(_borne.c.tag_id == bindparam("tag_id"), _borne.c.member_id == bindparam("member_id"))
_TAKE_ALL = delete(_borne).where(_borne.c.member_id == bindparam("member_id"))
_USERIDS = (
    select(_members.c.userid)
    .join(_borne, _borne.c.member_id == _members.c.id)
    .where(_borne.c.tag_id == bindparam("tag_id"))
    .order_by(_members.c.userid)
)
_MAILBOXES = select(_access.c.mailbox_id).where(_access.c.tag_id == bindparam("tag_id"))
_COUNT_MAILBOXES = select(func.count()).select_from(_access).where(_access.c.tag_id == bindparam("tag_id"))


def _to_tag(row: Row) -> Tag:
    return Tag(TagId(row[0]), row[1])


def get(tx: Tx, tag_id: TagId) -> Tag | None:
    row = tx.first(_GET, tag_id=tag_id)
    return _to_tag(row) if row else None


def by_name(tx: Tx, name: str) -> Tag | None:
    row = tx.first(_BY_NAME, name=name)
    return _to_tag(row) if row else None


def every(tx: Tx) -> Sequence[Tag]:
    return [_to_tag(row) for row in tx.all(_EVERY)]


def of(tx: Tx, member_id: MemberId) -> Sequence[Tag]:
    return [_to_tag(row) for row in tx.all(_OF, member_id=member_id)]


def add(tx: Tx, organisation_id: OrganisationId, name: str) -> TagId:
    return TagId(sql.returned(tx.first(_ADD, organisation_id=organisation_id, name=name, now=tx.now)))


def rename(tx: Tx, tag_id: TagId, name: str) -> None:
    tx.run(_RENAME, which=tag_id, new_name=name)


def remove(tx: Tx, tag_id: TagId) -> None:
    tx.run(_CLEAR, tag_id=tag_id)
    tx.run(_REMOVE, which=tag_id)


def put(tx: Tx, tag_id: TagId, member_id: MemberId) -> int:
    """1 when he did not bear it, else 0."""
    return tx.run(_PUT, tag_id=tag_id, member_id=member_id)


def take(tx: Tx, tag_id: TagId, member_id: MemberId) -> int:
    """1 when he bore it, else 0."""
    return tx.run(_TAKE, tag_id=tag_id, member_id=member_id)


def take_all(tx: Tx, member_id: MemberId) -> None:
    tx.run(_TAKE_ALL, member_id=member_id)


def userids(tx: Tx, tag_id: TagId) -> Sequence[str]:
    return [row[0] for row in tx.all(_USERIDS, tag_id=tag_id)]


def mailboxes(tx: Tx, tag_id: TagId) -> Sequence[MailboxId]:
    return [MailboxId(row[0]) for row in tx.all(_MAILBOXES, tag_id=tag_id)]


def count_mailboxes(tx: Tx, tag_id: TagId) -> int:
    return int(sql.returned(tx.first(_COUNT_MAILBOXES, tag_id=tag_id)))
