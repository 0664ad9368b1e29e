# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""People link their Feishu accounts; who has read what, and who has left, is heard of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest

from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.phones import Fate
from mailroom.senders.contract import (
    Call,
    Forged,
    Heard,
    Left,
    Linked,
    News,
    Offer,
    Refused,
    Reported,
    Sent,
    TryLater,
    Why,
)
from mailroom.senders.feishu import receipts
from tests.senders.ears import Ears, listening
from tests.senders.feishu.conftest import World

BACK = "https://mail.corp.example/link/feishu"


async def sign_in(world: World, user: str) -> dict[str, str]:
    """Go where the offer leads, sign in there, and come back with these parameters."""
    offer = await world.kind.offer(world.account(), scene="scene1", back=BACK)
    assert isinstance(offer, Offer)
    assert not offer.scan
    address = f"{offer.url}&{urlencode({'sign_in_as': user})}"
    async with aiohttp.ClientSession() as browser, browser.get(address, allow_redirects=False) as away:
        assert away.status == 302
        return dict(parse_qsl(urlsplit(away.headers["Location"]).query))


async def test_whoever_signs_in_is_linked_once(world: World) -> None:
    said = await sign_in(world, "ou_amy")
    assert said["state"] == "scene1"
    assert await world.kind.linked(world.account(), said=said, back=BACK) == Linked("ou_amy", "Amy")
    again = await world.kind.linked(world.account(), said=said, back=BACK)
    assert isinstance(again, Refused)
    assert again.code == "20003"


async def test_who_enters_a_bare_name_is_linked_where_he_can_be_reached(world: World) -> None:
    said = await sign_in(world, "amy")
    assert await world.kind.linked(world.account(), said=said, back=BACK) == Linked("ou_amy", "Amy")


async def test_a_stranger_is_not_linked(world: World) -> None:
    world.double.turn(outside=["ou_eve"])
    said = await sign_in(world, "ou_eve")
    outcome = await world.kind.linked(world.account(), said=said, back=BACK)
    assert outcome == Refused("20010", "not among the people whom the app is for", why=Why.GONE)


async def test_whoever_turns_back_is_not_linked(world: World) -> None:
    outcome = await world.kind.linked(world.account(), said={"error": "access_denied"}, back=BACK)
    assert outcome == Refused("denied", "Feishu did not say who it was")


@pytest.mark.parametrize("user", [{}, {"open_id": ""}, {"open_id": "a,b"}, {"open_id": 7.5}, [], None])
async def test_an_id_that_is_none_is_not_linked(world: World, user: object) -> None:
    said = await sign_in(world, "ou_amy")
    world.double.script.begin(Behaviour(body=json.dumps({"code": 0, "data": user}), at="user_info"))
    assert isinstance(await world.kind.linked(world.account(), said=said, back=BACK), TryLater)


async def test_a_token_that_no_header_can_hold_links_nobody(world: World) -> None:
    said = await sign_in(world, "ou_amy")
    world.double.script.begin(Behaviour(body='{"code":0,"access_token":"x\\r\\ny"}', at="oauth/token"))
    assert isinstance(await world.kind.linked(world.account(), said=said, back=BACK), Refused)


@pytest.mark.parametrize("at", ["oauth/token", "user_info"])
@pytest.mark.parametrize(
    "fault", [Behaviour(does=Does.RESET), Behaviour(status=502, body="<html>"), Behaviour(body='{"code":0}')]
)
async def test_when_feishu_is_away_nobody_is_linked_and_he_may_try_again(
    world: World, at: str, fault: Behaviour
) -> None:
    said = await sign_in(world, "ou_amy")
    world.double.script.begin(replace(fault, at=at))
    assert isinstance(await world.kind.linked(world.account(), said=said, back=BACK), TryLater)


async def test_a_groups_bot_links_nobody(world: World) -> None:
    refused = Refused("mode", "a group's bot knows no people")
    assert await world.kind.offer(world.account("robot"), scene="s", back=BACK) == refused
    assert await world.kind.linked(world.account("robot"), said={"code": "x"}, back=BACK) == refused


@pytest.fixture
async def ears(world: World) -> AsyncIterator[Ears]:
    async with listening(world.kind, world.account(), world.watch) as ears:
        world.double.callback = ears.url
        yield ears


async def test_that_a_message_has_been_read_is_heard(world: World, ears: Ears) -> None:
    sent = await world.send()
    assert isinstance(sent, Sent)
    [arrival] = world.phone()
    assert arrival.receipts == (Fate.READ,)
    await world.double.press(arrival, Fate.READ)
    [heard] = ears.heard
    assert isinstance(heard, Heard)
    assert heard.events == (Reported(sent.provider_id, News.READ, address="ou_amy"),)
    assert heard.id
    assert world.phone()[0].fate is Fate.READ


