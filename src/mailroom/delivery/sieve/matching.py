# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Comparing texts as Sieve does. No pattern makes it slow: each star is left at the first place where the rest goes on,
and never come back to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from mailroom.delivery.sieve.tree import Comparator

T = TypeVar("T", int, str)

_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_DIGITS: Final = re.compile(r"[0-9]{1,30}")
_SIGN: Final = re.compile(r"\\(.?)|(\*)|(\?)|([^\\*?]+)", re.DOTALL)
_INFINITE: Final = 10**30  # i;ascii-numeric: what is no number is larger than all (RFC 4790 §9.1)


def folded(text: str, comparator: Comparator) -> str:
    """The text as it is compared: of two that are the same to the comparator both become the same."""
    return text.translate(_LOWER) if comparator is Comparator.CASEMAP else text


def number(text: str) -> int:
    """What i;ascii-numeric sees in a text."""
    found = _DIGITS.match(text)
    return int(found[0]) if found else _INFINITE


def relates(left: str, relation: str, right: str, comparator: Comparator) -> bool:
    """Whether the relation (gt, ge, lt, le, eq, ne) holds."""
    if comparator is Comparator.NUMERIC:
        order = _order(number(left), number(right))
    else:
        order = _order(folded(left, comparator), folded(right, comparator))
    return order in {"gt": {1}, "ge": {0, 1}, "lt": {-1}, "le": {-1, 0}, "eq": {0}, "ne": {-1, 1}}[relation]


def _order(left: T, right: T) -> int:
    return (left > right) - (left < right)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two stars: it matches texts of one length only."""

    expression: re.Pattern[str]
    length: int


def glob(pattern: str, text: str, comparator: Comparator) -> tuple[str, ...] | None:
    """What the pattern's stars and question marks stand for, if it matches; the whole text comes first. Each star
    stands for as little as it can (RFC 5229 §3.2).
    """
    first, *others = _pieces(folded(pattern, comparator))
    seen = folded(text, comparator)  # as long as the text
    match = first.expression.match(seen)
    if match is None:
        return None
    found = [text, *_of(text, match)]
    at = match.end()
    for piece in others:
        if piece is others[-1]:  # after the last star: to the end
            match = piece.expression.match(seen, max(at, len(seen) - piece.length))
        else:
            match = piece.expression.search(seen, at)
        if match is None:
            return None
        found += [text[at : match.start()], *_of(text, match)]
        at = match.end()
    return tuple(found) if at == len(seen) else None


def _of(text: str, match: re.Match[str]) -> list[str]:
    return [text[start:end] for start, end in match.regs[1:]]


@lru_cache(maxsize=512)
def _pieces(pattern: str) -> tuple[_Piece, ...]:
    pieces = []
    expression, length = "", 0
    for sign in _SIGN.finditer(pattern):
        escaped, star, mark, plain = sign.groups()
        if star:
            pieces.append(_Piece(re.compile(expression, re.DOTALL), length))
            expression, length = "", 0
        elif mark:
            expression, length = expression + "(.)", length + 1
        else:
            literal = plain if escaped is None else escaped
            expression, length = expression + re.escape(literal), length + len(literal)
    pieces.append(_Piece(re.compile(expression, re.DOTALL), length))
    return tuple(pieces)
