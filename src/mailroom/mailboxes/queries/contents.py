# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What mails say, and the octets of the small ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from mailroom.core.errors import NotFound
from mailroom.core.ids import ContentId
from mailroom.mailboxes.model import Content
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_contents = schema.contents
_bodies = schema.bodies

# How many ids one statement names.
_CHUNK = 512

_CONTENT_COLUMNS = (
    "refs",
    "size",
    "blob",
    "message_id",
    "subject",
    "sender",
    "senders",
    "recipients",
    "cc",
    "bcc",
    "preview",
    "attachments",
    "sent_at",
    "sent_day",
    "refers_to",
    "envelope",
    "bodystructure",
    "parts",
    "header_size",
    "created_at",
)
_ADD = insert(_contents).values({name: bindparam(name) for name in _CONTENT_COLUMNS}).returning(_contents.c.id)
_ADD_BODY = insert(_bodies).values(content_id=bindparam("content_id"), octets=bindparam("octets"))
_BODY = (
    select(_bodies.c.octets, _contents.c.blob)
    .select_from(_contents)
    .outerjoin(_bodies, _bodies.c.content_id == _contents.c.id)
    .where(_contents.c.id == bindparam("content_id"))
)
_CONTENT = select(
    _contents.c.id,
    _contents.c.size,
    _contents.c.message_id,
    _contents.c.subject,
    _contents.c.sender,
    _contents.c.recipients,
    _contents.c.preview,
    _contents.c.attachments,
    _contents.c.sent_at,
    _contents.c.parts,
).where(_contents.c.id == bindparam("content_id"))
_LOCK = (
    select(_contents.c.id)
    .where(_contents.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_contents.c.id)
    .with_for_update(key_share=True)
)
_COUNT_REFS = (
    update(_contents)
    .where(_contents.c.id.in_(bindparam("ids", expanding=True)))
    .values(refs=_contents.c.refs + bindparam("by"))
    .returning(_contents.c.id, _contents.c.refs)
)
_REMOVE_BODIES = delete(_bodies).where(_bodies.c.content_id.in_(bindparam("ids", expanding=True)))
_REMOVE = delete(_contents).where(_contents.c.id.in_(bindparam("ids", expanding=True))).returning(_contents.c.blob)
_BODIES = (
    select(_contents.c.id, _bodies.c.octets, _contents.c.blob, _contents.c.header_size)
    .join(_bodies, _bodies.c.content_id == _contents.c.id)
    .where(_contents.c.id.in_(bindparam("ids", expanding=True)))
)


def add(tx: Tx, **values: Any) -> ContentId:
    return ContentId(sql.returned(tx.first(_ADD, created_at=tx.now, **values)))


def add_body(tx: Tx, content_id: ContentId, octets: bytes) -> None:
    tx.run(_ADD_BODY, content_id=content_id, octets=octets)


def body(tx: Tx, content_id: ContentId) -> tuple[bytes | None, str]:
    """The compressed octets of a small body and ""; or of a large one its header block, if any, and the blob's name.
    Raises `NotFound`.
    """
    row = tx.first(_BODY, content_id=content_id)
    if row is None:
        raise NotFound(what="mail", name=str(content_id))
    return None if row[0] is None else bytes(row[0]), str(row[1])


def bodies(tx: Tx, content_ids: Sequence[ContentId]) -> Iterator[Row]:
    """Of each: its id, the compressed octets, the blob's name, the size of the header block."""
    return (row for ids in _chunks(content_ids) for row in tx.all(_BODIES, ids=ids))


def content(tx: Tx, content_id: ContentId) -> Content | None:
    row = tx.first(_CONTENT, content_id=content_id)
    if row is None:
        return None
    return Content(
        id=ContentId(row[0]),
        size=row[1],
        message_id=row[2],
        subject=row[3],
        sender=row[4],
        recipients=row[5],
        preview=row[6],
        attachments=tuple(json.loads(row[7])),
        sent_at=row[8],
        parts=row[9],
    )


def lock(tx: Tx, content_ids: Sequence[ContentId]) -> None:
    """Keep others from counting references to these until the commit: see `folders.lock`."""
    for ids in _chunks(content_ids):
        tx.all(_LOCK, ids=ids)


def count_refs(tx: Tx, content_ids: Sequence[ContentId], by: int) -> Sequence[ContentId]:
    """Those that nothing refers to any more."""
    return [
        ContentId(content_id)
        for ids in _chunks(content_ids)
        for content_id, refs in tx.all(_COUNT_REFS, ids=ids, by=by)
        if refs <= 0
    ]


def remove(tx: Tx, content_ids: Sequence[ContentId]) -> Sequence[str]:
    """Forget contents; the names of their blobs, each as often as one of them had it."""
    names: list[str] = []
    for ids in _chunks(content_ids):
        tx.run(_REMOVE_BODIES, ids=ids)
        names += [name for (name,) in tx.all(_REMOVE, ids=ids) if name]
    return names


def _chunks(content_ids: Sequence[ContentId]) -> Iterator[Sequence[ContentId]]:
    ordered = sorted(content_ids)
    return (ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK))
