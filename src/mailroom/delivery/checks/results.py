# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What we found out about a mail, as a header field that programs read (Authentication-Results, RFC 8601)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailroom.mime import headers
from mailroom.mime.fields import Field

_NAME = b"authentication-results"
_VALUE_MOST = 250
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~@-]+")
_NOT_PRINTABLE = re.compile(r"[^ -~]")
_DRESSING = re.compile(rb'[\s"\\]')


@dataclass(frozen=True, slots=True)
class Entry:
    """One method's result, why, and what it is about: pairs such as `("header.d", "corp.example")`."""

    method: str
    result: str
    reason: str = ""
    about: Sequence[tuple[str, str]] = ()

    def __str__(self) -> str:
        words = [f"{self.method}={self.result}"]
        if self.reason:
            words.append(f"reason={_quoted(self.reason)}")
        words += [f"{name}={_value(value)}" for name, value in self.about if value]
        return "\r\n\t ".join(words)


def field(hostname: str, entries: Sequence[Entry]) -> bytes:
    """The field, with our name as the one who says so."""
    said = ";\r\n\t".join(map(str, entries))
    return f"Authentication-Results: {hostname};\r\n\t{said}\r\n".encode("ascii", "replace")


def is_forged(one: Field, hostname: str) -> bool:
    """Whether a field from outside claims to be ours (§5)."""
    if one.name != _NAME:
        return False
    # Any mention will do: quotes, comments and line ends can hide it from us and not from others. They may hold the
    # semicolon that ends the name, too.
    value = headers.unfold(one.value)
    name = value.partition(b";")[0]
    claimed = value if b"(" in name or b'"' in name else name
    return hostname.lower().encode() in _DRESSING.sub(b"", claimed).lower()


def _value(text: str) -> str:
    return text if len(text) <= _VALUE_MOST and _TOKEN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    plain = _NOT_PRINTABLE.sub("?", text[:_VALUE_MOST]).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'
