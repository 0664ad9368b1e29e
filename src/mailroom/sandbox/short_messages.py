# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How a phone reads short messages: alphabets and joined parts (3GPP TS 23.038, TS 23.040), written for the doubles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# By rows of sixteen codes; the escape is a code of its own.
_ROWS: Final = (
    "@£$¥èéùìòÇ\nØø\rÅå",
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ",
    " !\"#¤%&'()*+,-./",
    "0123456789:;<=>?",
    "¡ABCDEFGHIJKLMNO",
    "PQRSTUVWXYZÄÖÑÜ§",
    "¿abcdefghijklmno",
    "pqrstuvwxyzäöñüà",
)
_ESCAPED: Final = {10: "\f", 20: "^", 40: "{", 41: "}", 47: "\\", 60: "[", 61: "~", 62: "]", 64: "|", 101: "€"}


class Unreadable(ValueError):
    """No phone could show it."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message as it came."""

    text: str
    reference: int = 0
    total: int = 1
    number: int = 1


@dataclass(slots=True)
class Joiner:
    """Keeps parts until all of a message are there. `keep` is what the double wants to know of each part."""

    _kept: dict[tuple[str, int, int], dict[int, tuple[str, str]]] = field(default_factory=dict)

    def add(self, phone: str, part: Part, keep: str) -> tuple[str, tuple[str, ...]] | None:
        """The whole text and what was kept of its parts, once the last one has come."""
        parts = self._kept.setdefault((phone, part.reference, part.total), {})
        parts[part.number] = (part.text, keep)
        if len(parts) < part.total:
            return None
        del self._kept[phone, part.reference, part.total]
        ordered = [parts[number] for number in sorted(parts)]
        return "".join(text for text, _ in ordered), tuple(kept for _, kept in ordered)


def unpack(octets: bytes, count: int, skip: int = 0) -> bytes:
    """Septets from packed octets, after so many septets that a header takes up."""
    bits = "".join(f"{octet:08b}"[::-1] for octet in octets)
    if len(bits) < 7 * count:
        raise Unreadable("the user data ends early")
    return bytes(int(bits[7 * at : 7 * at + 7][::-1], 2) for at in range(skip, count))


def read(coding: int, octets: bytes, header: bytes = b"") -> Part:
    """A part: septets one an octet for coding 0, UTF-16 for coding 8; the header without its length."""
    text = _seven_bits(octets) if coding == 0 else _sixteen_bits(octets) if coding == 8 else None
    if text is None:
        raise Unreadable("an unknown data coding")
    at = 0
    while at + 1 < len(header):
        kind, length = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + length]
        at += 2 + length
        if kind == 0 and length == 3:
            return _part(text, value[0], value[1], value[2])
        if kind == 8 and length == 4:
            return _part(text, value[0] * 256 + value[1], value[2], value[3])
    return Part(text)


def _part(text: str, reference: int, total: int, number: int) -> Part:
    if not 1 <= number <= total:
        raise Unreadable("a part that is none of its message")
    return Part(text, reference, total, number)


def _seven_bits(septets: bytes) -> str:
    found = []
    codes = iter(septets)
    for code in codes:
        if code > 127:
            raise Unreadable("no septet")
        if code != 27:
            found.append(_ROWS[code // 16][code % 16])
            continue
        escaped = _ESCAPED.get(next(codes, -1))
        if escaped is None:
            raise Unreadable("an escape without its character")
        found.append(escaped)
    return "".join(found)


def _sixteen_bits(octets: bytes) -> str:
    try:
        return octets.decode("utf-16-be")
    except UnicodeDecodeError:
        raise Unreadable("half a character") from None
