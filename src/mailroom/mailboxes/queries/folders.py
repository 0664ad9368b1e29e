# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Folders: their names, counters and locks; the keywords used in them, and the names that are subscribed to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update

from mailroom.core.errors import NotFound
from mailroom.core.ids import FolderId, MailboxId, Modseq, Uid
from mailroom.mailboxes.model import Folder, FolderRole, Placed
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_mailboxes = schema.mailboxes
_folders = schema.folders
_keywords = schema.keywords
_subscriptions = schema.subscriptions
_mails = schema.mails
_expunged = schema.expunged

_NEXT_UIDVALIDITY = (
    update(_mailboxes)
    .where(_mailboxes.c.id == bindparam("which"))
    .values(next_uidvalidity=_mailboxes.c.next_uidvalidity + 1)
    .returning(_mailboxes.c.next_uidvalidity)
)
_FOLDER = select(
    _folders.c.id,
    _folders.c.mailbox_id,
    _folders.c.name,
    _folders.c.role,
    _folders.c.uidvalidity,
    _folders.c.uidnext,
    _folders.c.modseq,
    _folders.c.mails,
    _folders.c.unseen,
    _folders.c.size,
)
_FOLDER_BY_ID = _FOLDER.where(_folders.c.id == bindparam("folder_id"))
_MODSEQ = select(_folders.c.modseq).where(_folders.c.id == bindparam("folder_id"))
_FOLDERS = _FOLDER.where(_folders.c.mailbox_id == bindparam("mailbox_id"))
_FOLDER_BY_NAME = _FOLDERS.where(_folders.c.name == bindparam("name"))
_FOLDER_BY_ROLE = _FOLDERS.where(_folders.c.role == bindparam("role"))
_COUNT = select(func.count()).select_from(_folders).where(_folders.c.mailbox_id == bindparam("mailbox_id"))
_MAILBOX_OF = select(_folders.c.mailbox_id).where(_folders.c.id == bindparam("folder_id"))
# NO KEY UPDATE: whoever only adds a row that refers to this one is not kept out.
_LOCK_MAILBOXES = (
    select(_mailboxes.c.id)
    .join(_folders, _folders.c.mailbox_id == _mailboxes.c.id)
    .where(_folders.c.id.in_(bindparam("folder_ids", expanding=True)))
    .order_by(_mailboxes.c.id)
    .with_for_update(of=_mailboxes, key_share=True)
)
_LOCK_FOLDERS = (
    select(_folders.c.id, _folders.c.mailbox_id, _folders.c.modseq)
    .where(_folders.c.id.in_(bindparam("folder_ids", expanding=True)))
    .order_by(_folders.c.id)
    .with_for_update(key_share=True)
)
_ADD = (
    insert(_folders)
    .values(
        mailbox_id=bindparam("mailbox_id"),
        name=bindparam("name"),
        role=bindparam("role"),
        uidvalidity=bindparam("uidvalidity"),
        created_at=bindparam("now"),
    )
    .returning(_folders.c.id)
)
_NEXT = {
    "uidnext": _folders.c.uidnext + bindparam("count"),
    "modseq": _folders.c.modseq + 1,
    "mails": _folders.c.mails + bindparam("count"),
    "unseen": _folders.c.unseen + bindparam("unseen"),
    "size": _folders.c.size + bindparam("octets"),
}
_NEXT_UIDS = (
    update(_folders)
    .where(_folders.c.id == bindparam("which"))
    .values(_NEXT)
    .returning(_folders.c.id, _folders.c.uidnext, _folders.c.modseq)
)
_NEXT_UID_BY_ROLE = (
    update(_folders)
    .where(_folders.c.mailbox_id == bindparam("which"), _folders.c.role == bindparam("of_role"))
    .values(_NEXT)
    .returning(_folders.c.id, _folders.c.uidnext, _folders.c.modseq)
)
_TOUCH = (
    update(_folders)
    .where(_folders.c.id == bindparam("which"))
    .values(
        modseq=_folders.c.modseq + 1,
        mails=_folders.c.mails + bindparam("more"),
        unseen=_folders.c.unseen + bindparam("more_unseen"),
        size=_folders.c.size + bindparam("more_octets"),
    )
    .returning(_folders.c.modseq)
)


