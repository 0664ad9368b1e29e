# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sender kind `wechat` against its double: messages, tokens, codes to scan, and what becomes of messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.messaging.tokens import SharedTokens
from mailroom.sandbox import envelope
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.doubles.wechat import WeChat as Double
from mailroom.sandbox.phones import Fate
from mailroom.sandbox.server import Sandbox
from mailroom.senders import sealed
from mailroom.senders.contract import (
    EXCERPT,
    Forged,
    Heard,
    Left,
    Links,
    News,
    Offer,
    Outcome,
    Parcel,
    Refused,
    Reported,
    Scanned,
    Scope,
    Sent,
    TryLater,
    Unknown,
    Why,
)
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http
from mailroom.senders.note import Note, Use
from mailroom.senders.verdicts import Said
from mailroom.senders.wechat.errors import STALE, SUBSCRIPTION, TEMPLATE
from mailroom.senders.wechat.sender import WeChat
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from tests.senders.ears import Ears, listening
from tests.senders.examples import NOTE, SECRET
from tests.senders.examples.wechat import AES_KEY, account
from tests.senders.peers import Purse
from tests.stores import Watch

NOW = 1_772_323_200_000  # 2026-03-01 00:00:00 UTC
FIXTURES = {
    file.name.removesuffix(".json"): json.loads(file.read_text("utf-8"))
    for file in (files("mailroom.senders.wechat") / "fixtures").iterdir()
}


class Town:
    """A double at a time of the test's choice, and the kind that talks to it."""

    def __init__(self, sandbox: Sandbox, http: Http) -> None:
        double = sandbox.doubles["wechat"]
        assert isinstance(double, Double)
        self.sandbox, self.double, self.purse = sandbox, double, Purse()
        self.kind = WeChat(http, self.purse)
        self.account = account(double.where)
        self.now = NOW

    async def send(self, to: str = "oAlice", *, note: Note = NOTE, code: str = "rcp_1", attempt: int = 1) -> Outcome:
        return await self.kind.send(self.account, Parcel(code, to, note.content(), attempt, self.now))

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


def events(ears: Ears) -> list[Any]:
    assert all(isinstance(heard, Heard) for heard in ears.heard)
    return [event for heard in ears.heard if isinstance(heard, Heard) for event in heard.events]


async def test_a_notice_fills_the_template(town: Town) -> None:
    assert await town.send() == Sent("200228332", "0", "ok")
    [arrival] = town.sandbox.phones.at("wechat", "oAlice")
    assert arrival.rows == (("thing1", "Bob Li"), ("thing2", "报价 Q2"), ("time3", "2026-03-01 08:00"))
    assert arrival.url == NOTE.url
    assert arrival.id == "200228332"
    raw = json.loads(arrival.raw)
    assert raw["client_msg_id"] == "rcp_1"
    assert set(raw) == {"touser", "template_id", "url", "client_msg_id", "data"}


@pytest.mark.parametrize("use", [Use.TEST, Use.MESSAGE])
async def test_words_without_values_fit_the_template_as_well(town: Town, use: Use) -> None:
    words = "This is how you will be\nnotified of new mail."
    assert isinstance(await town.send(note=Note(text=words, use=use, at=NOW)), Sent)
    assert town.shown[0].splitlines()[:2] == ["-", "This is how you wil…"]


@pytest.mark.parametrize("fixture", FIXTURES.values(), ids=FIXTURES)
async def test_each_recorded_answer_has_its_outcome(town: Town, fixture: dict[str, Any]) -> None:
    town.double.script.begin(Behaviour(**fixture["answer"], at="/message/"))
    outcome = await town.send()
    assert {"is": type(outcome).__name__} | asdict(outcome) == fixture["outcome"]


@pytest.mark.parametrize("code", sorted(TEMPLATE.rows))
@pytest.mark.parametrize("mode", ["template", "subscription"])
async def test_every_row_of_the_table(town: Town, code: str, mode: str) -> None:
    town.account = account(town.double.where, mode=mode)
    body = json.dumps({"errcode": int(code), "errmsg": "no rid: 1"})
    town.double.script.begin(Behaviour(body=body, at="/message/", times=0))
    table = SUBSCRIPTION if mode == "subscription" else TEMPLATE
    assert await town.send() == table.judge(Said(code, "no rid: 1", at=NOW))


