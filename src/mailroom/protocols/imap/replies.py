# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How we say things: octets for strings, names, flags, sets and dates, and the table from meaning to response code.

All is octets from the start: a FETCH of a large folder formats some hundred thousand of them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mailroom.core.errors import Kind, Refusal
from mailroom.mailboxes.model import Flag
from mailroom.protocols.imap.grammar import mutf7

_QUOTED_MOST: Final = 1000  # octets of a quoted string; longer ones go as literals
_UNQUOTABLE: Final = re.compile(rb"[\x00-\x1f\x7f-\xff]")
_UNQUOTABLE_UTF8: Final = re.compile(rb"[\x00-\x1f\x7f]")
_ATOM: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]++')
_NIL_LIKE: Final = re.compile(rb"NIL", re.IGNORECASE)
_MONTHS: Final = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


# Strings.


def literal(octets: bytes) -> bytes:
    """A literal; for octets without NUL."""
    return b"{%d}\r\n%b" % (len(octets), octets)


def literal8(octets: bytes) -> bytes:
    """A literal8 (RFC 3516 §4.2); for any octets."""
    return b"~{%d}\r\n%b" % (len(octets), octets)


def string(octets: bytes, *, utf8: bool = False) -> bytes:
    """A string: quoted where that can be, else a literal. `utf8` allows octets above 127 in quotes; only for UTF-8, and
    clients that have enabled it (RFC 6855 §3).
    """
    if len(octets) > _QUOTED_MOST or (_UNQUOTABLE_UTF8 if utf8 else _UNQUOTABLE).search(octets):
        return literal(octets)
    if b"\\" in octets or b'"' in octets:
        octets = octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"%b"' % octets


def nstring(octets: bytes | None, *, utf8: bool = False) -> bytes:
    """A string, or NIL for none."""
    return b"NIL" if octets is None else string(octets, utf8=utf8)


def astring(octets: bytes, *, utf8: bool = False) -> bytes:
    """An atom where that can be, else a string."""
    if _ATOM.fullmatch(octets) and not _NIL_LIKE.fullmatch(octets):
        return octets
    return string(octets, utf8=utf8)


def mailbox(name: str, *, utf8: bool = False) -> bytes:
    """A mailbox name: in modified UTF-7, or in UTF-8 for a client that has enabled it."""
    return astring(name.encode() if utf8 else mutf7.encode(name).encode("ascii"), utf8=utf8)


# Flags.


_SYSTEM: Final = (
    (Flag.ANSWERED, b"\\Answered"),
    (Flag.FLAGGED, b"\\Flagged"),
    (Flag.DELETED, b"\\Deleted"),
    (Flag.SEEN, b"\\Seen"),
    (Flag.DRAFT, b"\\Draft"),
)
SYSTEM_FLAGS: Final = b" ".join(word for _, word in _SYSTEM)
_BY_BITS: Final = [b" ".join(word for flag, word in _SYSTEM if flag & bits) for bits in range(32)]


def flags(bits: int, keywords: str = "", spelt: Mapping[str, str] | None = None) -> bytes:
    """A list of flags in parentheses, out of a row (`mailboxes.fetch.FlagRow`); `spelt` says how the folder's keywords
    are written.
    """
    if not keywords:
        return b"(%b)" % _BY_BITS[bits]
    words = [(spelt or {}).get(word, word).encode("ascii", "replace") for word in keywords.split()]
    return b"(%b)" % b" ".join([_BY_BITS[bits], *words] if bits else words)


# Numbers.


def numbers(ascending: Iterable[int]) -> bytes:
    """A sequence-set of numbers in ascending order, as short as it can be; b"" for none."""
    parts: list[bytes] = []
    first = last = 0
    for number in ascending:
        if number != last + 1 or not first:
            if first:
                parts.append(_range(first, last))
            first = number
        last = number
    if first:
        parts.append(_range(first, last))
    return b",".join(parts)


def ranges(pairs: Sequence[tuple[int, int]]) -> bytes:
    """A sequence-set of ranges (`mailboxes.uids.Ranges`)."""
    return b",".join([_range(first, last) for first, last in pairs])


def _range(first: int, last: int) -> bytes:
    return b"%d" % first if first == last else b"%d:%d" % (first, last)


# Dates.


def date_time(when: int) -> bytes:
    """An INTERNALDATE, in quotes; `when` in ms UTC."""
    at = time.gmtime(when // 1000)
    return b'"%2d-%b-%04d %02d:%02d:%02d +0000"' % (
        at.tm_mday,
        _MONTHS[at.tm_mon - 1],
        at.tm_year,
        at.tm_hour,
        at.tm_min,
        at.tm_sec,
    )


# Refusals.


_BY_KIND: Final = {
    Kind.INVALID: b"[CANNOT] not possible",
    Kind.NOT_FOUND: b"[NONEXISTENT] no such mailbox",
    Kind.TAKEN: b"[ALREADYEXISTS] there is one of this name",
    Kind.CONFLICT: b"[CANNOT] not possible as things are",
    Kind.UNAUTHENTICATED: b"[AUTHENTICATIONFAILED] authentication failed",
    Kind.FORBIDDEN: b"[NOPERM] not allowed",
    Kind.LIMIT: b"[LIMIT] too much",
    Kind.TOO_LARGE: b"[TOOBIG] too large",
    Kind.OVER_QUOTA: b"[OVERQUOTA] the mailbox is full",
    Kind.NO_SPACE: b"[UNAVAILABLE] no space left, try later",
    Kind.UNAVAILABLE: b"[UNAVAILABLE] not possible now, try later",
}

_BY_CODE: Final = {
    "login_blocked": b"[AUTHORIZATIONFAILED] signing in this way is not allowed",
    "account_disabled": b"[CONTACTADMIN] the account is disabled",
    "mailbox_disabled": b"[CONTACTADMIN] the mailbox is disabled",
    "too_many_attempts": b"[LIMIT] too many attempts, try later",
}


def for_kind(kind: Kind) -> bytes:
    """What a refusal of this kind is in IMAP (RFC 5530): what stands behind NO."""
    return _BY_KIND[kind]


def for_refusal(refusal: Refusal) -> bytes:
    """What a refusal of ours is in IMAP: by its code where that has a row of its own, else by its kind."""
    return _BY_CODE.get(refusal.code) or for_kind(refusal.kind)