def _to_folder(row: Row) -> Folder:
    return Folder(
        FolderId(row[0]),
        MailboxId(row[1]),
        row[2],
        FolderRole(row[3]),
        row[4],
        Uid(row[5]),
        Modseq(row[6]),
        *row[7:],
    )


def folder(tx: Tx, folder_id: FolderId) -> Folder | None:
    row = tx.first(_FOLDER_BY_ID, folder_id=folder_id)
    return _to_folder(row) if row else None


def modseq(tx: Tx, folder_id: FolderId) -> Modseq | None:
    row = tx.first(_MODSEQ, folder_id=folder_id)
    return Modseq(row[0]) if row else None


def folders(tx: Tx, mailbox_id: MailboxId) -> Sequence[Folder]:
    return [_to_folder(row) for row in tx.all(_FOLDERS, mailbox_id=mailbox_id)]


def by_name(tx: Tx, mailbox_id: MailboxId, name: str) -> Folder | None:
    row = tx.first(_FOLDER_BY_NAME, mailbox_id=mailbox_id, name=name)
    return _to_folder(row) if row else None


def by_role(tx: Tx, mailbox_id: MailboxId, role: FolderRole) -> Folder | None:
    row = tx.first(_FOLDER_BY_ROLE, mailbox_id=mailbox_id, role=role.value)
    return _to_folder(row) if row else None


def count(tx: Tx, mailbox_id: MailboxId) -> int:
    return int(sql.returned(tx.first(_COUNT, mailbox_id=mailbox_id)))


def mailbox_of(tx: Tx, folder_id: FolderId) -> MailboxId | None:
    row = tx.first(_MAILBOX_OF, folder_id=folder_id)
    return MailboxId(row[0]) if row else None


class Locked(NamedTuple):
    """A folder that others keep their hands off until the commit."""

    mailbox_id: MailboxId
    modseq: Modseq


def lock(tx: Tx, *folder_ids: FolderId) -> Sequence[Locked]:
    """Keep others from changing the folders until the commit, and from charging their mailboxes. Raises `NotFound`.

    Whatever changes mails locks in one order, so that on PostgreSQL no two wait for each other: mailboxes by id, then
    folders by id (each under its mailbox), then contents by id, then their blobs by name. Who locks one folder and
    nothing else needs no mailbox: `lock_folder`. A new mail refers to its large body first of all; who meets another
    there gives way, and is run again.
    """
    tx.all(_LOCK_MAILBOXES, folder_ids=folder_ids)
    return _lock_folders(tx, folder_ids)


def lock_folder(tx: Tx, folder_id: FolderId) -> Locked:
    """Keep others from changing the folder until the commit. Raises `NotFound`."""
    return _lock_folders(tx, [folder_id])[0]


def _lock_folders(tx: Tx, folder_ids: Sequence[FolderId]) -> Sequence[Locked]:
    rows = tx.all(_LOCK_FOLDERS, folder_ids=folder_ids)
    locked = {row[0]: Locked(MailboxId(row[1]), Modseq(row[2])) for row in rows}
    for folder_id in folder_ids:
        if folder_id not in locked:
            raise NotFound(what="folder", name=str(folder_id))
    return [locked[folder_id] for folder_id in folder_ids]


def add(tx: Tx, mailbox_id: MailboxId, name: str, role: FolderRole) -> FolderId:
    # A counter, not the time: a folder deleted and made again within one second differs (RFC 9051 §2.3.1.1).
    uidvalidity = sql.returned(tx.first(_NEXT_UIDVALIDITY, which=mailbox_id))
    row = tx.first(_ADD, mailbox_id=mailbox_id, name=name, role=role.value, uidvalidity=uidvalidity, now=tx.now)
    return FolderId(sql.returned(row))


def _to_placed(row: Row | None, name: str) -> Placed:
    if row is None:
        raise NotFound(what="folder", name=name)  # removed since it was looked up
    return Placed(FolderId(row[0]), Uid(row[1] - 1), Modseq(row[2]))


