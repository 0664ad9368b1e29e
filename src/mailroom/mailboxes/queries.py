# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of the mail store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, select, update

from mailroom.core.errors import NotFound
from mailroom.core.ids import ContentId, FolderId, MailboxId, MemberId, Modseq, OrganisationId, Uid
from mailroom.mailboxes.model import (
    Content,
    Flag,
    Folder,
    FolderRole,
    Headline,
    Mail,
    Mailbox,
    MailboxKind,
    MailboxStatus,
    Placed,
)
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_mailboxes = schema.mailboxes
_folders = schema.folders
_contents = schema.contents
_bodies = schema.bodies
_blobs = schema.blobs
_mails = schema.mails
_expunged = schema.expunged

# How many UIDs one statement names.
_CHUNK = 500

# --- mailboxes

_MAILBOX = select(
    _mailboxes.c.id,
    _mailboxes.c.organisation_id,
    _mailboxes.c.kind,
    _mailboxes.c.name,
    _mailboxes.c.owner_id,
    _mailboxes.c.status,
    _mailboxes.c.quota,
    _mailboxes.c.used,
)
_MAILBOX_BY_ID = _MAILBOX.where(_mailboxes.c.id == bindparam("mailbox_id"))
_MAILBOXES = _MAILBOX.order_by(_mailboxes.c.id)
_ADD_MAILBOX = (
    insert(_mailboxes)
    .values(
        organisation_id=bindparam("organisation_id"),
        kind=bindparam("kind"),
        name=bindparam("name"),
        owner_id=bindparam("owner_id"),
        status=MailboxStatus.ACTIVE.value,
        created_at=bindparam("now"),
    )
    .returning(_mailboxes.c.id)
)
_COUNT_PUBLIC = (
    select(func.count())
    .select_from(_mailboxes)
    .where(_mailboxes.c.organisation_id == bindparam("organisation_id"), _mailboxes.c.kind == MailboxKind.PUBLIC.value)
)
_CHANGE_STATUS = update(_mailboxes).where(_mailboxes.c.id == bindparam("which")).values(status=bindparam("status"))
_CHANGE_QUOTA = update(_mailboxes).where(_mailboxes.c.id == bindparam("which")).values(quota=bindparam("quota"))
_CHARGE_ACTIVE = (
    update(_mailboxes)
    .where(_mailboxes.c.id == bindparam("which"), _mailboxes.c.status == MailboxStatus.ACTIVE.value)
    .values(used=_mailboxes.c.used + bindparam("size"))
)
_CHARGE = _CHARGE_ACTIVE.where(
    (_mailboxes.c.quota == 0) | (_mailboxes.c.used + bindparam("size") <= _mailboxes.c.quota)
)
_CHARGE_LAST = _CHARGE_ACTIVE.where((_mailboxes.c.quota == 0) | (_mailboxes.c.used < _mailboxes.c.quota))
_DISCHARGE = (
    update(_mailboxes).where(_mailboxes.c.id == bindparam("which")).values(used=_mailboxes.c.used - bindparam("size"))
)
_NEXT_UIDVALIDITY = (
    update(_mailboxes)
    .where(_mailboxes.c.id == bindparam("which"))
    .values(next_uidvalidity=_mailboxes.c.next_uidvalidity + 1)
    .returning(_mailboxes.c.next_uidvalidity)
)


def _to_mailbox(row: Row) -> Mailbox:
    return Mailbox(
        id=MailboxId(row[0]),
        organisation_id=OrganisationId(row[1]),
        kind=MailboxKind(row[2]),
        name=row[3],
        owner_id=None if row[4] is None else MemberId(row[4]),
        status=MailboxStatus(row[5]),
        quota=row[6],
        used=row[7],
    )


def mailbox(tx: Tx, mailbox_id: MailboxId) -> Mailbox | None:
    row = tx.first(_MAILBOX_BY_ID, mailbox_id=mailbox_id)
    return _to_mailbox(row) if row else None


def mailboxes(tx: Tx) -> Sequence[Mailbox]:
    return [_to_mailbox(row) for row in tx.all(_MAILBOXES)]


def add_mailbox(
    tx: Tx, organisation_id: OrganisationId, kind: MailboxKind, name: str, owner_id: MemberId | None
) -> MailboxId:
    row = tx.first(
        _ADD_MAILBOX, organisation_id=organisation_id, kind=kind.value, name=name, owner_id=owner_id, now=tx.now
    )
    return MailboxId(sql.returned(row))