async def test_what_was_not_taken_comes_again_with_the_same_id(world: World, ears: Ears) -> None:
    ears.deaf = True
    await world.double.read("om_1", "ou_amy")
    await world.double.redeliver()
    ears.deaf = False
    await world.double.redeliver()
    await world.double.redeliver()
    assert len(ears.heard) == 1
    event = world.double.event("im.message.message_read_v1", {"message_id_list": ["om_1", "om_2", "", 7]})
    await world.double.emit(event)
    await world.double.emit(event)
    first, second = ears.heard[1:]
    assert isinstance(first, Heard)
    assert isinstance(second, Heard)
    assert first.id == second.id == event["header"]["event_id"]
    assert [getattr(one, "provider_id", "") for one in first.events] == ["om_1", "om_2"]


async def test_who_leaves_is_heard_of(world: World, ears: Ears) -> None:
    await world.double.leave("ou_amy")
    assert isinstance(heard := ears.heard[0], Heard)
    assert heard.events == (Left("ou_amy", Why.GONE),)


async def test_of_other_events_nothing_follows(world: World, ears: Ears) -> None:
    status, reply = await world.double.emit(world.double.event("im.message.receive_v1", {}))
    assert (status, reply) == (200, b"{}")
    assert isinstance(heard := ears.heard[0], Heard)
    assert heard.events == ()


@pytest.mark.parametrize("missing", ["", "encrypt_key", "verification_token"])
async def test_the_first_question_is_answered_with_either_secret(world: World, missing: str) -> None:
    world.secrets.pop(missing, None)
    if missing:
        world.double.turn(**{missing: ""})
    async with listening(world.kind, world.account(), world.watch) as ears:
        world.double.callback = ears.url
        await world.double.verify()
        assert (await world.double.read("om_1", "ou_amy"))[0] == 200


def test_a_call_is_signed_as_in_the_worked_example() -> None:
    signed = receipts.signature(Secret("ENCRYPTKEY"), "1795161600", "nonce1", b'{"encrypt":"abc"}')
    assert signed == "a484a1cd20fdc162e00f38dd82d6acab7243525088c0a9451452732a80ba2754"


def test_a_worked_sealing_is_opened() -> None:
    # Feishu's own example, of its page on encrypted events.
    sealed = "P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk="
    assert receipts.unseal(Secret("test key"), sealed) == b"hello world"


@pytest.mark.parametrize("knob", ["encrypt_key", "verification_token", "app_id"])
async def test_with_another_secret_it_is_forged(world: World, ears: Ears, knob: str) -> None:
    world.double.turn(**{knob: "another"})
    await world.double.read("om_1", "ou_amy")
    if knob != "app_id":
        with pytest.raises(ValueError, match="challenge"):
            await world.double.verify()
    assert ears.heard
    assert all(isinstance(heard, Forged) for heard in ears.heard)


async def test_a_forged_call_is_nobodys(world: World, ears: Ears) -> None:
    await world.double.read("om_1", "ou_amy")
    [good] = ears.calls
    assert isinstance(world.kind.hear(ears.account, good), Heard)
    headers = dict(good.headers)
    plain = json.dumps(world.double.event("im.message.message_read_v1", {"message_id_list": ["om_1"]})).encode()
    for spoilt in (
        replace(good, headers={}),
        replace(good, headers=headers | {"X-Lark-Signature": "0" * 64}),
        replace(good, headers=headers | {"X-Lark-Signature": "é"}),
        replace(good, headers=headers | {"X-Lark-Request-Nonce": "other"}),
        replace(good, body=good.body + b" "),
        replace(good, body=plain),
        replace(good, body=b""),
        replace(good, body=b"[]"),
        replace(good, body=b"[" * 60_000),
        replace(good, body=good.body + b" " * 70_000),
        replace(good, body=b'{"encrypt":7}'),
        replace(good, body=b'{"encrypt":"AAAA"}'),
        replace(good, body=b'{"encrypt":"' + b"A" * 64 + b'"}'),
        replace(good, body=b'{"encrypt":"\\ud800"}'),
        replace(good, body=b'{"type":"url_verification","challenge":"x","token":"demo-token"}'),
    ):
        assert isinstance(world.kind.hear(ears.account, spoilt), Forged)


async def test_without_its_secrets_nothing_is_heard(world: World) -> None:
    account = replace(world.account(), secrets={"app_secret": Secret("x")})
    challenge = b'{"type":"url_verification","challenge":"x"}'
    call = Call("POST", "", {}, {}, challenge, world.watch(), "")
    assert world.kind.hear(account, call) == Forged("this sender hears no events")
