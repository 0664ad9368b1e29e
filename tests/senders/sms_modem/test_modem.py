# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Messages by modem, against a modem on a pseudo terminal that reads each PDU by itself."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from mailroom.core.clock import DAY, SECOND
from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.phones import Fate
from mailroom.senders.contract import News, Outcome, Pace, Refused, Reported, Scope, Sent, TryLater, Unknown, Why
from mailroom.senders.sms_modem import errors
from mailroom.senders.sms_modem.manifest import MANIFEST
from tests.senders.sms_modem.conftest import NOW, PHONE, Hall

LONG = "您有新邮件😀" * 25


async def test_a_message_arrives(hall: Hall) -> None:
    assert await hall.send("New mail: [1] €5") == Sent("rcp_1")
    (arrival,) = hall.shown
    assert (arrival.to, arrival.text) == (PHONE, "New mail: [1] €5")


async def test_a_long_message_arrives_whole(hall: Hall) -> None:
    assert isinstance(await hall.send(LONG), Sent)
    assert [one.text for one in hall.shown] == [LONG]
    assert sum(one.startswith("PDU") for one in hall.double.heard) == 3


async def test_what_is_longer_than_the_parts_is_cut(hall: Hall) -> None:
    await hall.send("x" * 1000, account=hall.account(max_parts="2"))
    assert [one.text for one in hall.shown] == ["x" * 303 + "..."]


async def test_the_message_centre_can_be_set(hall: Hall) -> None:
    await hall.send(account=hall.account(smsc="+8613800100500"))
    assert hall.shown[0].raw.startswith("0891683108100005F0")


async def test_the_line_stays_open_and_is_begun_with_once(hall: Hall) -> None:
    for _ in range(3):
        await hall.send()
    assert hall.double.heard.count("AT+CMGF=0") == 1
    assert len(hall.shown) == 3


async def test_one_message_at_a_time(hall: Hall) -> None:
    hall.double.turn(takes=20)
    outcomes = await asyncio.gather(*(hall.send(f"n{at}", code=f"rcp_{at}") for at in range(5)))
    assert outcomes == [Sent(f"rcp_{at}") for at in range(5)]
    assert sorted(one.text for one in hall.shown) == [f"n{at}" for at in range(5)]


async def test_a_modem_that_started_again_by_itself_is_told_all_once_more(hall: Hall) -> None:
    await hall.send()
    hall.double.restart()
    assert isinstance(await hall.send(), Refused | TryLater)
    assert isinstance(await hall.send(), Sent)


async def test_two_modems_share_the_work(hall: Hall) -> None:
    hall.used = 2
    await asyncio.gather(*(hall.send(code=f"rcp_{at}") for at in range(4)))
    assert [sum(one.startswith("PDU") for one in double.heard) for double in hall.plugged] == [2, 2]


async def test_another_modem_steps_in(hall: Hall) -> None:
    hall.used = 2
    account = hall.account()
    hall.double.unplug()
    for _ in range(3):
        assert isinstance(await hall.send(account=account), Sent)


async def test_what_comes_in_between_is_nobodys_answer(hall: Hall) -> None:
    hall.double.turn(news=("RING", '+CMTI: "SM",3', "+CREG: 2", "^RSSI:17"))
    assert isinstance(await hall.send(LONG), Sent)
    assert [one.text for one in hall.shown] == [LONG]


async def test_a_slow_network_is_awaited(hall: Hall) -> None:
    hall.double.turn(takes=1500)
    assert isinstance(await hall.send(), Sent)


# --- receipts


async def test_a_receipt_is_heard(hall: Hall) -> None:
    await hall.send()
    await hall.double.press(hall.shown[0], Fate.ARRIVED)
    assert await hall.told() == [Reported("rcp_1", News.ARRIVED, "TP-ST 0", address=PHONE)]
    assert hall.heard[0][0] == "modem"


async def test_the_receipt_of_a_long_message_is_that_of_all_its_parts(hall: Hall) -> None:
    await hall.send(LONG, code="rcp_long")
    await hall.send("short", code="rcp_short")
    long, short = hall.shown
    await hall.double.press(short, Fate.ARRIVED)
    await hall.double.press(long, Fate.ARRIVED)
    told = await hall.told(2)
    assert [(one.provider_id, one.news) for one in told if isinstance(one, Reported)] == [
        ("rcp_short", News.ARRIVED),
        ("rcp_long", News.ARRIVED),
    ]


