# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SEARCH: a query asked of the rows as far as they can answer, and of the mails for what only their octets say."""

from __future__ import annotations

import asyncio
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from backports import zstd

from mailroom.core.ids import ContentId, FolderId, Modseq
from mailroom.mailboxes import queries
from mailroom.mailboxes.contents import Bodies
from mailroom.mailboxes.judge import Judge, OpenedMail, judge_of, text_parts
from mailroom.mailboxes.queries.search import ANY, Bounds, Said
from mailroom.mailboxes.query import (
    And,
    Arrived,
    Changed,
    Field,
    Flagged,
    Header,
    Keyword,
    Not,
    Query,
    Sent,
    Shows,
    Sized,
    Text,
    Within,
    has,
)
from mailroom.mime.structure import from_json
from mailroom.storage.ports import Row, Store, Tx

_NOTHING: Mapping[int, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Pieces:
    """How much is taken at once."""

    judged: int = 4_000  # rows
    listed: int = 50_000  # ... that need not be judged
    opened: int = 64  # mails


_PIECES = Pieces()


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found."""

    uids: array[int]  # ascending
    modseq: Modseq  # the highest among them; 0 for none, and where the query asks for no modseq


@dataclass(frozen=True, slots=True)
class Begun:
    """A search as far as its first transaction takes it."""

    plan: _Plan
    rows: Sequence[Row]


def begin(tx: Tx, folder_id: FolderId, query: Query, *, pieces: Pieces = _PIECES) -> Begun:
    """Look for the mails of a folder that are meant: `finish` will find them."""
    plan = _plan(query, pieces)
    return Begun(plan, _rows(tx, folder_id, plan))


async def finish(store: Store, bodies: Bodies, folder_id: FolderId, begun: Begun) -> Found:
    """The mails that are meant. Mails that come or go meanwhile may be among them or not: the caller shows those that
    its view has. Of a mail with more than 4 MiB of text, the first are searched. Raises `Unavailable`.
    """
    plan, rows = begun.plan, begun.rows
    opener = None
    if plan.rest is not None:
        opener = _Opener(store, bodies, judge_of(plan.rest), has(plan.rest, _is_in_texts), plan.pieces.opened)
    found, modseq = array("I"), 0
    while True:
        meant = rows if opener is None else await opener.meant(rows)
        found.extend([row[0] for row in meant])
        if plan.asks_modseq:
            modseq = max(modseq, max([row[1] for row in meant], default=0))
        if len(rows) < plan.page:
            return Found(found, Modseq(modseq))
        plan.bounds.first = rows[-1][0] + 1
        rows = await store.read(partial(_rows, folder_id=folder_id, plan=plan))


@dataclass(slots=True)
class _Plan:
    """Bounds for what all mails that are meant have in common, and what is left to be judged."""

    bounds: Bounds
    said: Said | None
    rest: Query | None
    asks_modseq: bool
    pieces: Pieces

    @property
    def page(self) -> int:
        """How many rows are asked for at once."""
        return self.pieces.listed if self.rest is None else self.pieces.judged


def _rows(tx: Tx, folder_id: FolderId, plan: _Plan) -> Sequence[Row]:
    if plan.bounds.first > plan.bounds.last:
        return ()
    if plan.rest is None and plan.said is None and not plan.asks_modseq and plan.bounds.are_of_index:
        return queries.search.of_index(tx, folder_id, plan.bounds, plan.page)
    ask = queries.search.uids if plan.rest is None else queries.search.rows
    return ask(tx, folder_id, plan.bounds, plan.said, plan.page)


def _plan(query: Query, pieces: Pieces = _PIECES) -> _Plan:
    bounds, said = Bounds(), Said()
    rest = [part for part in _parts(query) if not (_bind(bounds, part) or _bind_said(said, part))]
    is_said = said != Said() or any(has(part, _is_said) for part in rest)
    asks_modseq = has(query, lambda part: isinstance(part, Changed))
    return _Plan(bounds, said if is_said else None, And(tuple(rest)) if rest else None, asks_modseq, pieces)


def _parts(query: Query) -> Iterator[Query]:
    """What must all be true."""
    pending = [query]
    while pending:
        match pending.pop():
            case And(parts):
                pending.extend(reversed(parts))
            case Not(Not(part)):
                pending.append(part)
            case Not(Flagged(mask, are)) if mask.bit_count() == 1:
                yield Flagged(mask, mask & ~are)
            case part:
                yield part


def _bind(bounds: Bounds, part: Query) -> bool:
    """Draw the bounds closer; whether they say all that `part` says."""
    match part:
        case Within(uids):
            bounds.first = max(bounds.first, uids[0][0] if uids else 1)
            bounds.last = min(bounds.last, uids[-1][1] if uids else 0)
            return len(uids) <= 1
        case Flagged(mask, are):
            if bounds.mask & mask & (bounds.want ^ are):
                bounds.last = 0
            bounds.mask |= mask
            bounds.want |= mask & are
        case Arrived(since, before):
            bounds.since, bounds.until = max(bounds.since, since), min(bounds.until, before - 1)
        case Sized(above, below):
            bounds.least, bounds.most = max(bounds.least, above + 1), min(bounds.most, below - 1)
        case Changed(since):
            bounds.changed = max(bounds.changed, since)
        case Shows(content_id):
            bounds.content_first = max(bounds.content_first, content_id)
            bounds.content_last = min(bounds.content_last, content_id)
        case Keyword(keyword) if bounds.keyword == ANY:
            bounds.keyword = queries.mails.pattern(f" {keyword.lower()} ")
        case _:
            return False
    return True


_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_SAID = {Field.SUBJECT: "subject", Field.FROM: "sender", Field.TO: "recipients", Field.CC: "cc", Field.BCC: "bcc"}


def _bind_said(said: Said, part: Query) -> bool:
    """The same for what contents say. Of the case of letters, SQLite knows that of ASCII only."""
    match part:
        case Sent(since, before):
            said.sent_since, said.sent_until = max(said.sent_since, since), min(said.sent_until, before - 1)
            return True
        case Text(field, text) if field in _SAID and _is_plain(text):
            if getattr(said, _SAID[field]) != ANY:
                return False
            setattr(said, _SAID[field], queries.mails.pattern(text))
            return True
        case Header(name, text) if name.lower() == "message-id" and _is_plain(text) and _MESSAGE_ID.fullmatch(text):
            said.message_id = queries.mails.pattern(text)
    return False


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _is_said(part: Query) -> bool:
    return isinstance(part, Sent) or (isinstance(part, Text) and part.field in _SAID)


def _is_in_texts(part: Query) -> bool:
    return isinstance(part, Text) and part.field not in _SAID


@dataclass(frozen=True, slots=True)
class _Opener:
    """Opens the mails that rows say too little of."""

    store: Store
    bodies: Bodies
    judge: Judge
    reads_texts: bool
    at_once: int

    async def meant(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Those of the rows that are meant, in their order."""
        verdicts = await asyncio.to_thread(lambda: [self.judge(row, None) for row in rows])
        unsure = [place for place, verdict in enumerate(verdicts) if verdict is None]
        for start in range(0, len(unsure), self.at_once):
            places = unsure[start : start + self.at_once]
            judged = await self._judged([rows[place] for place in places])
            for place, verdict in zip(places, judged, strict=True):
                verdicts[place] = verdict
        return [row for row, verdict in zip(rows, verdicts, strict=True) if verdict]

    async def _judged(self, rows: Sequence[Row]) -> Sequence[bool]:
        ids = [ContentId(row[6]) for row in rows]
        stored = {each[0]: each for each in await self.store.read(lambda tx: queries.search.octets(tx, ids))}
        judged = await asyncio.to_thread(lambda: [self._is_meant(row, stored.get(row[6])) for row in rows])
        for place, row in enumerate(rows):
            if row[6] in stored and stored[row[6]][2]:  # large ones, one by one
                texts = await self._texts(stored[row[6]])
                judged[place] = await asyncio.to_thread(self._is_meant, row, stored[row[6]], texts)
        return judged

    def _is_meant(self, row: Row, stored: Row | None, texts: Mapping[int, bytes] = _NOTHING) -> bool:
        """One that has gone meanwhile is not."""
        return stored is not None and bool(self.judge(row, _opened(stored, texts)))

    async def _texts(self, stored: Row) -> dict[int, bytes]:
        """The raw text parts of a large mail, by where they begin."""
        content_id, _, _, _, parts = stored
        if not self.reads_texts:
            return {}
        return {
            leaf.body_start: b"".join(
                [chunk async for chunk in self.bodies.read(content_id, leaf.body_start, leaf.body_start + octets)]
            )
            for leaf, octets in text_parts(from_json(parts))
            if octets
        }


def _opened(stored: Row, texts: Mapping[int, bytes]) -> OpenedMail:
    _, octets, blob, header_size, parts = stored
    kept = b"" if octets is None else zstd.decompress(octets)
    if blob:
        return OpenedMail(kept, parts, lambda start, _end: texts.get(start, b""))
    return OpenedMail(kept[:header_size], parts, lambda start, end: kept[start:end])
