# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What rows can say to a search: a few statements, each with bounds for everything; a bound that is not wanted is wide
open. A statement for each search would have to be compiled, and kept for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, select

from mailroom.core.ids import ContentId, FolderId
from mailroom.mailboxes.model import Flag
from mailroom.storage import schema
from mailroom.storage.ports import Row, Tx

_mails = schema.mails
_contents = schema.contents
_bodies = schema.bodies

_FOREVER = 1 << 62
_NO_DAY = -(1 << 31)
ANY = "%"

_SHORT = (_mails.c.uid, _mails.c.modseq)
_JUDGED = (*_SHORT, _mails.c.flags, _mails.c.keywords, _mails.c.size, _mails.c.internal_date, _mails.c.content_id)
_SAID = tuple(_contents.c[name] for name in ("sent_day", "subject", "sender", "senders", "recipients", "cc", "bcc"))


@dataclass(slots=True)
class Bounds:
    """Between what all that is sought lies; both ends included. Patterns are for LIKE."""

    first: int = 1
    last: int = _FOREVER
    mask: int = 0
    want: int = 0
    since: int = 0
    until: int = _FOREVER
    least: int = 0
    most: int = _FOREVER
    changed: int = 0
    content_first: int = 0
    content_last: int = _FOREVER
    keyword: str = ANY

    @property
    def index(self) -> str:
        """The one to go by; "" for that by UID."""
        if self.changed > 1:
            return "mails_modseq"
        if self.mask & ~self.want & Flag.SEEN:
            return "mails_unseen"
        return "mails_deleted" if self.want & Flag.DELETED else ""

    @property
    def are_of_index(self) -> bool:
        """Whether the index has only what is sought: nothing else of a mail need be looked at."""
        flags = {"mails_unseen": (Flag.SEEN, 0), "mails_deleted": (Flag.DELETED, Flag.DELETED)}.get(self.index, (0, 0))
        return self == Bounds(first=self.first, last=self.last, mask=flags[0], want=flags[1])


@dataclass(slots=True)
class Said:
    """Bounds of what contents say. None but the wide open ones let a mail pass that has no date."""

    sent_since: int = _NO_DAY
    sent_until: int = _FOREVER
    subject: str = ANY
    sender: str = ANY
    recipients: str = ANY
    cc: str = ANY
    bcc: str = ANY
    message_id: str = ANY


def _like(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    return column.ilike(bindparam(name), escape="\\")


_SAID_BOUNDS = (
    func.coalesce(_contents.c.sent_day, _NO_DAY).between(bindparam("sent_since"), bindparam("sent_until")),
    _like(_contents.c.subject, "subject"),
    _like(_contents.c.sender, "sender") | _like(_contents.c.senders, "sender"),
    _like(_contents.c.recipients, "recipients"),
    _like(_contents.c.cc, "cc"),
    _like(_contents.c.bcc, "bcc"),
    _like(_contents.c.message_id, "message_id"),
)


@cache
def _statement(index: str, *, whole: bool, said: bool) -> Select[Any]:
    """Twelve in all. `whole`: with what a row is judged by."""
    by_modseq = index == "mails_modseq"
    # Reckoned with, a column does not tempt SQLite to another index.
    uid, modseq = (_mails.c.uid + 0, _mails.c.modseq) if by_modseq else (_mails.c.uid, _mails.c.modseq + 0)
    statement = (
        select(*(_JUDGED if whole else _SHORT), *(_SAID if whole and said else ()))
        .where(
            _mails.c.folder_id == bindparam("folder_id"),
            uid.between(bindparam("first"), bindparam("last")),
            modseq >= bindparam("changed"),
            _mails.c.flags.bitwise_and(bindparam("mask")) == bindparam("want"),
            _mails.c.internal_date.between(bindparam("since"), bindparam("until")),
            _mails.c.size.between(bindparam("least"), bindparam("most")),
            _mails.c.content_id.between(bindparam("content_first"), bindparam("content_last")),
            _mails.c.keywords.like(bindparam("keyword"), escape="\\"),
        )
        .order_by(uid)
        .limit(bindparam("limit"))
    )
    if said:
        statement = statement.join(_contents, _contents.c.id == _mails.c.content_id).where(*_SAID_BOUNDS)
    if index in _PARTIAL:
        statement = statement.where(_PARTIAL[index])
        statement = statement.with_hint(_mails, f"INDEXED BY {index}", dialect_name="sqlite")
    return statement


_PARTIAL = {"mails_unseen": schema.UNSEEN, "mails_deleted": schema.DELETED}


@cache
def _of_index(index: str) -> Select[Any]:
    statement = (
        select(_mails.c.uid)
        .where(
            _mails.c.folder_id == bindparam("folder_id"), _mails.c.uid.between(bindparam("first"), bindparam("last"))
        )
        .order_by(_mails.c.uid)
        .limit(bindparam("limit"))
    )
    if index in _PARTIAL:
        statement = statement.where(_PARTIAL[index])
        statement = statement.with_hint(_mails, f"INDEXED BY {index}", dialect_name="sqlite")
    return statement


def of_index(tx: Tx, folder_id: FolderId, bounds: Bounds, limit: int) -> Sequence[Row]:
    """UIDs alone of the first mails within bounds that `are_of_index`, ascending."""
    return tx.all(_of_index(bounds.index), folder_id=folder_id, first=bounds.first, last=bounds.last, limit=limit)


def uids(tx: Tx, folder_id: FolderId, bounds: Bounds, said: Said | None, limit: int) -> Sequence[Row]:
    """UID and modseq of the first mails within the bounds, ascending; contents are looked at only with `said`."""
    return _rows(tx, folder_id, bounds, said, limit, whole=False)


def rows(tx: Tx, folder_id: FolderId, bounds: Bounds, said: Said | None, limit: int) -> Sequence[Row]:
    """The same; then flags, keywords, size, internal date, content id; and with `said` the day of Date, subject, first
    From, all of From if several, To, Cc, Bcc.
    """
    return _rows(tx, folder_id, bounds, said, limit, whole=True)


def _rows(tx: Tx, folder_id: FolderId, bounds: Bounds, said: Said | None, limit: int, *, whole: bool) -> Sequence[Row]:
    statement = _statement(bounds.index, whole=whole, said=said is not None)
    return tx.all(
        statement, folder_id=folder_id, limit=limit, **asdict(bounds), **({} if said is None else asdict(said))
    )


_OCTETS = (
    select(_contents.c.id, _bodies.c.octets, _contents.c.blob, _contents.c.header_size, _contents.c.parts)
    .outerjoin(_bodies, _bodies.c.content_id == _contents.c.id)
    .where(_contents.c.id.in_(bindparam("ids", expanding=True)))
)


def octets(tx: Tx, content_ids: Sequence[ContentId]) -> Sequence[Row]:
    """Of a few contents: id, compressed octets (of a large one its header block), blob, header size, parts."""
    return tx.all(_OCTETS, ids=content_ids)
