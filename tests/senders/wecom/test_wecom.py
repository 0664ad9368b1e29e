# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sender kind `wecom` against its double: an application's messages, a robot's, signing in, and leaving."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from mailroom.core.clock import HOUR, MINUTE
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.messaging.tokens import SharedTokens
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.doubles.wecom import WeCom as Double
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import (
    Forged,
    Heard,
    Left,
    Linked,
    Links,
    Offer,
    Outcome,
    Parcel,
    Refused,
    Scope,
    Sent,
    TryLater,
    Why,
)
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http
from mailroom.senders.note import Note
from mailroom.senders.verdicts import Said
from mailroom.senders.wecom.errors import STALE, TABLE
from mailroom.senders.wecom.manifest import MANIFEST
from mailroom.senders.wecom.sender import WeCom
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from tests.senders.ears import Ears, listening
from tests.senders.examples import NOTE
from tests.senders.examples.wecom import account
from tests.senders.peers import Purse
from tests.stores import Watch

NOW = 1_772_323_200_000  # 2026-03-01 00:00:00 UTC
BACK = "https://mail.corp.example/settings/notices/back/wecom"
PLAIN = Note(text="This is how you will be told.", at=NOW)
FIXTURES = {
    file.name.removesuffix(".json"): json.loads(file.read_text("utf-8"))
    for file in (files("mailroom.senders.wecom") / "fixtures").iterdir()
}


class Town:
    """A double at a time of the test's choice, and the kind that talks to it."""

    def __init__(self, sandbox: Sandbox, http: Http) -> None:
        double = sandbox.doubles["wecom"]
        assert isinstance(double, Double)
        self.sandbox, self.double, self.purse = sandbox, double, Purse()
        self.kind = WeCom(http, self.purse)
        self.account = account(double.where)
        self.now = NOW

    async def send(self, to: str = "ZhangSan", *, note: Note = NOTE, code: str = "rcp_1") -> Outcome:
        return await self.kind.send(self.account, Parcel(code, to, note.content(), 1, self.now))

    @property
    def shown(self) -> list[str]:
        return [one.text for one in self.sandbox.phones.kept]


@pytest.fixture
async def town(http: Http) -> AsyncIterator[Town]:
    towns: list[Town] = []
    box = Sandbox(clock=lambda: towns[0].now)
    await box.start()
    towns.append(Town(box, http))
    yield towns[0]
    await box.stop()


@pytest.fixture
async def ears(town: Town) -> AsyncIterator[Ears]:
    async with listening(town.kind, town.account, lambda: town.now) as listener:
        town.double.callback = listener.url
        yield listener


async def test_a_notice_is_a_card(town: Town) -> None:
    assert await town.send() == Sent("msg-1", "0", "ok")
    [arrival] = town.sandbox.phones.at("wecom", "ZhangSan")
    assert arrival.title == "报价 Q2"
    assert arrival.text.splitlines() == ["New mail from Bob Li: 报价 Q2"]
    assert arrival.url == NOTE.url
    raw = json.loads(arrival.raw)
    assert (raw["enable_duplicate_check"], raw["agentid"], raw["msgtype"]) == (1, 1_000_002, "textcard")


async def test_without_a_link_it_is_text(town: Town) -> None:
    assert isinstance(await town.send(note=PLAIN), Sent)
    [arrival] = town.sandbox.phones.kept
    assert arrival.text == PLAIN.text
    assert json.loads(arrival.raw)["msgtype"] == "text"


@pytest.mark.parametrize("fixture", FIXTURES.values(), ids=FIXTURES)
async def test_each_recorded_answer_has_its_outcome(town: Town, fixture: dict[str, Any]) -> None:
    town.double.script.begin(Behaviour(**fixture["answer"], at="/message/"))
    outcome = await town.send()
    assert {"is": type(outcome).__name__} | asdict(outcome) == fixture["outcome"]


@pytest.mark.parametrize("code", sorted(TABLE.rows))
@pytest.mark.parametrize("mode", ["app", "robot"])
async def test_every_row_of_the_table(town: Town, code: str, mode: str) -> None:
    town.account = account(town.double.where, mode=mode)
    town.double.script.begin(Behaviour(body=json.dumps({"errcode": int(code), "errmsg": "no"}), at="/send", times=0))
    assert await town.send() == TABLE.judge(Said(code, "no", at=NOW))


async def test_a_code_that_nobody_knows_passes(town: Town) -> None:
    town.double.script.begin(Behaviour(body='{"errcode":77777,"errmsg":"?"}', at="/message/"))
    assert await town.send() == TryLater("77777", "?")