async def test_one_part_is_not_the_message(hall: Hall) -> None:
    await hall.send(LONG, code="rcp_long")
    hall.double.report(0, PHONE[1:], Fate.ARRIVED)
    await hall.send("short", code="rcp_short")
    await hall.double.press(hall.shown[1], Fate.ARRIVED)
    for reference in (2, 1):
        hall.double.report(reference, PHONE[1:], Fate.ARRIVED)
    assert [one.provider_id for one in await hall.told(2) if isinstance(one, Reported)] == ["rcp_short", "rcp_long"]


async def test_one_lost_part_is_a_lost_message(hall: Hall) -> None:
    await hall.send(LONG)
    await hall.double.press(hall.shown[0], Fate.LOST)
    assert await hall.told() == [Reported("rcp_1", News.LOST, "TP-ST 69", address=PHONE)]
    assert len(hall.heard) == 1


async def test_a_network_that_still_tries_says_nothing_yet(hall: Hall) -> None:
    await hall.send()
    await hall.double.press(hall.shown[0], Fate.SENT)
    await hall.double.press(hall.shown[0], Fate.ARRIVED)
    assert [one.news for one in await hall.told() if isinstance(one, Reported)] == [News.ARRIVED]


async def test_receipts_before_the_answer_are_kept(hall: Hall) -> None:
    hall.double.turn(reports="arrived", early=True)
    assert await hall.send(LONG) == Sent("rcp_1")
    assert [one.news for one in await hall.told() if isinstance(one, Reported)] == [News.ARRIVED]


async def test_receipts_in_the_middle_are_kept(hall: Hall) -> None:
    hall.double.turn(reports="arrived")
    await hall.send(LONG)
    await hall.told()
    await hall.send(LONG, code="rcp_2")
    assert [one.provider_id for one in await hall.told(2) if isinstance(one, Reported)] == ["rcp_1", "rcp_2"]


async def test_references_come_round(hall: Hall) -> None:
    hall.double.turn(reference=254)
    await hall.send(LONG, code="rcp_old")  # 254, 255, 0
    hall.double.turn(reference=254)
    await hall.send("again", code="rcp_new")
    await hall.double.press(hall.shown[1], Fate.ARRIVED)
    assert [one.provider_id for one in await hall.told() if isinstance(one, Reported)] == ["rcp_new"]
    assert hall.shown[0].id == "0"


async def test_another_number_has_its_own_receipt(hall: Hall) -> None:
    await hall.send(code="rcp_one")
    hall.double.turn(reference=0)
    await hall.send(code="rcp_two", to="+8613900000002")
    await hall.double.press(hall.shown[0], Fate.LOST)
    assert [one.provider_id for one in await hall.told() if isinstance(one, Reported)] == ["rcp_one"]


async def test_no_receipts_where_none_are_wanted(hall: Hall) -> None:
    await hall.send(account=hall.account(report="no"))
    assert hall.shown[0].receipts == ()
    assert not any("CNMI" in one for one in hall.double.heard)


# --- what goes wrong


@pytest.mark.parametrize("code", sorted({*errors._REFUSED, *errors._LATER, 4711}))
@pytest.mark.parametrize("at", ["AT+CMGS", "PDU"])
async def test_every_error_of_a_message(hall: Hall, code: int, at: str) -> None:
    hall.double.script.begin(Behaviour(at=at, status=code))
    outcome = await hall.send()
    assert outcome == errors.of_message(code)
    assert outcome.code == f"CMS {code}"
    assert not hall.shown
    assert isinstance(await hall.send(), Sent)


@pytest.mark.parametrize("code", [*sorted(errors._MODEM), 99])
async def test_every_error_of_the_modem(hall: Hall, code: int) -> None:
    hall.double.script.begin(Behaviour(at="AT+CPIN?", status=code))
    assert await hall.send() == errors.of_modem(code)
    assert isinstance(await hall.send(), Sent)


@pytest.mark.parametrize(
    ("code", "outcome", "why"), [(28, Refused, Why.GONE), (310, TryLater, Why.ACCOUNT), (331, TryLater, Why.OTHER)]
)
def test_rows_of_the_table(code: int, outcome: type[Refused | TryLater], why: Why) -> None:
    found = errors.of_message(code)
    assert isinstance(found, outcome)
    assert found.why is why


async def test_a_number_that_nobody_has(hall: Hall) -> None:
    hall.double.turn(gone=(PHONE,))
    assert await hall.send() == Refused("CMS 28", "unidentified subscriber", why=Why.GONE)
    refused = await hall.send(to="13900000001")
    assert isinstance(refused, Refused)
    assert refused.why is Why.GONE


@pytest.mark.parametrize(("state", "code"), [(0, "CREG 0"), (2, "CREG 2"), (4, "CREG 4")])
async def test_without_a_network(hall: Hall, state: int, code: str) -> None:
    hall.double.turn(network=state)
    outcome = await hall.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.why) == (code, Scope.SENDER, Why.OTHER)
    hall.double.turn(network=5)
    assert isinstance(await hall.send(), Sent)


