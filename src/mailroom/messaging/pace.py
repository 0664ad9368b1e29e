# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A sender's pace, kept in one number: the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371),
at which the next message would come if they came evenly. Times in milliseconds. A number that no node can have kept
is one of a clock that was put back since, or of a slower pace: it is not heeded.
"""

from __future__ import annotations

from typing import Final

from mailroom.core.clock import MINUTE
from mailroom.senders.contract import Pace

_CLOCKS_APART: Final = MINUTE  # those of two nodes, at most


def allowed(pace: Pace, paced_at: int, now: int) -> int:
    """How many messages may leave at once now."""
    return max(0, (pace.burst * pace.every - _ahead(pace, paced_at, now)) // pace.every)


def after(pace: Pace, paced_at: int, now: int, taken: int) -> int:
    """The number once so many have left now."""
    return now + _ahead(pace, paced_at, now) + taken * pace.every


def next_at(pace: Pace, paced_at: int) -> int:
    """When the next one may leave."""
    return paced_at - (pace.burst - 1) * pace.every


def _ahead(pace: Pace, paced_at: int, now: int) -> int:
    ahead = max(paced_at - now, 0)
    return ahead if ahead <= pace.burst * pace.every + _CLOCKS_APART else 0
