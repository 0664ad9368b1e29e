# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""FETCH (RFC 9051 §6.4.5; RFC 3516, 7162, 8474, 8970).

Mails are read in pieces, each by one transaction with a few statements, and said before the next piece is read: memory
stays flat, and other connections have their turns. What a piece says was made at delivery; here it is put in a line.
A large body flows from where it lies to the client in chunks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from mailroom.core.errors import NotFound, Refusal
from mailroom.core.ids import ContentId, Modseq
from mailroom.mailboxes import change, views
from mailroom.mailboxes import fetch as store
from mailroom.mailboxes.change import How
from mailroom.mailboxes.fetch import FlagRow
from mailroom.mailboxes.fetch import Item as Stored
from mailroom.mailboxes.model import Flag, Marks
from mailroom.mailboxes.uids import ranges
from mailroom.mime.scan import Part
from mailroom.mime.structure import from_json
from mailroom.protocols.imap import replies, updates
from mailroom.protocols.imap.commands import sections, span, structure
from mailroom.protocols.imap.commands.span import Piece
from mailroom.protocols.imap.grammar.values import Binary, BinarySize, Fetch, Item, Section
from mailroom.protocols.imap.grammar.values import Piece as What
from mailroom.protocols.imap.session import Enabled, Ended, Session, View
from mailroom.storage.ports import Row, Tx

_FLAGS_AT_ONCE: Final = 5000  # mails of which only flags are asked for
_ROWS_AT_ONCE: Final = 500
_BODIES_AT_ONCE: Final = 64  # each of at most 64 KiB in memory
_PREVIEW_MOST: Final = 256  # characters; RFC 8970 §3.2
_DECODED_MOST: Final = 64 * 1024  # octets of an encoded part that are decoded in memory
_MORE_THAN_FLAGS: Final = ~(Item.UID | Item.FLAGS | Item.MODSEQ)
_SEEN: Final = Marks(Flag.SEEN)
_COLUMNS: Final = 7  # of every row

_Word = Callable[[Row], bytes]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be read of each mail, and how it is said."""

    items: Item
    words: Sequence[_Word]
    sections: tuple[Section | Binary | BinarySize, ...]
    stored: Stored
    at_once: int
    marks_seen: bool
    needs_bodies: bool
    needs_parts: bool
    since: Modseq
    is_flags: bool  # the rows of flags say all that is asked for


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a piece: rows ascending by UID, small mails whole (or their header blocks alone)."""

    rows: Sequence[Row]
    octets: Mapping[ContentId, bytes]


async def fetch(session: Session, command: Fetch) -> bytes:
    """FETCH and UID FETCH."""
    view = session.folder
    if command.changed_since is not None or Item.MODSEQ in command.attributes.items:
        session.enabled |= Enabled.CONDSTORE  # RFC 7162 §3.1
    if command.vanished and Enabled.QRESYNC not in session.enabled:
        return b"BAD ENABLE QRESYNC first"  # RFC 7162 §3.2.6
    plan = _plan(session, command)
    named, vanished, read = await session.read(partial(_begin, session=session, command=command, plan=plan))
    if vanished:
        session.wire.say(b"* VANISHED (EARLIER) %b\r\n" % replies.numbers(vanished))
    pieces = span.split(named, plan.at_once)
    told = 0
    unknown = False
    for place, piece in enumerate(pieces):
        if place:
            is_last = place == len(pieces) - 1
            read = await session.read(partial(_read, session=session, plan=plan, piece=piece, is_last=is_last))
        marked, rows = await _mark_seen(session, plan, read.rows)
        await updates.introduce(session, rows)
        if plan.is_flags:
            session.wire.say(_flags_said(session, plan, rows))
            told += len(rows)
        else:
            for number, row in zip(view.numbers([row[0] for row in rows]), rows, strict=True):
                said = _Said(session, plan, number, row, read.octets.get(row[6]))
                told += await said.say(with_flags=row[3] == marked)
                unknown |= said.unknown_encoding
        if marked and place + 1 < len(pieces):
            await updates.tell(session, expunges=False)  # no number may change before the last piece
        await session.wire.flow()
    if unknown:
        return b"NO [UNKNOWN-CTE] a part's transfer encoding is unknown"
    return span.ISSUED if not plan.since and told < span.count(named) else b"OK fetched"


