# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What of a mail a section means: BODY[...] as a stretch of its octets or as chosen header fields, BINARY[...] decoded
(RFC 9051 §6.4.5.1, §6.4.5.2). A part that is not there is NIL.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import AsyncIterator
from typing import Final

from mailroom.mime import fields
from mailroom.mime.scan import Part
from mailroom.protocols.imap.grammar.values import Binary, BinarySize, Piece, Section

HEADER_MOST: Final = 1024 * 1024  # octets of a header block in which fields are looked for
_IDENTITY: Final = {"7bit", "8bit", "binary"}
_NOT_BASE64: Final = bytes(octet for octet in range(256) if not re.match(rb"[A-Za-z0-9+/=]", bytes([octet])))
_LINE_MOST: Final = 64 * 1024  # octets of quoted-printable that are held while its line goes on
_ESCAPE: Final = 3  # octets of an escape of quoted-printable

_NOWHERE: Final = Part(0, 0, 0, 0, main="multipart")  # has no parts

Span = tuple[int, int]


def stretch(section: Section, root: Part, size: int) -> Span | None:
    """From where to where the section reaches, of a mail of `size` octets; of FIELDS, the header they are in; None for
    a part that there is not.
    """
    whole = section.piece is Piece.ALL
    if not section.path:
        if whole:
            return 0, size
        return (root.body_start, size) if section.piece is Piece.TEXT else (root.header_start, root.body_start)
    part = find(root, section.path)
    if part is not None and not whole and section.piece is not Piece.MIME:  # of the mail that the part holds
        part = part.children[0] if part.main == "message" and part.children else None
    if part is None:
        return None
    is_body = whole or section.piece is Piece.TEXT
    return (part.body_start, part.body_end) if is_body else (part.header_start, part.body_start)


def find(root: Part, path: tuple[int, ...]) -> Part | None:
    """The part of that number (RFC 9051 §6.4.5.1: a mail that is no multipart has one part, itself)."""
    part, holder = root, root
    for number in path:
        if holder.main == "multipart":
            if number > len(holder.children):
                return None
            part = holder.children[number - 1]
        elif number == 1:
            part = holder
        else:
            return None
        if part.main == "multipart":
            holder = part
        elif part.children:
            holder = part.children[0]
        else:
            holder = _NOWHERE
    return part


def cut(span: Span, partial: tuple[int, int] | None) -> Span:
    """The stretch that is left of it where a client wants only a part."""
    if partial is None:
        return span
    start = min(span[0] + partial[0], span[1])
    return start, min(start + partial[1], span[1])


def chosen(section: Section, header: bytes) -> bytes:
    """The header fields that the section means, and an empty line."""
    wanted = set(section.fields)
    among = section.piece is Piece.FIELDS
    kept = [field.raw for field in fields.split(header) if (field.name in wanted) is among]
    if kept and not kept[-1].endswith(b"\n"):
        kept.append(b"\r\n")
    return b"".join(kept) + b"\r\n"


def binary(section: Binary | BinarySize, root: Part, size: int) -> tuple[Span, str] | None:
    """Where the part's octets are, and how they are encoded: "" for not at all."""
    if not section.path:
        return (0, size), ""
    part = find(root, section.path)
    if part is None:
        return None
    plain = part.encoding in _IDENTITY or bool(part.children) or part.main == "multipart"
    return (part.body_start, part.body_end), "" if plain else part.encoding


def can_decode(encoding: str) -> bool:
    """Whether we know the transfer encoding."""
    return encoding in {"", "base64", "quoted-printable"}


async def decoded(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The octets without their transfer encoding. Strange characters are passed over, as `mime.headers` does."""
    decode = {"base64": _base64, "quoted-printable": _quoted_printable}.get(encoding)
    held = b""
    async for chunk in chunks:
        if decode is None:
            yield chunk
            continue
        octets, held = decode(held + chunk, ended=False)
        if octets:
            yield octets
    if decode is not None and held:
        yield decode(held, ended=True)[0]


async def stretch_of(chunks: AsyncIterator[bytes], start: int, end: int) -> AsyncIterator[bytes]:
    """The octets from `start` up to `end` of what comes; at least one chunk, perhaps an empty one."""
    at = 0
    async for chunk in chunks:
        if at < end and at + len(chunk) > start:
            yield chunk[max(start - at, 0) : end - at]
        at += len(chunk)
    if start == end:
        yield b""


def _base64(octets: bytes, *, ended: bool) -> tuple[bytes, bytes]:
    digits, end, _ = octets.translate(None, _NOT_BASE64).partition(b"=")
    if end:  # RFC 2045 §6.8: nothing comes behind it; what is held stays at the "=", so that the rest is passed over
        usable = len(digits) - (len(digits) % 4 == 1)
        return binascii.a2b_base64(digits[:usable] + b"=" * (-usable % 4)), b"="
    usable = len(digits) // 4 * 4
    if ended and len(digits) % 4 > 1:
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4)), b""
    return binascii.a2b_base64(digits[:usable]), digits[usable:]


def _quoted_printable(octets: bytes, *, ended: bool) -> tuple[bytes, bytes]:
    end = len(octets) if ended else octets.rfind(b"\n") + 1
    if not end and len(octets) > _LINE_MOST:
        escape = octets.rfind(b"=", -_ESCAPE)
        end = len(octets) if escape < 0 else escape
    return binascii.a2b_qp(octets[:end]), octets[end:]
