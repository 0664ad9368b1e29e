# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What FETCH asks for (RFC 9051 §6.4.5): attributes, sections, parts."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from mailroom.protocols.imap.grammar.lexer import Cursor, Malformed, bad
from mailroom.protocols.imap.grammar.values import Attributes, Binary, BinarySize, Item, Piece, Section

_SECTIONS_MOST: Final = 100
_DEEPEST: Final = 100  # numbers in the path of a part
_FIELDS_MOST: Final = 1000

_FAST: Final = Item.FLAGS | Item.INTERNALDATE | Item.SIZE
_MACROS: Final = {
    b"ALL": _FAST | Item.ENVELOPE,
    b"FAST": _FAST,
    b"FULL": _FAST | Item.ENVELOPE | Item.BODY,
}
_ITEMS: Final = {
    b"UID": Item.UID,
    b"FLAGS": Item.FLAGS,
    b"INTERNALDATE": Item.INTERNALDATE,
    b"RFC822.SIZE": Item.SIZE,
    b"ENVELOPE": Item.ENVELOPE,
    b"BODY": Item.BODY,
    b"BODYSTRUCTURE": Item.BODYSTRUCTURE,
    b"MODSEQ": Item.MODSEQ,
    b"EMAILID": Item.EMAILID,
    b"THREADID": Item.THREADID,
    b"PREVIEW": Item.PREVIEW,
}
_WHOLE: Final = {
    b"RFC822": Section(b"RFC822"),
    b"RFC822.HEADER": Section(b"RFC822.HEADER", piece=Piece.HEADER, peek=True),
    b"RFC822.TEXT": Section(b"RFC822.TEXT", piece=Piece.TEXT),
}
_PIECES: Final = {piece.value: piece for piece in Piece}

_MACRO: Final = re.compile(rb"(?:ALL|FAST|FULL)(?![A-Z0-9.\[])", re.IGNORECASE)
_NAME: Final = re.compile(rb"[A-Za-z0-9.]+")
_PATH: Final = re.compile(rb"[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*+")
_PIECE: Final = re.compile(rb"[A-Z.]+", re.IGNORECASE)
_PARTIAL: Final = re.compile(rb"<([0-9]{1,20})\.([0-9]{1,20})>")
_PARTIAL_MOST: Final = (1 << 63) - 1
_LAZY: Final = re.compile(rb" +\( *LAZY *\)", re.IGNORECASE)
_PLAIN: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')

_FIELD: Final = re.compile(rb"[\x20-\x7e]{1,200}")

_SHORT: Final = 200  # octets of arguments that are worth remembering

Arguments = tuple[Attributes, int | None, bool]


def arguments(cursor: Cursor) -> Arguments:
    """All behind the set of numbers, up to the end: the attributes, with MODSEQ if CHANGEDSINCE asks for it, then
    CHANGEDSINCE and VANISHED (RFC 7162 §3.1.4, §3.2.6). Raises `Malformed`.
    """
    octets = cursor.octets[cursor.at :]
    cursor.at = len(cursor.octets)
    return _remembered(octets) if len(octets) <= _SHORT else _read(octets)


def _read(octets: bytes) -> Arguments:
    cursor = Cursor(octets)
    attributes = _attributes(cursor)
    since, vanished = None, False
    if not cursor.ends:
        cursor.space()
        for _ in cursor.listed(b"a list of modifiers"):
            match cursor.atom():
                case b"CHANGEDSINCE" if since is None:
                    cursor.space()
                    since = cursor.number64()
                case b"VANISHED":
                    vanished = True
                case _:
                    raise Malformed(b"BAD unknown modifier")
    cursor.end()
    if since is not None:
        attributes = Attributes(attributes.items | Item.MODSEQ, attributes.sections)
    elif vanished:
        raise bad(b"CHANGEDSINCE")
    return attributes, since, vanished


# Clients ask the same over and over: what the arguments mean is remembered, not what they are asked of.
_remembered: Final = lru_cache(maxsize=256)(_read)


def _attributes(cursor: Cursor) -> Attributes:
    macro = cursor.find(_MACRO)
    if macro is not None:
        return Attributes(_MACROS[macro[0].upper()])
    items = Item(0)
    sections: list[Section | Binary | BinarySize] = []
    for _ in cursor.listed() if cursor.sees(b"(") else (None,):
        found = _attribute(cursor)
        if isinstance(found, Item):
            items |= found
        elif len(sections) == _SECTIONS_MOST:
            raise Malformed(b"BAD too many sections")
        else:
            sections.append(found)
    if not items and not sections:
        raise bad(b"something to fetch")
    return Attributes(items, tuple(sections))


