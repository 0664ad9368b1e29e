# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The words of a command: atoms, strings, numbers, lists, dates (RFC 9051 §4 and §9).

A `Cursor` goes over the octets of one whole command, its literals included; each method reads one element of the
grammar and stands behind it, or raises `Malformed`. Every pattern is linear in what it reads.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Final

from mailroom.protocols.imap.grammar import mutf7

TAG: Final = rb'[^\x00-\x20\x7f-\xff(){%*"\\+]+'

_NUMBER_MOST: Final = (1 << 63) - 1  # number64, RFC 9051 §9

# Octets above 127 are no atoms, but clients send names in UTF-8 or GBK so.
_SPACES: Final = re.compile(rb" +")
_END: Final = re.compile(rb" *\Z")
_ATOM: Final = re.compile(rb'[^\x00-\x20\x7f(){%*"\\\]]+')
_ASTRING: Final = re.compile(rb'[^\x00-\x20\x7f(){%*"\\]+')
_PATTERN: Final = re.compile(rb'[^\x00-\x20\x7f(){"\\]+')
_LENIENT: Final = re.compile(rb'[^\x00-\x20\x7f"{][^\x00-\x20\x7f]*')
_QUOTED: Final = re.compile(rb'"((?:[^"\\\x00\r\n]|\\[^\x00\r\n])*+)"')
_LITERAL: Final = re.compile(rb"~?\{([0-9]{1,19})\+?\}\r\n")
_ESCAPE: Final = re.compile(rb'\\(["\\])')
_DIGITS: Final = re.compile(rb"[0-9]{1,20}(?![0-9])")
_FLAG: Final = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_DATE: Final = re.compile(rb'"?([0-9]{1,2})-([A-Z]{3})-([0-9]{4})"?(?=[ )]|\Z)', re.IGNORECASE)
_DATE_TIME: Final = re.compile(
    rb'" ?([0-9]{1,2})-([A-Z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"',
    re.IGNORECASE,
)
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"), start=1
    )
}
_EPOCH: Final = dt.date(1970, 1, 1)


class Malformed(Exception):
    """The client's words are no command. `text` is what to say: BAD or NO, with its words; the tag is "*" if none was
    read.
    """

    def __init__(self, text: bytes, *, tag: bytes = b"*") -> None:
        self.text = text
        self.tag = tag
        super().__init__(text)


def bad(wanted: bytes) -> Malformed:
    """The refusal of a command that lacks what is wanted."""
    return Malformed(b"BAD " + wanted + b" expected")


