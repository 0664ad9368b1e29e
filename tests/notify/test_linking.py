# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Proving a number by a code and an account at its provider: who may, how often, and what nobody steals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import select

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.core.errors import (
    CodeExpired,
    InvalidPhone,
    LinkExpired,
    LinkRefused,
    NoticesNotPermitted,
    NotLinked,
    TooManyCodes,
    Unavailable,
    WayNotOffered,
    WrongCode,
)
from mailroom.messaging.model import Origin, Sender
from mailroom.messaging.states import State
from mailroom.notify import linking, numbers, preferences, settings
from mailroom.notify.model import Link, LinkState, TicketState, Way
from mailroom.senders.contract import Left, Refused, Scanned, TryLater, Why
from mailroom.storage import schema
from mailroom.storage.ports import Tx
from tests.notify.phones import NUMBER, PUBLIC_URL, Bureau, Friend

WRITTEN = {
    "13900000001": NUMBER,
    " 139-0000 0001 ": NUMBER,
    "+86 139 0000 0001": NUMBER,
    "008613900000001": NUMBER,
    "+44 20 7946 0958": "+442079460958",
    "+1 (202) 555-0143": "+12025550143",
}
NO_NUMBERS = (
    "",
    "12345",
    "23900000001",
    "139000000011",
    "+8612345678901",
    "+0123456789",
    "+١٢٣٤٥٦٧٨٩",
    "139x0000001",
    "+",
)


@pytest.mark.parametrize("text", WRITTEN)
def test_a_number_is_known_however_it_is_written(text: str) -> None:
    assert numbers.normal(text) == WRITTEN[text]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_mobile_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidPhone):
        numbers.normal(text)


async def links(bureau: Bureau, userid: str = "amy") -> Mapping[Way, Link]:
    found = await bureau.store.read(lambda tx: preferences.links(tx, bureau.member(userid)))
    return {one.way: one for one in found}


async def test_a_number_is_proven_by_the_code_that_is_sent_to_it(bureau: Bureau) -> None:
    amy = bureau.member("amy")
    await bureau.linking.send_code(amy, "139 0000 0001")
    code = await bureau.sent_code()
    [parcel] = bureau.kind("sms_gateway").parcels
    assert parcel.address == NUMBER
    assert len(code) == 6
    assert code in parcel.content["text"]
    assert parcel.content["use"] == "code"
    link = await bureau.linking.prove(amy, f" {code} ")
    assert (link.way, link.address, link.state) == (Way.SMS, NUMBER, LinkState.VALID)
    assert (await links(bureau))[Way.SMS] == link
    with pytest.raises(CodeExpired):
        await bureau.linking.prove(amy, code)


async def test_no_code_is_written_down(bureau: Bureau) -> None:
    await bureau.linking.send_code(bureau.member("amy"), NUMBER)
    code = await bureau.sent_code()
    for table in (schema.messages, schema.recipients, schema.attempts, schema.link_tickets, schema.facts):
        assert code not in repr(await bureau.store.read(lambda tx, table=table: tx.all(select(table))))  # type: ignore[misc]  # a lambda's default


async def test_a_code_can_be_tried_five_times_and_for_five_minutes(bureau: Bureau) -> None:
    amy = bureau.member("amy")
    await bureau.linking.send_code(amy, NUMBER)
    code = await bureau.sent_code()
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    for said in (wrong, "", "１２３４５６", "x" * 10_000):
        with pytest.raises(WrongCode):
            await bureau.linking.prove(amy, said)
    assert await bureau.store.read(lambda tx: linking.ticket(tx, amy, Way.SMS)) is not None
    for said in (wrong, code):
        with pytest.raises(CodeExpired):
            await bureau.linking.prove(amy, said)
        assert await bureau.store.read(lambda tx: linking.ticket(tx, amy, Way.SMS)) is None
    bureau.later(MINUTE)
    await bureau.linking.send_code(amy, NUMBER)
    code = await bureau.sent_code()
    bureau.later(5 * MINUTE)
    with pytest.raises(CodeExpired):
        await bureau.linking.prove(amy, code)
    assert await links(bureau) == {}


