# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The states of a recipient, as a table. Late, double and contradictory news is decided here and nowhere else."""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """Where a recipient stands."""

    QUEUED = "queued"  # waits for its next attempt, or is being tried
    SENT = "sent"  # the provider took it
    DELIVERED = "delivered"  # the provider says that it arrived
    READ = "read"  # and that somebody has seen it
    UNDELIVERED = "undelivered"  # the provider took it, and says that it did not arrive
    FAILED = "failed"  # refused, or tried until the schedule ended; may be sent again by hand
    UNKNOWN = "unknown"  # handed over or not: the answer was lost, and a repeat might double it
    CANCELLED = "cancelled"  # taken back before it left
    SUPPRESSED = "suppressed"  # never to leave: written down to be seen, with the reason


class News(enum.StrEnum):
    """What can happen to a recipient."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    EXHAUSTED = "exhausted"  # the last attempt of the schedule failed
    ANSWER_LOST = "answer_lost"
    ARRIVED = "arrived"
    READ = "read"
    LOST = "lost"
    CANCEL = "cancel"
    RESEND = "resend"


_OPEN = {
    News.ACCEPTED: State.SENT,
    News.REFUSED: State.FAILED,
    News.EXHAUSTED: State.FAILED,
    News.ANSWER_LOST: State.UNKNOWN,
}
_SEEN = {News.ARRIVED: State.DELIVERED, News.READ: State.READ}
_RECEIPT = _SEEN | {News.LOST: State.UNDELIVERED}

NEXT: dict[tuple[State, News], State] = {
    # A receipt may come before the answer to the request that caused it.
    **{(State.QUEUED, news): state for news, state in (_OPEN | _RECEIPT | {News.CANCEL: State.CANCELLED}).items()},
    **{(State.SENT, news): state for news, state in _RECEIPT.items()},
    **{(State.UNKNOWN, news): state for news, state in (_RECEIPT | {News.RESEND: State.QUEUED}).items()},
    (State.DELIVERED, News.READ): State.READ,
    # An attempt was given up for lost, and only then said that the provider took it.
    (State.UNKNOWN, News.ACCEPTED): State.SENT,
    (State.FAILED, News.ACCEPTED): State.SENT,
    (State.CANCELLED, News.ACCEPTED): State.SENT,
    **{(State.UNDELIVERED, news): state for news, state in _SEEN.items()},
    (State.UNDELIVERED, News.RESEND): State.QUEUED,
    **{(State.FAILED, news): state for news, state in _SEEN.items()},
    (State.FAILED, News.RESEND): State.QUEUED,
    **{(State.CANCELLED, news): state for news, state in _SEEN.items()},
}


def after(state: State, news: News) -> State:
    """The state that follows. News that the table does not list changes nothing: it is late, double or out of order."""
    return NEXT.get((state, news), state)
