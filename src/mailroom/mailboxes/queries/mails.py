# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails in folders, as many as one statement can take: over a range of UIDs, or over UIDs that it names."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, insert, select, update
from sqlalchemy.sql.expression import Executable

from mailroom.core.ids import ContentId, FolderId, MemberId, Modseq, Uid
from mailroom.mailboxes.model import Flag, Headline, Mail, Marks, Placed
from mailroom.mailboxes.uids import Ranges
from mailroom.storage import schema
from mailroom.storage.ports import Row, Tx

_mails = schema.mails
_contents = schema.contents
_expunged = schema.expunged

# How many UIDs one statement names, and how long a range is that it had better not name one by one.
_CHUNK = 512
_LONG = 16
_FOREVER = 1 << 62
ALL = _FOREVER

_IN_FOLDER = _mails.c.folder_id == bindparam("in_folder")
# Reckoned with, the UID does not tempt SQLite away from the index on modseq.
_UID_RECKONED = _mails.c.uid + 0


@dataclass(frozen=True, slots=True)
class _Over:
    """One statement in its two forms."""

    range: Executable
    named: Executable

    def pieces(self, uids: Ranges) -> Iterator[tuple[Executable, dict[str, Any]]]:
        """What to run one after the other, in ascending order of UIDs."""
        named: list[int] = []
        for first, last in uids:
            long = last - first >= _LONG
            if named and (long or len(named) + last - first >= _CHUNK):
                yield self.named, {"uids": named}
                named = []
            if long:
                yield self.range, {"first": first, "last": last}
            else:
                named.extend(range(first, last + 1))
        if named:
            yield self.named, {"uids": named}


def _over(build: Callable[[ColumnElement[bool]], Executable], uid: ColumnElement[int] = _mails.c.uid) -> _Over:
    return _Over(
        build(uid.between(bindparam("first"), bindparam("last"))),
        build(uid.in_(bindparam("uids", expanding=True))),
    )


def _all(tx: Tx, over: _Over, folder_id: FolderId, uids: Ranges, **values: Any) -> Sequence[Row]:
    found = [tx.all(statement, in_folder=folder_id, **piece, **values) for statement, piece in over.pieces(uids)]
    return found[0] if len(found) == 1 else [row for rows in found for row in rows]


def _run(tx: Tx, over: _Over, folder_id: FolderId, uids: Ranges, **values: Any) -> int:
    return sum(tx.run(statement, in_folder=folder_id, **piece, **values) for statement, piece in over.pieces(uids))


def _by_index(name: str, statement: Select[Any]) -> Select[Any]:
    """Of two indexes that would do, SQLite takes the primary key, however few rows the partial one has."""
    return statement.with_hint(_mails, f"INDEXED BY {name}", dialect_name="sqlite")


def _array(rows: Sequence[Row]) -> array[int]:
    return array("I", [row[0] for row in rows])


_COLUMNS = (
    _mails.c.folder_id,
    _mails.c.uid,
    _mails.c.content_id,
    _mails.c.modseq,
    _mails.c.flags,
    _mails.c.keywords,
    _mails.c.size,
    _mails.c.internal_date,
)
_MAILS = select(*_COLUMNS).where(_IN_FOLDER).order_by(_mails.c.uid)
_MAIL = _MAILS.where(_mails.c.uid == bindparam("uid"))
_CHANGED_MAILS = _MAILS.where(_mails.c.modseq > bindparam("since"))
_HEADLINES = (
    select(
        *_COLUMNS,
        _contents.c.sender,
        _contents.c.subject,
        _contents.c.preview,
        _contents.c.attachments,
        _contents.c.sent_at,
    )
    .join(_contents, _contents.c.id == _mails.c.content_id)
    .where(_IN_FOLDER, _mails.c.uid < bindparam("before"))
    .order_by(_mails.c.uid.desc())
    .limit(bindparam("limit"))
)
_KEPT = ("content_id", "flags", "keywords", "size", "internal_date", "envelope_from", "sent_by")
_ADD = insert(_mails).values({name: bindparam(name) for name in ("folder_id", "uid", "modseq", *_KEPT)})


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


def mail(tx: Tx, folder_id: FolderId, uid: Uid) -> Mail | None:
    row = tx.first(_MAIL, in_folder=folder_id, uid=uid)
    return _to_mail(row) if row else None


def changed_mails(tx: Tx, folder_id: FolderId, since: Modseq) -> Sequence[Mail]:
    return [_to_mail(row) for row in tx.all(_CHANGED_MAILS, in_folder=folder_id, since=since)]


def headlines(tx: Tx, folder_id: FolderId, *, before: Uid | None, limit: int) -> Sequence[Headline]:
    rows = tx.all(_HEADLINES, in_folder=folder_id, before=_FOREVER if before is None else before, limit=limit)
    return [Headline(_to_mail(row), row[8], row[9], row[10], tuple(json.loads(row[11])), row[12]) for row in rows]


