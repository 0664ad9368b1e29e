# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Patterns of addresses, as administrators and members write them: `user@domain`, `*@domain`, `*`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailroom.core.errors import InvalidAddress, InvalidValue
from mailroom.directory import addresses
from mailroom.directory.names import canonical_domain

_BETWEEN = re.compile(r"[\s,;]+")
_MOST = 10_000
EVERYBODY = "*"


def split(text: str) -> tuple[str, ...]:
    """What a text lists, in any of the ways that people separate it."""
    return tuple(one for one in _BETWEEN.split(text) if one)


def canonical(given: Iterable[str], *, name: str, most: int = _MOST) -> tuple[str, ...]:
    """The patterns in the form in which `match` takes them, each once. Raises `InvalidValue`."""
    made = tuple(dict.fromkeys(_one(text.strip(), name) for text in given if text.strip()))
    if len(made) > most:
        raise InvalidValue(name=name, reason=f"{most} at most")
    return made


def _one(text: str, name: str) -> str:
    try:
        if text == EVERYBODY:
            return text
        if text.startswith("*@"):
            return f"*@{canonical_domain(text[2:])}"
        return str(addresses.parse(text))
    except InvalidAddress as wrong:
        raise InvalidValue(name=name, reason=f"{text[:100]}: must be user@domain, *@domain or *") from wrong


def match(patterns: Iterable[str], address: str) -> bool:
    """Whether one of the patterns is of the address, in any spelling of it."""
    try:
        canonical_ = addresses.parse(address)
    except InvalidAddress:
        return EVERYBODY in patterns
    return not {EVERYBODY, f"*@{canonical_.domain}", str(canonical_)}.isdisjoint(patterns)