@pytest.mark.parametrize("lenient", [False, True])
async def test_whoever_cannot_be_reached_is_gone(town: Town, *, lenient: bool) -> None:
    town.double.turn(gone=["ZhangSan"], unlicensed=["LiSi"], lenient=lenient)
    for member in ("ZhangSan", "ZHANGSAN", "LiSi"):
        outcome = await town.send(member)
        assert isinstance(outcome, Refused)
        assert (outcome.why, outcome.scope) == (Why.GONE, Scope.RECIPIENT)
    assert town.shown == []


@pytest.mark.parametrize("address", ["@all", "a|b", "", "x" * 65, "a b", "汉"])
async def test_nobody_but_one_member_is_written_to(town: Town, address: str) -> None:
    outcome = await town.send(address)
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.why) == ("address", Why.GONE)
    assert town.purse.fetched == []


async def test_a_repeat_is_no_second_message_and_the_same_words_anew_are(town: Town) -> None:
    await town.send(note=PLAIN, code="rcp_0")
    town.double.script.begin(Behaviour(does=Does.RESET, taken=True, at="/message/"))
    assert isinstance(await town.send(note=PLAIN), TryLater)
    assert town.shown == [PLAIN.text] * 2
    longest = sum(MANIFEST.retries) * (1 + MANIFEST.jitter)
    town.now += int(longest)
    assert isinstance(await town.send(note=PLAIN), Sent)
    assert town.shown == [PLAIN.text] * 2


async def test_more_than_thirty_a_minute_vanish(town: Town) -> None:
    for number in range(32):
        assert isinstance(await town.send(code=f"rcp_{number}"), Sent)
    assert len(town.shown) == 30
    await town.send("LiSi", code="rcp_99")
    assert len(town.shown) == 31


async def test_too_many_calls_wait_a_minute(town: Town) -> None:
    town.double.turn(calls=1)
    await town.send(code="rcp_0")
    outcome = await town.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.after, outcome.why) == ("45009", Scope.SENDER, MINUTE, Why.OTHER)


@pytest.mark.parametrize(
    ("knobs", "code"),
    [({"secret": "other"}, "40001"), ({"corp_id": "ww-other"}, "40013"), ({"agent_id": 1}, "40056")],
)
async def test_a_wrong_secret_is_for_the_administrator(town: Town, knobs: dict[str, Any], code: str) -> None:
    town.double.turn(**knobs)
    outcome = await town.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.why) == (code, Scope.SENDER, Why.ACCOUNT)


async def test_an_address_that_is_not_trusted_is_named(town: Town) -> None:
    town.double.turn(trusted_ip="203.0.113.1")
    outcome = await town.send()
    assert isinstance(outcome, TryLater)
    assert outcome.why is Why.ACCOUNT
    assert outcome.text.startswith("allow 127.0.0.1 to use the account: not allow to access from your ip, ")


async def test_many_at_once_renew_a_token_once(town: Town, store: Store, watch: Watch, tmp_path: Path) -> None:
    seal = Seal.open(tmp_path / "key")
    kinds = [WeCom(town.kind.http, SharedTokens(store, seal, watch)) for _ in range(2)]

    async def send_all(turn: int) -> list[Outcome]:
        parcels = [Parcel(f"rcp_{turn}_{n}", f"user{n}", NOTE.content(), 1, NOW) for n in range(6)]
        return await asyncio.gather(*(kinds[n % 2].send(town.account, one) for n, one in enumerate(parcels)))

    assert all(isinstance(outcome, Sent) for outcome in await send_all(1))
    watch.now += MINUTE
    town.double.end_tokens()
    assert all(isinstance(outcome, Sent) for outcome in await send_all(2))
    assert town.double.issued == 2


@pytest.mark.parametrize("code", sorted(STALE))
async def test_a_second_refusal_of_tokens_is_for_the_administrator(town: Town, code: str) -> None:
    body = json.dumps({"errcode": int(code), "errmsg": "no"})
    town.double.script.begin(Behaviour(body=body, at="/message/", times=0))
    assert await town.send() == TryLater(code, "no", Scope.SENDER, why=Why.ACCOUNT)
    assert len(town.purse.fetched) == 2


async def test_an_old_token_is_renewed_within_the_attempt(town: Town) -> None:
    await town.send(code="rcp_0")
    town.now += 3 * HOUR
    assert isinstance(await town.send(), Sent)
    assert town.double.issued == 2


