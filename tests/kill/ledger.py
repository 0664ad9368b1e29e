# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What the clients of the kill test sent, and what they were told: the truth that the store is held against."""

from __future__ import annotations

import enum
import hashlib
import random
import re
from dataclasses import dataclass, field

DOMAIN = "kill.test"
MAILBOXES = tuple(f"{name}@{DOMAIN}" for name in ("ann", "bob", "cy", "dee"))

_NUMBER = re.compile(rb"^Message-ID: <(\d+)@kill\.test>\r$", re.MULTILINE)
_LINE = b"The quick brown fox jumps over the lazy dog, and then it is dark and cold outside.\r\n"


class Fate(enum.Enum):
    """What the client knows of its mail."""

    UNSENT = enum.auto()  # the connection broke before the final dot: must not be there
    REFUSED = enum.auto()  # a reply said no: must not be there
    OPEN = enum.auto()  # the connection broke between the final dot and the reply: once, or not at all
    PROMISED = enum.auto()  # 250: must be there, once


@dataclass(slots=True)
class Entry:
    """One mail: where to, and the octets that the client sent."""

    to: tuple[str, ...]
    size: int
    digest: bytes
    fate: Fate = Fate.UNSENT


@dataclass(slots=True)
class Ledger:
    """Every mail by its number."""

    chance: random.Random
    entries: list[Entry] = field(default_factory=list)

    def write(self, *, lines: int | None = None) -> tuple[Entry, bytes]:
        """A new mail, noted, and its octets; unless told otherwise, one in eight is larger than what lies in a row."""
        number = len(self.entries)
        to = tuple(self.chance.sample(MAILBOXES, self.chance.choice((1, 1, 1, 2, 3))))
        if lines is None:
            lines = self.chance.randrange(900, 2000) if self.chance.random() < 0.125 else self.chance.randrange(60)
        octets = (
            b"Message-ID: <%d@kill.test>\r\nFrom: Bob <bob@out.test>\r\nSubject: number %d\r\n"
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n\r\n%d\r\n" % (number, number, number)
        ) + _LINE * lines
        entry = Entry(to, len(octets), hashlib.sha256(octets).digest())
        self.entries.append(entry)
        return entry, octets

    def count(self, fate: Fate) -> int:
        """How many mails had this fate."""
        return sum(entry.fate is fate for entry in self.entries)


def number_in(octets: bytes) -> int | None:
    """The number of the mail that these octets are, or contain after fields put before them."""
    found = _NUMBER.search(octets[:2000])
    return int(found[1]) if found else None