async def test_a_network_that_refuses_the_card(hall: Hall) -> None:
    hall.double.turn(network=3)
    outcome = await hall.send()
    assert isinstance(outcome, TryLater)
    assert outcome.why is Why.ACCOUNT


async def test_the_pin_opens_the_card(hall: Hall) -> None:
    hall.double.turn(pin="1234")
    assert isinstance(await hall.send(account=hall.account(pin="1234")), Sent)


async def test_a_wrong_pin_is_tried_once(hall: Hall) -> None:
    hall.double.turn(pin="1234")
    for settings in ({}, {}, {"baud": "9600"}):
        outcome = await hall.send(account=hall.account(pin="0000", **settings))
        assert isinstance(outcome, TryLater)
        assert (outcome.scope, outcome.why) == (Scope.SENDER, Why.ACCOUNT)
        assert "0000" not in outcome.text
    assert sum(one.startswith("AT+CPIN=") for one in hall.double.heard) == 1
    assert isinstance(await hall.send(account=hall.account(pin="1234")), Sent)


@pytest.mark.parametrize("state", ["SIM PIN", "SIM PUK", "PH-SIM PIN", ""])
async def test_a_card_that_is_locked(hall: Hall, state: str) -> None:
    hall.double.turn(sim=state, pin="1234")
    outcome = await hall.send()
    assert isinstance(outcome, TryLater)
    assert outcome.why is Why.ACCOUNT


async def test_a_modem_that_hangs_is_told_to_begin_anew(hall: Hall) -> None:
    await hall.send()
    hall.double.turn(hung=True)
    outcome = await hall.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope) == ("silent", Scope.SENDER)
    assert isinstance(await hall.send(), Sent)
    assert hall.double.starts == 1


async def test_a_message_that_was_handed_over_and_not_answered_is_in_doubt(hall: Hall) -> None:
    hall.kind = replace(hall.kind, manifest=replace(hall.kind.manifest, timeout=SECOND))
    hall.double.script.begin(Behaviour(at="PDU", does=Does.HANG, taken=True))
    outcome = await hall.send()
    assert isinstance(outcome, Unknown)
    assert len(hall.shown) == 1
    assert isinstance(await hall.send("next"), Sent)


async def test_a_message_that_was_not_handed_over_is_tried_later(hall: Hall) -> None:
    hall.kind = replace(hall.kind, manifest=replace(hall.kind.manifest, timeout=SECOND))
    hall.double.script.begin(Behaviour(at="AT+CMGS", does=Does.HANG))
    assert isinstance(await hall.send(), TryLater)
    assert isinstance(await hall.send("next"), Sent)
    assert [one.text for one in hall.shown] == ["next"]


async def test_pulled_out_before(hall: Hall) -> None:
    account = hall.account()
    hall.double.unplug()
    outcome = await hall.send(account=account)
    assert isinstance(outcome, TryLater)
    assert (outcome.scope, outcome.why) == (Scope.SENDER, Why.ACCOUNT)
    hall.double.plug()
    assert isinstance(await hall.send(), Sent)


@pytest.mark.parametrize(("at", "outcome"), [("AT+CREG", TryLater), ("AT+CMGS", TryLater), ("PDU", Unknown)])
async def test_pulled_out_in_the_middle(hall: Hall, at: str, outcome: type[TryLater | Unknown]) -> None:
    hall.double.script.begin(Behaviour(at=at, does=Does.RESET, taken=at == "PDU"))
    found = await hall.send()
    assert isinstance(found, outcome)
    assert found.code == "unplugged"
    hall.double.plug()
    assert isinstance(await hall.send(), Sent)


async def test_pulled_out_while_idle(hall: Hall) -> None:
    await hall.send()
    hall.double.unplug()
    hall.double.plug()
    assert isinstance(await hall.send(), Sent)


async def test_half_a_message_is_in_doubt(hall: Hall) -> None:
    hall.double.script.begin(Behaviour(at="PDU", delay=1), Behaviour(at="PDU", status=38))
    outcome = await hall.send(LONG)
    assert outcome == Unknown("CMS 38", "of 3 parts the modem had 2 and confirmed 1: network out of order")
    assert not hall.shown


async def test_noise_is_no_answer(hall: Hall) -> None:
    hall.kind = replace(hall.kind, manifest=replace(hall.kind.manifest, timeout=SECOND))
    hall.double.script.begin(Behaviour(at="PDU", does=Does.GARBAGE))
    assert isinstance(await hall.send(), Unknown)