def _plan(session: Session, command: Fetch) -> _Plan:
    attributes = command.attributes
    items = attributes.items
    if command.uid or Enabled.QRESYNC in session.enabled:
        items |= Item.UID
    stored = Stored(0)
    if Item.ENVELOPE in items:
        stored |= Stored.ENVELOPE
    if items & (Item.BODY | Item.BODYSTRUCTURE):
        stored |= Stored.STRUCTURE
    if Item.PREVIEW in items:
        stored |= Stored.PREVIEW
    if attributes.sections:
        stored |= Stored.PARTS
    needs_parts = any(section.path for section in attributes.sections)
    needs_rows = bool(items & _MORE_THAN_FLAGS)
    return _Plan(
        items=items,
        words=_words(session.folder, items, stored),
        sections=attributes.sections,
        stored=stored,
        at_once=_BODIES_AT_ONCE if attributes.sections else _ROWS_AT_ONCE if needs_rows else _FLAGS_AT_ONCE,
        marks_seen=attributes.marks_seen and not session.folder.read_only,
        needs_bodies=not all(_is_of_header(section) for section in attributes.sections),
        needs_parts=needs_parts,
        since=Modseq(command.changed_since or 0),
        is_flags=not attributes.sections and not needs_rows,
    )


def _is_of_header(section: Section | Binary | BinarySize) -> bool:
    return isinstance(section, Section) and not section.path and section.piece not in {What.ALL, What.TEXT}


# Reading.


def _begin(tx: Tx, *, session: Session, command: Fetch, plan: _Plan) -> tuple[Piece, Sequence[int], _Read]:
    view = session.folder
    named = span.places(tx, view, command.numbers, by_uid=command.uid)
    vanished: Sequence[int] = ()
    if command.vanished:
        meant = view.meant(tx, command.numbers, by_uid=True)
        gone = updates.within(views.vanished(tx, view.folder_id, since=plan.since), meant)
        vanished = [uid for uid in gone if not view.number(uid)]
    if plan.since:
        changed = views.changed_uids(tx, view.folder_id, since=plan.since, below=view.below)
        named = span.places_of(view, ranges(updates.within(changed, span.uids_of(view, named))))
    pieces = span.split(named, plan.at_once)
    first = _read(tx, session=session, plan=plan, piece=pieces[0] if pieces else (), is_last=len(pieces) <= 1)
    return named, vanished, first


def _read(tx: Tx, *, session: Session, plan: _Plan, piece: Piece, is_last: bool) -> _Read:
    view = session.folder
    uids = span.uids_of(view, piece)
    octets: Mapping[ContentId, bytes] = {}
    rows: Sequence[Row] = ()
    if not piece:
        pass
    elif plan.is_flags:
        rows = store.flags(tx, view.folder_id, uids)
    else:
        rows = store.rows(tx, view.folder_id, uids, plan.stored)
    if plan.sections and rows:
        kept = store.bodies if plan.needs_bodies else store.headers
        octets = kept(tx, [row[6] for row in rows])
    if is_last:
        updates.look(tx, session)
    return _Read(rows, octets)


