# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Command lines into values. Pure: bytes in, a frozen command out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mailroom.protocols.pop3 import replies

# RFC 2449 §4 wants 255 octets; an initial response of AUTH may be longer (RFC 5034 §4), and so are passwords.
LINE_MOST: Final = 16 * 1024

_NUMBER: Final = re.compile(rb"[0-9]{1,10}")


class BadCommand(Exception):
    """The line is no command of ours; `answer` is what to say."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        super().__init__(answer)


@dataclass(frozen=True, slots=True)
class User:
    """USER: the name, for the PASS that follows."""

    name: str


@dataclass(frozen=True, slots=True)
class Pass:
    """PASS: all that follows the space is the password."""

    password: str

    def __repr__(self) -> str:
        return "Pass(***)"


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH (RFC 5034): the mechanism, "" to list them, and an initial response."""

    mechanism: str
    initial: bytes | None = None


@dataclass(frozen=True, slots=True)
class Stls:
    """STLS (RFC 2595 §4)."""


@dataclass(frozen=True, slots=True)
class Capa:
    """CAPA (RFC 2449 §5)."""


@dataclass(frozen=True, slots=True)
class Stat:
    """STAT."""


@dataclass(frozen=True, slots=True)
class List:
    """LIST, of one mail or of all."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Uidl:
    """UIDL, of one mail or of all."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Retr:
    """RETR."""

    number: int


@dataclass(frozen=True, slots=True)
class Top:
    """TOP: the header and so many lines of the body."""

    number: int
    lines: int


@dataclass(frozen=True, slots=True)
class Dele:
    """DELE."""

    number: int


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP."""


@dataclass(frozen=True, slots=True)
class Rset:
    """RSET."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT."""


Command = User | Pass | Auth | Stls | Capa | Stat | List | Uidl | Retr | Top | Dele | Noop | Rset | Quit


def parse(line: bytes) -> Command:
    """The command in one line, given without its end. Raises `BadCommand`."""
    verb, _, rest = line.partition(b" ")
    read = _READERS.get(verb.upper())
    if read is None:
        raise BadCommand(replies.UNKNOWN_COMMAND)
    return read(rest)


def _text(octets: bytes) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or "\0" in text:
        raise BadCommand(replies.BAD_ARGUMENT)
    return text


def _numbers(rest: bytes) -> list[int]:
    parts = rest.split()
    if not all(map(_NUMBER.fullmatch, parts)):
        raise BadCommand(replies.BAD_ARGUMENT)
    return [int(part) for part in parts]


def _auth(rest: bytes) -> Auth:
    parts = rest.split()
    if len(parts) > 2 or not rest.isascii():
        raise BadCommand(replies.BAD_ARGUMENT)
    return Auth(parts[0].decode() if parts else "", parts[1] if len(parts) > 1 else None)


def _maybe_one(kind: Callable[[int | None], Command]) -> Callable[[bytes], Command]:
    def read(rest: bytes) -> Command:
        match _numbers(rest):
            case []:
                return kind(None)
            case [number]:
                return kind(number)
            case _:
                raise BadCommand(replies.BAD_ARGUMENT)

    return read


def _exactly(count: int, kind: Callable[..., Command]) -> Callable[[bytes], Command]:
    def read(rest: bytes) -> Command:
        numbers = _numbers(rest)
        if len(numbers) != count:
            raise BadCommand(replies.BAD_ARGUMENT)
        return kind(*numbers)

    return read


_READERS: Final[Mapping[bytes, Callable[[bytes], Command]]] = {
    b"USER": lambda rest: User(_text(rest.strip())),
    b"PASS": lambda rest: Pass(_text(rest)),
    b"AUTH": _auth,
    b"STLS": _exactly(0, Stls),
    b"CAPA": _exactly(0, Capa),
    b"STAT": _exactly(0, Stat),
    b"LIST": _maybe_one(List),
    b"UIDL": _maybe_one(Uidl),
    b"RETR": _exactly(1, Retr),
    b"TOP": _exactly(2, Top),
    b"DELE": _exactly(1, Dele),
    b"NOOP": _exactly(0, Noop),
    b"RSET": _exactly(0, Rset),
    b"QUIT": _exactly(0, Quit),
}
