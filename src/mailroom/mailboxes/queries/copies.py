# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What is copied out of a mailbox: where its copies lie in another, how far they go, and its mails for a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, select

from mailroom.core.ids import ContentId, FolderId, MailboxId
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_backups = schema.backups
_marks = schema.backup_marks
_folders = schema.folders
_mails = schema.mails
_contents = schema.contents

# How many ids one statement names.
_CHUNK = 512

_OF = (_backups.c.source_id == bindparam("source"), _backups.c.target_id == bindparam("target"))
_ROOT = (
    select(_folders.c.id, _folders.c.name)
    .join(_backups, _backups.c.root_id == _folders.c.id)
    .where(*_OF, _folders.c.mailbox_id == bindparam("target"))
)
_SET_ROOT = sql.insert(_backups).values(
    source_id=bindparam("source"), target_id=bindparam("target"), root_id=bindparam("root"), created_at=bindparam("now")
)
_SET_ROOT = _SET_ROOT.on_conflict_do_update(
    index_elements=["source_id", "target_id"], set_={"root_id": bindparam("root"), "created_at": bindparam("now")}
)
_theirs = _folders.alias("theirs")
_MARKS = (
    select(_marks.c.source_folder_id, _marks.c.target_folder_id, _marks.c.uid)
    .join(_folders, _folders.c.id == _marks.c.source_folder_id)
    .join(_theirs, _theirs.c.id == _marks.c.target_folder_id)
    .where(_folders.c.mailbox_id == bindparam("source"), _theirs.c.mailbox_id == bindparam("target"))
)
_SET_MARK = sql.insert(_marks).values(
    source_folder_id=bindparam("folder"), target_folder_id=bindparam("copy"), uid=bindparam("last")
)
_SET_MARK = _SET_MARK.on_conflict_do_update(
    index_elements=["source_folder_id", "target_folder_id"], set_={"uid": bindparam("last")}
)
_FORGET_MARKS = delete(_marks).where(
    _marks.c.source_folder_id.in_(select(_folders.c.id).where(_folders.c.mailbox_id == bindparam("source"))),
    _marks.c.target_folder_id.in_(select(_folders.c.id).where(_folders.c.mailbox_id == bindparam("target"))),
)


class Root(NamedTuple):
    """The folder in the target below which the copies lie."""

    id: FolderId
    name: str


class Mark(NamedTuple):
    """How far one folder has been copied: where to, and its last UID that was."""

    into: FolderId
    uid: int


def root(tx: Tx, source_id: MailboxId, target_id: MailboxId) -> Root | None:
    """None: there never was one, or it has been removed."""
    row = tx.first(_ROOT, source=source_id, target=target_id)
    return Root(FolderId(row[0]), row[1]) if row else None


def begin(tx: Tx, source_id: MailboxId, target_id: MailboxId, root_id: FolderId) -> None:
    """The copies lie there from now on; of those that may lie elsewhere nothing is known any more."""
    tx.run(_SET_ROOT, source=source_id, target=target_id, root=root_id, now=tx.now)
    tx.run(_FORGET_MARKS, source=source_id, target=target_id)


def marks(tx: Tx, source_id: MailboxId, target_id: MailboxId) -> dict[FolderId, Mark]:
    """By the source's folder; those whose folders have been removed are missing."""
    rows = tx.all(_MARKS, source=source_id, target=target_id)
    return {FolderId(row[0]): Mark(FolderId(row[1]), row[2]) for row in rows}


def mark(tx: Tx, folder_id: FolderId, mark: Mark) -> None:
    tx.run(_SET_MARK, folder=folder_id, copy=mark.into, last=mark.uid)


_ABOVE = (_mails.c.folder_id == bindparam("folder_id"), _mails.c.uid > bindparam("above"))
_BEYOND = select(func.count(), func.coalesce(func.sum(_mails.c.size), 0)).where(*_ABOVE)
_NEXT = (
    select(_mails.c.uid, _mails.c.content_id)
    .where(*_ABOVE, _mails.c.uid < bindparam("below"))
    .order_by(_mails.c.uid)
    .limit(bindparam("most"))
)
_WHERE = (
    select(_mails.c.content_id, _mails.c.folder_id)
    .join(_folders, _folders.c.id == _mails.c.folder_id)
    .where(
        _mails.c.content_id.in_(bindparam("content_ids", expanding=True)),
        _folders.c.mailbox_id.in_(bindparam("mailbox_ids", expanding=True)),
    )
)


def beyond(tx: Tx, folder_id: FolderId, *, above: int) -> tuple[int, int]:
    """How many mails there are above a UID, and how many octets they have."""
    [(mails, octets)] = tx.all(_BEYOND, folder_id=folder_id, above=above)
    return int(mails), int(octets)


def next_mails(tx: Tx, folder_id: FolderId, *, above: int, below: int, most: int) -> Sequence[Row]:
    """UID and content of the first so many between the two UIDs."""
    return tx.all(_NEXT, folder_id=folder_id, above=above, below=below, most=most)


def shown(tx: Tx, content_ids: Sequence[ContentId], *mailbox_ids: MailboxId) -> Iterator[tuple[ContentId, FolderId]]:
    """Each mail in the mailboxes that shows one of the contents: which, and in which folder."""
    for start in range(0, len(content_ids), _CHUNK):
        chunk = content_ids[start : start + _CHUNK]
        for row in tx.all(_WHERE, content_ids=chunk, mailbox_ids=mailbox_ids):
            yield ContentId(row[0]), FolderId(row[1])


_PAGE = (
    select(
        _mails.c.uid,
        _mails.c.content_id,
        _mails.c.size,
        _mails.c.internal_date,
        _mails.c.envelope_from,
        _contents.c.subject,
        _contents.c.blob,
    )
    .join(_contents, _contents.c.id == _mails.c.content_id)
    .where(*_ABOVE, _mails.c.uid < bindparam("below"))
    .order_by(_mails.c.uid)
    .limit(bindparam("most"))
)


def page(tx: Tx, folder_id: FolderId, *, above: int, below: int, most: int) -> Sequence[Row]:
    """UID, content, size, internal date, envelope sender, subject and blob of the first so many."""
    return tx.all(_PAGE, folder_id=folder_id, above=above, below=below, most=most)