async def _mark_seen(session: Session, plan: _Plan, rows: Sequence[Row]) -> tuple[Modseq, Sequence[Row]]:
    """The modseq that the mails have which are seen only now, and the rows as they are then."""
    unseen = ranges(row[0] for row in rows if not row[1] & Flag.SEEN) if plan.marks_seen else ()
    if not unseen:
        return updates.NOTHING, rows
    view = session.folder

    def work(tx: Tx) -> tuple[Modseq, Sequence[FlagRow]]:
        marked = change.mark(tx, view.folder_id, unseen, How.ADD, _SEEN)
        updates.look_after(tx, session, marked.modseq)
        return marked.modseq, store.flags(tx, view.folder_id, unseen)

    marked, flags = await session.write(work)
    now = {row[0]: row for row in flags}
    return marked, [(*now.get(row[0], row[:4]), *row[4:]) for row in rows]


# Saying.


def _flags_said(session: Session, plan: _Plan, rows: Sequence[FlagRow]) -> bytes:
    return updates.lines(
        session.folder,
        rows,
        flags=Item.FLAGS in plan.items,
        uid=Item.UID in plan.items,
        modseq=Item.MODSEQ in plan.items,
    )


def _words(view: View, items: Item, stored: Stored) -> Sequence[_Word]:
    """What says a mail's row, all but the sections."""
    told: dict[Item, _Word] = {
        Item.UID: lambda row: b"UID %d" % row[0],
        Item.FLAGS: lambda row: b"FLAGS " + view.flags(row[1], row[2]),
        Item.MODSEQ: lambda row: b"MODSEQ (%d)" % row[3],
        Item.SIZE: lambda row: b"RFC822.SIZE %d" % row[4],
        Item.INTERNALDATE: lambda row: b"INTERNALDATE " + replies.date_time(row[5]),
        Item.EMAILID: lambda row: b"EMAILID (M%d)" % row[6],
        Item.THREADID: lambda _: b"THREADID NIL",
    }
    words = [say for item, say in told.items() if item in items]
    place = _COLUMNS
    if Stored.ENVELOPE in stored:
        words.append(_column(b"ENVELOPE ", place, bytes))
        place += 1
    if Stored.STRUCTURE in stored:
        if Item.BODY in items:
            words.append(_column(b"BODY ", place, structure.body))
        if Item.BODYSTRUCTURE in items:
            words.append(_column(b"BODYSTRUCTURE ", place, bytes))
        place += 1
    if Stored.PREVIEW in stored:
        words.append(_column(b"PREVIEW ", place, _preview))
    return words


def _column(label: bytes, place: int, write: Callable[[Any], bytes]) -> _Word:
    return lambda row: label + write(row[place])


def _preview(text: str) -> bytes:
    return replies.string(text[:_PREVIEW_MOST].encode())


