# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""People link their DingTalk accounts, and those who leave the organisation are heard of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest

from mailroom.core.clock import HOUR, MINUTE
from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.senders.contract import Forged, Heard, Left, Linked, Offer, Refused, Scope, TryLater, Why
from tests.senders.dingtalk.conftest import World
from tests.senders.ears import Ears, listening

BACK = "https://mail.corp.example/link/dingtalk"


async def sign_in(world: World, user: str, *, scene: str = "scene1") -> dict[str, str]:
    """Go where the offer leads, sign in there, and come back with these parameters."""
    offer = await world.kind.offer(world.account(), scene=scene, back=BACK)
    assert isinstance(offer, Offer)
    assert not offer.scan
    async with aiohttp.ClientSession() as browser:
        async with browser.get(offer.url) as shown:
            assert "Sign in as" in await shown.text()
        async with browser.get(f"{offer.url}&{urlencode({'sign_in_as': user})}", allow_redirects=False) as away:
            assert away.status == 302
            location = urlsplit(away.headers["Location"])
    assert location._replace(query="").geturl() == BACK
    return dict(parse_qsl(location.query))


async def test_whoever_signs_in_is_linked_by_his_id_in_the_organisation(world: World) -> None:
    said = await sign_in(world, "amy")
    assert said["state"] == "scene1"
    assert await world.kind.linked(world.account(), said=said, back=BACK) == Linked("amy", "Amy")
    again = await world.kind.linked(world.account(), said=said, back=BACK)
    assert isinstance(again, Refused)
    assert again.code == "invalidParameter.authCode.notFound"


async def test_a_code_ends_after_five_minutes(world: World) -> None:
    said = await sign_in(world, "amy")
    world.watch.now += 6 * MINUTE
    assert isinstance(await world.kind.linked(world.account(), said=said, back=BACK), Refused)


async def test_a_stranger_is_not_linked(world: World) -> None:
    world.double.turn(outside=["eve"])
    said = await sign_in(world, "eve")
    assert await world.kind.linked(world.account(), said=said, back=BACK) == Refused(
        "60121", "not in the organisation", why=Why.GONE
    )


async def test_whoever_turns_back_is_not_linked(world: World) -> None:
    offer = await world.kind.offer(world.account(), scene="s", back=BACK)
    assert isinstance(offer, Offer)
    async with aiohttp.ClientSession() as browser, browser.get(offer.url) as shown:
        cancel = unescape((await shown.text()).split('href="')[1].split('"')[0])
    said = dict(parse_qsl(urlsplit(cancel).query))
    assert said == {"error": "access_denied", "state": "s"}
    outcome = await world.kind.linked(world.account(), said=said, back=BACK)
    assert outcome == Refused("denied", "DingTalk did not say who it was")


@pytest.mark.parametrize("user", ["", "amy,bob", "a b", "x" * 65, 7, None])
async def test_an_id_that_is_none_is_not_linked(world: World, user: object) -> None:
    said = await sign_in(world, "amy")
    answer = json.dumps({"errcode": 0, "result": {"userid": user}})
    world.double.script.begin(Behaviour(body=answer, at="getbyunionid"))
    assert isinstance(await world.kind.linked(world.account(), said=said, back=BACK), TryLater)


async def test_a_name_is_fit_to_be_kept(world: World) -> None:
    said = await sign_in(world, "amy")
    answer = json.dumps({"nick": "A\x00\ud800my\n" + "y" * 99, "unionId": "union-amy"})
    world.double.script.begin(Behaviour(body=answer, at="users/me"))
    linked = await world.kind.linked(world.account(), said=said, back=BACK)
    assert linked == Linked("amy", ("A my " + "y" * 99)[:64])


@pytest.mark.parametrize("at", ["userAccessToken", "users/me", "getbyunionid", "oauth2/accessToken"])
@pytest.mark.parametrize(
    "fault", [Behaviour(does=Does.RESET), Behaviour(status=502, body="<html>"), Behaviour(body='{"errcode":0}')]
)
async def test_when_dingtalk_is_away_nobody_is_linked_and_he_may_try_again(
    world: World, at: str, fault: Behaviour
) -> None:
    said = await sign_in(world, "amy")
    world.double.script.begin(replace(fault, at=at))
    outcome = await world.kind.linked(world.account(), said=said, back=BACK)
    assert isinstance(outcome, TryLater)


