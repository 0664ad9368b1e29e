# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Command lines into values. Pure: bytes in, a frozen command out.

The paths are read as RFC 5321 §4.1.2 has them, a little wider where real mail is (dots anywhere in a local part,
underscores in names); source routes are read over (§4.1.1.3: "SHOULD be ignored").
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mailroom.protocols.smtp import replies
from mailroom.protocols.smtp.replies import Answer

LINE_MOST: Final = 2048  # octets with CRLF; RFC 5321 §4.5.3.1.4 wants 512, and each extension more
AUTH_LINE_MOST: Final = 12_290  # where one signs in: RFC 4954 §4; tokens are long, and come with the command
_HELLO_MOST: Final = 255
_ADDRESS_MOST: Final = 320  # 64 for the local part, 255 for the domain; senders' local parts are often longer
_ENVID_MOST: Final = 100  # RFC 3461 §4.4
_ORCPT_MOST: Final = 500  # RFC 3461 §4.2


class BadCommand(Exception):
    """The line is no command of ours; `answer` is what to say. `lost`: nor do we know where the next one begins."""

    def __init__(self, answer: Answer, *, lost: bool = False) -> None:
        self.answer = answer
        self.lost = lost
        super().__init__(answer.text)


@dataclass(frozen=True, slots=True)
class Hello:
    """EHLO, HELO or LHLO: which of them, and the client's name for itself."""

    verb: str
    name: str


@dataclass(frozen=True, slots=True)
class MailFrom:
    """MAIL: the sender ("" for the null one), with SIZE, SMTPUTF8, BODY (RFC 6152), RET and ENVID (RFC 3461). AUTH
    (RFC 4954 §5) is read over: who sends is known from the session.
    """

    address: str
    size: int = 0
    utf8: bool = False
    body: str = "7BIT"
    ret: str = ""
    envid: str = ""


@dataclass(frozen=True, slots=True)
class RcptTo:
    """RCPT: one recipient, with NOTIFY and ORCPT (RFC 3461)."""

    address: str
    notify: frozenset[str] = frozenset()
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """DATA."""


@dataclass(frozen=True, slots=True)
class Bdat:
    """BDAT (RFC 3030 §2): so many octets follow."""

    size: int
    last: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """RSET."""


@dataclass(frozen=True, slots=True)
class NoOp:
    """NOOP."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT."""


@dataclass(frozen=True, slots=True)
class Verify:
    """VRFY."""


@dataclass(frozen=True, slots=True)
class Expand:
    """EXPN."""


@dataclass(frozen=True, slots=True)
class Help:
    """HELP."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS (RFC 3207)."""


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH (RFC 4954): a mechanism, and the initial response as it stood, in base64."""

    mechanism: str
    initial: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A browser or proxy that was led here: the request line of HTTP."""


Command = (
    Hello | MailFrom | RcptTo | Data | Bdat | Reset | NoOp | Quit | Verify | Expand | Help | StartTls | Auth | Foreign
)


def parse(line: bytes) -> Command:
    """The command in one line, given without its CRLF. Raises `BadCommand`."""
    if b"\0" in line or b"\r" in line or b"\n" in line:
        raise BadCommand(replies.BAD_LINE)
    verb, _, rest = line.partition(b" ")
    read = _READERS.get(verb.upper())
    if read is None:
        raise BadCommand(replies.UNKNOWN_COMMAND)
    return read(rest.strip(b" \t"))


_LOCAL = rb"""[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~\x80-\xff-]++|"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*+\""""
_DOMAIN = rb"[a-zA-Z0-9_\x80-\xff-]++(?:\.[a-zA-Z0-9_\x80-\xff-]++)*+|\[[^\[\]\\\x00-\x20\x7f]++\]"
_PATH = rb"[ \t]*+<(?:@[^:<>]*+:)?((" + _LOCAL + rb")(?:@(" + _DOMAIN + rb"))?)?>(?:[ \t]++(.*))?\Z"
_FROM = re.compile(rb"FROM:" + _PATH, re.IGNORECASE)
_TO = re.compile(rb"TO:" + _PATH, re.IGNORECASE)
_HELLO = re.compile(rb"[!-~]++")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})++")  # RFC 3461 §4
_NUMBER = re.compile(rb"[0-9]{1,20}")
_AUTH = re.compile(rb"([A-Z0-9_-]{1,20})(?: +([!-~]+))?", re.IGNORECASE)  # RFC 4422 §3.1, RFC 4954 §8


def _hello(verb: str) -> Callable[[bytes], Hello]:
    def read(rest: bytes) -> Hello:
        match = _HELLO.match(rest)
        if match is None or match.end() > _HELLO_MOST:
            raise BadCommand(replies.BAD_ARGUMENT)
        return Hello(verb, match[0].decode("ascii"))

    return read


def _mail(rest: bytes) -> MailFrom:
    match = _FROM.match(rest)
    if match is None:
        raise BadCommand(replies.BAD_SENDER if rest[:5].upper() == b"FROM:" else replies.BAD_ARGUMENT)
    path, _, domain, tail = match.groups()
    address = "" if path is None else _address(path, domain, otherwise=replies.BAD_SENDER)
    if not tail:
        command = MailFrom(address)
    else:
        parameters = _parameters(tail, _MAIL_PARAMETERS)
        command = MailFrom(
            address,
            size=int(parameters.get("SIZE", "0")),
            utf8="SMTPUTF8" in parameters,
            body=parameters.get("BODY", "7BIT").upper(),
            ret=parameters.get("RET", "").upper(),
            envid=parameters.get("ENVID", ""),
        )
    if not command.utf8 and not address.isascii():
        raise BadCommand(replies.NEEDS_UTF8)
    return command


