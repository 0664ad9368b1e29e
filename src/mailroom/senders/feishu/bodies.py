# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A note as Feishu's messages: a card, or text. Pure. All of it is plain: what strangers wrote is not to become links,
and is not to call everybody in a group.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mailroom.senders.note import Note, cut, cut_octets, line, plain

_TITLE: Final = 100
_VALUE: Final = 200
_ROWS: Final = 12
_TEXT: Final = 8000  # octets; a group's bot takes 20 KB of JSON, where an octet may become six
_URL: Final = 2008  # characters
_TAG: Final = re.compile(r"<(?=\s*/?\s*at\b)", re.IGNORECASE)


def card(note: Note) -> Mapping[str, Any] | None:
    """The card, where there is more to show than text. All of it leads to the note's page."""
    url = note.link(most=_URL)
    if not note.rows and not url:
        return None
    lines = [f"{_line(label)}: {_line(value)}" for label, value in note.rows[:_ROWS]] or [_text(note)]
    links = {"card_link": {"url": url}} if url else {}
    return {
        "config": {"wide_screen_mode": True},
        **links,
        "header": {
            "template": "blue",
            "title": {"tag": "plain_text", "content": cut(_line(note.title or note.text), _TITLE)},
        },
        "elements": [{"tag": "div", "text": {"tag": "plain_text", "content": line}} for line in lines],
    }


def text(note: Note) -> Mapping[str, str]:
    """The text."""
    return {"text": _text(note)}


def _text(note: Note) -> str:
    return _TAG.sub("<\u200b", cut_octets(plain(note.text), _TEXT))


def _line(text: str) -> str:
    return cut(line(text), _VALUE)
