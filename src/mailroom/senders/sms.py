# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How a text becomes short messages: its alphabet (3GPP TS 23.038) and its parts (TS 23.040 §9.2.3.24.1). Pure."""

from __future__ import annotations

import enum
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from mailroom.core.errors import InvalidValue

PARTS_MOST: Final = 10  # that anybody may ask for; the header has room for 255

# TS 23.038 §6.2.1: the default alphabet in the order of its codes; ESC leads to the extension table.
_BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPE: Final = 0x1B
_EXTENSION: Final = {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]"} | {
    0x40: "|",
    0x65: "€",
}
_SEPTETS: Final = MappingProxyType(
    {character: bytes((code,)) for code, character in enumerate(_BASIC) if code != _ESCAPE}
    | {character: bytes((_ESCAPE, code)) for code, character in _EXTENSION.items()}
)


class Alphabet(enum.Enum):
    """How the characters are coded; the value is the data coding scheme (TS 23.038 §4, SMPP 3.4 §5.2.19)."""

    GSM = 0  # an octet a septet, not yet packed
    UCS2 = 8  # UTF-16, big-endian

    @property
    def single(self) -> int:
        """Octets that one message holds alone."""
        return 160 if self is Alphabet.GSM else 140

    @property
    def joined(self) -> int:
        """Octets that one of several holds, beside the header that joins them."""
        return 153 if self is Alphabet.GSM else 134


_MORE: Final = {Alphabet.GSM: b"...", Alphabet.UCS2: "…".encode("utf-16-be")}


@dataclass(frozen=True, slots=True)
class Text:
    """A text, ready for the air. No part ends within a character."""

    alphabet: Alphabet
    parts: tuple[bytes, ...]


def split(text: str, *, most: int) -> Text:
    """The text in at most so many parts; what goes beyond them is cut, and dots say so."""
    text = _sound(text[: most * Alphabet.GSM.single + 1])
    alphabet = Alphabet.GSM if all(character in _SEPTETS for character in text) else Alphabet.UCS2
    characters = list(_coded(text, alphabet))
    if sum(map(len, characters)) <= alphabet.single:
        return Text(alphabet, (b"".join(characters),))
    room = alphabet.single if most == 1 else alphabet.joined
    parts = list(_filled(characters, room))
    if len(parts) > most:
        parts = [*parts[: most - 1], _shortened(parts[most - 1], room, _MORE[alphabet])]
    return Text(alphabet, tuple(b"".join(part) for part in parts))


def fitted(text: str, *, most: int, tail: str = "") -> str:
    """The text and its tail, for whoever splits it himself: as much of it as makes at most so many parts, and dots."""
    text = _sound(text[: most * Alphabet.GSM.single + 1])

    def parts(length: int, end: str) -> int:
        return len(split(text[:length] + end, most=most + 1).parts)

    if parts(len(text), tail) <= most:
        return text + tail
    length = bisect_right(range(len(text)), most, key=lambda length: parts(length, f"...{tail}")) - 1
    return f"{text[: max(length, 0)]}...{tail}"


def header(reference: int, total: int, number: int) -> bytes:
    """The user data header of part `number`, from 1, of `total`, without its length. The reference is one octet."""
    return bytes((0x00, 0x03, reference & 0xFF, total, number))


def packed(septets: bytes, *, fill: int = 0) -> bytes:
    """Septets as the air has them (TS 23.038 §6.1.2.1), after so many bits that end a header's last octet."""
    bits = sum(septet << (fill + 7 * index) for index, septet in enumerate(septets))
    return bits.to_bytes((fill + 7 * len(septets) + 7) // 8, "little")


def digits(address: str) -> str | None:
    """The digits of a number in its international form, `+8613900000001` (E.164); none: it is no such number."""
    return address[1:] if re.fullmatch(r"\+[1-9][0-9]{4,14}", address) else None


def number_of(text: str, name: str, *, most: int, least: int = 1) -> int:
    """A whole number from a setting. Raises `InvalidValue` with the setting's name."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise InvalidValue(name=name, reason=f"must be a number from {least} to {most}")
    return int(text)


def _sound(text: str) -> str:
    """Surrogates in pairs become the characters they mean, and lone ones the sign for what is none."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")


def _coded(text: str, alphabet: Alphabet) -> Iterator[bytes]:
    """Each character as it must stay together: an escape with what it escapes, a surrogate with its other half."""
    if alphabet is Alphabet.GSM:
        return (_SEPTETS[character] for character in text)
    return (character.encode("utf-16-be") for character in text)


def _filled(characters: Iterable[bytes], room: int) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    used = 0
    for character in characters:
        if used + len(character) > room:
            yield part
            part, used = [], 0
        part.append(character)
        used += len(character)
    yield part


def _shortened(part: Sequence[bytes], room: int, more: bytes) -> list[bytes]:
    kept = list(part)
    while sum(map(len, kept)) + len(more) > room:
        kept.pop()
    return [*kept, more]
