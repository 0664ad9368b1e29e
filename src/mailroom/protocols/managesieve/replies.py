# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What we say, and the table from meaning to response code (RFC 5804 §1.3)."""

from __future__ import annotations

import re
from typing import Final

from mailroom.core.errors import Kind, Refusal

_QUOTABLE: Final = re.compile(r"[^\r\n\0]{0,1024}")


def string(text: str | bytes) -> bytes:
    """A string: quoted if it can be, else a literal."""
    octets = text.encode() if isinstance(text, str) else text
    if _QUOTABLE.fullmatch(octets.decode(errors="replace")):
        return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return literal(octets)


def literal(octets: bytes) -> bytes:
    """Octets with their number before them."""
    return b"{%d}\r\n%b" % (len(octets), octets)


def ok(text: str = "done", *, code: bytes = b"") -> bytes:
    """A yes."""
    return _answer(b"OK", text, code)


def no(text: str, *, code: bytes = b"") -> bytes:
    """A no, with a response code for programs."""
    return _answer(b"NO", text, code)


def bye(text: str, *, code: bytes = b"") -> bytes:
    """The last word."""
    return _answer(b"BYE", text, code)


def _answer(word: bytes, text: str, code: bytes) -> bytes:
    parts = [word, b"(" + code + b")"] if code else [word]
    return b" ".join([*parts, string(text)]) + b"\r\n"


NOT_UNDERSTOOD: Final = no("not understood")
NOT_UTF8: Final = no("not UTF-8")
UNKNOWN_COMMAND: Final = no("unknown command")
OUT_OF_ORDER: Final = no("not now")
NEEDS_TLS: Final = no("in TLS only", code=b"ENCRYPT-NEEDED")
NOT_OFFERED: Final = no("no such mechanism")
BAD_RESPONSE: Final = no("that is not what the mechanism says")
CANCELLED: Final = no("cancelled")
TOO_MANY_ERRORS: Final = bye("too many errors")
TOO_LARGE: Final = bye("far too large", code=b"QUOTA/MAXSIZE")
TOO_MANY_CONNECTIONS: Final = bye("too many connections, try later", code=b"TRYLATER")
TOO_SLOW: Final = bye("too slow")
CLOSING: Final = bye("going down, try later", code=b"TRYLATER")
BROKEN: Final = bye("something went wrong, try later", code=b"TRYLATER")
REVOKED: Final = bye("you may not go on")
FAREWELL: Final = bye("goodbye")

_CODES: Final = {
    Kind.INVALID: b"",
    Kind.NOT_FOUND: b"NONEXISTENT",
    Kind.TAKEN: b"ALREADYEXISTS",
    Kind.CONFLICT: b"ACTIVE",
    Kind.UNAUTHENTICATED: b"",
    Kind.FORBIDDEN: b"",
    Kind.LIMIT: b"QUOTA/MAXSCRIPTS",
    Kind.TOO_LARGE: b"QUOTA/MAXSIZE",
    Kind.OVER_QUOTA: b"QUOTA",
    Kind.NO_SPACE: b"TRYLATER",
    Kind.UNAVAILABLE: b"TRYLATER",
}


def code(kind: Kind) -> bytes:
    """The response code of a refusal of this kind."""
    return _CODES[kind]


def for_refusal(refusal: Refusal) -> bytes:
    """What a refusal of ours is here. Its words are for the author of a script, who has to learn what is wrong."""
    kind = b"TRYLATER" if refusal.code == "too_many_attempts" else code(refusal.kind)
    return no(str(refusal), code=kind)