def add(
    tx: Tx,
    placed: Placed,
    content_id: ContentId,
    marks: Marks,
    *,
    size: int,
    internal_date: int,
    envelope_from: str,
    sent_by: MemberId | None,
) -> None:
    tx.run(
        _ADD,
        folder_id=placed.folder_id,
        uid=placed.uid,
        modseq=placed.modseq,
        content_id=content_id,
        flags=int(marks.flags),
        keywords=_joined(marks.keywords),
        size=size,
        internal_date=internal_date,
        envelope_from=envelope_from,
        sent_by=sent_by,
    )


_UIDS = select(_mails.c.uid).where(_IN_FOLDER, _mails.c.uid < bindparam("below")).order_by(_mails.c.uid)
_UIDS_ABOVE = select(_mails.c.uid).where(_IN_FOLDER, _mails.c.uid >= bindparam("least")).order_by(_mails.c.uid)
_GONE = (
    select(_expunged.c.uid)
    .where(
        _expunged.c.folder_id == bindparam("in_folder"),
        _expunged.c.uid < bindparam("below"),
        _expunged.c.modseq <= bindparam("until"),
    )
    .order_by(_expunged.c.uid)
)
_VANISHED = (
    select(_expunged.c.uid)
    .where(_expunged.c.folder_id == bindparam("in_folder"), _expunged.c.modseq > bindparam("since"))
    .order_by(_expunged.c.uid)
)
_FIRST_UNSEEN = _by_index(
    "mails_unseen",
    select(_mails.c.uid).where(_IN_FOLDER, schema.UNSEEN).order_by(_mails.c.uid).limit(bindparam("limit")),
)
_COUNT_DELETED = _by_index(
    "mails_deleted",
    select(func.count(), func.coalesce(func.sum(_mails.c.size), 0)).where(_IN_FOLDER, schema.DELETED),
)


def uids(tx: Tx, folder_id: FolderId, *, below: int) -> array[int]:
    return _array(tx.all(_UIDS, in_folder=folder_id, below=below))


def uids_from(tx: Tx, folder_id: FolderId, least: Uid) -> array[int]:
    return _array(tx.all(_UIDS_ABOVE, in_folder=folder_id, least=least))


def gone(tx: Tx, folder_id: FolderId, *, below: int, until: int) -> array[int]:
    """The UIDs below one that had gone when the folder's modseq was `until`."""
    return _array(tx.all(_GONE, in_folder=folder_id, below=below, until=until))


def vanished(tx: Tx, folder_id: FolderId, since: Modseq) -> array[int]:
    return _array(tx.all(_VANISHED, in_folder=folder_id, since=since))


def first_unseen(tx: Tx, folder_id: FolderId) -> Uid | None:
    row = tx.first(_FIRST_UNSEEN, in_folder=folder_id, limit=1)
    return Uid(row[0]) if row else None


def count_deleted(tx: Tx, folder_id: FolderId) -> tuple[int, int]:
    """How many there are, and how many octets they have."""
    [(mails, octets)] = tx.all(_COUNT_DELETED, in_folder=folder_id)
    return int(mails), int(octets)


_FLAGS = (_mails.c.uid, _mails.c.flags, _mails.c.keywords, _mails.c.modseq)
_FETCHED = (*_FLAGS, _mails.c.size, _mails.c.internal_date, _mails.c.content_id)
_SINCE = _mails.c.modseq > bindparam("since")
_FLAGS_OF = _over(lambda these: select(*_FLAGS).where(_IN_FOLDER, these).order_by(_mails.c.uid))
_CHANGED = (
    select(*_FLAGS)
    .where(_IN_FOLDER, _UID_RECKONED.between(bindparam("first"), bindparam("last")), _SINCE)
    .order_by(_UID_RECKONED)
    .limit(bindparam("limit"))
)
# The rest of very many that have changed: by UID, for by modseq each piece would go through all of them.
_CHANGED_REST = (
    select(*_FLAGS)
    .where(
        _IN_FOLDER,
        _mails.c.uid.between(bindparam("first"), bindparam("last")),
        _mails.c.modseq + 0 > bindparam("since"),
    )
    .order_by(_mails.c.uid)
    .limit(bindparam("limit"))
)
_CHANGED_UIDS = select(_mails.c.uid).where(_IN_FOLDER, bindparam("below") > _UID_RECKONED, _SINCE)
_SNAPSHOT = select(_mails.c.uid, _mails.c.size, _mails.c.content_id).where(_IN_FOLDER).order_by(_mails.c.uid)


