# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Flags and keywords (RFC 9051 §2.3.2) as the store has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mailroom.mailboxes.model import NO_FLAGS, Flag, Marks
from mailroom.protocols.imap.grammar.lexer import Cursor, Malformed

_KEYWORD_MOST: Final = 100  # characters
_SYSTEM: Final = {
    b"\\SEEN": Flag.SEEN,
    b"\\ANSWERED": Flag.ANSWERED,
    b"\\FLAGGED": Flag.FLAGGED,
    b"\\DELETED": Flag.DELETED,
    b"\\DRAFT": Flag.DRAFT,
    b"\\RECENT": NO_FLAGS,  # RFC 3501 §2.3.2: only a server could set it, and ours never does
}


def marks(cursor: Cursor) -> Marks:
    """A list of flags in parentheses. Raises `Malformed`."""
    return _marks(cursor.flag() for _ in cursor.listed(b"a list of flags"))


def bare_marks(cursor: Cursor) -> Marks:
    """Flags without parentheses, up to the end of the command. Raises `Malformed`."""
    found = [cursor.flag()]
    while not cursor.ends:
        cursor.space()
        found.append(cursor.flag())
    return _marks(found)


def keyword(cursor: Cursor) -> str:
    """One keyword. Raises `Malformed`."""
    return _keyword(cursor.flag())


def _marks(words: Iterable[bytes]) -> Marks:
    flags = NO_FLAGS
    keywords = set()
    for word in words:
        system = _SYSTEM.get(word.upper()) if word[:1] == b"\\" else None
        if system is not None:
            flags |= system
        else:
            keywords.add(_keyword(word))
    return Marks(flags, frozenset(keywords))


def _keyword(word: bytes) -> str:
    if word[:1] == b"\\":
        raise Malformed(b"BAD there is no such system flag")
    if len(word) > _KEYWORD_MOST:
        raise Malformed(b"BAD the keyword is too long")
    return word.decode("ascii")
