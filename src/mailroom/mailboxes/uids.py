# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sets of UIDs as ranges: what mail programs name, what views hold, what one statement asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mailroom.core.ids import Uid

Range = tuple[int, int]
Ranges = Sequence[Range]
"""UIDs from a first to a last, both included; ascending, none overlapping. What is not there is passed over."""

LAST = (1 << 32) - 1
EVERY: Ranges = ((1, LAST),)


def ranges(uids: Iterable[int]) -> Ranges:
    """The UIDs, in any order and also twice, as few ranges."""
    ordered = sorted(set(uids))
    if not ordered:
        return ()
    if ordered[-1] - ordered[0] == len(ordered) - 1:
        return [(ordered[0], ordered[-1])]
    found: list[Range] = []
    first = last = ordered[0]
    for uid in ordered:
        if uid > last + 1:
            found.append((first, last))
            first = uid
        last = uid
    found.append((first, last))
    return found


def each(found: Ranges) -> Iterator[Uid]:
    """Every UID of the ranges."""
    return (Uid(uid) for first, last in found for uid in range(first, last + 1))


def beyond(found: Ranges, uid: int) -> Ranges:
    """What of the ranges lies above a UID."""
    return [(max(first, uid + 1), last) for first, last in found if last > uid]