@cache
def _rows(names: tuple[str, ...]) -> _Over:
    """One of a few: `names` are those of `fetch.Item`."""
    wanted = select(*_FETCHED, *(_contents.c[name] for name in names)).where(_IN_FOLDER).order_by(_mails.c.uid)
    if names:
        wanted = wanted.join(_contents, _contents.c.id == _mails.c.content_id)
    return _over(wanted.where)


def flags(tx: Tx, folder_id: FolderId, uids: Ranges) -> Sequence[Row]:
    return _all(tx, _FLAGS_OF, folder_id, uids)


def changed(tx: Tx, folder_id: FolderId, *, since: Modseq, above: Uid, below: Uid, limit: int) -> Sequence[Row]:
    statement = _CHANGED_REST if above else _CHANGED
    return tx.all(statement, in_folder=folder_id, since=since, first=above + 1, last=below - 1, limit=limit)


def changed_uids(tx: Tx, folder_id: FolderId, *, since: Modseq, below: Uid) -> array[int]:
    return array("I", sorted(row[0] for row in tx.all(_CHANGED_UIDS, in_folder=folder_id, since=since, below=below)))


def rows(tx: Tx, folder_id: FolderId, uids: Ranges, names: tuple[str, ...]) -> Sequence[Row]:
    return _all(tx, _rows(names), folder_id, uids)


def snapshot(tx: Tx, folder_id: FolderId) -> Sequence[Row]:
    return tx.all(_SNAPSHOT, in_folder=folder_id)


_DATES = (_mails.c.uid, _mails.c.internal_date, _mails.c.size)
_SORTED = tuple(_contents.c[name] for name in ("sent_at", "subject", "sender", "recipients", "cc"))
_THREADED = tuple(_contents.c[name] for name in ("sent_at", "subject", "message_id", "refers_to"))


def _in_pages(*said: ColumnElement[Any]) -> _Over:
    statement = select(*_DATES, *said).where(_IN_FOLDER).order_by(_mails.c.uid).limit(bindparam("limit"))
    if said:
        statement = statement.join(_contents, _contents.c.id == _mails.c.content_id)
    return _over(statement.where)


_BY_DATES = _in_pages()
_BY_SAID = _in_pages(*_SORTED)
_BY_THREAD = _in_pages(*_THREADED)


def by_dates(tx: Tx, folder_id: FolderId, uids: Ranges, limit: int) -> Sequence[Row]:
    """UID, internal date, size of the first so many that are there."""
    return _page(tx, _BY_DATES, folder_id, uids, limit)


def by_said(tx: Tx, folder_id: FolderId, uids: Ranges, limit: int) -> Sequence[Row]:
    """The same, and the moment of Date, subject, From, To, Cc."""
    return _page(tx, _BY_SAID, folder_id, uids, limit)


def by_thread(tx: Tx, folder_id: FolderId, uids: Ranges, limit: int) -> Sequence[Row]:
    """The same as `by_dates`, and the moment of Date, subject, Message-ID, and what the mail refers to."""
    return _page(tx, _BY_THREAD, folder_id, uids, limit)


def _page(tx: Tx, over: _Over, folder_id: FolderId, uids: Ranges, limit: int) -> Sequence[Row]:
    found: list[Row] = []
    for statement, piece in over.pieces(uids):
        found += tx.all(statement, in_folder=folder_id, **piece, limit=limit - len(found))
        if len(found) == limit:
            break
    return found


# Untouched since, or touched by this very change: it may take several statements.
_UNTOUCHED = (_mails.c.modseq <= bindparam("until")) | (_mails.c.modseq == bindparam("new_modseq"))
_NEW_FLAGS = _mails.c.flags.bitwise_or(bindparam("more")).bitwise_and(bindparam("keep"))
_SET_FLAGS = _over(
    lambda these: (
        update(_mails)
        .where(_IN_FOLDER, these, _UNTOUCHED, _mails.c.flags != _NEW_FLAGS)
        .values(modseq=bindparam("new_modseq"), flags=_NEW_FLAGS)
    )
)
_KEYWORDS_OF = _over(
    lambda these: select(_mails.c.keywords, _mails.c.uid).where(_IN_FOLDER, these, _UNTOUCHED).order_by(_mails.c.uid)
)
_SET_KEYWORDS = _over(
    lambda these: (
        update(_mails)
        .where(_IN_FOLDER, these, _UNTOUCHED, _mails.c.keywords != bindparam("new_keywords"))
        .values(modseq=bindparam("new_modseq"), keywords=bindparam("new_keywords"))
    )
)
_COUNT_UNSEEN = _over(
    lambda these: select(func.count(), func.sum(_mails.c.flags.bitwise_and(int(Flag.SEEN)))).where(
        _IN_FOLDER, these, _mails.c.modseq + 0 <= bindparam("until")
    )
)
_TOUCHED_UIDS = _over(
    lambda these: select(_mails.c.uid).where(_IN_FOLDER, these, _SINCE).order_by(_mails.c.uid), _UID_RECKONED
)