async def test_a_code_is_the_members_own_and_the_last_one_counts(bureau: Bureau) -> None:
    amy, bob = bureau.member("amy"), bureau.member("bob")
    await bureau.linking.send_code(amy, NUMBER)
    first = await bureau.sent_code()
    with pytest.raises(CodeExpired):
        await bureau.linking.prove(bob, first)
    bureau.later(MINUTE)
    await bureau.linking.send_code(amy, "+8613900000002")
    second = await bureau.sent_code()
    if first != second:
        with pytest.raises(WrongCode):
            await bureau.linking.prove(amy, first)
    assert (await bureau.linking.prove(amy, second)).address == "+8613900000002"


async def test_a_code_that_could_not_leave_in_time_does_not_leave(bureau: Bureau) -> None:
    await bureau.linking.send_code(bureau.member("amy"), NUMBER)
    bureau.later(6 * MINUTE)
    await bureau.round()
    [entry] = await bureau.entries(Origin.CODE)
    assert (entry.state, entry.reason) == (State.CANCELLED, "expired")


async def test_codes_are_few(bureau: Bureau) -> None:
    amy = bureau.member("amy")
    await bureau.linking.send_code(amy, NUMBER)
    with pytest.raises(TooManyCodes) as refused:
        await bureau.linking.send_code(amy, NUMBER)
    assert refused.value.about == {"seconds": 60}
    for _ in range(4):
        bureau.later(MINUTE)
        await bureau.linking.send_code(amy, NUMBER)
    bureau.later(HOUR)
    with pytest.raises(TooManyCodes):
        await bureau.linking.send_code(amy, NUMBER)
    bureau.later(DAY)
    await bureau.linking.send_code(amy, NUMBER)


async def test_nobodys_phone_is_flooded_by_many_members(bureau: Bureau) -> None:
    for userid in ("amy", "bob"):
        for _ in range(5):
            await bureau.linking.send_code(bureau.member(userid), NUMBER)
            bureau.later(MINUTE)
    with pytest.raises(TooManyCodes):
        await bureau.linking.send_code(bureau.member("carol"), NUMBER)
    await bureau.linking.send_code(bureau.member("carol"), "13900000009")


async def test_of_two_that_ask_at_once_one_is_sent(bureau: Bureau) -> None:
    amy = bureau.member("amy")
    asked = [bureau.linking.send_code(amy, NUMBER) for _ in range(5)]
    ended = await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(type(one).__name__ for one in ended) == ["NoneType", *["TooManyCodes"] * 4]


async def test_one_number_serves_several_members(bureau: Bureau) -> None:
    for userid in ("amy", "bob"):
        await bureau.link(userid, Way.SMS)
        assert (await links(bureau, userid))[Way.SMS].address == NUMBER


async def test_an_account_is_proven_at_its_provider_and_confirmed_here(bureau: Bureau) -> None:
    amy = bureau.member("amy")
    begun = await bureau.linking.begin(amy, Way.WECOM)
    assert not begun.scan
    assert begun.url.endswith(f"back={PUBLIC_URL}/settings/notices/back/wecom")
    scene = scene_of(begun.url)
    assert scene not in repr(await bureau.store.read(lambda tx: tx.all(select(schema.link_tickets))))
    waiting = await bureau.store.read(lambda tx: linking.ticket(tx, amy, Way.WECOM))
    assert waiting is not None
    assert waiting.state is TicketState.OPEN
    with pytest.raises(LinkExpired):
        await bureau.store.write(lambda tx: linking.confirm(tx, amy, Way.WECOM))
    found = await bureau.linking.back(amy, Way.WECOM, {"state": scene, "code": "amy.li"})
    assert (found.state, found.address, found.label) == (TicketState.FOUND, "amy.li", "Amy.Li")
    assert await links(bureau) == {}
    await bureau.store.write(lambda tx: linking.confirm(tx, amy, Way.WECOM))
    assert (await links(bureau))[Way.WECOM].label == "Amy.Li"
    with pytest.raises(LinkExpired):
        await bureau.store.write(lambda tx: linking.confirm(tx, amy, Way.WECOM))