def _rcpt(rest: bytes) -> RcptTo:
    match = _TO.match(rest)
    if match is None or match[1] is None:
        raise BadCommand(replies.BAD_RECIPIENT if rest[:3].upper() == b"TO:" else replies.BAD_ARGUMENT)
    path, local, domain, tail = match.groups()
    if domain is None and local.lower() == b"postmaster":  # RFC 5321 §4.1.1.3
        address = local.decode("ascii")
    else:
        address = _address(path, domain, otherwise=replies.BAD_RECIPIENT)
    if not tail:
        return RcptTo(address)
    parameters = _parameters(tail, _RCPT_PARAMETERS)
    notify = frozenset(parameters["NOTIFY"].upper().split(",")) if "NOTIFY" in parameters else frozenset[str]()
    return RcptTo(address, notify, parameters.get("ORCPT", ""))


def _address(path: bytes, domain: bytes | None, *, otherwise: Answer) -> str:
    if domain is None or len(path) > _ADDRESS_MOST:
        raise BadCommand(otherwise)
    if domain.startswith(b"[") and not _is_literal(domain[1:-1]):
        raise BadCommand(otherwise)
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise BadCommand(otherwise) from fault


def _is_literal(text: bytes) -> bool:
    # RFC 5321 §4.1.3: [192.0.2.1] or [IPv6:2001:db8::1].
    try:
        if text[:5].upper() == b"IPV6:":
            return bool(ipaddress.IPv6Address(text[5:].decode("ascii")))
        return bool(ipaddress.IPv4Address(text.decode("ascii")))
    except ValueError:
        return False


def _is_notify(value: str) -> bool:
    # RFC 3461 §4.1: NEVER stands alone.
    words = value.upper().split(",")
    return words == ["NEVER"] or (len(set(words)) == len(words) and set(words) <= {"SUCCESS", "FAILURE", "DELAY"})


def _is_orcpt(value: str) -> bool:
    kind, mark, address = value.partition(";")
    return bool(mark and kind) and len(value) <= _ORCPT_MOST and _XTEXT.fullmatch(address) is not None


_MAIL_PARAMETERS: Final[dict[str, Callable[[str], bool]]] = {
    "SIZE": lambda value: _NUMBER.fullmatch(value.encode()) is not None,
    "BODY": lambda value: value.upper() in ("7BIT", "8BITMIME"),
    "SMTPUTF8": lambda value: not value,
    "RET": lambda value: value.upper() in ("FULL", "HDRS"),
    "ENVID": lambda value: len(value) <= _ENVID_MOST and _XTEXT.fullmatch(value) is not None,
    "AUTH": lambda value: len(value) <= _ORCPT_MOST and (value == "<>" or _XTEXT.fullmatch(value) is not None),
}
_RCPT_PARAMETERS: Final[dict[str, Callable[[str], bool]]] = {"NOTIFY": _is_notify, "ORCPT": _is_orcpt}


def _parameters(tail: bytes, known: dict[str, Callable[[str], bool]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in tail.decode("utf-8", "replace").split():
        name, _, value = word.partition("=")
        name = name.upper()
        if name not in known:
            raise BadCommand(replies.UNKNOWN_PARAMETER)
        if name in found or not known[name](value):
            raise BadCommand(replies.BAD_ARGUMENT)
        found[name] = value
    return found


def _bdat(rest: bytes) -> Bdat:
    size, *words = rest.split() or [b""]
    last = [word.upper() for word in words] == [b"LAST"]
    if _NUMBER.fullmatch(size) is None or (words and not last):
        raise BadCommand(replies.BAD_ARGUMENT, lost=True)  # as many octets follow as the client thinks it said
    return Bdat(int(size), last)


def _auth(rest: bytes) -> Auth:
    match = _AUTH.fullmatch(rest)
    if match is None:
        raise BadCommand(replies.BAD_ARGUMENT)
    return Auth(match[1].decode("ascii").upper(), match[2])


def _alone(command: Command) -> Callable[[bytes], Command]:
    def read(rest: bytes) -> Command:
        if rest:
            raise BadCommand(replies.BAD_ARGUMENT)
        return command

    return read


def _with_anything(command: Command) -> Callable[[bytes], Command]:
    return lambda _: command


_READERS: Final[dict[bytes, Callable[[bytes], Command]]] = {
    b"EHLO": _hello("EHLO"),
    b"HELO": _hello("HELO"),
    b"LHLO": _hello("LHLO"),
    b"MAIL": _mail,
    b"RCPT": _rcpt,
    b"DATA": _alone(Data()),
    b"BDAT": _bdat,
    b"RSET": _alone(Reset()),
    b"NOOP": _with_anything(NoOp()),
    b"QUIT": _alone(Quit()),
    b"VRFY": _with_anything(Verify()),
    b"EXPN": _with_anything(Expand()),
    b"HELP": _with_anything(Help()),
    b"STARTTLS": _alone(StartTls()),
    b"AUTH": _auth,
    b"GET": _with_anything(Foreign()),
    b"POST": _with_anything(Foreign()),
    b"PUT": _with_anything(Foreign()),
    b"CONNECT": _with_anything(Foreign()),
}
