# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What we say, and the table from meaning to response code (RFC 2449 §8, RFC 3206). Texts tell nothing of us."""

from __future__ import annotations

from typing import Final

from mailroom.core.errors import Kind, Refusal


def ok(text: str) -> bytes:
    """A yes."""
    return f"+OK {text}\r\n".encode()


def no(text: str, *, code: str = "") -> bytes:
    """A no, with a response code for programs."""
    return f"-ERR [{code}] {text}\r\n".encode() if code else f"-ERR {text}\r\n".encode()


DONE: Final = ok("done")
BYE: Final = ok("bye")
GO_AHEAD: Final = ok("begin TLS")
NEXT_PASSWORD: Final = ok("and the password?")

UNKNOWN_COMMAND: Final = no("unknown command")
BAD_ARGUMENT: Final = no("wrong argument")
LINE_TOO_LONG: Final = no("line too long")
OUT_OF_ORDER: Final = no("not now")
NO_SUCH_MAIL: Final = no("no such mail")
NEEDS_TLS: Final = no("first STLS")
NOT_OFFERED: Final = no("no such mechanism")
BAD_RESPONSE: Final = no("that is not what the mechanism says")
CANCELLED: Final = no("cancelled")
REVOKED: Final = no("you may not go on", code="AUTH")
TOO_MANY_ERRORS: Final = no("too many errors")
TOO_MANY_CONNECTIONS: Final = no("too many connections, try later", code="SYS/TEMP")
TOO_SLOW: Final = no("too slow", code="SYS/TEMP")
CLOSING: Final = no("going down, try later", code="SYS/TEMP")
BROKEN: Final = no("something went wrong, try later", code="SYS/TEMP")

_BY_KIND: Final = {
    Kind.INVALID: no("not valid"),
    Kind.NOT_FOUND: no("not there any more"),
    Kind.TAKEN: no("not possible"),
    Kind.CONFLICT: no("not possible", code="SYS/PERM"),
    Kind.UNAUTHENTICATED: no("wrong user name or password", code="AUTH"),
    Kind.FORBIDDEN: no("signing in this way is not allowed", code="AUTH"),
    Kind.LIMIT: no("too many attempts, try later", code="SYS/TEMP"),
    Kind.TOO_LARGE: no("too large", code="SYS/PERM"),
    Kind.OVER_QUOTA: no("mailbox full", code="SYS/PERM"),
    Kind.NO_SPACE: no("no space left, try later", code="SYS/TEMP"),
    Kind.UNAVAILABLE: no("not possible now, try later", code="SYS/TEMP"),
}


_BY_CODE: Final = {"account_disabled": no("the account is disabled", code="AUTH")}


def for_kind(kind: Kind) -> bytes:
    """What a refusal of this kind is in POP3."""
    return _BY_KIND[kind]


def for_refusal(refusal: Refusal) -> bytes:
    """What a refusal of ours is in POP3."""
    return _BY_CODE.get(refusal.code) or for_kind(refusal.kind)
