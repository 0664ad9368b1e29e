# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What SMTP servers say, as values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.secrets import Secret
from mailroom.senders.contract import Refused, Scope, TryLater, excerpt

_LINE: Final = re.compile(rb"([2-5][0-9][0-9])([ -]?)(.*)", re.DOTALL)
# RFC 3463 §2; what follows may be glued to it.
_STATUS: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?=[^0-9.]|\Z)")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply (RFC 5321 §4.2), its lines without code and line end."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """Its words on one line. A status code that each line repeats (RFC 2034 §4) stands there once."""
        if not self.lines:
            return ""
        first, *rest = self.lines
        status = _STATUS.match(first)
        return " ".join([first, *(line.removeprefix(status[1]).strip() if status else line for line in rest)])

    @property
    def good(self) -> bool:
        """It says yes, or to go on."""
        return self.code < 400


class Garbage(Exception):
    """What came is no SMTP reply."""


class Trouble(Exception):
    """It does not work so. `code` is a reply code, the server's or ours, and says whether that is for good; `text`
    begins with a status code (RFC 3463) where there is one. `elsewhere`: another server of the domain may do better.
    """

    def __init__(self, code: int, text: str, *, elsewhere: bool = False, scope: Scope = Scope.RECIPIENT) -> None:
        super().__init__(code, text)
        self.code, self.text, self.elsewhere, self.scope = code, text, elsewhere, scope

    def outcome(self, *, hide: Iterable[Secret] = ()) -> Refused | TryLater:
        """What it means for the mail."""
        kind = Refused if self.code >= 500 else TryLater
        return kind(str(self.code), excerpt(self.text, hide=hide), self.scope)


def read_line(line: bytes) -> tuple[int, bool, str]:
    """Code, whether it is the reply's last line, and text. Raises `Garbage`."""
    match = _LINE.fullmatch(line.rstrip(b"\r\n"))
    if match is None:
        raise Garbage
    return int(match[1]), match[2] != b"-", match[3].decode("utf-8", "replace")


def capabilities(reply: Reply) -> Mapping[str, str]:
    """The extensions that an EHLO reply names, in upper case, each with its parameters (RFC 5321 §4.1.1.1)."""
    found: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        if keyword.upper().startswith("AUTH="):  # servers that predate RFC 4954
            parameters, keyword = f"{keyword[5:]} {parameters}", "AUTH"
        keyword = keyword.upper()
        found[keyword] = f"{found[keyword]} {parameters}" if keyword in found else parameters.strip()
    return found


_NOT_XTEXT: Final = re.compile(r"[^!-*,-<>-~]")


def xtext(text: str) -> str:
    """The text as RFC 3461 §4 writes it in parameters."""
    return _NOT_XTEXT.sub(lambda match: "".join(f"+{octet:02X}" for octet in match[0].encode()), text)


def joined(verb: str, parameters: Sequence[str]) -> bytes:
    """A command line."""
    return " ".join([verb, *parameters]).encode() + b"\r\n"
