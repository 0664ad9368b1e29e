# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A note as DingTalk's messages. Pure; a repeat is the same, octet by octet.

DingTalk drops what somebody has been told before on the same day, so that each message ends with a piece of its
parcel's code. Nothing is Markdown: what strangers wrote would become links and pictures in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from mailroom.senders.http import octets
from mailroom.senders.note import Note, cut, cut_octets, line, plain

_LIMIT: Final = 2048  # octets of a work notice
_TITLE: Final = 64
_URL: Final = 488  # characters
_ROWS: Final = 8
_TEXT: Final = 4000

Body = Mapping[str, Any]


def work(note: Note, code: str) -> Body:
    """The `msg` of a work notice, cut to what one may have; a card must lead somewhere."""
    return _fitting(lambda most: _card(note, code, most) if note.link(most=_URL) else _text(note, code, most))


def one_to_one(note: Note, code: str) -> tuple[str, str]:
    """The `msgKey` and `msgParam` of a robot that writes to one person."""
    if url := note.link(most=_URL):
        said = {"title": _title(note), "text": _lines(note, code, _TEXT), "messageUrl": url, "picUrl": ""}
        return "sampleLink", octets(said).decode()
    return "sampleText", octets({"content": _lines(note, code, _TEXT)}).decode()


def group(note: Note, code: str) -> Body:
    """What a group's robot says."""
    if url := note.link(most=_URL):
        link = {"title": _title(note), "text": _lines(note, code, _TEXT), "messageUrl": url, "picUrl": ""}
        return {"msgtype": "link", "link": link}
    return _text(note, code, _TEXT)


def tail(code: str) -> str:
    """What makes a message unlike any other of the day: a piece of the parcel's code."""
    return f"#{code[-6:]}"


def _card(note: Note, code: str, most: int) -> Body:
    title, url = cut_octets(_title(note), most), note.link(most=_URL)
    form = [
        {"key": f"{cut_octets(line(label), most)}: ", "value": cut_octets(line(value), most)}
        for label, value in note.rows[:_ROWS]
    ]
    text = tail(code) if form else _lines(note, code, most)
    body = {"title": title, "form": form, "content": text}
    links = {"message_url": url, "pc_message_url": url}
    return {"msgtype": "oa", "oa": {**links, "head": {"bgcolor": "FF3B7DDD", "text": title}, "body": body}}


def _text(note: Note, code: str, most: int) -> Body:
    return {"msgtype": "text", "text": {"content": _lines(note, code, most)}}


def _lines(note: Note, code: str, most: int) -> str:
    """The text, and how it is unlike any other."""
    return f"{cut_octets(plain(note.text), most)}\n{tail(code)}"


def _title(note: Note) -> str:
    return cut(line(note.title or note.text), _TITLE)


def _fitting(build: Callable[[int], Body]) -> Body:
    """The message with as much of each of its texts as is possible."""
    most = 1600
    while len(octets(body := build(most))) > _LIMIT and most > 16:
        most = most * 3 // 4
    return body