def next_uids(tx: Tx, folder_id: FolderId, count: int, *, unseen: int, octets: int) -> Placed:
    """Give out `count` UIDs; the last of them. Raises `NotFound`."""
    row = tx.first(_NEXT_UIDS, which=folder_id, count=count, unseen=unseen, octets=octets)
    return _to_placed(row, str(folder_id))


def next_uid_by_role(tx: Tx, mailbox_id: MailboxId, role: FolderRole, *, octets: int) -> Placed:
    """Give out one UID for an unseen mail in the folder of that role. Raises `NotFound`."""
    row = tx.first(_NEXT_UID_BY_ROLE, which=mailbox_id, of_role=role.value, count=1, unseen=1, octets=octets)
    return _to_placed(row, role.value)


def touch(tx: Tx, folder_id: FolderId, *, mails: int = 0, unseen: int = 0, octets: int = 0) -> Modseq:
    """Raise the folder's modseq and change its counters; the new modseq."""
    row = tx.first(_TOUCH, which=folder_id, more=mails, more_unseen=unseen, more_octets=octets)
    return Modseq(sql.returned(row))


_RENAME = update(_folders).where(_folders.c.id == bindparam("which")).values(name=bindparam("to"))
_REMOVE = (
    *(delete(table).where(table.c.folder_id == bindparam("which")) for table in (_mails, _expunged, _keywords)),
    delete(_folders).where(_folders.c.id == bindparam("which")),
)


def rename(tx: Tx, names: Iterable[tuple[FolderId, str]]) -> None:
    """In this order: each name must be free when its turn comes."""
    tx.many(_RENAME, [{"which": folder_id, "to": name} for folder_id, name in names])


def remove(tx: Tx, folder_id: FolderId) -> None:
    """With its mails, whose contents count them no more."""
    for statement in _REMOVE:
        tx.run(statement, which=folder_id)


_KEYWORDS = select(_keywords.c.keyword, _keywords.c.spelt).where(_keywords.c.folder_id == bindparam("folder_id"))
_ADD_KEYWORD = (
    sql.insert(_keywords)
    .values(folder_id=bindparam("folder_id"), keyword=bindparam("keyword"), spelt=bindparam("spelt"))
    .on_conflict_do_nothing()
)


def keywords(tx: Tx, folder_id: FolderId) -> dict[str, str]:
    return {row[0]: row[1] for row in tx.all(_KEYWORDS, folder_id=folder_id)}


def add_keywords(tx: Tx, folder_id: FolderId, spelt: Mapping[str, str]) -> None:
    tx.many(_ADD_KEYWORD, [{"folder_id": folder_id, "keyword": low, "spelt": as_is} for low, as_is in spelt.items()])


_SUBSCRIBED = select(_subscriptions.c.name).where(_subscriptions.c.mailbox_id == bindparam("mailbox_id"))
_COUNT_SUBSCRIBED = (
    select(func.count()).select_from(_subscriptions).where(_subscriptions.c.mailbox_id == bindparam("mailbox_id"))
)
_SUBSCRIBE = (
    sql.insert(_subscriptions)
    .values(mailbox_id=bindparam("mailbox_id"), name=bindparam("name"))
    .on_conflict_do_nothing()
)
_UNSUBSCRIBE = delete(_subscriptions).where(
    _subscriptions.c.mailbox_id == bindparam("mailbox_id"), _subscriptions.c.name == bindparam("name")
)


def subscriptions(tx: Tx, mailbox_id: MailboxId) -> frozenset[str]:
    return frozenset(row[0] for row in tx.all(_SUBSCRIBED, mailbox_id=mailbox_id))


def count_subscriptions(tx: Tx, mailbox_id: MailboxId) -> int:
    return int(sql.returned(tx.first(_COUNT_SUBSCRIBED, mailbox_id=mailbox_id)))


def subscribe(tx: Tx, mailbox_id: MailboxId, name: str) -> None:
    tx.run(_SUBSCRIBE, mailbox_id=mailbox_id, name=name)


def unsubscribe(tx: Tx, mailbox_id: MailboxId, name: str) -> None:
    tx.run(_UNSUBSCRIBE, mailbox_id=mailbox_id, name=name)