class _Said:
    """One mail on its way to the client."""

    def __init__(self, session: Session, plan: _Plan, number: int, row: Row, octets: bytes | None) -> None:
        self.unknown_encoding = False
        self._session = session
        self._plan = plan
        self._number = number
        self._row = row
        self._octets = octets
        self._id: ContentId = row[6]
        self._size: int = row[4]
        self._begun = False
        self._out: list[bytes] = []

    async def say(self, *, with_flags: bool) -> bool:
        """Say it; False: it has gone."""
        words = self._plan.words
        if with_flags:  # it is seen only now
            items = self._plan.items | Item.FLAGS
            if Enabled.CONDSTORE in self._session.enabled:
                items |= Item.MODSEQ
            words = _words(self._session.folder, items, self._plan.stored)
        plain = [word(self._row) for word in words]
        self._out.append(b"* %d FETCH (%b" % (self._number, b" ".join(plain)))
        root = self._root()
        try:
            for place, section in enumerate(self._plan.sections):
                await self._section(section, root, b" " if place or plain else b"")
        except Refusal as fault:
            if self._begun:  # it was told how much would come
                raise Ended(b"[UNAVAILABLE] a mail cannot be read") from fault
            if isinstance(fault, NotFound):
                return False
            raise
        self._session.wire.say(b"".join([*self._out, b")\r\n"]))
        return True

    def _root(self) -> Part:
        if not self._plan.sections:
            return Part(0, 0, self._size, 0)
        parts, header_size = self._row[-2:]
        return from_json(parts) if self._plan.needs_parts else Part(0, header_size, self._size, 0)

    async def _section(self, section: Section | Binary | BinarySize, root: Part, space: bytes) -> None:
        if isinstance(section, Section):
            reach = sections.stretch(section, root, self._size)
            if reach is None:
                self._out.append(b"%b%b NIL" % (space, section.label))
            elif section.piece in {What.FIELDS, What.FIELDS_NOT}:
                header = await self._read(reach[0], min(reach[1], reach[0] + sections.HEADER_MOST))
                fields = sections.chosen(section, header)
                start, end = sections.cut((0, len(fields)), section.partial)
                self._out.append(b"%b%b %b" % (space, section.label, replies.literal(fields[start:end])))
            else:
                await self._stretch(space + section.label, *sections.cut(reach, section.partial))
            return
        found = sections.binary(section, root, self._size)
        if found is None:
            self._out.append(b"%b%b %b" % (space, section.label, b"0" if isinstance(section, BinarySize) else b"NIL"))
            return
        reach, encoding = found
        if not sections.can_decode(encoding):
            self.unknown_encoding = True
        elif isinstance(section, BinarySize):
            size = await self._decoded_size(reach, encoding)
            self._out.append(b"%b%b %d" % (space, section.label, size))
        elif not encoding:
            await self._stretch(space + section.label, *sections.cut(reach, section.partial), binary=True)
        else:
            await self._decoded(space + section.label, reach, encoding, section.partial)

    def _has(self, end: int) -> bool:
        """Whether what is in memory goes so far: the mail, or the beginning of its header."""
        return self._octets is not None and end <= len(self._octets)

    async def _read(self, start: int, end: int) -> bytes:
        return b"".join([chunk async for chunk in self._chunks(start, end)])

    async def _chunks(self, start: int, end: int) -> AsyncIterator[bytes]:
        if self._octets is not None and self._has(end):
            yield self._octets[start:end]
        elif start < end:
            async for chunk in self._session.tools.bodies.read(self._id, start, end):
                yield chunk

    async def _stretch(self, label: bytes, start: int, end: int, *, binary: bool = False) -> None:
        if self._octets is not None and self._has(end):
            octets = self._octets[start:end]
            marker = b"~" if binary and b"\0" in octets else b""
            self._out.append(b"%b %b%b" % (label, marker, replies.literal(octets)))
        else:
            marker = b"~" if binary else b""
            await self._flow(b"%b %b{%d}\r\n" % (label, marker, end - start), self._chunks(start, end))

    async def _flow(self, beginning: bytes, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            if not self._begun or beginning:
                self._session.wire.say(b"".join([*self._out, beginning]))
                self._out.clear()
                self._begun, beginning = True, b""
            self._session.wire.say(chunk)
            await self._session.wire.flow()

    async def _decoded_size(self, reach: sections.Span, encoding: str) -> int:
        size = 0
        async for chunk in sections.decoded(self._chunks(*reach), encoding):
            size += len(chunk)
        return size

    async def _decoded(
        self, label: bytes, reach: sections.Span, encoding: str, partial_: tuple[int, int] | None
    ) -> None:
        if reach[1] - reach[0] <= _DECODED_MOST:
            octets = b"".join([chunk async for chunk in sections.decoded(self._chunks(*reach), encoding)])
            start, end = sections.cut((0, len(octets)), partial_)
            octets = octets[start:end]
            said = replies.literal8(octets) if b"\0" in octets else replies.literal(octets)
            self._out.append(b"%b %b" % (label, said))
            return
        # A literal begins with its size: the part is decoded twice rather than held.
        start, end = sections.cut((0, await self._decoded_size(reach, encoding)), partial_)
        chunks = sections.stretch_of(sections.decoded(self._chunks(*reach), encoding), start, end)
        await self._flow(b"%b ~{%d}\r\n" % (label, end - start), chunks)