async def test_a_code_that_nobody_knows_passes(town: Town) -> None:
    town.double.script.begin(Behaviour(body='{"errcode":77777,"errmsg":"?"}', at="/message/"))
    assert await town.send() == TryLater("77777", "?")


async def test_whoever_cannot_be_reached_is_refused_by_reason(town: Town) -> None:
    town.double.turn(gone=["oGone"], unfollowed=["oLeft"], blacklisted=["oBlack"], refused=["oNo"])
    whys = {to: await town.send(to) for to in ("oGone", "oLeft", "oBlack", "oNo", "nobody")}
    assert {to: one.why for to, one in whys.items() if isinstance(one, Refused)} == {
        "oGone": Why.GONE,
        "oLeft": Why.OPTED_OUT,
        "oBlack": Why.OPTED_OUT,
        "oNo": Why.OPTED_OUT,
        "nobody": Why.GONE,
    }
    assert town.shown == []


async def test_the_days_share_is_used_up_until_midnight_in_china(town: Town) -> None:
    town.double.turn(quota=1)
    await town.send()
    outcome = await town.send(code="rcp_2")
    assert isinstance(outcome, TryLater)
    assert (outcome.scope, outcome.why, outcome.after) == (Scope.SENDER, Why.QUOTA, 16 * HOUR)
    town.now += 16 * HOUR - 1
    assert isinstance(await town.send(code="rcp_2"), TryLater)
    town.now += 1
    town.purse.held.clear()
    assert isinstance(await town.send(code="rcp_2"), Sent)


async def test_a_repeat_within_ten_minutes_is_no_second_message(town: Town) -> None:
    await town.send("oBob", code="rcp_0")
    town.double.script.begin(Behaviour(does=Does.RESET, taken=True, at="/message/"))
    assert isinstance(await town.send(), TryLater)
    town.now += 9 * MINUTE
    assert await town.send(attempt=2) == Sent("200228333", "0", "ok")
    assert len(town.shown) == 2


@pytest.mark.parametrize(("attempt", "kind"), [(1, TryLater), (3, TryLater), (4, Unknown), (5, Unknown)])
async def test_an_answer_is_missed_only_while_a_repeat_is_recognised(
    town: Town, attempt: int, kind: type[Outcome]
) -> None:
    await town.send(code="rcp_0")
    town.double.script.begin(Behaviour(status=502, body="<html>", taken=True, at="/message/"))
    assert isinstance(await town.send(attempt=attempt), kind)
    assert len(town.shown) == 2


async def test_a_subscription_notice_is_never_repeated_blindly(town: Town) -> None:
    town.account = account(town.double.where, mode="subscription", template_id="mail-subscription")
    assert isinstance(await town.send(), Sent)
    [arrival] = town.sandbox.phones.kept
    raw = json.loads(arrival.raw)
    assert (raw["page"], "url" in raw, "client_msg_id" in raw) == (NOTE.url, False, False)
    town.double.script.begin(Behaviour(does=Does.RESET, taken=True, at="/message/"))
    assert isinstance(await town.send(code="rcp_2"), Unknown)
    town.double.turn(refused=["oAlice"])
    assert (await town.send(code="rcp_3")).code == "43101"


async def test_ids_of_the_other_kind_of_template_are_for_the_administrator(town: Town) -> None:
    town.account = account(town.double.where, template_id="mail-subscription")
    outcome = await town.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.why) == ("40037", Scope.SENDER, Why.ACCOUNT)


@pytest.mark.parametrize(("knobs", "code"), [({"app_secret": "other"}, "40125"), ({"app_id": "wx-other"}, "40013")])
async def test_a_wrong_secret_is_for_the_administrator(town: Town, knobs: dict[str, str], code: str) -> None:
    town.double.turn(**knobs)
    outcome = await town.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.why) == (code, Scope.SENDER, Why.ACCOUNT)


async def test_an_address_that_is_not_whitelisted_is_named(town: Town) -> None:
    town.double.turn(whitelist="203.0.113.1")
    outcome = await town.send()
    assert isinstance(outcome, TryLater)
    assert outcome.why is Why.ACCOUNT
    assert outcome.text.startswith("allow 127.0.0.1 to use the account: invalid ip 127.0.0.1, not in whitelist rid: ")


