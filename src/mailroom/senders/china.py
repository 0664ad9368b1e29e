# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What is China's own: its time, by which providers there count, and how they write telephone numbers.

We keep numbers in E.164, `+8613900000001`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from mailroom.core.clock import DAY, HOUR, SECOND

_OFFSET: Final = 8 * HOUR
_COUNTRY: Final = "+86"
_MOBILE: Final = re.compile(r"1[0-9]{10}")


def local(at: int) -> datetime:
    """What clocks in China show at a time in milliseconds."""
    return datetime.fromtimestamp(at // SECOND, UTC) + timedelta(milliseconds=_OFFSET)


def midnight(now: int) -> int:
    """Milliseconds until the day ends."""
    return DAY - (now + _OFFSET) % DAY


def month_end(now: int) -> int:
    """Milliseconds until the month ends."""
    here = local(now)
    first = datetime(here.year + here.month // 12, here.month % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp()) * SECOND - _OFFSET - now


def bare(number: str) -> str:
    """A number without +86 where it has that, else the digits with their country code."""
    return number.removeprefix(_COUNTRY) if number.startswith(_COUNTRY) else number.removeprefix("+")


def number(text: str) -> str:
    """A number, whichever way a provider has written it."""
    text = text.strip()
    if text.startswith("+"):
        return text
    return _COUNTRY + text if _MOBILE.fullmatch(text) else "+" + text.removeprefix("00")
