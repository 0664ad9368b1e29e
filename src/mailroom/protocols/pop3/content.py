# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mail as it goes over the wire: dots doubled, lines ended with CRLF, cut after some lines if need be. Pure."""

from __future__ import annotations

import re
from typing import Final

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


class Dressing:
    """Feed the octets in pieces of any size; `end` gives the rest with the line that holds a dot alone."""

    def __init__(self) -> None:
        self._last = b"\n"  # the octet before the next piece

    def feed(self, octets: bytes) -> bytes:
        """What to send of them (RFC 1939 §3). A bare LF, which some programs take for the end of a line, becomes one:
        or a mail could hide the end of an answer in itself.
        """
        if not octets:
            return b""
        before, self._last = self._last, octets[-1:]
        if octets.count(b"\n") > octets.count(b"\r\n"):
            octets = _BARE_LF.sub(b"\r\n", before + octets)[1:] if before == b"\r" else _BARE_LF.sub(b"\r\n", octets)
        if before == b"\n" and octets.startswith(b"."):
            octets = b"." + octets
        return octets.replace(b"\n.", b"\n..")

    def end(self) -> bytes:
        """The end of the answer."""
        return b".\r\n" if self._last == b"\n" else b"\r\n.\r\n"


class Beginning:
    """The header block of a mail and so many lines of its body."""

    def __init__(self, lines: int) -> None:
        self._left: int = lines
        self._in_header = True
        self._line = b""  # what the header's last line has so far, as far as it matters
        self.ended = False

    def feed(self, octets: bytes) -> bytes:
        """What of these octets belongs to it; when all has come, `ended` is set."""
        at = 0
        while not self.ended and (end := octets.find(b"\n", at)) >= 0:
            self._count(octets[at:end])
            at = end + 1
        if self.ended:
            return octets[:at]
        self._line = (self._line + octets[at : at + 2])[:2]
        return octets

    def _count(self, line: bytes) -> None:
        if self._in_header:
            self._in_header = (self._line + line[:2])[:2] not in {b"", b"\r"}
        else:
            self._left -= 1
        self._line = b""
        self.ended = not self._in_header and self._left <= 0
