# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a member may choose, and for which mailboxes; and the pieces that his choices are made of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.core.errors import InvalidValue, NotFound, NotLinked
from mailroom.notify import contents, days, patterns, preferences
from mailroom.notify.model import Quiet, Way
from tests.notify.phones import Bureau


async def test_a_member_chooses_for_what_he_uses_and_nothing_else(bureau: Bureau) -> None:
    await bureau.link("carol", Way.WECOM)
    with pytest.raises(NotFound):
        await bureau.switch("carol", "sales", Way.WECOM)
    with pytest.raises(NotFound):
        await bureau.switch("carol", "amy", Way.WECOM)
    with pytest.raises(NotLinked):
        await bureau.switch("carol", "carol", Way.SMS)
    await bureau.switch("carol", "carol", Way.SMS, to=False)
    await bureau.switch(
        "carol", "carol", only_from=[" BOSS@Corp.Example ", "boss@corp.example"], quiet=Quiet(1320, 420)
    )
    [own] = await bureau.store.read(lambda tx: preferences.of(tx, bureau.member("carol")))
    assert (own.address, own.is_own, own.only_from, own.quiet) == (
        "carol@corp.example", True, ("boss@corp.example",), Quiet(1320, 420),
    )  # fmt: skip  # a table
    assert own.on == {way: way is Way.WECOM for way in Way}
    for wrong in (["not an address"], ["*@"], [f"a{number}@x.example" for number in range(101)]):
        with pytest.raises(InvalidValue):
            await bureau.switch("carol", "carol", only_from=wrong)


async def test_what_is_unlinked_is_switched_off_and_begins_anew(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    amy = bureau.member("amy")
    await bureau.store.write(lambda tx: preferences.unlink(tx, amy, Way.SMS))
    with pytest.raises(NotFound):
        await bureau.store.write(lambda tx: preferences.unlink(tx, amy, Way.SMS))
    bureau.later(MINUTE)
    await bureau.link("amy", Way.SMS)
    [own, *_] = await bureau.store.read(lambda tx: preferences.of(tx, amy))
    assert not own.on[Way.SMS]


async def test_another_account_of_the_same_way_keeps_what_he_chose(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.switch("amy", "amy", Way.WECOM, to=False)
    await bureau.link("amy", Way.WECOM, "amy.new")
    [own, *_] = await bureau.store.read(lambda tx: preferences.of(tx, bureau.member("amy")))
    assert not own.on[Way.WECOM]


MATCHES = [
    (["*"], "anybody@out.example", True),
    (["*@corp.example"], "Amy@CORP.example", True),
    (["*@corp.example"], "amy@sub.corp.example", False),
    (["amy@corp.example"], "AMY@corp.example", True),
    (["amy@corp.example"], "xamy@corp.example", False),
    (["*@例子.example"], "a@xn--fsqu00a.example", True),
    ([], "amy@corp.example", False),
    (["*@corp.example"], "no address", False),
    (["*"], "no address", True),
]


@pytest.mark.parametrize(("given", "address", "matches"), MATCHES)
def test_a_pattern_is_an_address_a_domain_or_everybody(given: list[str], address: str, *, matches: bool) -> None:
    assert patterns.match(patterns.canonical(given, name="user_list"), address) is matches


def at(hour: int, minute: int = 0, *, day: int = 1) -> int:
    """A time in Shanghai."""
    return int(datetime(2026, 3, day, hour, minute, tzinfo=UTC).timestamp()) * SECOND - 8 * HOUR


QUIET = [
    ("22:00-07:00", at(21, 59), at(21, 59)),
    ("22:00-07:00", at(22), at(7, day=2)),
    ("22:00-07:00", at(23, 59) + 59_999, at(7, day=2)),
    ("22:00-07:00", at(0), at(7)),
    ("22:00-07:00", at(6, 59) + 59_999, at(7)),
    ("22:00-07:00", at(7), at(7)),
    ("12:00-13:30", at(12, 15), at(13, 30)),
    ("12:00-13:30", at(13, 30), at(13, 30)),
    ("00:00-23:59", at(5), at(23, 59)),
    ("9:00 - 08:59", at(9, day=3), at(8, 59, day=4)),
    ("", at(3), at(3)),
]


@pytest.mark.usefixtures("shanghai")
@pytest.mark.parametrize(("hours", "moment", "told"), QUIET)
def test_quiet_hours_are_by_the_servers_clock_and_may_go_over_midnight(hours: str, moment: int, told: int) -> None:
    assert days.after(days.parse_quiet(hours), moment) == told


@pytest.mark.parametrize("text", ["22:00", "24:00-07:00", "22:60-07:00", "07:00-07:00", "a-b", "22:00-07:00-08:00"])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        days.parse_quiet(text)


def test_hours_are_shown_as_they_are_written() -> None:
    for text in ("22:00-07:00", "00:00-23:59", ""):
        assert days.show_quiet(days.parse_quiet(text)) == text


@pytest.mark.usefixtures("shanghai")
def test_a_day_begins_at_midnight_of_the_server() -> None:
    assert days.day(at(0)) - days.day(at(0) - 1) == 1
    assert days.day(at(0)) == days.day(at(23, 59))
    assert days.iso(days.day(at(0))) == "2026-03-01"
    assert (at(0) + days.offset(at(0))) % DAY == 0


def test_variables_are_filled_once_and_what_is_none_stays() -> None:
    values = {"fromname": "{subject}", "subject": "x"}
    assert contents.fill("{fromname}: {subject} {} }{", values) == "{subject}: x  }{"
    assert contents.uses("{count} mails", "count")
    assert not contents.uses("count", "count")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb\tc", "a b c"),
        ("\u202eevil\u202c \u200bword", "evil word"),
        ("in\U000e0068\U000e0069voice\U000e0100", "in voice"),
        ("  报价\u3000Q2 ", "报价 Q2"),
        ("👨‍👩‍👧", "👨‍👩‍👧"),
        ("\x1b[31mred\x00", "[31mred"),
    ],
)
def test_nothing_in_a_strangers_words_is_obeyed(text: str, shown: str) -> None:
    assert contents.clean(text) == shown
