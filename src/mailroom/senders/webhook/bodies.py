# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A push as octets, in each of its three formats. Pure; names, order and spelling are a promise to receivers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode
from xml.sax.saxutils import escape

# JSON key -> XML element; a form's key is the JSON key after `wm_`.
ELEMENTS: Final = MappingProxyType(
    {
        "to": "To",
        "msgid": "MsgId",
        "sender": "Sender",
        "from": "From",
        "subject": "Subject",
        "body": "Body",
        "attachnum": "AttachNum",
        "attachlist": "AttachList",
    }
)

# What XML 1.0 §2.2 leaves out of Char; no escape can bring it in.
_NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Half a character: a mail can hold it, UTF-8 cannot.
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Format:
    """One way of writing a push."""

    media_type: str
    encode: Callable[[Mapping[str, Any]], bytes]


def _json(content: Mapping[str, Any]) -> bytes:
    fields = {key: content[key] for key in ELEMENTS}
    return _utf8(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


def _xml(content: Mapping[str, Any]) -> bytes:
    # A parser would turn a bare CR into LF (XML 1.0 §2.11).
    fields = (
        f"<{element}>{escape(_NOT_XML.sub('', _whole(str(content[key]))), {chr(13): '&#13;'})}</{element}>"
        for key, element in ELEMENTS.items()
    )
    return _utf8(f'<?xml version="1.0" encoding="UTF-8"?>\n<Request>{"".join(fields)}</Request>')


def _form(content: Mapping[str, Any]) -> bytes:
    return urlencode({f"wm_{key}": _whole(str(content[key])) for key in ELEMENTS}).encode("ascii")


def _whole(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def _utf8(text: str) -> bytes:
    return _whole(text).encode("utf-8")


FORMATS: Final = MappingProxyType(
    {
        "json": Format("application/json; charset=utf-8", _json),
        "xml": Format("application/xml; charset=utf-8", _xml),
        "form": Format("application/x-www-form-urlencoded; charset=utf-8", _form),
    }
)
