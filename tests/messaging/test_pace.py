# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The pace, against a provider that counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from mailroom.core.clock import MINUTE
from mailroom.messaging import pace as paces
from mailroom.senders.contract import Pace

PACES = some.builds(Pace, every=some.integers(1, 10_000), burst=some.integers(1, 50))


@given(PACES, some.lists(some.tuples(some.integers(0, 20_000), some.integers(0, 60)), max_size=30))
def test_in_no_span_of_time_more_leaves_than_the_pace_allows(pace: Pace, turns: list[tuple[int, int]]) -> None:
    now, paced_at = 1_750_000_000_000, 0
    left: list[tuple[int, int]] = []
    for waited, wished in turns:
        now += waited
        taken = min(wished, paces.allowed(pace, paced_at, now))
        paced_at = paces.after(pace, paced_at, now, taken)
        left.append((now, taken))
    for first, (begin, _) in enumerate(left):
        for last in range(first, len(left)):
            span = left[last][0] - begin
            assert sum(taken for _, taken in left[first : last + 1]) <= pace.burst + span // pace.every


@given(PACES, some.integers(1, 60))
def test_the_next_may_leave_when_it_says_and_not_before(pace: Pace, taken: int) -> None:
    now = 1_750_000_000_000
    assert paces.allowed(pace, 0, now) == pace.burst
    paced_at = paces.after(pace, 0, now, min(taken, pace.burst))
    at = paces.next_at(pace, paced_at)
    assert paces.allowed(pace, paced_at, at) >= 1
    assert paces.allowed(pace, paced_at, at - 1) == 0 or at <= now


@given(PACES, some.integers(2 * MINUTE, 1000 * MINUTE))
def test_a_clock_that_was_put_back_holds_up_nothing(pace: Pace, back: int) -> None:
    now = 1_750_000_000_000
    paced_at = paces.after(pace, 0, now, pace.burst)
    assert paces.allowed(pace, paced_at, now) == 0
    assert paces.allowed(pace, paced_at, now - back) == pace.burst
    assert paces.allowed(pace, paces.after(pace, paced_at, now - back, pace.burst), now - back) == 0
