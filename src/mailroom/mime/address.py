# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Address lists as people and programs write them (RFC 5322 section 3.4, with its obsolete forms and worse).

The parts of an address stay bytes, undecoded, because IMAP's ENVELOPE hands them on so; `show` is for people.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from mailroom.mime import charset, headers

# An encoded word is one token even when it holds commas or brackets that RFC 2047 section 5 forbids there.
_TOKEN = re.compile(
    rb"(?P<space>\s++)"
    rb"|(?P<encoded>=\?[^?\s]{1,60}\?[bBqQ]\?[^?]*+\?=)"
    rb'|"(?P<quoted>(?:[^"\\]|\\.?)*+)(?:"|\Z)'
    rb"|(?P<comment>\()"
    rb"|(?P<literal>\[[^\[\]\s]*+\])"
    rb"|(?P<special>[<>,;:@])"
    rb"|(?P<atom>[^\s\"(<>,;:@\[]++|.)",
    re.DOTALL,
)
# What nearly every address is: `"Name" <local@host>`, `Name <local@host>` or `local@host`, and then the next one. Only
# what `_Reader` would read just so: no group, route, comment or escape, and no encoded word cut in two.
_ATOM = rb'(?:(?!=\?)[^\s"(<>,;:@\[])++'
_WORD = rb"(?:=\?[^?\s]{1,60}\?[bBqQ]\?[^?]*+\?=|%b)" % _ATOM
_ADDR = rb"(%b)@(%b)" % (_ATOM, _ATOM)
_NAME = rb'(?:"([^"\\]*+)"|(%b(?: %b)*+))' % (_WORD, _WORD)
_COMMON = re.compile(rb"\s*+(?:(?:%b\s*+)?+<%b>|%b)\s*+(?:,|\Z)" % (_NAME, _ADDR, _ADDR))
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
# Quoted strings, escapes, and comments, of which one may stand within another.
_ASIDE = re.compile(rb'"(?:[^"\\]|\\.)*+"|\\.|\((?:[^()\\]|\\.|\([^()]*+\))*+\)', re.DOTALL)
_TWO_WAYS = re.compile(rb'>[^,;<@>]*+[<@]|["(]')
_COMMENT_PIECE = re.compile(rb"[()]|\\.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox. `name` is unquoted but undecoded; an address without `@` has an empty `host`."""

    name: bytes
    route: bytes
    local: bytes
    host: bytes

    @property
    def display(self) -> str:
        """The name, decoded, for people; empty when there is none."""
        return headers.decode(self.name)

    @property
    def addr(self) -> str:
        """The bare address, `local@host`, as text."""
        whole = self.local + b"@" + self.host if self.host else self.local
        return headers.one_line(charset.decode(whole, None))


@dataclass(frozen=True, slots=True)
class Group:
    """A named list of addresses (RFC 5322 section 3.4), often empty: `undisclosed-recipients:;`."""

    name: bytes
    members: tuple[Address, ...]


def parse(raw: bytes) -> tuple[Address | Group, ...]:
    """The addresses and groups of a field's raw value, in order. Never raises; what makes no sense is left out."""
    line = headers.unfold(raw)
    found = []
    at = 0
    while at < len(line):
        match = _COMMON.match(line, at)
        if match is None:
            return _Reader(line).read()
        at = match.end()
        quoted, atoms, local, host, bare_local, bare_host = match.groups(b"")
        found.append(Address(quoted or atoms, b"", local or bare_local, host or bare_host))
    return tuple(found)


def mailboxes(found: tuple[Address | Group, ...]) -> tuple[Address, ...]:
    """The addresses alone, those in groups included."""
    return tuple(each for one in found for each in (one.members if isinstance(one, Group) else (one,)))


def is_ambiguous(raw: bytes) -> bool:
    """Whether others may find another address in a field's raw value than we do: behind the one in brackets, or in what
    has no end.
    """
    return _TWO_WAYS.search(_ASIDE.sub(b"", headers.unfold(raw))) is not None


def show(address: Address) -> str:
    """`Name <addr>`, or the one of the two that there is. For reading: the name is decoded and not quoted."""
    name, addr = address.display, address.addr
    return f"{name} <{addr}>" if name and addr else name or addr


class _In(enum.IntEnum):
    """Where in an address the reader is."""

    PHRASE = 0  # before any `<` or `@`: the name, or the local part when no `<` comes
    ROUTE = 1
    LOCAL = 2
    HOST = 3
    REST = 4  # between `>` and the next comma: says nothing


class _Reader:
    """Goes through the tokens of one list once."""

    def __init__(self, line: bytes) -> None:
        self._line = line
        self._found: list[Address | Group] = []
        self._group: bytes | None = None
        self._comment = b""
        self._members: list[Address] = []
        self._begin_address()

    def read(self) -> tuple[Address | Group, ...]:
        """The list."""
        at = 0
        while token := _TOKEN.match(self._line, at):
            at = token.end()
            kind = token.lastgroup
            text = token[kind or 0]
            if kind == "comment":
                text, at = _comment(self._line, at)
                self._comment = self._comment or text
            elif kind == "space":
                self._gap = b" "
            elif kind == "special":
                self._special(text)
            else:
                # RFC 9051 section 7.5.2 wants the local part without its quoting, too.
                self._word(_ESCAPED.sub(rb"\1", text) if kind == "quoted" else text)
        self._end_address()
        self._end_group()
        return tuple(self._found)

    def _begin_address(self) -> None:
        self._in = _In.PHRASE
        self._has_angle = False
        self._words: tuple[list[bytes], ...] = ([], [], [], [], [])  # by _In
        self._comment = b""
        self._gap = b""

    def _word(self, word: bytes) -> None:
        words = self._words[self._in]
        if words and self._in is _In.PHRASE:
            words.append(self._gap)
        words.append(word)
        self._gap = b""

    def _text(self, where: _In) -> bytes:
        return b"".join(self._words[where])

    def _special(self, text: bytes) -> None:
        if self._in is _In.ROUTE and text in (b"@", b","):
            self._word(text)
        elif text == b"<" and not self._has_angle:
            self._open_angle()
        elif text == b">" and self._has_angle:
            self._in = _In.REST
        elif text == b"@":
            self._at_sign()
        elif text == b",":
            self._end_address()
        elif text == b";":
            self._end_address()
            self._end_group()
        elif text == b":" and self._in is _In.ROUTE:
            self._in = _In.LOCAL
        elif text == b":" and self._in is _In.PHRASE and self._group is None:
            self._group = self._text(_In.PHRASE)
            self._begin_address()
        else:
            self._word(text)

    def _open_angle(self) -> None:
        if self._in is _In.HOST:
            # What looked like an address was a name: `bob@example.org <bob@example.org>`.
            self._words[_In.PHRASE].extend((b"@", *self._words[_In.HOST]))
            self._words[_In.HOST].clear()
        self._has_angle = True
        self._in = _In.LOCAL

    def _at_sign(self) -> None:
        if self._in is _In.LOCAL and not self._words[_In.LOCAL]:
            self._in = _In.ROUTE  # RFC 5322 section 4.4: <@hop1,@hop2:local@host>
            self._word(b"@")
        elif self._in in (_In.LOCAL, _In.PHRASE):
            self._in = _In.HOST
        else:
            self._word(b"@")

    def _end_address(self) -> None:
        name, local, host = map(self._text, (_In.PHRASE, _In.LOCAL, _In.HOST))
        if not self._has_angle:
            # RFC 5322 appendix A.6.3: before names stood before `<`, they stood in a comment.
            name, local = b"", name
        if name or local or host:
            address = Address(name or self._comment, self._text(_In.ROUTE), local, host)
            (self._found if self._group is None else self._members).append(address)
        self._begin_address()

    def _end_group(self) -> None:
        if self._group is not None:
            self._found.append(Group(self._group, tuple(self._members)))
            self._group = None
            self._members = []


def _comment(line: bytes, start: int) -> tuple[bytes, int]:
    """The comment whose `(` ends before `start`, and where it ends; comments nest (RFC 5322 section 3.2.2)."""
    depth = 1
    for piece in _COMMENT_PIECE.finditer(line, start):
        depth += {b"(": 1, b")": -1}.get(piece[0], 0)
        if depth == 0:
            return _ESCAPED.sub(rb"\1", line[start : piece.start()]).strip(), piece.end()
    return line[start:].strip(), len(line)
