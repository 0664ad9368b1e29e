# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""LIST with its options, and what STATUS may tell (RFC 9051 §6.3.9, §6.3.11; RFC 5258, 5819, 6154)."""

from __future__ import annotations

import re
from typing import Final

from mailroom.protocols.imap.grammar.lexer import Cursor, Malformed, bad
from mailroom.protocols.imap.grammar.values import Choose, List, StatusItem, Tell

_PATTERNS_MOST: Final = 100
_RETURN: Final = re.compile(rb"RETURN +(?=\()", re.IGNORECASE)
_CHOICES: Final = {
    b"SUBSCRIBED": Choose.SUBSCRIBED,
    b"REMOTE": Choose.REMOTE,
    b"RECURSIVEMATCH": Choose.RECURSIVEMATCH,
    b"SPECIAL-USE": Choose.SPECIAL_USE,
}
_TOLD: Final = {b"SUBSCRIBED": Tell.SUBSCRIBED, b"CHILDREN": Tell.CHILDREN, b"SPECIAL-USE": Tell.SPECIAL_USE}
_STATUS: Final = {item.value: item for item in StatusItem}


def listing(cursor: Cursor) -> List:
    """The arguments of LIST. Raises `Malformed`."""
    choose = _choose(cursor)
    extended = choose is not None
    reference = cursor.mailbox()
    cursor.space()
    if cursor.sees(b"("):
        extended = True
        patterns = tuple(cursor.pattern() for _ in cursor.listed())
    else:
        patterns = (cursor.pattern(),)
    if not 0 < len(patterns) <= _PATTERNS_MOST:
        raise bad(b"some patterns")
    tell = Tell.NOTHING
    status: tuple[StatusItem, ...] = ()
    if not cursor.ends:
        cursor.space()
        extended = True
        tell, status = _returns(cursor)
    return List(reference, patterns, choose or Choose.ANY, tell, status, extended)


def _choose(cursor: Cursor) -> Choose | None:
    if not cursor.sees(b"("):
        return None
    found = Choose.ANY
    for _ in cursor.listed():
        option = _CHOICES.get(cursor.atom())
        if option is None:
            raise Malformed(b"BAD unknown selection option")
        found |= option
    cursor.space()
    if found in {Choose.RECURSIVEMATCH, Choose.RECURSIVEMATCH | Choose.REMOTE}:
        raise Malformed(b"BAD RECURSIVEMATCH needs something to match")  # RFC 5258 §3.1
    return found


def _returns(cursor: Cursor) -> tuple[Tell, tuple[StatusItem, ...]]:
    cursor.match(_RETURN, b"RETURN")
    tell = Tell.NOTHING
    status: tuple[StatusItem, ...] = ()
    for _ in cursor.listed():
        option = cursor.atom()
        if option == b"STATUS":
            cursor.space()
            status = status_items(cursor)
        elif option in _TOLD:
            tell |= _TOLD[option]
        else:
            raise Malformed(b"BAD unknown return option")
    return tell, status


def status_items(cursor: Cursor) -> tuple[StatusItem, ...]:
    """The list of what STATUS shall tell, each once. Raises `Malformed`."""
    found: dict[StatusItem, None] = {}
    for _ in cursor.listed():
        item = _STATUS.get(cursor.atom())
        if item is None:
            raise Malformed(b"BAD unknown status item")
        found[item] = None
    if not found:
        raise bad(b"a status item")
    return tuple(found)
