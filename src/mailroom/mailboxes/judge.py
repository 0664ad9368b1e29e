# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a mail is meant by a search: told by its row as far as that says it, else by the mail itself."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from mailroom.mailboxes.query import (
    And,
    Arrived,
    Changed,
    Field,
    Flagged,
    Header,
    Keyword,
    Not,
    Or,
    Query,
    Sent,
    Shows,
    Sized,
    Text,
    Within,
)
from mailroom.mailboxes.uids import Ranges
from mailroom.mime import headers
from mailroom.mime.preview import Read, part_text
from mailroom.mime.scan import Part
from mailroom.mime.structure import from_json
from mailroom.storage.ports import Row

READ_MOST = 4 << 20  # octets of one mail's text parts that are searched


class OpenedMail:
    """A mail that was opened; what it says is looked for once."""

    def __init__(self, header: bytes, parts: str, read: Read) -> None:
        self._header = header
        self._parts = parts
        self._read = read

    @cached_property
    def fields(self) -> Sequence[tuple[str, str]]:
        """Names in lower case, and decoded values."""
        return [(name, headers.decode(raw).lower()) for name, raw in headers.read(self._header).fields]

    @cached_property
    def header(self) -> str:
        """The whole header block."""
        return "\n".join(f"{name}: {value}" for name, value in self.fields)

    @cached_property
    def body(self) -> str:
        """The text parts."""
        texts = [part_text(leaf, self._read, limit=octets) for leaf, octets in text_parts(from_json(self._parts))]
        return "\n".join(texts).lower()


# None: only the mail itself can tell, and it was not opened yet.
Judge = Callable[[Row, OpenedMail | None], bool | None]


def judge_of(query: Query) -> Judge:
    """The judge of a query, made once for all rows."""
    match query:
        case And(parts):
            return _all([judge_of(part) for part in sorted(parts, key=_cost)])
        case Or(parts):
            return _any([judge_of(part) for part in sorted(parts, key=_cost)])
        case Not(part):
            return _not(judge_of(part))
        case Text(Field.BODY | Field.TEXT) | Header():
            return _judge_mail(query)
        case _:
            by_row = _judge_row(query)
            return lambda row, _mail: by_row(row)


def _cost(query: Query) -> int:
    """Cheap ones first: they may spare us the others."""
    match query:
        case And(parts) | Or(parts):
            return max((_cost(part) for part in parts), default=0)
        case Not(part):
            return _cost(part)
        case Text(Field.BODY | Field.TEXT):
            return 2
        case Header():
            return 1
    return 0


def _all(judges: Sequence[Judge]) -> Judge:
    def judge(row: Row, mail: OpenedMail | None) -> bool | None:
        verdict: bool | None = True
        for each in judges:
            one = each(row, mail)
            if one is False:
                return False
            verdict = verdict and one
        return verdict

    return judge


def _any(judges: Sequence[Judge]) -> Judge:
    none = _all([_not(each) for each in judges])
    return _not(none)


def _not(judge: Judge) -> Judge:
    def turned(row: Row, mail: OpenedMail | None) -> bool | None:
        verdict = judge(row, mail)
        return None if verdict is None else not verdict

    return turned


def _judge_mail(query: Text | Header) -> Judge:
    return lambda _row, mail: None if mail is None else _says(mail, query)


def _says(mail: OpenedMail, query: Text | Header) -> bool:
    needle = query.text.lower()
    if isinstance(query, Header):
        name = query.name.lower()
        return any(each == name and needle in value for each, value in mail.fields)
    if query.field is Field.TEXT and needle in mail.header:
        return True
    return needle in mail.body


def _judge_row(query: Query) -> Callable[[Row], bool]:  # noqa: PLR0911 -- one for each kind of condition
    """Rows are those of `queries.search.rows`."""
    match query:
        case Within(uids):
            firsts = [first for first, _ in uids]
            return lambda row: _is_within(uids, firsts, row[0])
        case Flagged(mask, are):
            return lambda row: row[2] & mask == mask & are
        case Keyword(keyword):
            spaced = f" {keyword.lower()} "
            return lambda row: spaced in row[3]
        case Arrived(since, before):
            return lambda row: since <= row[5] < before
        case Sized(above, below):
            return lambda row: above < row[4] < below
        case Changed(modseq):
            return lambda row: row[1] >= modseq
        case Shows(content_id):
            return lambda row: row[6] == content_id
        case Sent(since, before):
            return lambda row: row[7] is not None and since <= row[7] < before
        case Text(field, text):
            return _judge_said(field, text.lower())
    raise AssertionError(query)


def _judge_said(field: Field, needle: str) -> Callable[[Row], bool]:
    if field is Field.FROM:
        return lambda row: needle in row[9].lower() or needle in row[10].lower()
    column = {Field.SUBJECT: 8, Field.TO: 11, Field.CC: 12, Field.BCC: 13}[field]
    return lambda row: needle in row[column].lower()


def _is_within(uids: Ranges, firsts: Sequence[int], uid: int) -> bool:
    place = bisect_right(firsts, uid)
    return place > 0 and uid <= uids[place - 1][1]


def text_parts(part: Part) -> Iterator[tuple[Part, int]]:
    """The text parts, those of attached mails too, and how much of each is searched."""
    left = READ_MOST
    for leaf in part.walk():
        if leaf.main == "text":
            yield leaf, min(leaf.size, left)
            left -= min(leaf.size, left)
