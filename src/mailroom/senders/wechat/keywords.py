# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What the keywords of a template show: as long, and of such characters, as WeChat takes for each type of keyword
(developers.weixin.qq.com, "parameters of subscription messages"). A value that it does not take loses the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from mailroom.core.clock import SECOND
from mailroom.core.errors import InvalidValue
from mailroom.senders import template
from mailroom.senders.note import Note, cut

VARIABLES: Final = template.VARIABLES - {"code", "minutes"}  # no code is sent by WeChat
_ENTRY: Final = re.compile(r"(([a-z_]+)[0-9]{1,3})=(.+)")
_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_TIME: Final = re.compile(r"(\d{4}(-|/|年)\d{1,2}(-|/|月)\d{1,2}日? ?)?(\d{1,2}:\d{2}(:\d{2})?)?")
_HAN_IN_NAME: Final = 10
_LONGEST: Final = 500  # characters of the setting


@dataclass(frozen=True, slots=True)
class _Type:
    most: int
    kept: re.Pattern[str] | None = None  # nothing else is taken
    empty: str = "-"


_TYPES: Final[Mapping[str, _Type]] = MappingProxyType(
    {
        "thing": _Type(20),
        "const": _Type(20),
        "keyword": _Type(20),  # of templates from before 2023
        "name": _Type(20),
        "number": _Type(32, re.compile(r"^[^0-9]*([0-9]{1,16}(?:\.[0-9]{1,15})?)"), "0"),
        "letter": _Type(32, re.compile(r"[A-Za-z]+"), "x"),
        "character_string": _Type(32, re.compile(r"[!-~]+")),
        "symbol": _Type(5, re.compile(r"[^A-Za-z0-9]+")),
        "phrase": _Type(5, re.compile(r"[\u4e00-\u9fff]+"), "无"),
        "time": _Type(32),
        "date": _Type(32),
    }
)


@dataclass(frozen=True, slots=True)
class Keyword:
    """One keyword, and the text in which variables are filled in."""

    name: str
    type: str
    pattern: str


def parse(text: str) -> Sequence[Keyword]:
    """The keywords, such as `thing1={fromname} time3={date}`. Raises `InvalidValue`."""
    if len(text) > _LONGEST:
        raise InvalidValue(name="fields", reason="is too long")
    entries = [_ENTRY.fullmatch(word) for word in text.split()]
    found = [Keyword(entry[1], entry[2], entry[3]) for entry in entries if entry is not None]
    if not found or len(found) < len(entries):
        raise InvalidValue(name="fields", reason="must be like thing1={fromname} thing2={subject}")
    for one in found:
        if one.type not in _TYPES:
            raise InvalidValue(name="fields", reason=f"there is no type of keyword {one.type}")
        for variable in _VARIABLE.findall(one.pattern):
            if variable not in VARIABLES:
                raise InvalidValue(name="fields", reason=f"there is no variable {{{variable}}}")
    if len({one.name for one in found}) < len(found):
        raise InvalidValue(name="fields", reason="says a keyword twice")
    return found


def fill(keywords: Sequence[Keyword], note: Note) -> dict[str, dict[str, str]]:
    """The template's `data` for this note."""
    written = datetime.fromtimestamp(note.at // SECOND).astimezone().strftime("%Y-%m-%d %H:%M")
    values = {"subject": note.title or note.text, "body": note.text, "date": written, **note.values}
    return {one.name: {"value": _value(one, values, written)} for one in keywords}


def _value(keyword: Keyword, values: Mapping[str, str], written: str) -> str:
    text = _VARIABLE.sub(lambda match: values.get(match[1], ""), keyword.pattern)
    text = _BLANKS.sub(" ", text).strip()
    if keyword.type in {"time", "date"}:
        return text if text and _TIME.fullmatch(text) else written
    if keyword.type == "name" and not text.isascii():
        text = cut(text, _HAN_IN_NAME)
    type_ = _TYPES[keyword.type]
    if type_.kept is not None:
        return "".join(type_.kept.findall(text))[: type_.most] or type_.empty
    return cut(text, type_.most) or type_.empty
