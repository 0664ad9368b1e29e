# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mail as DATA carries it: dots doubled, every line ended by CRLF, and the dot at its end. Pure, piece by piece."""

from __future__ import annotations

import re
from typing import Final

_END: Final = re.compile(rb"\r\n|\r|\n")


class Stuffer:
    """Takes a mail's octets in order. A bare CR or LF becomes a line end: left as it is, it could end the mail early
    for a server that is less strict, and what follows would be taken for commands.
    """

    def __init__(self) -> None:
        self._at_start = True  # of a line
        self._cr = b""  # held back: its LF may come with the next piece

    def feed(self, piece: bytes) -> bytes:
        """The next octets, as they are to be sent."""
        if not piece:
            return b""
        piece, self._cr = self._cr + piece, b""
        if piece.endswith(b"\r"):
            piece, self._cr = piece[:-1], b"\r"
        return self._stuff(piece)

    def end(self) -> bytes:
        """What ends the mail."""
        rest = self._stuff(self._cr)
        return rest + (b".\r\n" if self._at_start else b"\r\n.\r\n")

    def _stuff(self, piece: bytes) -> bytes:
        if not piece:
            return b""
        if not piece.count(b"\r\n") == piece.count(b"\n") == piece.count(b"\r"):
            piece = _END.sub(b"\r\n", piece)
        stuffed = piece.replace(b"\r\n.", b"\r\n..")
        if self._at_start and piece.startswith(b"."):
            stuffed = b"." + stuffed
        self._at_start = piece.endswith(b"\r\n")
        return stuffed
