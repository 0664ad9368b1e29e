# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A Sieve script that has been read and checked: what can be asked of a mail, and what can be done with it."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class How(enum.Enum):
    """How a value is compared with a key (RFC 5228 §2.7.1, RFC 5231)."""

    IS = ":is"
    CONTAINS = ":contains"
    MATCHES = ":matches"
    COUNT = ":count"
    VALUE = ":value"


class Comparator(enum.Enum):
    """What counts as the same (RFC 4790)."""

    OCTET = "i;octet"
    CASEMAP = "i;ascii-casemap"
    NUMERIC = "i;ascii-numeric"


class AddressPart(enum.Enum):
    """What of an address is looked at (RFC 5228 §2.7.4, RFC 5233)."""

    ALL = ":all"
    LOCAL = ":localpart"
    DOMAIN = ":domain"
    USER = ":user"
    DETAIL = ":detail"


@dataclass(frozen=True, slots=True)
class Match:
    """What is compared with, and how. One key that fits is enough."""

    how: How
    comparator: Comparator
    keys: tuple[str, ...]
    relation: str = ""  # of COUNT and VALUE: gt, ge, lt, le, eq, ne


@dataclass(frozen=True, slots=True)
class Index:
    """Which of several fields of one name (RFC 5260 §6); 0: all of them."""

    number: int = 0
    from_last: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """Always the same."""

    value: bool


@dataclass(frozen=True, slots=True)
class Not:
    """The other way round."""

    test: Test


@dataclass(frozen=True, slots=True)
class AllOf:
    """Each of them."""

    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of them at least."""

    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What header fields say."""

    names: tuple[str, ...]
    index: Index
    match: Match


@dataclass(frozen=True, slots=True)
class Address:
    """The addresses in header fields, or in the envelope's."""

    names: tuple[str, ...]
    of_envelope: bool
    part: AddressPart
    index: Index
    match: Match


@dataclass(frozen=True, slots=True)
class Exists:
    """All the fields are there."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """Octets of the mail, more or fewer than the limit."""

    over: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Body:
    """What the body says (RFC 5173): as it is, its text, or its parts of some kinds."""

    transform: str
    kinds: tuple[str, ...]
    match: Match


@dataclass(frozen=True, slots=True)
class Date:
    """A part of a date (RFC 5260): of a header field, or of now, when there is no name."""

    name: str
    part: str
    zone: str | None  # None: as it stands
    index: Index
    match: Match


@dataclass(frozen=True, slots=True)
class String:
    """What strings say, variables put in (RFC 5229 §5)."""

    sources: tuple[str, ...]
    match: Match


@dataclass(frozen=True, slots=True)
class HasFlag:
    """The flags that the mail is to get, or those in variables (RFC 5232 §4)."""

    variables: tuple[str, ...]
    match: Match


@dataclass(frozen=True, slots=True)
class FolderExists:
    """All the folders are there (RFC 5490 §3.1)."""

    names: tuple[str, ...]


Test = Truth | Not | AllOf | AnyOf | Header | Address | Exists | Size | Body | Date | String | HasFlag | FolderExists


@dataclass(frozen=True, slots=True)
class If:
    """The first block whose test holds."""

    branches: tuple[tuple[Test, Block], ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """The end."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Into the inbox; flags None: the current ones."""

    flags: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class FileInto:
    """Into a folder."""

    folder: str
    is_copy: bool
    creates: bool
    flags: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Redirect:
    """To another address."""

    address: str
    is_copy: bool


@dataclass(frozen=True, slots=True)
class Discard:
    """Away with it."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Back to the sender (RFC 5429)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Vacation:
    """An automatic reply (RFC 5230). `period` is in milliseconds."""

    reason: str
    period: int
    subject: str
    from_: str
    addresses: tuple[str, ...]
    handle: str
    is_mime: bool


@dataclass(frozen=True, slots=True)
class SetFlags:
    """Change the current flags, or those in a variable."""

    how: str  # setflag | addflag | removeflag
    variable: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """Put a string into a variable (RFC 5229 §4), changed by the modifiers in their order."""

    name: str
    value: str
    modifiers: tuple[str, ...]


Command = If | Stop | Keep | FileInto | Redirect | Discard | Reject | Vacation | SetFlags | Set
Block = tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script. `has_variables`: `${name}` in a string stands for a variable."""

    block: Block
    has_variables: bool
    asks_folders: bool  # whether it asks which folders there are