def text(octets: bytes) -> str:
    """What a client wrote without saying in which charset: UTF-8, or GB18030, as clients in China still do."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("gb18030", "replace")


def name(octets: bytes, *, utf8: bool) -> str:
    """A mailbox name, with INBOX in capitals, also above others (RFC 9051 §5.1). After `utf8` was enabled, "&" means
    nothing (RFC 6855 §3).
    """
    found = text(octets)
    if not utf8 and found.isascii():
        found = mutf7.decode(found)
    if found[:5].upper() == "INBOX" and found[5:6] in {"", "/"}:
        return "INBOX" + found[5:]
    return found


class Cursor:
    """A place in the octets of a command. `utf8` as in `name`."""

    __slots__ = ("at", "octets", "utf8")

    def __init__(self, octets: bytes, *, utf8: bool = False, at: int = 0) -> None:
        self.octets = octets
        self.utf8 = utf8
        self.at = at

    def match(self, pattern: re.Pattern[bytes], wanted: bytes) -> re.Match[bytes]:
        """What the pattern finds here. Raises `Malformed` that `wanted` was expected."""
        found = pattern.match(self.octets, self.at)
        if found is None:
            raise bad(wanted)
        self.at = found.end()
        return found

    def find(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """What the pattern finds here; if nothing, nothing is passed over."""
        found = pattern.match(self.octets, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def space(self) -> None:
        """The space before a further argument; clients may send several."""
        self.match(_SPACES, b"an argument")

    def end(self) -> None:
        """The end of the command; spaces may stand before it."""
        if self.at != len(self.octets):
            self.match(_END, b"end of the command")

    @property
    def ends(self) -> bool:
        """Whether nothing but spaces is left."""
        return self.at == len(self.octets) or _END.match(self.octets, self.at) is not None

    def next_is(self, octet: bytes) -> bool:
        """Whether this is the next octet; it is passed over if so."""
        if self.octets.startswith(octet, self.at):
            self.at += 1
            return True
        return False

    def sees(self, octets: bytes) -> bool:
        """Whether these come next; they are not passed over."""
        return self.octets.startswith(octets, self.at)

    def atom(self, wanted: bytes = b"a word") -> bytes:
        """An atom in capitals."""
        return self.match(_ATOM, wanted)[0].upper()

    def astring(self) -> bytes:
        """An astring, or anything else that can only have been meant as one."""
        found = self.find(_ASTRING)
        return self.string() if found is None else found[0]

    def lenient(self) -> bytes:
        """An astring, or all up to the next space: names and passwords are not always quoted where they should be."""
        found = self.find(_LENIENT)
        return self.string() if found is None else found[0]

    def pattern(self) -> str:
        """A list-mailbox: a name with wildcards."""
        found = self.find(_PATTERN)
        return name(self.string() if found is None else found[0], utf8=self.utf8)

    def mailbox(self) -> str:
        """A mailbox name."""
        return name(self.astring(), utf8=self.utf8)

    def nstring(self) -> bytes | None:
        """A string or NIL; an atom may stand for the string."""
        found = self.find(_ATOM)
        if found is None:
            return self.string()
        return None if found[0].upper() == b"NIL" else found[0]

    def string(self) -> bytes:
        """A quoted string or a literal; an escape that escapes nothing stands for itself."""
        found = self.find(_QUOTED)
        if found is not None:
            return _ESCAPE.sub(rb"\1", found[1]) if b"\\" in found[1] else found[1]
        size = int(self.match(_LITERAL, b"a string")[1])
        octets = self.octets[self.at : self.at + size]
        self.at += size
        if b"\0" in octets:
            raise bad(b"a string without NUL")
        return octets

    def number(self, *, least: int = 0, most: int = (1 << 32) - 1) -> int:
        """A number within bounds."""
        number = int(self.match(_DIGITS, b"a number")[0])
        if not least <= number <= most:
            raise bad(b"a smaller number" if number > most else b"a larger number")
        return number

    def number64(self, *, least: int = 0) -> int:
        """A number64, as modification sequences are."""
        return self.number(least=least, most=_NUMBER_MOST)

    def listed(self, wanted: bytes = b"a list") -> Iterator[None]:
        """Goes through a list in parentheses, with the cursor before each element; an empty list is one."""
        if not self.next_is(b"("):
            raise bad(wanted)
        self.find(_SPACES)
        while not self.next_is(b")"):
            before = self.at
            yield
            if self.at == before:
                raise bad(b"an element of the list")
            if self.find(_SPACES) is None and not self.sees(b")"):
                raise bad(b"a closing parenthesis")

    def close(self) -> None:
        """A closing parenthesis."""
        self.find(_SPACES)
        if not self.next_is(b")"):
            raise bad(b"a closing parenthesis")

    def flag(self) -> bytes:
        """A flag or keyword as it was written."""
        return self.match(_FLAG, b"a flag")[0]

    def day(self) -> int:
        """A date, as days since 1970-01-01."""
        day, month, year = self.match(_DATE, b"a date").groups()
        return _day(day, month, year)

    def date_time(self) -> int:
        """A date-time, in ms UTC. A second 60 is the one before it."""
        day, month, year, *clock = self.match(_DATE_TIME, b"a date and time").groups()
        hour, minute, second, zone_hours, zone_minutes = (int(part) for part in (*clock[:3], *clock[4:]))
        if hour > 23 or minute > 59 or second > 60 or zone_minutes > 59:
            raise bad(b"a time that exists")
        zone = (zone_hours * 60 + zone_minutes) * (-1 if clock[3] == b"-" else 1)
        seconds = (hour * 60 + minute - zone) * 60 + min(second, 59)
        return (_day(day, month, year) * 86_400 + seconds) * 1000


def _day(day: bytes, month: bytes, year: bytes) -> int:
    try:
        return (dt.date(int(year), _MONTHS[month.upper()], int(day)) - _EPOCH).days
    except (KeyError, ValueError):
        raise bad(b"a date that exists") from None