async def test_many_at_once_renew_a_token_once(town: Town, store: Store, watch: Watch, tmp_path: Path) -> None:
    seal = Seal.open(tmp_path / "key")
    kinds = [WeChat(town.kind.http, SharedTokens(store, seal, watch)) for _ in range(2)]

    async def send_all(turn: int) -> list[Outcome]:
        parcels = [Parcel(f"rcp_{turn}_{n}", f"oUser{n}", NOTE.content(), 1, NOW) for n in range(6)]
        return await asyncio.gather(*(kinds[n % 2].send(town.account, one) for n, one in enumerate(parcels)))

    assert all(isinstance(outcome, Sent) for outcome in await send_all(1))
    assert town.double.issued == 1
    watch.now += MINUTE
    town.double.spoil()
    assert all(isinstance(outcome, Sent) for outcome in await send_all(2))
    assert town.double.issued == 2


async def test_a_token_is_fetched_once_and_kept(town: Town) -> None:
    outcomes = await asyncio.gather(*(town.send(f"oUser{n}", code=f"rcp_{n}") for n in range(3)))
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert len(town.purse.held) == 1
    [key] = town.purse.held
    assert key.startswith("wechat:wx-demo:")
    assert "demo-secret" not in key


@pytest.mark.parametrize("spoilt", ["forgotten", "expired"])
async def test_a_token_that_ends_early_is_renewed_within_the_attempt(town: Town, spoilt: str) -> None:
    await town.send(code="rcp_0")
    if spoilt == "forgotten":
        town.double.spoil()
    else:
        town.now += 3 * HOUR
    assert isinstance(await town.send(), Sent)
    assert len(town.purse.fetched) == 2


@pytest.mark.parametrize("code", sorted(STALE))
async def test_a_second_refusal_of_tokens_is_for_the_administrator(town: Town, code: str) -> None:
    body = json.dumps({"errcode": int(code), "errmsg": "no"})
    town.double.script.begin(Behaviour(body=body, at="/message/", times=0))
    assert await town.send() == TryLater(code, "no", Scope.SENDER, why=Why.ACCOUNT)
    assert len(town.purse.fetched) == 2


async def test_a_changed_secret_has_its_own_token(town: Town) -> None:
    await town.send(code="rcp_0")
    town.double.turn(app_secret="new")
    town.account = account(town.double.where, secrets={"app_secret": "new"})
    assert isinstance(await town.send(), Sent)
    assert len(town.purse.held) == 2


async def test_neither_tokens_nor_secrets_are_quoted(town: Town) -> None:
    await town.send(code="rcp_0")
    [held] = town.purse.held.values()
    body = json.dumps({"errcode": 48001, "errmsg": f"{held.reveal()} {SECRET} demo-token"})
    town.account = account(town.double.where, secrets={"app_secret": "demo-secret", "aes_key": SECRET})
    town.double.script.begin(Behaviour(body=body, at="/message/"))
    assert (await town.send()).text == "*** *** ***"


async def test_codes_are_scanned_by_new_followers_and_old_ones(town: Town, ears: Ears) -> None:
    assert isinstance(town.kind, Links)
    offer = await town.kind.offer(town.account, scene="k3p0xv9", back="https://mail.corp.example/")
    assert isinstance(offer, Offer)
    assert offer.scan
    assert offer.url.startswith("http://weixin.qq.com/q/")
    assert town.double.scenes() == ["k3p0xv9"]
    await town.double.scan("k3p0xv9", "oOld")
    town.double.turn(unfollowed=["oNew"])
    await town.double.scan("k3p0xv9", "oNew")
    assert events(ears) == [Scanned("k3p0xv9", "oOld"), Scanned("k3p0xv9", "oNew")]
    assert isinstance(await town.send("oNew"), Sent)
    town.now += 11 * MINUTE
    assert town.double.scenes() == []