def count_public(tx: Tx, organisation_id: OrganisationId) -> int:
    return int(sql.returned(tx.first(_COUNT_PUBLIC, organisation_id=organisation_id)))


def change_status(tx: Tx, mailbox_id: MailboxId, status: MailboxStatus) -> None:
    tx.run(_CHANGE_STATUS, which=mailbox_id, status=status.value)


def change_quota(tx: Tx, mailbox_id: MailboxId, quota: int) -> None:
    tx.run(_CHANGE_QUOTA, which=mailbox_id, quota=quota)


def charge(tx: Tx, mailbox_id: MailboxId, size: int) -> int:
    """1 when the mailbox is active and has room, else 0."""
    return tx.run(_CHARGE, which=mailbox_id, size=size)


def charge_last(tx: Tx, mailbox_id: MailboxId, size: int) -> int:
    """1 when the mailbox is active and not full yet, else 0."""
    return tx.run(_CHARGE_LAST, which=mailbox_id, size=size)


def discharge(tx: Tx, mailbox_id: MailboxId, size: int) -> None:
    tx.run(_DISCHARGE, which=mailbox_id, size=size)


# --- folders

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
)
_FOLDER_BY_ID = _FOLDER.where(_folders.c.id == bindparam("folder_id"))
_FOLDERS = _FOLDER.where(_folders.c.mailbox_id == bindparam("mailbox_id"))
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
    select(_folders.c.id, _folders.c.mailbox_id)
    .where(_folders.c.id.in_(bindparam("folder_ids", expanding=True)))
    .order_by(_folders.c.id)
    .with_for_update(key_share=True)
)
_ADD_FOLDER = (
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
        row[7],
        row[8],
    )


def folder(tx: Tx, folder_id: FolderId) -> Folder | None:
    row = tx.first(_FOLDER_BY_ID, folder_id=folder_id)
    return _to_folder(row) if row else None


def folders(tx: Tx, mailbox_id: MailboxId) -> Sequence[Folder]:
    return [_to_folder(row) for row in tx.all(_FOLDERS, mailbox_id=mailbox_id)]


def mailbox_of(tx: Tx, folder_id: FolderId) -> MailboxId | None:
    row = tx.first(_MAILBOX_OF, folder_id=folder_id)
    return MailboxId(row[0]) if row else None


def lock(tx: Tx, *folder_ids: FolderId) -> Sequence[MailboxId]:
    """Keep others from changing the folders until the commit, and from charging their mailboxes; the mailbox of each.
    Raises `NotFound`.

    Whatever changes mails locks in one order, so that on PostgreSQL no two wait for each other: mailboxes by id, then
    folders by id (each under its mailbox), then contents by id, then their blobs. Who locks one folder and nothing else
    needs no mailbox: `lock_folder`. A new mail refers to its large body first of all; who meets another there gives
    way, and is run again.
    """
    tx.all(_LOCK_MAILBOXES, folder_ids=folder_ids)
    return _lock_folders(tx, folder_ids)


def lock_folder(tx: Tx, folder_id: FolderId) -> MailboxId:
    """Keep others from changing the folder until the commit; the mailbox that it is in. Raises `NotFound`."""
    return _lock_folders(tx, [folder_id])[0]


def _lock_folders(tx: Tx, folder_ids: Sequence[FolderId]) -> Sequence[MailboxId]:
    mailboxes = {row[0]: MailboxId(row[1]) for row in tx.all(_LOCK_FOLDERS, folder_ids=folder_ids)}
    for folder_id in folder_ids:
        if folder_id not in mailboxes:
            raise NotFound(what="folder", name=str(folder_id))
    return [mailboxes[folder_id] for folder_id in folder_ids]


def add_folder(tx: Tx, mailbox_id: MailboxId, name: str, role: FolderRole) -> FolderId:
    # A counter, not the time: a folder deleted and made again within one second differs (RFC 9051 §2.3.1.1).
    uidvalidity = sql.returned(tx.first(_NEXT_UIDVALIDITY, which=mailbox_id))
    row = tx.first(_ADD_FOLDER, mailbox_id=mailbox_id, name=name, role=role.value, uidvalidity=uidvalidity, now=tx.now)
    return FolderId(sql.returned(row))