def scene_of(url: str) -> str:
    return url.partition("state=")[2].partition("&")[0]


async def test_a_scene_is_good_once_for_one_member_one_way_and_ten_minutes(bureau: Bureau) -> None:
    amy, bob = bureau.member("amy"), bureau.member("bob")
    scene = scene_of((await bureau.linking.begin(amy, Way.WECOM)).url)
    said = {"state": scene, "code": "mallory"}
    for who, way in ((bob, Way.WECOM), (amy, Way.DINGTALK)):
        with pytest.raises(LinkExpired):
            await bureau.linking.back(who, way, said)
    for forged in ({}, {"state": ""}, {"state": "x" * 26}, {"state": "\ud800"}):
        with pytest.raises(LinkExpired):
            await bureau.linking.back(amy, Way.WECOM, forged)
    await bureau.linking.back(amy, Way.WECOM, said)
    with pytest.raises(LinkExpired):
        await bureau.linking.back(amy, Way.WECOM, said)
    late = scene_of((await bureau.linking.begin(amy, Way.WECOM)).url)
    bureau.later(10 * MINUTE)
    with pytest.raises(LinkExpired):
        await bureau.linking.back(amy, Way.WECOM, {"state": late, "code": "amy"})
    assert await links(bureau) == {}


async def test_what_the_provider_refuses_links_nothing(bureau: Bureau) -> None:
    amy = bureau.member("amy")
    scene = scene_of((await bureau.linking.begin(amy, Way.WECOM)).url)
    with pytest.raises(LinkRefused, match="40029"):
        await bureau.linking.back(amy, Way.WECOM, {"state": scene})
    friend = bureau.kind("wecom")
    assert isinstance(friend, Friend)
    friend.offers = [TryLater("45009", "busy"), Refused("40001", "wrong secret")]
    with pytest.raises(LinkRefused, match="40001"):
        await bureau.linking.begin(amy, Way.WECOM)
    with pytest.raises(Unavailable):
        await bureau.linking.begin(amy, Way.WECOM)
    assert await links(bureau) == {}


async def sender(bureau: Bureau, kind: str) -> Sender:
    found = await bureau.store.read(lambda tx: settings.sender(tx, kind))
    assert found is not None
    return found


async def hear(bureau: Bureau, kind: str, event: Scanned | Left) -> None:
    one = await sender(bureau, kind)
    await bureau.store.write(lambda tx: linking.heard(tx, one, event))


async def test_a_scan_is_heard_from_the_provider_and_still_to_be_confirmed(bureau: Bureau) -> None:
    await bureau.change({"wechat_mode": "service_account", "service_account.url": "x:"})
    amy = bureau.member("amy")
    begun = await bureau.linking.begin(amy, Way.WECHAT)
    assert begun.scan
    scene = scene_of(begun.url)
    await hear(bureau, "wechat", Scanned("other", "openid-m"))
    await hear(bureau, "dingtalk", Scanned(scene, "openid-m"))  # another provider knows nothing of it
    await hear(bureau, "wechat", Scanned(scene, "openid-1", "Amy"))
    await hear(bureau, "wechat", Scanned(scene, "openid-m"))  # and the first is heard
    found = await bureau.store.read(lambda tx: linking.ticket(tx, amy, Way.WECHAT))
    assert found is not None
    assert (found.state, found.address) == (TicketState.FOUND, "openid-1")
    await bureau.store.write(lambda tx: linking.confirm(tx, amy, Way.WECHAT))
    assert (await links(bureau))[Way.WECHAT].address == "openid-1"
    [own, *others] = await bureau.store.read(lambda tx: preferences.of(tx, amy))
    assert own.on[Way.WECHAT]
    assert not any(one.on[Way.WECHAT] for one in others)


