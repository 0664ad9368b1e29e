# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Modified UTF-7: mailbox names as IMAP4rev1 writes them (RFC 3501 §5.1.3)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_SHIFTED: Final = re.compile(r"&([A-Za-z0-9+,]*)-")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_UNPRINTABLE: Final = re.compile(r"&|[^\x20-\x7e]+")


def decode(name: str) -> str:
    """The name meant. What is not modified UTF-7, to the letter, is taken as it stands: it stays another name than any
    that is, and there is always a name.
    """
    if "&" not in name:
        return name
    try:
        meant = _SHIFTED.sub(_unshifted, name)
    except (ValueError, binascii.Error):
        return name
    # Nobody names a mailbox with control characters, and no store keeps a NUL.
    return meant if encode(meant) == name and not _CONTROL.search(meant) else name


def _unshifted(match: re.Match[str]) -> str:
    letters = match[1]
    if not letters:
        return "&"
    return base64.b64decode(letters.replace(",", "/") + "===", validate=False).decode("utf-16-be")


def encode(name: str) -> str:
    """The name as ASCII. Not for lone surrogates."""
    return name if name.isascii() and name.isprintable() and "&" not in name else _UNPRINTABLE.sub(_shifted, name)


def _shifted(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    letters = base64.b64encode(match[0].encode("utf-16-be")).decode("ascii")
    return f"&{letters.rstrip('=').replace('/', ',')}-"
