# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a search asks for (RFC 9051 §6.4.4): a tree of conditions. Sequence numbers are translated by who has a view;
trees are no deeper than a grammar lets them be.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from mailroom.core.ids import ContentId, Modseq
from mailroom.mailboxes.model import Flag
from mailroom.mailboxes.uids import EVERY, Ranges


class Field(enum.Enum):
    """Where a text is looked for; letters of any case are the same, and what is looked in is decoded."""

    SUBJECT = "subject"
    FROM = "from"
    TO = "to"
    CC = "cc"
    BCC = "bcc"
    BODY = "body"  # the text parts
    TEXT = "text"  # the header or the text parts


@dataclass(frozen=True, slots=True)
class Within:
    """The UID is one of these. `Within(EVERY)` is ALL."""

    uids: Ranges = EVERY


@dataclass(frozen=True, slots=True)
class Flagged:
    """Under `mask` the flags are `are`: SEEN is `Flagged(SEEN, SEEN)`, UNSEEN `Flagged(SEEN, NO_FLAGS)`."""

    mask: Flag
    are: Flag


@dataclass(frozen=True, slots=True)
class Keyword:
    """It has the keyword, in any case of letters."""

    keyword: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """The internal date lies at or after `since` and before `before`, in milliseconds: SINCE, ON, BEFORE, and YOUNGER
    and OLDER, which the caller reckons from now.
    """

    since: int = 0
    before: int = 1 << 62


@dataclass(frozen=True, slots=True)
class Sent:
    """The day in the Date field, as it stands there whatever the zone (RFC 9051 §6.4.4), lies at or after the day
    `since` and before the day `before`; days are counted from 1970-01-01. One without a date is never meant.
    """

    since: int = -(1 << 30)
    before: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Sized:
    """The size is above and below these (both excluded)."""

    above: int = -1
    below: int = 1 << 62


@dataclass(frozen=True, slots=True)
class Changed:
    """The modseq is `since` or higher (RFC 7162 §3.1.5)."""

    since: Modseq


@dataclass(frozen=True, slots=True)
class Shows:
    """It shows this content: EMAILID (RFC 8474)."""

    content_id: ContentId


@dataclass(frozen=True, slots=True)
class Text:
    """The text stands in the field."""

    field: Field
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """There is a header field of that name which has the text; "" is in every one."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class And:
    """All of them; of none: every mail."""

    parts: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them; of none: no mail."""

    parts: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The others."""

    part: Query


Query = Within | Flagged | Keyword | Arrived | Sent | Sized | Changed | Shows | Text | Header | And | Or | Not


def has(query: Query, what: Callable[[Query], bool]) -> bool:
    """Whether any condition in the tree is of that kind."""
    match query:
        case And(parts) | Or(parts):
            return any(has(part, what) for part in parts)
        case Not(part):
            return has(part, what)
    return what(query)