async def test_neither_tokens_nor_secrets_are_quoted(town: Town) -> None:
    await town.send(code="rcp_0")
    [held] = town.purse.held.values()
    body = json.dumps({"errcode": 48002, "errmsg": f"{held.reveal()} demo-secret demo-robot"})
    town.double.script.begin(Behaviour(body=body, at="/message/"))
    assert (await town.send()).text == "*** *** ***"


async def test_a_robot_tells_its_group(town: Town) -> None:
    town.account = account(town.double.where, mode="robot")
    assert await town.send("") == Sent("", "0", "ok")
    [arrival] = town.sandbox.phones.kept
    assert arrival.to == "robot demo-robot"
    assert arrival.text == f"{NOTE.text}\n{NOTE.url}"
    assert town.purse.fetched == []


async def test_a_robot_that_was_removed_is_dead(town: Town) -> None:
    town.account = account(town.double.where, mode="robot")
    town.double.turn(robot="")
    outcome = await town.send()
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.scope) == ("93000", Scope.SENDER)
    assert "demo-robot" not in outcome.text


async def test_a_robot_that_says_too_much_waits(town: Town) -> None:
    town.account = account(town.double.where, mode="robot")
    town.double.turn(robot_rate=1)
    await town.send()
    outcome = await town.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.after) == ("45009", Scope.SENDER, MINUTE)


@pytest.mark.parametrize(("mode", "most"), [("robot", 20), ("app", 10_000)])
def test_its_pace_is_below_the_limit(mode: str, most: int) -> None:
    pace = MANIFEST.pace({"mode": mode})
    assert pace is not None
    assert pace.burst + MINUTE // pace.every < most


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("ZhangSan", Linked("ZhangSan", "ZhangSan")),
        ("guest", Refused("stranger", "whoever signed in is no member of the organisation")),
        ("@all", Refused("stranger", "whoever signed in is no member of the organisation")),
    ],
)
async def test_whoever_signs_in_is_linked(town: Town, user: str, expected: Linked | Refused) -> None:
    assert isinstance(town.kind, Links)
    town.double.turn(strangers=["guest"], trusted_domain="mail.corp.example")
    offer = await town.kind.offer(town.account, scene="k3p0xv9", back=BACK)
    assert isinstance(offer, Offer)
    assert not offer.scan
    async with (
        aiohttp.ClientSession() as session,
        session.get(offer.url, params={"sign_in_as": user}, allow_redirects=False) as answer,
    ):
        place = answer.headers["Location"]
    assert place.startswith(BACK)
    said = {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}
    assert said["state"] == "k3p0xv9"
    assert await town.kind.linked(town.account, said=said, back=BACK) == expected
    again = await town.kind.linked(town.account, said=said, back=BACK)
    assert isinstance(again, Refused)
    assert again.code == "40029"


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "javascript:alert(1)"])
async def test_a_sign_in_leads_back_to_the_trusted_domain_only(town: Town, back: str) -> None:
    town.double.turn(trusted_domain="mail.corp.example")
    offer = await town.kind.offer(town.account, scene="s", back=back)
    assert isinstance(offer, Offer)
    async with aiohttp.ClientSession() as session, session.get(offer.url) as answer:
        assert answer.status == 400


async def test_a_robot_has_no_members(town: Town) -> None:
    robot = account(town.double.where, mode="robot")
    assert isinstance(await town.kind.offer(robot, scene="s", back=BACK), Refused)
    assert isinstance(await town.kind.linked(robot, said={"code": "x"}, back=BACK), Refused)


async def test_a_sign_in_that_was_not_answered_can_be_tried_again(town: Town) -> None:
    town.double.script.begin(Behaviour(does=Does.RESET, times=0))
    assert isinstance(await town.kind.linked(town.account, said={"code": "x"}, back=BACK), TryLater)


async def test_whoever_is_removed_from_the_organisation_is_gone(town: Town, ears: Ears) -> None:
    assert await town.double.leave("ZhangSan") == 200
    assert await town.double.leave("ZhangSan") == 200
    first, second = ears.heard
    assert isinstance(first, Heard)
    assert first.events == (Left("ZhangSan", Why.GONE),)
    assert first == second
    assert first.reply.body == b"success"


async def test_the_servers_address_is_verified(town: Town, ears: Ears) -> None:
    assert await town.double.verify()
    town.double.turn(token="other")
    assert not await town.double.verify()
    assert isinstance(ears.heard[-1], Forged)


