# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers as strangers write them in paths and queries."""

from __future__ import annotations

import re
from typing import Final

from mailroom.web.refusals import NoSuchPage

# What both databases can hold, with room to add.
_MOST_DIGITS: Final = 18
_NUMBER: Final = re.compile(rf"[0-9]{{1,{_MOST_DIGITS}}}")


def number(text: str) -> int:
    """The id that a text names. Raises `NoSuchPage` for what cannot be one."""
    if not _NUMBER.fullmatch(text):
        raise NoSuchPage
    return int(text)