def _to_placed(row: Row | None) -> Placed:
    assert row is not None, "the folder is there: its mailbox was charged in this transaction"
    return Placed(FolderId(row[0]), Uid(row[1] - 1), Modseq(row[2]))


def next_uids(tx: Tx, folder_id: FolderId, count: int, *, unseen: int) -> Placed:
    """Give out `count` UIDs; the last of them."""
    return _to_placed(tx.first(_NEXT_UIDS, which=folder_id, count=count, unseen=unseen))


def next_uid_by_role(tx: Tx, mailbox_id: MailboxId, role: FolderRole) -> Placed:
    """Give out one UID for an unseen mail in the folder of that role."""
    return _to_placed(tx.first(_NEXT_UID_BY_ROLE, which=mailbox_id, of_role=role.value, count=1, unseen=1))


def touch(tx: Tx, folder_id: FolderId, *, mails: int, unseen: int) -> Modseq:
    """Raise the folder's modseq and change its counters; the new modseq."""
    return Modseq(sql.returned(tx.first(_TOUCH, which=folder_id, more=mails, more_unseen=unseen)))


# --- contents

_CONTENT_COLUMNS = (
    "refs",
    "size",
    "blob",
    "message_id",
    "subject",
    "sender",
    "recipients",
    "preview",
    "attachments",
    "sent_at",
    "refers_to",
    "envelope",
    "bodystructure",
    "parts",
    "created_at",
)
_ADD_CONTENT = insert(_contents).values({name: bindparam(name) for name in _CONTENT_COLUMNS}).returning(_contents.c.id)
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
_COUNT_REFS = (
    update(_contents)
    .where(_contents.c.id == bindparam("which"))
    .values(refs=_contents.c.refs + bindparam("by"))
    .returning(_contents.c.refs)
)
_REMOVE_BODY = delete(_bodies).where(_bodies.c.content_id == bindparam("content_id"))
_REMOVE_CONTENT = delete(_contents).where(_contents.c.id == bindparam("content_id")).returning(_contents.c.blob)


def add_content(tx: Tx, **values: Any) -> ContentId:
    return ContentId(sql.returned(tx.first(_ADD_CONTENT, created_at=tx.now, **values)))


def add_body(tx: Tx, content_id: ContentId, octets: bytes) -> None:
    tx.run(_ADD_BODY, content_id=content_id, octets=octets)


def body(tx: Tx, content_id: ContentId) -> bytes | str:
    """The compressed octets of a small body, or the blob's name of a large one. Raises `NotFound`."""
    row = tx.first(_BODY, content_id=content_id)
    if row is None:
        raise NotFound(what="mail", name=str(content_id))
    return bytes(row[0]) if row[0] is not None else str(row[1])


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


def count_refs(tx: Tx, content_id: ContentId, by: int) -> int:
    return int(sql.returned(tx.first(_COUNT_REFS, which=content_id, by=by)))


def remove_content(tx: Tx, content_id: ContentId) -> str:
    """Forget a content; the name of its blob, "" when it had none."""
    tx.run(_REMOVE_BODY, content_id=content_id)
    return str(sql.returned(tx.first(_REMOVE_CONTENT, content_id=content_id)))


# --- blobs

_PIN_BLOB = (
    sql.insert(_blobs)
    .values(name=bindparam("name"), pinned_at=bindparam("now"))
    .on_conflict_do_update(
        index_elements=[_blobs.c.name], set_={"pinned_at": bindparam("now")}, where=_blobs.c.doomed == 0
    )
)
_COUNT_BLOB = (
    update(_blobs)
    .where(_blobs.c.name == bindparam("which"), _blobs.c.doomed == 0)
    .values(refs=_blobs.c.refs + bindparam("by"), pinned_at=bindparam("now"))
)
# Neither in use nor just being kept, or left half deleted.
_COLLECTABLE = and_(
    schema.UNREFERRED,
    ((_blobs.c.doomed == 0) & (_blobs.c.pinned_at < bindparam("unpinned_before")))
    | ((_blobs.c.doomed == 1) & (_blobs.c.pinned_at < bindparam("doomed_before"))),
)
_COLLECTABLE_BLOBS = select(_blobs.c.name).where(_COLLECTABLE).limit(bindparam("limit"))
_DOOM_BLOB = (
    update(_blobs).where(_blobs.c.name == bindparam("which"), _COLLECTABLE).values(doomed=1, pinned_at=bindparam("now"))
)
_FORGET_BLOB = delete(_blobs).where(
    _blobs.c.name == bindparam("which"), _blobs.c.doomed == 1, _blobs.c.pinned_at == bindparam("doomed_at")
)