async def test_the_code_is_a_picture_too(town: Town) -> None:
    async with aiohttp.ClientSession() as session:
        await town.send()
        [token] = town.purse.held.values()
        asked = {"action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "s"}}, "expire_seconds": 60}
        url = f"{town.double.where}/cgi-bin/qrcode/create?access_token={token.reveal()}"
        async with session.post(url, json=asked) as answer:
            ticket = (await answer.json())["ticket"]
        async with session.get(f"{town.double.where}/cgi-bin/showqrcode", params={"ticket": ticket}) as answer:
            assert (await answer.read()).startswith(b"\x89PNG")


@pytest.mark.parametrize("url", ["", "http://weixin.qq.com/q/" + "x" * 3000, "http://weixin.qq.com/q/\ud800"])
async def test_an_offer_without_a_code_is_none(town: Town, url: str) -> None:
    said = {"ticket": "t", "expire_seconds": 600, "url": url}
    town.double.script.begin(Behaviour(body=json.dumps(said), at="/qrcode/"))
    assert isinstance(await town.kind.offer(town.account, scene="s", back=""), TryLater)


async def test_what_a_receipt_names_is_bounded(town: Town, ears: Ears) -> None:
    await town.double.emit("oAlice", "TEMPLATESENDJOBFINISH", MsgID="9" * 9000, Status="success")
    [reported] = events(ears)
    assert len(reported.provider_id) < EXCERPT


async def test_an_offer_that_fails_says_why(town: Town) -> None:
    town.double.turn(app_secret="other")
    outcome = await town.kind.offer(town.account, scene="s", back="")
    assert isinstance(outcome, TryLater)
    assert outcome.why is Why.ACCOUNT
    assert isinstance(await town.kind.linked(town.account, said={"code": "x"}, back=""), Refused)


@pytest.mark.parametrize("aes_key", [AES_KEY, ""])
async def test_whoever_unfollows_has_left(town: Town, ears: Ears, aes_key: str) -> None:
    town.double.turn(aes_key=aes_key)
    ears.account = account(town.double.where, secrets={"aes_key": aes_key})
    await town.double.unfollow("oAlice")
    assert events(ears) == [Left("oAlice")]
    assert town.double.set["unfollowed"] == ["oAlice"]


@pytest.mark.parametrize("aes_key", [AES_KEY, ""])
async def test_the_servers_address_is_verified(town: Town, ears: Ears, aes_key: str) -> None:
    ears.account = account(town.double.where, secrets={"aes_key": aes_key})
    assert await town.double.verify()
    ears.account = account(town.double.where, secrets={"callback_token": "other", "aes_key": aes_key})
    assert not await town.double.verify()


async def test_receipts_say_what_became_of_a_message(town: Town, ears: Ears) -> None:
    await town.send()
    [arrival] = town.sandbox.phones.kept
    await town.double.press(arrival, Fate.ARRIVED)
    await town.double.press(arrival, Fate.LOST)
    assert events(ears) == [
        Reported("200228332", News.ARRIVED, address="oAlice"),
        Reported("200228332", News.LOST, "failed:user block", "failed:user block", address="oAlice"),
        Left("oAlice"),
    ]


async def test_a_receipt_that_comes_twice_has_one_name(town: Town, ears: Ears) -> None:
    await town.send()
    [arrival] = town.sandbox.phones.kept
    await town.double.press(arrival, Fate.ARRIVED)
    await town.double.press(arrival, Fate.ARRIVED)
    first, second = ears.heard
    assert isinstance(first, Heard)
    assert first == second
    assert first.id
    assert first.reply.body == b"success"


async def test_a_receipt_may_come_before_the_answer(town: Town, ears: Ears) -> None:
    town.double.turn(early=True)
    outcome = await town.send()
    assert isinstance(outcome, Sent)
    assert events(ears) == [Reported(outcome.provider_id, News.ARRIVED, address="oAlice")]


async def test_what_is_not_taken_is_delivered_again(town: Town, ears: Ears) -> None:
    ears.deaf = True
    assert await town.double.emit("oAlice", "SCAN", EventKey="s") == 503
    ears.deaf = False
    assert await town.double.emit("oAlice", "SCAN", EventKey="s") == 200


async def test_what_becomes_of_subscription_notices(town: Town, ears: Ears) -> None:
    town.account = ears.account = account(town.double.where, mode="subscription", template_id="mail-subscription")
    outcome = await town.send()
    assert isinstance(outcome, Sent)
    [arrival] = town.sandbox.phones.kept
    await town.double.press(arrival, Fate.ARRIVED)
    await town.double.press(arrival, Fate.LOST)
    assert events(ears) == [
        Reported(outcome.provider_id, News.ARRIVED, "0", "success", "oAlice"),
        Reported(outcome.provider_id, News.LOST, "1", "failed", "oAlice"),
    ]


@pytest.mark.parametrize(
    ("template", "status", "left"),
    [("mail-template", "reject", True), ("mail-template", "accept", False), ("other", "reject", False)],
)
async def test_consent_that_is_withdrawn(town: Town, ears: Ears, template: str, status: str, *, left: bool) -> None:
    item = f"<TemplateId>{template}</TemplateId><SubscribeStatusString>{status}</SubscribeStatusString>"
    inner = f"<SubscribeMsgChangeEvent><List>{item}</List></SubscribeMsgChangeEvent>"
    await town.double.emit("oAlice", "subscribe_msg_change_event", inner=inner)
    assert events(ears) == ([Left("oAlice")] if left else [])


@pytest.mark.parametrize("event", ["subscribe", "CLICK", "VIEW", "subscribe_msg_popup_event"])
async def test_what_is_of_no_interest_is_answered(town: Town, ears: Ears, event: str) -> None:
    assert await town.double.emit("oAlice", event, EventKey="") == 200
    assert events(ears) == []


async def test_what_people_write_is_answered_and_read_by_nobody(town: Town, ears: Ears) -> None:
    said = "<MsgType>text</MsgType><Event>unsubscribe</Event><Content>hello</Content><MsgId>7</MsgId>"
    xml = f"<xml><FromUserName>oAlice</FromUserName><CreateTime>1</CreateTime>{said}</xml>"
    assert await town.double.send(xml, "oAlice") == (200, b"success")
    assert events(ears) == []


HOSTILE = {
    "a document type": '<!DOCTYPE xml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><xml><Event>&b;</Event></xml>',
    "a file": '<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><Event>&a;</Event></xml>',
    "no XML": "{}",
    "nothing": "",
    "half": "<xml><Event>",
    "a flood": f"<xml><Event>{'x' * 70_000}</Event></xml>",
    "an unknown entity": "<xml>&nbsp;</xml>",
}


@pytest.mark.parametrize("aes_key", [AES_KEY, ""])
@pytest.mark.parametrize("xml", HOSTILE.values(), ids=HOSTILE)
async def test_xml_that_is_not_taken(town: Town, ears: Ears, xml: str, aes_key: str) -> None:
    town.double.turn(aes_key=aes_key)
    ears.account = account(town.double.where, secrets={"aes_key": aes_key})
    assert (await town.double.send(xml, "oAlice"))[0] == 403
    assert isinstance(ears.heard[0], Forged)


async def test_deep_xml_is_understood_as_nothing(town: Town, ears: Ears) -> None:
    assert await town.double.send("<a>" * 5000 + "</a>" * 5000, "oAlice") == (200, b"success")
    assert events(ears) == []


@pytest.mark.parametrize("skew", [-6 * MINUTE, 6 * MINUTE])
async def test_a_call_of_another_time_is_forged(town: Town, ears: Ears, skew: int) -> None:
    ears.clock = lambda: town.now + skew
    assert await town.double.emit("oAlice", "unsubscribe") == 403


async def test_a_call_that_was_heard_and_changed_is_forged(town: Town, ears: Ears) -> None:
    await town.double.unfollow("oAlice")
    [call] = ears.calls
    assert isinstance(town.kind.hear(town.account, call), Heard)
    for other in (
        replace(call, body=call.body.replace(b"<Encrypt><![CDATA[", b"<Encrypt><![CDATA[AAAA")),
        replace(call, body=b"<xml><Event>unsubscribe</Event><FromUserName>oBob</FromUserName></xml>"),
        replace(call, query={**call.query, "nonce": "1"}),
        replace(call, query={**call.query, "timestamp": str(NOW // SECOND + 1)}),
        replace(call, query={**call.query, "timestamp": "٣"}),
        replace(call, query={name: value for name, value in call.query.items() if name != "msg_signature"}),
    ):
        assert isinstance(town.kind.hear(town.account, other), Forged)


async def test_what_is_sealed_for_another_account_is_forged(town: Town, ears: Ears) -> None:
    town.double.turn(app_id="wx-other")
    assert await town.double.emit("oAlice", "unsubscribe") == 403
    assert isinstance(ears.heard[0], Forged)


def test_the_worked_signature() -> None:
    assert sealed.signature("TOKEN", "1795161600", "nonce1") == "9ffbb82770b6f08a790206542d61b7e758788a1b"
    assert envelope.sign("TOKEN", "1795161600", "nonce1") == "9ffbb82770b6f08a790206542d61b7e758788a1b"


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({"template_id": ""}, {}, "template_id"),
        ({"mode": "sms"}, {}, "mode"),
        ({"fields": "thing1"}, {}, "fields"),
        ({"fields": "thing1={nobody}"}, {}, "fields"),
        ({"fields": "picture1={from}"}, {}, "fields"),
        ({"fields": "thing1={from} thing1={to}"}, {}, "fields"),
        ({"base_url": "ftp://api.weixin.qq.com"}, {}, "base_url"),
        ({}, {"aes_key": "too-short"}, "aes_key"),
        ({}, {"callback_token": ""}, "callback_token"),
    ],
)
def test_settings_that_cannot_work(http: Http, settings: dict[str, str], secrets: dict[str, str], named: str) -> None:
    entered = account(**{"base_url": "https://api.weixin.qq.com", **settings}, secrets=secrets)
    with pytest.raises(InvalidValue) as refusal:
        WeChat(http, Purse()).check(entered.settings, entered.secrets)
    assert refusal.value.about["name"] == named


def test_where_the_api_is_may_not_be_inside() -> None:
    entered = account("http://10.0.0.1")
    with pytest.raises(EgressRefused):
        WeChat(Http(Egress()), Purse()).check(entered.settings, entered.secrets)


async def test_of_the_classic_token_only_the_newest_lives_long_and_stable_ones_are_apart(town: Town) -> None:
    query = {"grant_type": "client_credential", "appid": "wx-demo", "secret": "demo-secret"}
    await town.send(code="rcp_0")
    async with aiohttp.ClientSession() as session:
        tokens = []
        for _ in range(2):
            async with session.get(f"{town.double.where}/cgi-bin/token", params=query) as answer:
                tokens.append((await answer.json(content_type=None))["access_token"])

    async def code_of(token: str) -> int:
        asked = {"touser": "oAlice", "template_id": "none", "data": {}}
        url = f"{town.double.where}/cgi-bin/message/template/send?access_token={token}"
        async with aiohttp.ClientSession() as session, session.post(url, json=asked) as answer:
            return int((await answer.json(content_type=None))["errcode"])

    assert [await code_of(token) for token in tokens] == [40037, 40037]
    town.now += 6 * MINUTE
    assert [await code_of(token) for token in tokens] == [42001, 40037]
    assert isinstance(await town.send(), Sent)
    assert len(town.purse.fetched) == 1


async def test_stable_tokens_are_the_same_until_shortly_before_their_end(town: Town) -> None:
    async def ask(**more: Any) -> dict[str, Any]:
        body = {"grant_type": "client_credential", "appid": "wx-demo", "secret": "demo-secret", **more}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{town.double.where}/cgi-bin/stable_token", json=body) as answer,
        ):
            said = await answer.json(content_type=None)
        assert isinstance(said, dict)
        return said

    first = await ask()
    town.now += 114 * MINUTE
    assert await ask() == first | {"expires_in": 360}
    town.now += MINUTE
    assert (renewed := await ask())["access_token"] != first["access_token"]
    town.purse.held[next(iter(town.purse.held), "x")] = Secret(first["access_token"])
    forced = [await ask(force_refresh=True)]
    assert (await ask(force_refresh=True))["errcode"] == 45009
    for _ in range(19):
        town.now += 31 * SECOND
        forced.append(await ask(force_refresh=True))
    town.now += 31 * SECOND
    assert (await ask(force_refresh=True))["errcode"] == 45009
    assert len({one["access_token"] for one in [renewed, *forced]}) == 21
    town.now += DAY
    assert "access_token" in await ask(force_refresh=True)


async def test_the_double_is_as_strict_as_wechat(town: Town) -> None:
    await town.send()
    [token] = town.purse.held.values()
    url = f"{town.double.where}/cgi-bin/message/template/send?access_token={token.reveal()}"
    good = {name: {"value": "1"} for name in ("thing1", "thing2")} | {"time3": {"value": "16:00"}}

    async def code_of(data: Any, method: str = "POST", **more: Any) -> tuple[int, str]:
        body = {"touser": "oAlice", "template_id": "mail-template", "data": data, **more}
        async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as answer:
            said = await answer.json(content_type=None)
        return said["errcode"], str(said["errmsg"]).partition(" rid")[0]

    assert await code_of(good) == (0, "ok")
    assert await code_of(good, "PUT") == (43002, "require POST method")
    assert await code_of([]) == (47001, "data format error")
    assert await code_of(good | {"thing1": {"value": ""}}) == (47003, "argument invalid! data.thing1.value is empty")
    for name, value in {"thing1": "x" * 21, "thing2": "two\nlines", "time3": "soon"}.items():
        wrong = good | {name: {"value": value}}
        assert await code_of(wrong) == (47003, f"argument invalid! data.{name}.value invalid")