async def test_a_groups_robot_links_nobody(world: World) -> None:
    refused = Refused("mode", "a group's robot knows no people", Scope.RECIPIENT)
    assert await world.kind.offer(world.account("robot"), scene="s", back=BACK) == refused
    assert await world.kind.linked(world.account("robot"), said={"authCode": "x"}, back=BACK) == refused


@pytest.fixture
async def ears(world: World) -> AsyncIterator[Ears]:
    async with listening(world.kind, world.account(), world.watch) as ears:
        world.double.callback = ears.url
        yield ears


async def test_who_leaves_the_organisation_is_heard_of_once(world: World, ears: Ears) -> None:
    status, reply = await world.double.leave("amy", "bob")
    assert (status, world.double.opened(reply)) == (200, "success")
    await world.double.leave("amy", "bob")
    first, second = ears.heard
    assert isinstance(first, Heard)
    assert isinstance(second, Heard)
    assert first.events == (Left("amy", Why.GONE), Left("bob", Why.GONE))
    assert first.id
    assert first.id == second.id
    world.watch.now += 1
    await world.double.leave("amy", "bob")
    assert isinstance(third := ears.heard[2], Heard)
    assert third.id != first.id


async def test_the_first_question_is_answered(world: World, ears: Ears) -> None:
    status, reply = await world.double.emit({"EventType": "check_url"})
    assert (status, world.double.opened(reply)) == (200, "success")
    assert isinstance(heard := ears.heard[0], Heard)
    assert (heard.events, heard.id) == ((), "")


async def test_events_may_be_sealed_for_the_organisation(world: World) -> None:
    account = world.account()
    account = replace(account, settings={**account.settings, "corp_id": "ding-corp-demo"})
    async with listening(world.kind, account, world.watch) as ears:
        world.double.callback = ears.url
        assert (await world.double.emit({"EventType": "check_url"}, receiver="ding-corp-demo"))[0] == 200
        assert (await world.double.emit({"EventType": "check_url"}))[0] == 200
        assert (await world.double.emit({"EventType": "check_url"}, receiver="another"))[0] == 403


async def test_a_forged_call_is_nobodys(world: World, ears: Ears) -> None:
    await world.double.emit({"EventType": "check_url"}, token="wrong")
    await world.double.emit({"EventType": "check_url"}, receiver="another")
    world.double.turn(aes_key="GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba")
    await world.double.leave("amy")
    assert all(isinstance(heard, Forged) for heard in ears.heard)
    assert len(ears.heard) == 3
    world.double.reset()
    await world.double.leave("amy")
    [good] = [call for call in ears.calls if isinstance(world.kind.hear(ears.account, call), Heard)]
    for spoilt in (
        replace(good, now=good.now + 2 * HOUR),
        replace(good, query={}),
        replace(good, query={**good.query, "nonce": "other"}),
        replace(good, query={**good.query, "timestamp": "soon"}),
        replace(good, body=b""),
        replace(good, body=b"[]"),
        replace(good, body=b"[" * 60_000),
        replace(good, body=good.body + b" " * 70_000),
        replace(good, body=json.dumps({"encrypt": [1]}).encode()),
        replace(good, body=b'{"encrypt":"\\ud800"}'),
    ):
        assert isinstance(world.kind.hear(ears.account, spoilt), Forged)


async def test_without_its_secrets_nothing_is_heard(world: World, ears: Ears) -> None:
    await world.double.leave("amy")
    for missing in ("callback_token", "aes_key"):
        secrets: dict[str, Secret] = {name: one for name, one in world.secrets.items() if name != missing}
        deaf = replace(ears.account, secrets=secrets)
        assert world.kind.hear(deaf, ears.calls[0]) == Forged("this sender hears no events")
