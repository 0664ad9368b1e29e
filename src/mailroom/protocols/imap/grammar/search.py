# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What SEARCH, SORT and THREAD look for (RFC 9051 §6.4.4; RFC 5032, 5256, 7162 §3.1.5, 8474 §5).

A client decides how deep its keys nest and how many they are, so both are bounded; keys side by side under OR or AND
are put in one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from mailroom.core.ids import Modseq
from mailroom.mailboxes.model import NO_FLAGS, Flag
from mailroom.mailboxes.query import Arrived, Changed, Field, Flagged, Header, Keyword, Sent, Sized, Text
from mailroom.protocols.imap.grammar import flags, sequence
from mailroom.protocols.imap.grammar.charsets import Charset
from mailroom.protocols.imap.grammar.lexer import Cursor, Malformed, bad
from mailroom.protocols.imap.grammar.values import Age, All, Among, Either, EmailId, Key, Other, Return, ThreadId

DEEPEST: Final = 40
KEYS_MOST: Final = 500
_DAY: Final = 86_400_000
_SET_BEGINS: Final = re.compile(rb"(?=[0-9*$])")
_RETURN: Final = re.compile(rb"RETURN +(?=\()", re.IGNORECASE)
_CHARSET: Final = re.compile(rb"CHARSET +", re.IGNORECASE)
_ENTRY: Final = re.compile(rb'"(?:[^"\\\r\n]|\\["\\])*+" +(?:PRIV|SHARED|ALL) +', re.IGNORECASE)
_OBJECT: Final = re.compile(rb"[A-Za-z0-9_-]{1,255}")  # RFC 8474 §7
_RETURNS: Final = {word.name.encode(): word for word in Return if word.name}


def returns(cursor: Cursor) -> Return | None:
    """RETURN with its options, and the space behind it, if it is there; no options mean ALL. Raises `Malformed`."""
    if cursor.find(_RETURN) is None:
        return None
    found = Return(0)
    for _ in cursor.listed():
        option = _RETURNS.get(cursor.atom())
        if option is None:
            raise Malformed(b"BAD unknown option of RETURN")
        found |= option
    cursor.space()
    return found or Return.ALL


def program(cursor: Cursor) -> Key:
    """CHARSET, if it is there, and the keys up to the end. Raises `Malformed`."""
    charset = Charset()
    if cursor.find(_CHARSET) is not None:
        charset = Charset(cursor.astring())
        cursor.space()
    return keys(cursor, charset)


def keys(cursor: Cursor, charset: Charset) -> Key:
    """The keys up to the end. Raises `Malformed`."""
    reading = _Reading(cursor, charset)
    found = [reading.key(0)]
    while not cursor.ends:
        cursor.space()
        found.append(reading.key(0))
    return _together(found)


def _together(found: list[Key]) -> Key:
    if len(found) == 1:
        return found[0]
    if not found:
        raise bad(b"a search key")
    parts: list[Key] = []
    for key in found:
        parts.extend(key.parts if isinstance(key, All) else [key])
    return All(tuple(parts))


class _Reading:
    """One search as it is read."""

    def __init__(self, cursor: Cursor, charset: Charset) -> None:
        self.cursor: Final = cursor
        self.charset: Final = charset
        self._count = 0

    def key(self, depth: int) -> Key:
        """The next key, which stands so deep in others."""
        self._count += 1
        if self._count > KEYS_MOST or depth > DEEPEST:
            raise Malformed(b"BAD [LIMIT] too many keys" if depth <= DEEPEST else b"BAD [LIMIT] keys nest too deep")
        cursor = self.cursor
        if cursor.sees(b"("):
            return _together([self.key(depth + 1) for _ in cursor.listed()])
        if cursor.find(_SET_BEGINS) is not None:
            return Among(sequence.numbers(cursor), uid=False)
        word = cursor.atom(b"a search key")
        if word == b"OR":
            return self._either(depth)
        if word == b"NOT":
            cursor.space()
            part = self.key(depth + 1)
            return part.part if isinstance(part, Other) else Other(part)
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        read = _READERS.get(word)
        if read is None:
            raise Malformed(b"BAD unknown search key")
        cursor.space()
        return read(self)

    def _either(self, depth: int) -> Key:
        # OR a OR b c: as long as clients make it, and no deeper for that.
        parts: list[Key] = []
        again = True
        while again:
            self.cursor.space()
            parts.append(self.key(depth + 1))
            self.cursor.space()
            again = self.cursor.find(_OR) is not None
        parts.append(self.key(depth + 1))
        flat: list[Key] = []
        for part in parts:
            flat.extend(part.parts if isinstance(part, Either) else [part])
        return Either(tuple(flat))

    def string(self) -> str:
        """What is searched for."""
        return self.charset.decode(self.cursor.astring())


