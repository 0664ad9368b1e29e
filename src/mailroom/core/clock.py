# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Time, as one number: milliseconds since 1970 in UTC. Domains are given a `Clock`, so that tests own the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def now() -> int:
    """The system's time in milliseconds."""
    return time.time_ns() // 1_000_000


def iso(moment: int) -> str:
    """A time for people and programs: ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(moment // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