def _attribute(cursor: Cursor) -> Item | Section | Binary | BinarySize:
    name = cursor.match(_NAME, b"something to fetch")[0].upper()
    if cursor.next_is(b"["):
        read = _SECTIONS.get(name)
        if read is None:
            raise Malformed(b"BAD there is no such section")
        return read(cursor)
    whole = _WHOLE.get(name)
    if whole is not None:
        return whole
    item = _ITEMS.get(name)
    if item is None:
        raise Malformed(b"BAD there is no such attribute")
    if item is Item.PREVIEW:
        cursor.find(_LAZY)
    return item


def _body(cursor: Cursor, *, peek: bool) -> Section:
    path = _path(cursor)
    piece, fields = Piece.ALL, b""
    names: tuple[bytes, ...] = ()
    if not cursor.sees(b"]"):
        if path and not cursor.next_is(b"."):
            raise bad(b"a section")
        piece = _piece(cursor, whole=not path)
        if piece in {Piece.FIELDS, Piece.FIELDS_NOT}:
            cursor.space()
            names = tuple(_field(cursor) for _ in cursor.listed(b"a list of header fields"))
            if not 0 < len(names) <= _FIELDS_MOST:
                raise bad(b"a list of header fields")
            fields = b" (%b)" % b" ".join(map(_quoted, names))
    label = b".".join(filter(None, (_dotted(path), piece.value)))
    _close(cursor)
    extent, origin = _partial(cursor)
    lower = tuple(name.lower() for name in names)
    return Section(b"BODY[%b%b]%b" % (label, fields, origin), path, piece, lower, extent, peek)


def _binary(cursor: Cursor, *, peek: bool) -> Binary:
    path = _path(cursor)
    _close(cursor)
    extent, origin = _partial(cursor)
    return Binary(b"BINARY[%b]%b" % (_dotted(path), origin), path, extent, peek)


def _binary_size(cursor: Cursor) -> BinarySize:
    path = _path(cursor)
    _close(cursor)
    return BinarySize(b"BINARY.SIZE[%b]" % _dotted(path), path)


_SECTIONS: Final[dict[bytes, Callable[[Cursor], Section | Binary | BinarySize]]] = {
    b"BODY": partial(_body, peek=False),
    b"BODY.PEEK": partial(_body, peek=True),
    b"BINARY": partial(_binary, peek=False),
    b"BINARY.PEEK": partial(_binary, peek=True),
    b"BINARY.SIZE": _binary_size,
}


def _path(cursor: Cursor) -> tuple[int, ...]:
    found = cursor.find(_PATH)
    if found is None:
        return ()
    numbers = found[0].split(b".")
    if len(numbers) > _DEEPEST:
        raise Malformed(b"BAD there is no such part")
    return tuple(map(int, numbers))


def _piece(cursor: Cursor, *, whole: bool) -> Piece:
    piece = _PIECES.get(cursor.match(_PIECE, b"a section")[0].upper())
    if piece is None or piece is Piece.ALL or (whole and piece is Piece.MIME):
        raise Malformed(b"BAD there is no such section")
    return piece


def _field(cursor: Cursor) -> bytes:
    name = cursor.astring()
    if _FIELD.fullmatch(name) is None:
        raise bad(b"the name of a header field")
    return name


def _quoted(name: bytes) -> bytes:
    if _PLAIN.fullmatch(name):
        return name
    return b'"%b"' % name.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _close(cursor: Cursor) -> None:
    if not cursor.next_is(b"]"):
        raise bad(b"a closing bracket")


def _partial(cursor: Cursor) -> tuple[tuple[int, int] | None, bytes]:
    found = cursor.find(_PARTIAL)
    if found is None:
        return None, b""
    origin, most = int(found[1]), int(found[2])  # as Dovecot, we give nothing of <0.0>, which the RFC has not
    if max(origin, most) > _PARTIAL_MOST:
        raise bad(b"a range of octets")
    return (origin, most), b"<%d>" % origin


def _dotted(path: tuple[int, ...]) -> bytes:
    return b".".join(b"%d" % number for number in path)