def pin_blob(tx: Tx, name: str) -> int:
    """1 when the blob may be kept and referred to for the next day, 0 when it is just being deleted."""
    return tx.run(_PIN_BLOB, name=name, now=tx.now)


def refer_blob(tx: Tx, name: str) -> int:
    """1 when the blob is there for as long as it is referred to, 0 when it has been, or is being, deleted."""
    return tx.run(_COUNT_BLOB, which=name, by=1, now=tx.now)


def release_blob(tx: Tx, name: str) -> None:
    tx.run(_COUNT_BLOB, which=name, by=-1, now=tx.now)


def collectable_blobs(tx: Tx, *, unpinned_before: int, doomed_before: int, limit: int) -> Sequence[str]:
    """What nobody refers to. One that was doomed is among them only when its collector must have died."""
    rows = tx.all(_COLLECTABLE_BLOBS, unpinned_before=unpinned_before, doomed_before=doomed_before, limit=limit)
    return [name for (name,) in rows]


def doom_blob(tx: Tx, name: str, *, unpinned_before: int, doomed_before: int) -> int:
    """1 when the blob was collectable even now, and is ours to delete: the doom is known by its time, `tx.now`."""
    return tx.run(_DOOM_BLOB, which=name, unpinned_before=unpinned_before, doomed_before=doomed_before, now=tx.now)


def forget_blob(tx: Tx, name: str, *, doomed_at: int) -> None:
    """Allow it to be kept anew, unless another collector has doomed it since."""
    tx.run(_FORGET_BLOB, which=name, doomed_at=doomed_at)


# --- mails

_ADD_MAIL = insert(_mails).values(
    {
        name: bindparam(name)
        for name in (
            "folder_id",
            "uid",
            "content_id",
            "modseq",
            "flags",
            "keywords",
            "size",
            "internal_date",
            "envelope_from",
        )
    }
)
_MAIL_COLUMNS = (
    _mails.c.folder_id,
    _mails.c.uid,
    _mails.c.content_id,
    _mails.c.modseq,
    _mails.c.flags,
    _mails.c.keywords,
    _mails.c.size,
    _mails.c.internal_date,
)
_IN_FOLDER = select(*_MAIL_COLUMNS).where(_mails.c.folder_id == bindparam("folder_id")).order_by(_mails.c.uid)
_MAILS = _IN_FOLDER.where(_mails.c.uid.in_(bindparam("uids", expanding=True)))
_DELETED = _IN_FOLDER.where(_mails.c.flags.op("&")(int(Flag.DELETED)) != 0)
_CHANGED = _IN_FOLDER.where(_mails.c.modseq > bindparam("since"))
_HEADLINES = (
    select(
        *_MAIL_COLUMNS,
        _contents.c.sender,
        _contents.c.subject,
        _contents.c.preview,
        _contents.c.attachments,
        _contents.c.sent_at,
    )
    .join(_contents, _contents.c.id == _mails.c.content_id)
    .where(_mails.c.folder_id == bindparam("folder_id"), _mails.c.uid < bindparam("before"))
    .order_by(_mails.c.uid.desc())
    .limit(bindparam("limit"))
)
_CHANGE_MARKS = (
    update(_mails)
    .where(_mails.c.folder_id == bindparam("in_folder"), _mails.c.uid == bindparam("which"))
    .values(modseq=bindparam("modseq"), flags=bindparam("flags"), keywords=bindparam("keywords"))
)
_COPY_MAIL = insert(_mails).from_select(
    ["folder_id", "uid", "content_id", "modseq", "flags", "keywords", "size", "internal_date", "envelope_from"],
    select(
        bindparam("into", type_=schema.Number),
        bindparam("new_uid", type_=schema.Number),
        _mails.c.content_id,
        bindparam("new_modseq", type_=schema.Number),
        _mails.c.flags,
        _mails.c.keywords,
        _mails.c.size,
        _mails.c.internal_date,
        _mails.c.envelope_from,
    ).where(_mails.c.folder_id == bindparam("in_folder"), _mails.c.uid == bindparam("which")),
)
_REMOVE_MAIL = delete(_mails).where(_mails.c.folder_id == bindparam("in_folder"), _mails.c.uid == bindparam("which"))
_ADD_EXPUNGED = insert(_expunged).values(
    folder_id=bindparam("folder_id"), uid=bindparam("uid"), modseq=bindparam("modseq")
)
_VANISHED = (
    select(_expunged.c.uid)
    .where(_expunged.c.folder_id == bindparam("folder_id"), _expunged.c.modseq > bindparam("since"))
    .order_by(_expunged.c.uid)
)
_LAST_UID = 1 << 62