async def test_a_line_has_one_owner(hall: Hall) -> None:
    other = replace(hall.kind, _pools={})
    assert isinstance(await hall.send(), Sent)
    mine, hall.kind = hall.kind, other
    outcome = await hall.send()
    assert isinstance(outcome, TryLater)
    assert "another process uses it" in outcome.text
    await mine.close()
    assert isinstance(await hall.send(), Sent)


async def test_other_settings_take_the_line_over(hall: Hall) -> None:
    await hall.send()
    assert isinstance(await hall.send(account=hall.account(baud="9600")), Sent)


async def test_the_card_has_its_share_a_day(hall: Hall) -> None:
    account = hall.account(per_day="4")
    assert isinstance(await hall.send(LONG, account=account), Sent)
    late = NOW + DAY - 1000
    assert await hall.send(LONG, account=account, now=late) == TryLater(
        "per_day",
        f"the SIM card in {hall.double.where} has sent all that it may today",
        Scope.SENDER,
        1000,
        Why.QUOTA,
    )
    assert isinstance(await hall.send(account=account, now=late), Sent)
    assert isinstance(await hall.send(LONG, account=account, now=NOW + DAY), Sent)


@pytest.mark.parametrize(
    ("settings", "pace"),
    [
        ({"port": "/dev/ttyUSB0"}, Pace(6000, 1)),
        ({"port": "/dev/ttyUSB0, /dev/ttyUSB1"}, Pace(3000, 2)),
        ({"port": "/dev/ttyUSB0", "per_day": "101"}, Pace(DAY // 50, 51)),
        ({"port": "/dev/ttyUSB0", "per_day": "1"}, Pace(DAY, 1)),
    ],
)
def test_the_pace_keeps_the_share(settings: dict[str, str], pace: Pace) -> None:
    assert MANIFEST.pace(settings) == pace


@pytest.mark.parametrize("device", ["/dev/null", "/dev/watchdog", "/dev/tty", "/dev/no/such", "/dev/fd/0", "/dev/shm"])
async def test_only_serial_lines_are_opened(hall: Hall, device: str) -> None:
    outcome = await hall.send(account=replace(hall.account(), settings={"port": device}))
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.why) == ("port", Why.ACCOUNT)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"port": "/etc/passwd"}, "port: must be a device below /dev"),
        ({"port": "/dev/../etc/passwd"}, "port: must be a device below /dev"),
        ({"port": "ttyUSB0"}, "port: must be a device below /dev"),
        ({"port": ","}, "port: must be from 1 to 16 devices"),
        ({"port": ",".join(f"/dev/ttyUSB{at}" for at in range(17))}, "port: must be from 1 to 16 devices"),
        ({"smsc": "13800100500"}, "smsc: must be a number such as"),
        ({"per_day": "many"}, "per_day: must be a number"),
        ({"per_day": "2"}, "per_day: must be a number from 3 to"),  # or a long message would wait for ever
        ({"max_parts": "11"}, "max_parts: must be a number from 1 to 10"),
        ({"baud": "1"}, "baud: must be one of"),
    ],
)
def test_settings_that_cannot_work(hall: Hall, settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        hall.kind.check({"port": "/dev/ttyUSB0"} | settings, {})


@pytest.mark.parametrize("pin", ["12", "123456789", '1"\rAT', "１２３４"])
def test_a_pin_is_digits(hall: Hall, pin: str) -> None:
    with pytest.raises(InvalidValue, match="pin: must be 4 to 8 digits"):
        hall.kind.check({"port": "/dev/ttyUSB0"}, {"pin": Secret(pin)})


@pytest.mark.parametrize("seed", range(6))
async def test_no_message_is_sent_twice(hall: Hall, seed: int) -> None:
    hall.kind = replace(hall.kind, manifest=replace(hall.kind.manifest, timeout=SECOND // 2))
    chance = random.Random(seed)
    for at in range(12):
        does = chance.choice([Does.ANSWER, Does.HANG, Does.RESET, Does.GARBAGE])
        where, status = chance.choice(["AT", "AT+CREG", "AT+CMGS", "PDU"]), chance.choice([38, 331, 500])
        taken = does is not Does.ANSWER and chance.random() < 0.5
        hall.double.script.begin(Behaviour(at=where, does=does, status=status, taken=taken))
        outcome: Outcome = TryLater("", "not tried yet")
        for _ in range(4):
            if isinstance(outcome, TryLater):
                outcome = await hall.send(f"n{at}")
            if does is Does.RESET:
                hall.double.unplug()
                hall.double.plug()
        shown = [one.text for one in hall.shown].count(f"n{at}")
        assert isinstance(outcome, Sent | Unknown)
        assert shown == 1 if isinstance(outcome, Sent) else shown == (taken and where == "PDU")