@dataclass(frozen=True, slots=True)
class Marking:
    """Which mails get a new modseq by a change of marks: those not touched after `until`."""

    folder_id: FolderId
    uids: Ranges
    modseq: Modseq
    until: int = _FOREVER


def set_flags(tx: Tx, marking: Marking, *, more: int, keep: int) -> int:
    """Add the flags `more`, then keep only those in `keep`; how many mails have other flags now."""
    return _mark(tx, _SET_FLAGS, marking, more=more, keep=keep)


def keywords_of(tx: Tx, marking: Marking) -> Sequence[Row]:
    """The keywords of each mail, as its row holds them, and its UID."""
    return _all(tx, _KEYWORDS_OF, marking.folder_id, marking.uids, until=marking.until, new_modseq=marking.modseq)


def set_keywords(tx: Tx, marking: Marking, keywords: Collection[str]) -> int:
    """Give the mails these keywords and no others; how many had others."""
    return _mark(tx, _SET_KEYWORDS, marking, new_keywords=_joined(keywords))


def _joined(keywords: Collection[str]) -> str:
    return f" {' '.join(sorted(keywords))} " if keywords else ""


def _mark(tx: Tx, over: _Over, marking: Marking, **values: Any) -> int:
    return _run(tx, over, marking.folder_id, marking.uids, until=marking.until, new_modseq=marking.modseq, **values)


def pattern(part: str) -> str:
    """For LIKE with a backslash as its escape: any text that has this part."""
    return "%" + part.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"


def count_unseen(tx: Tx, marking: Marking) -> tuple[int, int]:
    """Of those that may be marked, how many there are and how many of them are unseen."""
    counts = _all(tx, _COUNT_UNSEEN, marking.folder_id, marking.uids, until=marking.until)
    mails = sum(row[0] for row in counts)
    return mails, mails - sum(int(row[1] or 0) for row in counts)


def touched(tx: Tx, folder_id: FolderId, uids: Ranges, since: Modseq) -> array[int]:
    return _array(_all(tx, _TOUCHED_UIDS, folder_id, uids, since=since))


_PICKED = (_mails.c.uid, _mails.c.content_id, _mails.c.size, _mails.c.flags, _mails.c.keywords)
_SOME_PICKED = select(*_PICKED).where(_IN_FOLDER).order_by(_mails.c.uid).limit(bindparam("limit"))
_PICK = _over(_SOME_PICKED.where)
_PICK_DELETED = _over(lambda these: _by_index("mails_deleted", _SOME_PICKED.where(these, schema.DELETED)))
_COPY = _over(
    lambda these: insert(_mails).from_select(
        ["folder_id", "uid", "modseq", *_KEPT],
        select(
            bindparam("into", type_=schema.Number),
            bindparam("before_first", type_=schema.Number) + func.row_number().over(order_by=_mails.c.uid),
            bindparam("new_modseq", type_=schema.Number),
            *(_mails.c[name] for name in _KEPT),
        ).where(_IN_FOLDER, these),
    )
)
_NOTE_EXPUNGED = _over(
    lambda these: insert(_expunged).from_select(
        ["folder_id", "uid", "modseq"],
        select(_mails.c.folder_id, _mails.c.uid, bindparam("new_modseq", type_=schema.Number)).where(_IN_FOLDER, these),
    )
)
_REMOVE = _over(lambda these: delete(_mails).where(_IN_FOLDER, these))


def pick(tx: Tx, folder_id: FolderId, uids: Ranges, limit: int = ALL) -> Sequence[Row]:
    """Of the first so many that are there: UID, content id, size, flags, keywords."""
    return _page(tx, _PICK, folder_id, uids, limit)


def pick_deleted(tx: Tx, folder_id: FolderId, uids: Ranges, limit: int) -> Sequence[Row]:
    return _page(tx, _PICK_DELETED, folder_id, uids, limit)


def copy(tx: Tx, folder_id: FolderId, uids: Ranges, *, into: FolderId, first: int, modseq: Modseq) -> None:
    """All of the UIDs are there; their copies are numbered from `first` on."""
    for statement, piece in _COPY.pieces(uids):
        first += tx.run(statement, in_folder=folder_id, **piece, into=into, before_first=first - 1, new_modseq=modseq)


def remove(tx: Tx, folder_id: FolderId, uids: Ranges, modseq: Modseq) -> None:
    """Take mails out of the folder and note it in the expunge log."""
    _run(tx, _NOTE_EXPUNGED, folder_id, uids, new_modseq=modseq)
    _run(tx, _REMOVE, folder_id, uids)
