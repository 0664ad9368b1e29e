# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""COMPRESS=DEFLATE (RFC 4978): both directions of one connection."""

from __future__ import annotations

import zlib
from typing import Final

_WINDOW_IN: Final = -15  # a client may use all that DEFLATE has
_WINDOW_OUT: Final = -12  # our own window is small: memory counts once for each connection
_MEMORY_OUT: Final = 5
_LEVEL: Final = 5


class Broken(Exception):
    """What the client sends is not DEFLATE."""


class Deflate:
    """Inflates what the client sends, no more of it at once than is asked for, and deflates what we say."""

    def __init__(self) -> None:
        self._in = zlib.decompressobj(_WINDOW_IN)
        self._out = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_OUT, _MEMORY_OUT)
        self._waiting = b""
        self._more = False  # the inflater holds octets that it had no room to give

    def feed(self, octets: bytes) -> None:
        """The client has sent this."""
        self._waiting += octets

    @property
    def held(self) -> int:
        """Octets that have been fed and not yet inflated."""
        return len(self._waiting)

    def inflate(self, most: int) -> bytes:
        """The next octets of what the client said; b"" when more must be fed. Raises `Broken`."""
        if not self._waiting and not self._more:
            return b""
        try:
            octets = self._in.decompress(self._waiting, most)
        except zlib.error as fault:
            raise Broken from fault
        self._waiting = self._in.unconsumed_tail
        self._more = len(octets) == most
        if self._in.eof:
            raise Broken
        return octets

    def deflate(self, octets: bytes) -> bytes:
        """What to send so that the client can read all of it."""
        return self._out.compress(octets) + self._out.flush(zlib.Z_SYNC_FLUSH)
