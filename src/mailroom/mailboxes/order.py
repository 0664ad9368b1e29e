# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SORT (RFC 5256, RFC 5957): mails in the order that a mail program asks for."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from mailroom.core.ids import FolderId
from mailroom.mailboxes import queries
from mailroom.mailboxes.uids import Ranges, beyond
from mailroom.mime.subject import base_subject
from mailroom.storage.ports import Row, Store, Tx

_AT_ONCE: Final = 5_000  # rows of one transaction


class Key(enum.Enum):
    """By what mails are sorted."""

    ARRIVAL = "arrival"
    CC = "cc"
    DATE = "date"
    DISPLAYFROM = "displayfrom"
    DISPLAYTO = "displayto"
    FROM = "from"
    SIZE = "size"
    SUBJECT = "subject"
    TO = "to"


class Way(enum.Enum):
    """In which direction."""

    UP = "up"
    DOWN = "down"  # REVERSE


async def order(
    store: Store, folder_id: FolderId, uids: Ranges, by: Sequence[tuple[Key, Way]], *, at_once: int = _AT_ONCE
) -> Sequence[int]:
    """The UIDs of the mails that are there, sorted by the first key, then the next; at last by UID."""
    # A key that comes again has nothing left to sort.
    ways = dict(reversed(by))
    keys = list(dict.fromkeys(key for key, _ in by))
    keyed: list[tuple[Any, ...]] = []
    while uids:
        page = await store.read(partial(_keyed, keys=keys, folder_id=folder_id, uids=uids, most=at_once))
        keyed += page
        uids = beyond(uids, page[-1][0]) if len(page) == at_once else ()
    return await asyncio.to_thread(_sorted, keyed, [ways[key] for key in keys])


def _keyed(tx: Tx, folder_id: FolderId, uids: Ranges, keys: Sequence[Key], most: int) -> Sequence[tuple[Any, ...]]:
    """The first of the mails, as UID and keys."""
    ask = queries.mails.by_dates if set(keys) <= {Key.ARRIVAL, Key.SIZE} else queries.mails.by_said
    makers = [_KEYS[key] for key in keys]
    return [(row[0], *[make(row) for make in makers]) for row in ask(tx, folder_id, uids, most)]


def _sorted(keyed: list[tuple[Any, ...]], ways: Sequence[Way]) -> Sequence[int]:
    # From the last key to the first: sorting leaves equals in the order that they had, in both directions.
    for place in range(len(ways), 0, -1):
        keyed.sort(key=lambda each: each[place], reverse=ways[place - 1] is Way.DOWN)
    return [each[0] for each in keyed]


# Of rows as `queries.mails.by_said` gives them: UID, internal date, size, Date, subject, From, To, Cc. Letters are
# compared in capitals (RFC 4790 §9.2, RFC 5051): what stands between the two cases comes behind both.


def _local_part(shown: str) -> str:
    return _address(shown).rpartition("@")[0].upper()


def _display(shown: str) -> str:
    """The first name, or else the first address."""
    address = _address(shown)
    name = shown.partition(f" <{address}>")[0]
    return (name if name != shown else address).upper()


def _address(shown: str) -> str:
    """The first of addresses as `mime.address.show` shows them, joined by commas; a name may have commas, too."""
    first = shown.partition(", ")[0]
    if "@" in first and "<" not in first:
        return first
    return shown.partition("<")[2].partition(">")[0] or first


_KEYS: dict[Key, Callable[[Row], Any]] = {
    Key.ARRIVAL: lambda row: row[1],
    Key.SIZE: lambda row: row[2],
    Key.DATE: lambda row: row[1] if row[3] is None else row[3],
    Key.SUBJECT: lambda row: base_subject(row[4])[0].upper(),
    Key.FROM: lambda row: _local_part(row[5]),
    Key.TO: lambda row: _local_part(row[6]),
    Key.CC: lambda row: _local_part(row[7]),
    Key.DISPLAYFROM: lambda row: _display(row[5]),
    Key.DISPLAYTO: lambda row: _display(row[6]),
}
