# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What follows from a provider's codes, written down as tables: a row is the outcome, without its code and words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final, Self

from mailroom.core.secrets import Secret
from mailroom.senders.contract import Refused, Scope, TryLater, Unknown, Why, excerpt

_LONGEST_CODE: Final = 64


@dataclass(frozen=True, slots=True)
class Said:
    """What a provider answered at a time; with an empty `code` it is a yes."""

    code: str
    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    after: int | None = None  # the wait that it asks for, in milliseconds
    at: int = 0

    def shown(self, hide: Iterable[Secret]) -> Self:
        """Code and words as they may be kept."""
        secrets = tuple(hide)
        code = excerpt(self.code, hide=secrets)[:_LONGEST_CODE]
        return replace(self, code=code, text=excerpt(self.text, hide=secrets))


@dataclass(frozen=True, slots=True)
class Spent:
    """A share of messages is used up: try later. `wait` makes of the time the milliseconds until there is a new one."""

    wait: Callable[[int], int]
    scope: Scope = Scope.SENDER


Row = Refused | TryLater | Unknown | Spent

GONE: Final = Refused("", "", why=Why.GONE)
OPTED_OUT: Final = Refused("", "", why=Why.OPTED_OUT)
CONTENT: Final = Refused("", "", why=Why.CONTENT)
NO: Final = Refused("", "")
ACCOUNT: Final = TryLater("", "", Scope.SENDER, why=Why.ACCOUNT)
BUSY: Final = TryLater("", "", Scope.SENDER)
AGAIN: Final = TryLater("", "")
LOST: Final = Unknown("", "")  # the provider does not know itself

# Before any provider is asked.
NO_NUMBER: Final = Refused("no_number", "the address is no telephone number", why=Why.GONE)


@dataclass(frozen=True, slots=True)
class Table:
    """What codes mean. A row such as `Throttling*` is of all codes that look so, and yields to longer ones; a code
    without a row means `other`.
    """

    rows: Mapping[str, Row]
    other: Row = AGAIN

    def row(self, code: str) -> Row | None:
        """The row of a code."""
        if code in self.rows:
            return self.rows[code]
        fitting = [row for row in self.rows if "*" in row and fnmatchcase(code, row)]
        return self.rows[max(fitting, key=len)] if fitting else None

    def judge(self, said: Said, *, other: Row | None = None) -> Refused | TryLater | Unknown:
        """What follows from a no."""
        return follows(self.row(said.code) or other or self.other, said)


def follows(row: Row, said: Said) -> Refused | TryLater | Unknown:
    """The row in the provider's words. A wait that it asks for goes before the row's."""
    outcome = TryLater("", "", row.scope, row.wait(said.at), Why.QUOTA) if isinstance(row, Spent) else row
    outcome = replace(outcome, code=said.code, text=said.text)
    if isinstance(outcome, TryLater) and said.after is not None:
        return replace(outcome, after=said.after)
    return outcome


def closer(code: str, text: str, clues: Iterable[tuple[str, str]]) -> str:
    """A code that means several things, as `code/which`: by the first clue, a word in small letters, that its words
    hold.
    """
    return next((f"{code}/{which}" for word, which in clues if word in text.lower()), code)
