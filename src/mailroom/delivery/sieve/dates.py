# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Dates as Sieve scripts ask for them, part by part (RFC 5260 §4)."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from mailroom.core.clock import SECOND

# The days of the Modified Julian Date begin here.
_JULIAN: Final = date(1858, 11, 17)
_WEEKDAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def at(moment: int, zone: str | None) -> datetime:
    """A time in milliseconds, in a zone like +0100; None: UTC."""
    return datetime.fromtimestamp(moment // SECOND, UTC).astimezone(_zone(zone) if zone else UTC)


def read(text: str, zone: str | None) -> datetime | None:
    """The date in a header field, in the zone, or in its own; None: it is none. One with a ";" ends with it."""
    try:
        parsed = email.utils.parsedate_tz(text.rpartition(";")[2])
        if parsed is None:
            return None
        own = timezone(timedelta(seconds=parsed[9] or 0))
        return datetime(*parsed[:6], tzinfo=own).astimezone(_zone(zone) if zone else own)
    except (ValueError, IndexError, OverflowError, TypeError):
        return None


def part(moment: datetime, name: str) -> str:
    """One part of it. `name` is one of RFC 5260 §4.2."""
    return _PARTS[name](moment)


def _zone(zone: str) -> timezone:
    minutes = int(zone[1:3]) * 60 + int(zone[3:5])
    return timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))


def _offset(moment: datetime) -> str:
    return moment.strftime("%z")[:5]


def _weekday(moment: datetime) -> int:
    return moment.isoweekday() % 7


def _std11(moment: datetime) -> str:
    day = f"{_WEEKDAYS[_weekday(moment)]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04}"
    return f"{day} {moment:%H:%M:%S} {_offset(moment)}"


_PARTS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "year": lambda moment: f"{moment.year:04}",
    "month": lambda moment: f"{moment.month:02}",
    "day": lambda moment: f"{moment.day:02}",
    "date": lambda moment: moment.date().isoformat(),
    "julian": lambda moment: str((moment.date() - _JULIAN).days),
    "hour": lambda moment: f"{moment.hour:02}",
    "minute": lambda moment: f"{moment.minute:02}",
    "second": lambda moment: f"{moment.second:02}",
    "time": lambda moment: f"{moment:%H:%M:%S}",
    "iso8601": lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}{_offset(moment)[:3]}:{_offset(moment)[3:]}",
    "std11": _std11,
    "zone": _offset,
    "weekday": lambda moment: str(_weekday(moment)),
}
PARTS: Final = frozenset(_PARTS)
