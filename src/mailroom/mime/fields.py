# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Header fields as they stand, octet for octet, for signatures and for taking fields out; `headers` reads them."""

from __future__ import annotations

import re
from typing import NamedTuple

# RFC 5322 section 2.2.3: a line that begins with white space goes on with the field before it.
_FIELD = re.compile(rb"[^\n]*+\n?(?:[ \t][^\n]*+\n?)*+")


class Field(NamedTuple):
    """One field: its name in lower case, and its octets with the last line end."""

    name: bytes  # empty: a line that is no field
    raw: bytes
    start: int  # in the header block

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + len(self.raw)

    @property
    def value(self) -> bytes:
        """What follows the colon, folded as it is."""
        return self.raw.partition(b":")[2]


def split(header: bytes) -> list[Field]:
    """The fields of a header block in their order; the empty line that ends it is none of them."""
    found = []
    for match in _FIELD.finditer(header):
        raw = match[0]
        if raw in (b"", b"\r\n", b"\n"):
            break
        name, colon, _ = raw.partition(b":")
        found.append(Field(name.rstrip(b" \t").lower() if colon else b"", raw, match.start()))
    return found
