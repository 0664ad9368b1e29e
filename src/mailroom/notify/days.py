# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The server's own time of day, by which people's days and quiet hours go (spec 1.2)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from mailroom.core.clock import SECOND
from mailroom.core.errors import InvalidValue
from mailroom.notify.model import Quiet

_EPOCH = date(1970, 1, 1).toordinal()
_HOUR = 60
_DAY = 24 * _HOUR
_QUIET = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)


def local(moment: int) -> datetime:
    """A time in milliseconds, where the server is."""
    return datetime.fromtimestamp(moment / SECOND, UTC).astimezone()


def day(moment: int) -> int:
    """Which day that is, of those since 1970."""
    return local(moment).toordinal() - _EPOCH


def iso(number: int) -> str:
    """The day with that number, such as 2026-11-21."""
    return date.fromordinal(_EPOCH + number).isoformat()


def offset(moment: int) -> int:
    """How many milliseconds the server's clocks are ahead of UTC then."""
    return int((local(moment).utcoffset() or timedelta()).total_seconds()) * SECOND


def parse_quiet(text: str) -> Quiet | None:
    """Such as `22:00-07:00`; "" is never. Raises `InvalidValue`."""
    if not text.strip():
        return None
    found = _QUIET.fullmatch(text.strip())
    if found is None:
        raise InvalidValue(name="quiet", reason="must be like 22:00-07:00")
    begin, end = (int(found[at]) * _HOUR + int(found[at + 1]) for at in (1, 3))
    if begin == end:
        raise InvalidValue(name="quiet", reason="must end at another time than it begins")
    return Quiet(begin, end)


def show_quiet(quiet: Quiet | None) -> str:
    """As `parse_quiet` takes it."""
    if quiet is None:
        return ""
    begin, end = (f"{minutes // _HOUR:02}:{minutes % _HOUR:02}" for minutes in (quiet.begin, quiet.end))
    return f"{begin}-{end}"


def after(quiet: Quiet | None, moment: int) -> int:
    """The moment, or the end of the quiet hours if it falls into them. A time that a change of the clock leaves out is
    taken for the one an hour later.
    """
    if quiet is None:
        return moment
    here = local(moment)
    minute = here.hour * _HOUR + here.minute
    since = (minute - quiet.begin) % _DAY
    if since >= (quiet.end - quiet.begin) % _DAY:
        return moment
    until = here.replace(hour=quiet.end // _HOUR, minute=quiet.end % _HOUR, second=0, microsecond=0, tzinfo=None)
    if quiet.end <= minute:
        until += timedelta(days=1)
    return max(moment, int(until.astimezone().timestamp()) * SECOND)
