# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where a mail's octets end: DATA with its dots, BDAT with its counts. Pure, and in flat memory.

Only CRLF "." CRLF ends DATA. A CR or LF that stands alone is no line end; servers that took it for one let strangers
smuggle mails past others (CVE-2023-51764 and its kin), so the reader says when it has seen one: `bare`.
Octets are crossed with `find`, `count` and `replace`, never line by line.
"""

from __future__ import annotations

from typing import Final

_END: Final = b"\r\n.\r\n"


def _has_bare(octets: bytes) -> bool:
    pairs = octets.count(b"\r\n")
    return octets.count(b"\r") != pairs or octets.count(b"\n") != pairs


class Dotted:
    """Reads what follows DATA (RFC 5321 §4.5.2)."""

    __slots__ = ("_held", "_pristine", "bare", "ended", "rest")

    def __init__(self) -> None:
        self._held = b"\r\n"  # the content begins as if a line had ended: ".\r\n" alone is an empty mail
        self._pristine = True
        self.bare = False
        self.ended = False
        self.rest = b""  # what came after the end

    def feed(self, octets: bytes) -> bytes:
        """Take the next octets as they came; give content with its dots undone."""
        octets = self._held + octets
        end = octets.find(_END)
        if end >= 0:
            self.ended, self.rest, self._held = True, octets[end + len(_END) :], b""
            octets = octets[: end + 2]
        else:
            keep = len(octets) - _begun(octets)
            octets, self._held = octets[:keep], octets[keep:]
        self.bare = self.bare or _has_bare(octets)
        # A line's first dot was added by the client: ".." stands for ".", and ".x" for "x".
        octets = octets.replace(b"\r\n.", b"\r\n")
        if self._pristine and octets:
            self._pristine = False
            return octets[2:]
        return octets


def _begun(octets: bytes) -> int:
    """How many octets at the end may be the beginning of the end mark."""
    for length in (4, 3, 2, 1):
        if octets.endswith(_END[:length]):
            return length
    return 0


class Counted:
    """Reads what follows BDAT (RFC 3030 §2): `size` octets. `after` is the chunk before, whose last CR may have its LF
    in this one.
    """

    __slots__ = ("_last", "_left", "bare", "ended", "held", "rest")

    def __init__(self, size: int, *, last: bool, after: Counted | None = None) -> None:
        self._left = size
        self._last = last
        self.held: bytes = after.held if after else b""
        self.bare: bool = after.bare if after else False
        self.ended = not size
        self.rest = b""

    def feed(self, octets: bytes) -> bytes:
        """Take the next octets as they came; give content."""
        taken, self.rest = octets[: self._left], octets[self._left :]
        self._left -= len(taken)
        self.ended = not self._left
        if self.held:
            taken = self.held + taken
            self.held = b""
        if taken.endswith(b"\r") and not (self.ended and self._last):
            taken, self.held = taken[:-1], b"\r"
        self.bare = self.bare or _has_bare(taken)
        return taken