def _text(field: Field, reading: _Reading) -> Key:
    return Text(field, reading.string())


def _header(reading: _Reading) -> Key:
    name = reading.cursor.astring().decode("ascii", "replace")
    reading.cursor.space()
    return Header(name, reading.string())


def _keyword(reading: _Reading) -> Key:
    return Keyword(flags.keyword(reading.cursor))


def _unkeyword(reading: _Reading) -> Key:
    return Other(_keyword(reading))


def _uid(reading: _Reading) -> Key:
    return Among(sequence.numbers(reading.cursor), uid=True)


def _before(reading: _Reading) -> Key:
    return Arrived(before=reading.cursor.day() * _DAY)


def _since(reading: _Reading) -> Key:
    return Arrived(since=reading.cursor.day() * _DAY)


def _on(reading: _Reading) -> Key:
    day = reading.cursor.day()
    return Arrived(since=day * _DAY, before=(day + 1) * _DAY)


def _sent_before(reading: _Reading) -> Key:
    return Sent(before=reading.cursor.day())


def _sent_since(reading: _Reading) -> Key:
    return Sent(since=reading.cursor.day())


def _sent_on(reading: _Reading) -> Key:
    day = reading.cursor.day()
    return Sent(since=day, before=day + 1)


def _larger(reading: _Reading) -> Key:
    return Sized(above=reading.cursor.number64())


def _smaller(reading: _Reading) -> Key:
    return Sized(below=reading.cursor.number64())


def _older(reading: _Reading) -> Key:
    return Age(reading.cursor.number(least=1), older=True)


def _younger(reading: _Reading) -> Key:
    return Age(reading.cursor.number(least=1), older=False)


def _modseq(reading: _Reading) -> Key:
    reading.cursor.find(_ENTRY)  # RFC 7162 §3.1.5: all flags of a mail have one modseq here
    return Changed(Modseq(reading.cursor.number64()))


def _email_id(reading: _Reading) -> Key:
    return EmailId(reading.cursor.match(_OBJECT, b"an id")[0].decode("ascii"))


def _thread_id(reading: _Reading) -> Key:
    return ThreadId(reading.cursor.match(_OBJECT, b"an id")[0].decode("ascii"))


_OR: Final = re.compile(rb"OR(?= )", re.IGNORECASE)
_CONSTANTS: Final[dict[bytes, Key]] = {
    b"ALL": All(()),
    b"ANSWERED": Flagged(Flag.ANSWERED, Flag.ANSWERED),
    b"DELETED": Flagged(Flag.DELETED, Flag.DELETED),
    b"DRAFT": Flagged(Flag.DRAFT, Flag.DRAFT),
    b"FLAGGED": Flagged(Flag.FLAGGED, Flag.FLAGGED),
    b"SEEN": Flagged(Flag.SEEN, Flag.SEEN),
    b"UNANSWERED": Flagged(Flag.ANSWERED, NO_FLAGS),
    b"UNDELETED": Flagged(Flag.DELETED, NO_FLAGS),
    b"UNDRAFT": Flagged(Flag.DRAFT, NO_FLAGS),
    b"UNFLAGGED": Flagged(Flag.FLAGGED, NO_FLAGS),
    b"UNSEEN": Flagged(Flag.SEEN, NO_FLAGS),
    # RFC 3501: no mail here is ever recent.
    b"NEW": Either(()),
    b"RECENT": Either(()),
    b"OLD": All(()),
}
_READERS: Final[dict[bytes, Callable[[_Reading], Key]]] = {
    **{field.name.encode(): partial(_text, field) for field in Field},
    b"BEFORE": _before,
    b"EMAILID": _email_id,
    b"HEADER": _header,
    b"KEYWORD": _keyword,
    b"LARGER": _larger,
    b"MODSEQ": _modseq,
    b"OLDER": _older,
    b"ON": _on,
    b"SENTBEFORE": _sent_before,
    b"SENTON": _sent_on,
    b"SENTSINCE": _sent_since,
    b"SINCE": _since,
    b"SMALLER": _smaller,
    b"THREADID": _thread_id,
    b"UID": _uid,
    b"UNKEYWORD": _unkeyword,
    b"YOUNGER": _younger,
}
