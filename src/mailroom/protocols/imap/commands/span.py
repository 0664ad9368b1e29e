# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The mails that a command names, as places in the view: taken apart into pieces, so that a command on a large folder
holds neither memory nor a transaction for long.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from mailroom.mailboxes.uids import Ranges
from mailroom.protocols.imap.grammar.values import Set
from mailroom.protocols.imap.session import View
from mailroom.storage.ports import Tx

Piece = Sequence[tuple[int, int]]
"""Places in the view's UIDs: from the first up to the second, which is excluded."""

READ_ONLY: Final = b"NO [READ-ONLY] the folder was opened by EXAMINE"
ISSUED: Final = b"OK [EXPUNGEISSUED] some of the mails have gone"


def places(tx: Tx, view: View, numbers: Set, *, by_uid: bool) -> Piece:
    """Where the mails of a set stand in the view, which is loaded then. Raises `Malformed`."""
    meant = view.meant(tx, numbers, by_uid=by_uid)
    view.load(tx)
    return places_of(view, meant)


def places_of(view: View, meant: Ranges) -> Piece:
    """Where UIDs stand, those that the view has. Once loaded."""
    uids = view.uids
    found = [(bisect_left(uids, first), bisect_right(uids, last)) for first, last in meant]
    return [(start, end) for start, end in found if start < end]


def count(piece: Piece) -> int:
    """How many mails."""
    return sum(end - start for start, end in piece)


def split(piece: Piece, most: int) -> list[Piece]:
    """The same in pieces of at most so many mails."""
    pieces: list[list[tuple[int, int]]] = []
    room = 0
    for first, end in piece:
        start = first
        while start < end:
            if not room:
                pieces.append([])
                room = most
            taken = min(room, end - start)
            pieces[-1].append((start, start + taken))
            start += taken
            room -= taken
    return list(pieces)


def uids_of(view: View, piece: Piece) -> Ranges:
    """The UIDs of the mails, and of none besides that the view has."""
    uids = view.uids
    return [(uids[start], uids[end - 1]) for start, end in piece]


def numbered(view: View, piece: Piece) -> Iterator[tuple[int, int]]:
    """Message number and UID of each mail."""
    uids = view.uids
    return ((place + 1, uids[place]) for start, end in piece for place in range(start, end))