def _to_mail(row: Row) -> Mail:
    return Mail(
        FolderId(row[0]),
        Uid(row[1]),
        ContentId(row[2]),
        Modseq(row[3]),
        Flag(row[4]),
        frozenset(row[5].split()),
        row[6],
        row[7],
    )


def _joined(keywords: frozenset[str]) -> str:
    return " ".join(sorted(keywords))


def add_mail(
    tx: Tx,
    placed: Placed,
    content_id: ContentId,
    *,
    flags: Flag,
    keywords: frozenset[str],
    size: int,
    internal_date: int,
    envelope_from: str,
) -> None:
    tx.run(
        _ADD_MAIL,
        folder_id=placed.folder_id,
        uid=placed.uid,
        content_id=content_id,
        modseq=placed.modseq,
        flags=int(flags),
        keywords=_joined(keywords),
        size=size,
        internal_date=internal_date,
        envelope_from=envelope_from,
    )


def _chunks(uids: Sequence[Uid]) -> Iterator[Sequence[Uid]]:
    ordered = sorted(set(uids))
    return (ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK))


def mails(tx: Tx, folder_id: FolderId, uids: Sequence[Uid]) -> Sequence[Mail]:
    """Those of the UIDs that are there, in ascending order."""
    return [_to_mail(row) for chunk in _chunks(uids) for row in tx.all(_MAILS, folder_id=folder_id, uids=list(chunk))]


def deleted_mails(tx: Tx, folder_id: FolderId) -> Sequence[Mail]:
    return [_to_mail(row) for row in tx.all(_DELETED, folder_id=folder_id)]


def changed(tx: Tx, folder_id: FolderId, since: Modseq) -> Sequence[Mail]:
    return [_to_mail(row) for row in tx.all(_CHANGED, folder_id=folder_id, since=since)]


def vanished(tx: Tx, folder_id: FolderId, since: Modseq) -> Sequence[Uid]:
    return [Uid(row[0]) for row in tx.all(_VANISHED, folder_id=folder_id, since=since)]


def headlines(tx: Tx, folder_id: FolderId, *, before: Uid | None, limit: int) -> Sequence[Headline]:
    rows = tx.all(_HEADLINES, folder_id=folder_id, before=_LAST_UID if before is None else before, limit=limit)
    return [Headline(_to_mail(row), row[8], row[9], row[10], tuple(json.loads(row[11])), row[12]) for row in rows]


def change_marks(
    tx: Tx, folder_id: FolderId, modseq: Modseq, marks: Sequence[tuple[Uid, Flag, frozenset[str]]]
) -> None:
    tx.many(
        _CHANGE_MARKS,
        [
            {"in_folder": folder_id, "which": uid, "modseq": modseq, "flags": int(flags), "keywords": _joined(keywords)}
            for uid, flags, keywords in marks
        ],
    )


def copy_mails(tx: Tx, folder_id: FolderId, into: FolderId, modseq: Modseq, new: Mapping[Uid, Uid]) -> None:
    tx.many(
        _COPY_MAIL,
        [
            {"into": into, "new_uid": copied, "new_modseq": modseq, "in_folder": folder_id, "which": uid}
            for uid, copied in new.items()
        ],
    )


def remove_mails(tx: Tx, folder_id: FolderId, modseq: Modseq, uids: Sequence[Uid]) -> None:
    """Take mails out of the folder and note it in the expunge log."""
    tx.many(_REMOVE_MAIL, [{"in_folder": folder_id, "which": uid} for uid in uids])
    tx.many(_ADD_EXPUNGED, [{"folder_id": folder_id, "uid": uid, "modseq": modseq} for uid in uids])