async def test_what_is_of_no_interest_is_answered(town: Town, ears: Ears) -> None:
    assert await town.double.send("<xml><Event>enter_agent</Event><UserID>ZhangSan</UserID></xml>") == (200, b"success")
    [heard] = ears.heard
    assert isinstance(heard, Heard)
    assert heard.events == ()


@pytest.mark.parametrize("knob", ["token", "aes_key", "corp_id"])
async def test_another_accounts_call_is_forged(town: Town, ears: Ears, knob: str) -> None:
    town.double.turn(**{knob: "Z" * 43})
    assert await town.double.leave("ZhangSan") == 403
    assert isinstance(ears.heard[0], Forged)


async def test_a_call_without_its_seal_is_forged(town: Town, ears: Ears) -> None:
    await town.double.leave("ZhangSan")
    [call] = ears.calls
    xml = b"<xml><Event>change_contact</Event><ChangeType>delete_user</ChangeType><UserID>LiSi</UserID></xml>"
    bare = replace(town.account, secrets={"callback_token": Secret("demo-token")})
    assert isinstance(town.kind.hear(town.account, replace(call, body=xml)), Forged)
    assert isinstance(town.kind.hear(town.account, replace(call, now=NOW + 6 * MINUTE)), Forged)
    assert isinstance(town.kind.hear(bare, call), Forged)
    for hostile in ("<!DOCTYPE xml><xml/>", "{}"):
        assert (await town.double.send(hostile))[0] == 403


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({"corp_id": ""}, {}, "corp_id"),
        ({"agent_id": "mail"}, {}, "agent_id"),
        ({}, {"corp_secret": ""}, "corp_secret"),
        ({"mode": "robot"}, {"robot_key": ""}, "robot_key"),
        ({}, {"aes_key": ""}, "aes_key"),
        ({}, {"callback_token": ""}, "callback_token"),
        ({}, {"aes_key": "short"}, "aes_key"),
        ({"base_url": "ftp://x"}, {}, "base_url"),
        ({"login_url": "x"}, {}, "login_url"),
    ],
)
def test_settings_that_cannot_work(http: Http, settings: dict[str, str], secrets: dict[str, str], named: str) -> None:
    entered = account(**{"base_url": "https://qyapi.weixin.qq.com", **settings}, secrets=secrets)
    with pytest.raises(InvalidValue) as refusal:
        WeCom(http, Purse()).check(entered.settings, entered.secrets)
    assert refusal.value.about["name"] == named


def test_a_robot_needs_nothing_but_its_key(http: Http) -> None:
    WeCom(http, Purse()).check({"mode": "robot"}, {"robot_key": Secret("k")})


def test_where_the_api_is_may_not_be_inside() -> None:
    entered = account("http://10.0.0.1")
    with pytest.raises(EgressRefused):
        WeCom(Http(Egress()), Purse()).check(entered.settings, entered.secrets)


async def test_the_double_is_as_strict_as_wecom(town: Town) -> None:
    await town.send()
    [token] = town.purse.held.values()
    url = f"{town.double.where}/cgi-bin/message/send?access_token={token.reveal()}"
    good = {"touser": "u1", "agentid": 1_000_002, "msgtype": "text", "text": {"content": "汉" * 1000}}

    async def code_of(body: Any) -> int:
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            return int((await answer.json())["errcode"])

    assert await code_of(good) == 0
    assert town.shown[-1] == "汉" * 682
    assert await code_of([]) == 47001
    assert await code_of(good | {"agentid": "1000002"}) == 40056
    assert await code_of(good | {"touser": ["u1"]}) == 40003
    assert await code_of(good | {"text": {"content": ""}}) == 44004
    assert await code_of(good | {"text": {"content": 7}}) == 40058
    assert await code_of(good | {"msgtype": "telegram"}) == 40008
    assert await code_of(good | {"duplicate_check_interval": 20_000}) == 40058


async def test_some_of_several_are_left_out_in_small_letters(town: Town) -> None:
    town.double.turn(gone=["U2"], unlicensed=["U3"])
    await town.send()
    [token] = town.purse.held.values()
    url = f"{town.double.where}/cgi-bin/message/send?access_token={token.reveal()}"
    body = {"touser": "U1|U2|U3", "agentid": 1_000_002, "msgtype": "text", "text": {"content": "x"}}
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        said = await answer.json()
    assert (said["errcode"], said["invaliduser"], said["unlicenseduser"]) == (0, "u2", "u3")
