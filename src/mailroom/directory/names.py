# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Names in the one form in which they are kept and compared."""

from __future__ import annotations

import re

import idna

from mailroom.core.errors import InvalidAddress, InvalidDomain, InvalidValue

_LONGEST = 255  # octets: RFC 5321 §4.5.3.1.2
# A domain that is already what `idna` would make of it; punycode (`xn--`) is for `idna` to judge.
_PLAIN = re.compile(r"(?:(?!-|..--)[a-z0-9-]{1,63}(?<!-)(?:\.(?!\Z)|\Z))+", re.ASCII | re.IGNORECASE)


def canonical_domain(text: str, *, of: str = "") -> str:
    """A domain's name in lower-case A-labels. Raises `InvalidDomain`, or `InvalidAddress` when it is part `of` one."""
    given = text.strip().rstrip(".")
    name = given.lower() if _PLAIN.fullmatch(given) else _idna(given, of=of)
    if "." not in name or len(name) > _LONGEST:
        raise _wrong(given, of)
    return name


def _idna(text: str, *, of: str) -> str:
    try:
        return idna.encode(text, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as fault:
        raise _wrong(text, of) from fault


def _wrong(domain: str, of: str) -> InvalidAddress:
    return InvalidAddress(address=of) if of else InvalidDomain(address=domain)


def printable(text: str, *, most: int, name: str = "name") -> str:
    """What people call a thing, without spaces around it. Raises `InvalidValue`."""
    stripped = text.strip()
    if not stripped or len(stripped) > most or not stripped.isprintable():
        raise InvalidValue(name=name, reason=f"1 to {most} printable characters")
    return stripped
