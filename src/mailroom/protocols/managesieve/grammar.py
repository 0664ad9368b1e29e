# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Lines and literals into values (RFC 5804 §4). Pure: bytes in, a frozen command out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.protocols.managesieve import replies

LINE_MOST: Final = 16 * 1024  # octets of a line, quoted strings in it included
TOKENS_MOST: Final = 4

_TOKEN: Final = re.compile(
    rb'(?P<string>"(?P<quoted>(?:[^"\\\r\n\0]|\\["\\])*+)")'
    rb"|(?P<literal>\{(?P<size>[0-9]{1,10})\+?\}\Z)"
    rb"|(?P<number>[0-9]{1,10})"
    rb"|(?P<atom>[A-Za-z][A-Za-z0-9]{0,30})"
)
_LITERAL: Final = re.compile(rb"\{(?P<size>[0-9]{1,10})\+?\}\Z")
_ESCAPED: Final = re.compile(rb"\\(.)")


class BadCommand(Exception):
    """It is no command of ours; `answer` is what to say."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        super().__init__(answer)


@dataclass(frozen=True, slots=True)
class Atom:
    """A word."""

    word: str  # upper case


@dataclass(frozen=True, slots=True)
class Junk:
    """What is no token."""


Token = Atom | int | bytes | Junk  # bytes: a string, quoted or literal


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTHENTICATE: the mechanism and an initial response."""

    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS."""


@dataclass(frozen=True, slots=True)
class Capability:
    """CAPABILITY."""


@dataclass(frozen=True, slots=True)
class HaveSpace:
    """HAVESPACE: whether a script of this size could be kept."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class PutScript:
    """PUTSCRIPT."""

    name: str
    script: str


@dataclass(frozen=True, slots=True)
class CheckScript:
    """CHECKSCRIPT."""

    script: str


@dataclass(frozen=True, slots=True)
class ListScripts:
    """LISTSCRIPTS."""


@dataclass(frozen=True, slots=True)
class SetActive:
    """SETACTIVE; "": none is."""

    name: str


@dataclass(frozen=True, slots=True)
class GetScript:
    """GETSCRIPT."""

    name: str


@dataclass(frozen=True, slots=True)
class DeleteScript:
    """DELETESCRIPT."""

    name: str


@dataclass(frozen=True, slots=True)
class RenameScript:
    """RENAMESCRIPT."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP, with what the client wants to hear back."""

    tag: bytes | None


@dataclass(frozen=True, slots=True)
class Unauthenticate:
    """UNAUTHENTICATE: the client begins anew."""


@dataclass(frozen=True, slots=True)
class Logout:
    """LOGOUT."""


OnScripts = HaveSpace | PutScript | CheckScript | ListScripts | SetActive | GetScript | DeleteScript | RenameScript
Command = OnScripts | Authenticate | StartTls | Capability | Noop | Unauthenticate | Logout


def tokens(line: bytes) -> tuple[list[Token], int | None]:
    """The tokens of a line, given without its end. With a number, the line ends in a literal of so many octets, and
    goes on after it; also when what comes before is junk, so that a literal is never read as commands.
    """
    found: list[Token] = []
    at = 0
    while at < len(line):
        if line[at : at + 1] == b" ":
            at += 1
            continue
        match = _TOKEN.match(line, at)
        if match is None or len(found) >= TOKENS_MOST:
            literal = _LITERAL.search(line, at)
            return [*found, Junk()], int(literal["size"]) if literal else None
        at = match.end()
        if match["literal"]:
            return found, int(match["size"])
        found.append(_token(match))
    return found, None


def _token(match: re.Match[bytes]) -> Token:
    if match["string"]:
        return _ESCAPED.sub(rb"\1", match["quoted"])
    if match["number"]:
        return int(match["number"])
    return Atom(match["atom"].decode().upper())


def parse(found: Sequence[Token]) -> Command:
    """The command of which these are the tokens. Raises `BadCommand`."""
    match found:
        case [Atom(word), *arguments] if word in _READERS and len(found) <= TOKENS_MOST:
            return _READERS[word](arguments)
        case _:
            raise BadCommand(replies.UNKNOWN_COMMAND)


def _text(token: Token) -> str:
    if not isinstance(token, bytes):
        raise BadCommand(replies.NOT_UNDERSTOOD)
    try:
        text = token.decode()
    except UnicodeDecodeError as fault:
        raise BadCommand(replies.NOT_UTF8) from fault
    if "\0" in text:
        raise BadCommand(replies.NOT_UTF8)
    return text


def _texts(count: int, kind: Callable[..., Command]) -> Callable[[Sequence[Token]], Command]:
    def read(arguments: Sequence[Token]) -> Command:
        if len(arguments) != count:
            raise BadCommand(replies.NOT_UNDERSTOOD)
        return kind(*map(_text, arguments))

    return read


def _authenticate(arguments: Sequence[Token]) -> Command:
    match arguments:
        case [bytes() as mechanism]:
            return Authenticate(_text(mechanism), None)
        case [bytes() as mechanism, bytes() as initial]:
            return Authenticate(_text(mechanism), initial)
        case _:
            raise BadCommand(replies.NOT_UNDERSTOOD)


def _have_space(arguments: Sequence[Token]) -> Command:
    match arguments:
        case [bytes() as name, int(size)]:
            return HaveSpace(_text(name), size)
        case _:
            raise BadCommand(replies.NOT_UNDERSTOOD)


def _noop(arguments: Sequence[Token]) -> Command:
    match arguments:
        case []:
            return Noop(None)
        case [bytes() as tag]:
            return Noop(tag)
        case _:
            raise BadCommand(replies.NOT_UNDERSTOOD)


_READERS: Final[Mapping[str, Callable[[Sequence[Token]], Command]]] = {
    "AUTHENTICATE": _authenticate,
    "STARTTLS": _texts(0, StartTls),
    "CAPABILITY": _texts(0, Capability),
    "HAVESPACE": _have_space,
    "PUTSCRIPT": _texts(2, PutScript),
    "CHECKSCRIPT": _texts(1, CheckScript),
    "LISTSCRIPTS": _texts(0, ListScripts),
    "SETACTIVE": _texts(1, SetActive),
    "GETSCRIPT": _texts(1, GetScript),
    "DELETESCRIPT": _texts(1, DeleteScript),
    "RENAMESCRIPT": _texts(2, RenameScript),
    "NOOP": _noop,
    "UNAUTHENTICATE": _texts(0, Unauthenticate),
    "LOGOUT": _texts(0, Logout),
}