async def test_he_may_think_better_of_it(bureau: Bureau) -> None:
    amy = bureau.member("amy")
    scene = scene_of((await bureau.linking.begin(amy, Way.WECOM)).url)
    await bureau.linking.back(amy, Way.WECOM, {"state": scene, "code": "amy"})
    await bureau.store.write(lambda tx: linking.drop(tx, amy, Way.WECOM))
    with pytest.raises(LinkExpired):
        await bureau.store.write(lambda tx: linking.confirm(tx, amy, Way.WECOM))
    assert await bureau.store.read(lambda tx: linking.ticket(tx, amy, Way.WECOM)) is None


async def test_who_unfollows_is_out_of_reach_for_all_who_linked_him(bureau: Bureau) -> None:
    for userid in ("amy", "bob"):
        await bureau.link(userid, Way.WECOM, "shared")
    await bureau.link("carol", Way.WECOM, "carol")
    await hear(bureau, "wecom", Left("shared", Why.GONE))
    found = [(await links(bureau, userid))[Way.WECOM] for userid in ("amy", "bob", "carol")]
    assert [one.state for one in found] == [LinkState.BROKEN, LinkState.BROKEN, LinkState.VALID]
    assert found[0].reason == "gone"
    await bureau.link("amy", Way.WECOM, "shared")
    assert (await links(bureau))[Way.WECOM].state is LinkState.VALID


async def test_a_way_that_is_not_offered_or_not_permitted_cannot_be_linked(bureau: Bureau) -> None:
    amy = bureau.member("amy")
    with pytest.raises(WayNotOffered):
        await bureau.linking.begin(amy, Way.WECHAT)
    with pytest.raises(WayNotOffered):
        await bureau.linking.begin(amy, Way.SMS)  # there is nothing to sign in to
    assert await bureau.store.read(lambda tx: tx.all(select(schema.link_tickets))) == []
    await bureau.change({"user_scope": "listed"})
    with pytest.raises(NoticesNotPermitted):
        await bureau.linking.send_code(amy, NUMBER)
    await bureau.change({"enabled": "no"})
    with pytest.raises(WayNotOffered):
        await bureau.linking.send_code(amy, NUMBER)


async def test_a_test_goes_to_what_is_linked_and_a_few_times_an_hour(bureau: Bureau) -> None:
    amy = bureau.member("amy")

    async def test(way: Way) -> Any:
        return await bureau.store.write(lambda tx: linking.test(tx, amy, way))

    with pytest.raises(NotLinked):
        await test(Way.SMS)
    await bureau.link("amy", Way.SMS)
    await bureau.change({"max_per_day": "1"})
    for _ in range(5):
        await test(Way.SMS)
    with pytest.raises(TooManyCodes) as refused:
        await test(Way.SMS)
    assert refused.value.about == {"seconds": 3600}
    await bureau.round()
    await bureau.round()
    assert [one.address for one in bureau.parcels("sms_gateway")] == [NUMBER] * 5
    assert await bureau.used("amy") == 0
    bureau.later(HOUR + SECOND)
    await test(Way.SMS)


async def test_proofs_are_forgotten_after_a_day(bureau: Bureau) -> None:
    amy = bureau.member("amy")
    for _ in range(3):
        await bureau.linking.begin(amy, Way.WECOM)
    bureau.later(DAY + SECOND)
    await bureau.linking.begin(amy, Way.WECOM)

    def count(tx: Tx) -> int:
        return len(tx.all(select(schema.link_tickets)))

    assert await bureau.store.read(count) == 1


async def test_proofs_are_begun_a_number_of_times_a_day(bureau: Bureau) -> None:
    for _ in range(50):
        await bureau.linking.begin(bureau.member("amy"), Way.WECOM)
    with pytest.raises(TooManyCodes):
        await bureau.linking.begin(bureau.member("amy"), Way.WECOM)
    await bureau.linking.begin(bureau.member("bob"), Way.WECOM)
