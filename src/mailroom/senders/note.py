# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What is sent to people's phones: the same content for every kind that has people at its other end."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

_CONTROLS: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]+")
_URL: Final = re.compile(r"https?://[!#-\[\]-~]+")


class Use(enum.StrEnum):
    """What a note is for; providers that want templates have one for each."""

    NOTICE = "notice"  # it tells of mail
    CODE = "code"  # it proves a number
    TEST = "test"  # an administrator, or a member, tries the way
    MESSAGE = "message"  # somebody's own words


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One note. Each kind takes of it what its provider can show, and cuts that to what the provider takes."""

    text: str  # all of it, for those that show plain text
    title: str = ""
    rows: tuple[tuple[str, str], ...] = ()  # such as ("From", "Bob Li"), for those that show cards
    url: str = ""  # where it leads
    values: Mapping[str, str] = field(default_factory=dict)  # by the names of the variables, for providers' templates
    use: Use = Use.MESSAGE
    at: int = 0  # milliseconds: when it was written

    def link(self, *, most: int) -> str:
        """Its URL, if a client shows it as one and it has at most so many characters: half a link leads nowhere."""
        return self.url if len(self.url) <= most and _URL.fullmatch(self.url) else ""

    def content(self) -> dict[str, Any]:
        """As a parcel's content has it."""
        return asdict(self)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """What `content` made. Raises `KeyError`, `TypeError`, `ValueError` for anything else."""
        rows = tuple((str(label), str(value)) for label, value in content.get("rows", ()))
        given = dict(content) | {"rows": rows, "use": Use(content.get("use", Use.MESSAGE))}
        return cls(**given)


def plain(text: str) -> str:
    """Without control characters but the ends of lines."""
    return _CONTROLS.sub(" ", text).strip()


def line(text: str) -> str:
    """In one line."""
    return " ".join(plain(text).split())


def cut(text: str, most: int) -> str:
    """At most so many characters, the last one an ellipsis if there were more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def cut_octets(text: str, most: int) -> str:
    """At most so many octets of UTF-8, never within a character."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
