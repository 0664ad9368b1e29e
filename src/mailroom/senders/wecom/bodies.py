# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A note as WeCom shows it. It silently cuts what is too long, in octets, so that we cut better before."""

from __future__ import annotations

import zlib
from typing import Any, Final

from mailroom.core.clock import HOUR, SECOND
from mailroom.senders.note import Note, cut_octets

_TITLE: Final = 128
_DESCRIPTION: Final = 512
_URL: Final = 2048
_TEXT: Final = 2048
_LINE: Final = "<div>{}</div>"
_ROW: Final = '<div class="gray">{}</div>'


def app(note: Note, *, code: str) -> dict[str, Any]:
    """What an application says: a card where there is something to open and all words fit, else text.

    A repeat is what is equal to the octet, for a time of our choice that goes beyond our last attempt. It also tells
    apart two notes that say the same.
    """
    hour = HOUR // SECOND
    return (_card(note) or _text(note)) | {
        "enable_duplicate_check": 1,
        "duplicate_check_interval": hour + zlib.crc32(code.encode()) % hour,
    }


def robot(note: Note) -> dict[str, Any]:
    """What a robot says: text, for in markdown a stranger's subject could be a link."""
    return _text(note)


def _text(note: Note) -> dict[str, Any]:
    text = note.text or note.title
    link = f"\n{note.url}" if note.url and note.url not in text and len(note.url) < _URL // 2 else ""
    return {"msgtype": "text", "text": {"content": cut_octets(text, _TEXT - len(link.encode())) + link}}


def _card(note: Note) -> dict[str, Any] | None:
    lines = "".join(_LINE.format(_escaped(line)) for line in note.text.splitlines() if line.strip())
    title = cut_octets(note.title or note.text.strip().partition("\n")[0], _TITLE)
    if not note.url or len(note.url) > _URL or not title or len(lines.encode()) > _DESCRIPTION:
        return None
    for label, value in note.rows:
        # What the text says already is not said twice.
        row = "" if value in note.text else _ROW.format(_escaped(f"{label}{_colon(label)}{value}"))
        if len((lines + row).encode()) <= _DESCRIPTION:
            lines += row
    card = {"title": title, "description": lines or _LINE.format(_escaped(title)), "url": note.url}
    return {"msgtype": "textcard", "textcard": card}


def _colon(label: str) -> str:
    return ": " if label.isascii() else "："


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
