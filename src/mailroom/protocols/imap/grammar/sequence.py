# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sets of message numbers and UIDs (RFC 9051 §9, sequence-set), which stay ranges: `1:*` is one, of any folder."""

from __future__ import annotations

import re
from typing import Final

from mailroom.mailboxes.uids import Range, Ranges
from mailroom.protocols.imap.grammar.lexer import Cursor, bad
from mailroom.protocols.imap.grammar.values import STAR, Numbers, Saved, Set

_NUMBER: Final = rb"(?:[1-9][0-9]{0,9}|\*)"
_RANGE: Final = _NUMBER + rb"(?::" + _NUMBER + rb")?+"
_SET: Final = re.compile(_RANGE + rb"(?:," + _RANGE + rb")*+")
_MOST: Final = (1 << 32) - 1


def numbers(cursor: Cursor) -> Set:
    """A set, or `$` (RFC 9051 §2.3.1.3). Raises `Malformed`."""
    return Saved() if cursor.next_is(b"$") else ranges(cursor)


def ranges(cursor: Cursor) -> Numbers:
    """A set. Raises `Malformed`."""
    written = cursor.match(_SET, b"a set of message numbers")[0]
    return Numbers(tuple([_range(part) for part in written.split(b",")]))


def fixed(cursor: Cursor) -> Numbers:
    """A set without `*` (RFC 7162 §7: known-uids). Raises `Malformed`."""
    found = ranges(cursor)
    if any(last == STAR for _, last in found.ranges):
        raise bad(b"a set without *")
    return found


def _range(written: bytes) -> Range:
    one, _, other = written.partition(b":")
    first = STAR if one == b"*" else int(one)
    last = first if not other else STAR if other == b"*" else int(other)
    if first > _MOST or last > _MOST:
        raise bad(b"a number of 32 bits")
    if last != STAR and (first == STAR or first > last):
        first, last = last, first
    return first, last


def resolve(numbers: Numbers, largest: int) -> Ranges:
    """The set where the largest number in use is `largest` (0: none is): ascending, none overlapping. Numbers above
    that may be in it.
    """
    found: list[Range] = []
    for first, last in numbers.ranges:
        one, other = first or largest, last or largest
        if one and other:
            found.append((one, other) if one <= other else (other, one))  # RFC 9051 §9: 7:* may mean 3:7
    if len(found) < 2:
        return found
    found.sort()
    merged = [found[0]]
    for first, last in found[1:]:
        before = merged[-1]
        if first > before[1] + 1:
            merged.append((first, last))
        elif last > before[1]:
            merged[-1] = (before[0], last)
    return merged


def count(numbers: Numbers) -> int:
    """How many numbers a set without `*` names, as it was written."""
    return sum(last - first + 1 for first, last in numbers.ranges)
