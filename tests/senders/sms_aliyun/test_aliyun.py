# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sender kind `sms_aliyun` against its double: what is signed, what is refused, and what becomes of an SMS."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mailroom.core.clock import HOUR, MINUTE
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.doubles.sms_aliyun import Aliyun as Double
from mailroom.sandbox.phones import Fate
from mailroom.sandbox.server import Sandbox
from mailroom.senders.china import midnight, month_end
from mailroom.senders.contract import (
    Call,
    Forged,
    Heard,
    News,
    Outcome,
    Parcel,
    Question,
    Refused,
    Reported,
    Scope,
    Sent,
    TryLater,
    Unknown,
    Why,
)
from mailroom.senders.http import Http
from mailroom.senders.note import Note, Use
from mailroom.senders.sms_aliyun import signature
from mailroom.senders.sms_aliyun.errors import TABLE
from mailroom.senders.sms_aliyun.manifest import MANIFEST
from mailroom.senders.sms_aliyun.sender import Aliyun
from mailroom.senders.verdicts import Said
from tests.senders.ears import listening
from tests.senders.examples.sms_aliyun import account
from tests.senders.recorded import as_json, recorded

NOW = 1_772_323_200_000  # 2026-03-01 00:00:00 UTC, eight in the morning in China
AMY = "+8613900000001"
NOTE = Note(text="", use=Use.NOTICE, values={"count": "3", "fromname": "Bob Li", "subject": "x" * 40})
CODE = Note(text="", use=Use.CODE, values={"code": "123456"})
COUNTED: dict[str, Any] = {"template": "SMS_3", "params": "count={count}\nfrom={fromname}"}


class Town:
    """The double, and the kind that talks to it, at a time of the test's choice."""

    def __init__(self, sandbox: Sandbox, http: Http) -> None:
        double = sandbox.doubles["sms_aliyun"]
        assert isinstance(double, Double)
        self.sandbox, self.double, self.now = sandbox, double, NOW
        sandbox.phones.clock = lambda: self.now
        self.kind = Aliyun(http, clock=lambda: self.now)
        self.account = account(double.where)

    async def send(self, to: str = AMY, *, note: Note = NOTE, attempt: int = 1, **settings: str) -> Outcome:
        given = replace(self.account, settings={**self.account.settings, **settings})
        self.now += 1
        return await self.kind.send(given, Parcel("rcp_1", to, note.content(), attempt, self.now))

    @property
    def shown(self) -> list[tuple[str, str]]:
        return [(one.to, one.text) for one in self.sandbox.phones.kept]


@pytest.fixture
def town(http: Http, sandbox: Sandbox) -> Town:
    return Town(sandbox, http)


def test_the_worked_signature() -> None:
    """Equal to alibabacloud_tea_openapi 0.4.6."""
    said = signature.headers(
        signature.query(
            {
                "PhoneNumbers": "13800000000",
                "SignName": "测试",
                "TemplateCode": "SMS_90000001",
                "TemplateParam": '{"n":"3"}',
            }
        ),
        host="dysmsapi.aliyuncs.com",
        action="SendSms",
        version="2017-05-25",
        key_id="YourAccessKeyId",
        secret=Secret("YourAccessKeySecret"),
        now=1_795_161_600_000,
        nonce="3156853299f313e23d1673dc12e1703d",
    )
    assert said["x-acs-date"] == "2026-11-20T08:00:00Z"
    assert said["Authorization"].endswith("Signature=7f97bb948b111a5eeb90ff82b53cf998d2069efd44ba174c0537f0964c0cbe3e")


async def test_a_notice_a_number_abroad_and_a_code(town: Town) -> None:
    assert await town.send() == Sent("900000000000000001^0", "OK")
    assert isinstance(await town.send("+85261234567", **COUNTED), Sent)
    assert isinstance(await town.send(note=CODE), Sent)
    assert town.shown == [
        (AMY, "【Mailroom】您有新邮件，请登录查看。"),
        ("+85261234567", "【Mailroom】您有3封新邮件，来自Bob Li。"),
        (AMY, "【Mailroom】验证码123456，五分钟内有效。"),
    ]
    assert json.loads(town.sandbox.phones.kept[0].raw)["OutId"] == "rcp_1"


async def test_variables_are_made_to_fit(town: Town) -> None:
    note = replace(NOTE, values={"count": "", "subject": "【Bank】 " + "x" * 40})
    assert isinstance(
        await town.send(note=note, template="SMS_3", params="count={count}\nfrom={subject}", longest="10"), Sent
    )
    assert town.shown == [(AMY, "【Mailroom】您有-封新邮件，来自[Bank] xx…。")]


@pytest.mark.parametrize("special", ["a&b=c+d e%f", "~*'()!", "é€😀", "/?#@:"])
async def test_what_is_signed_is_what_is_sent(town: Town, special: str) -> None:
    note = replace(NOTE, values={"count": special, "fromname": special})
    assert isinstance(await town.send(note=note, **COUNTED), Sent)


async def test_an_address_that_is_no_number(town: Town) -> None:
    outcome = await town.send("amy")
    assert isinstance(outcome, Refused)
    assert outcome.why is Why.GONE


@pytest.mark.parametrize(
    ("knobs", "settings", "code", "why"),
    [
        ({"gone": ["13900000001"]}, {}, "isv.MOBILE_NUMBER_ILLEGAL", Why.GONE),
        ({"blacklist": ["13900000001"]}, {}, "isv.BLACK_KEY_CONTROL_LIMIT", Why.OPTED_OUT),
        ({"longest": 1}, COUNTED, "isv.PARAM_LENGTH_LIMIT", Why.CONTENT),
        ({}, {"template": "SMS_3"}, "isv.TEMPLATE_MISSING_PARAMETERS", Why.CONTENT),
        ({}, {"template": "SMS_3", "params": "count=www.a.cn\nfrom=x"}, "isv.PARAM_NOT_SUPPORT_URL", Why.CONTENT),
    ],
)
async def test_refused_for_good(
    town: Town, knobs: dict[str, Any], settings: dict[str, Any], code: str, why: Why
) -> None:
    town.double.turn(**knobs)
    outcome = await town.send(**settings)
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.why, outcome.scope) == (code, why, Scope.RECIPIENT)
    assert town.shown == []


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"balance": 0}, "isv.AMOUNT_NOT_ENOUGH"),
        ({"signs": []}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"templates": {}}, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"ip_allowed": False}, "isv.DENY_IP_RANGE"),
        ({"access_key_id": "another"}, "InvalidAccessKeyId.NotFound"),
        ({"access_key_secret": "another"}, "SignatureDoesNotMatch"),
    ],
)
async def test_the_account_is_at_fault_and_the_queue_waits(town: Town, knobs: dict[str, Any], code: str) -> None:
    town.double.turn(**knobs)
    outcome = await town.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.why) == (code, Scope.SENDER, Why.ACCOUNT)
    assert town.shown == []


async def test_a_clock_that_is_wrong_by_more_than_a_quarter_of_an_hour(town: Town) -> None:
    for skew, kind in ((-14 * MINUTE, Sent), (14 * MINUTE, Sent), (-16 * MINUTE, TryLater), (16 * MINUTE, TryLater)):
        parcel = Parcel(f"rcp{skew}", AMY, NOTE.content(), 1, NOW + skew)
        assert isinstance(await town.kind.send(town.account, parcel), kind)


async def test_each_attempt_has_its_own_nonce(town: Town) -> None:
    """Also one that did not count, and one after another at the same time."""
    assert isinstance(await town.send(), Sent)
    assert isinstance(await town.send(), Sent)
    town.now -= 1
    assert isinstance(await town.send(attempt=2), Sent)


async def test_a_call_that_something_repeated_is_unknown(town: Town) -> None:
    parcel = Parcel("rcp_1", AMY, NOTE.content(), 1, NOW)
    assert isinstance(await town.kind.send(town.account, parcel), Sent)
    outcome = await town.kind.send(town.account, parcel)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "SignatureNonceUsed"


async def test_codes_are_few_a_minute_an_hour_and_a_day(town: Town) -> None:
    waits: list[int] = []
    while not waits or waits[-1] <= HOUR:
        outcome = await town.send(note=CODE)
        if isinstance(outcome, TryLater):
            assert (outcome.scope, outcome.why) == (Scope.RECIPIENT, Why.QUOTA)
            waits.append(outcome.after or 0)
            town.now += waits[-1]
    assert list(dict.fromkeys(waits[:-1])) == [MINUTE, HOUR]
    assert waits[-1] == midnight(town.now - waits[-1])
    assert len(town.shown) == 10


@pytest.mark.parametrize("does", [Does.RESET, Does.GARBAGE])
async def test_an_answer_that_is_lost_is_never_tried_again(town: Town, does: Does) -> None:
    town.double.script.begin(Behaviour(does=does, taken=True))
    assert isinstance(await town.send(), Unknown)
    assert len(town.shown) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(status=502, body="<html>Bad Gateway</html>", taken=True),
        Behaviour(body="x" * 100_000, taken=True),
        Behaviour(body='{"Code":"OK"', taken=True),
        Behaviour(headers={"Content-Encoding": "gzip"}, body="not gzip", taken=True),
        Behaviour(does=Does.DRIP, taken=True),
    ],
)
async def test_an_answer_that_says_nothing_is_unknown(town: Town, behaviour: Behaviour) -> None:
    town.kind = replace(town.kind, manifest=replace(MANIFEST, timeout=300))
    town.double.script.begin(behaviour)
    assert isinstance(await town.send(), Unknown)


@pytest.mark.parametrize("fixture", recorded("sms_aliyun"))
async def test_each_recorded_answer_has_its_outcome(town: Town, fixture: dict[str, Any]) -> None:
    town.double.script.begin(Behaviour(**fixture["answer"]))
    given = replace(town.account, secrets={"access_key_secret": Secret("s3cr3t-of-the-account")})
    assert as_json(await town.kind.send(given, Parcel("rcp_1", AMY, NOTE.content(), 1, NOW))) == fixture["outcome"]


@pytest.mark.parametrize("row", sorted(TABLE.rows))
def test_every_row_says_what_follows(row: str) -> None:
    outcome = TABLE.judge(Said(row.replace("*", "Xyz"), "t"))
    assert outcome.code == row.replace("*", "Xyz")
    if isinstance(outcome, TryLater) and outcome.why is Why.ACCOUNT:
        assert outcome.scope is Scope.SENDER


def test_the_chinese_day_and_month_end_at_their_own_midnight() -> None:
    assert midnight(NOW) == 16 * HOUR
    assert midnight(NOW + 16 * HOUR) == 24 * HOUR
    assert month_end(NOW) == 31 * 24 * HOUR - 8 * HOUR
    december = 1_798_732_800_000  # 2026-12-31 16:00:00 UTC: the new year has begun in China
    assert month_end(december - 1) == 1
    assert month_end(december) == 31 * 24 * HOUR


async def test_receipts_are_pushed_in_any_order_and_again_until_taken(town: Town) -> None:
    async with listening(town.kind, town.account, lambda: town.now) as ears:
        town.double.callback = f"{ears.url}/callback-k3y"
        for to in (AMY, "+8613900000002"):
            assert isinstance(await town.send(to), Sent)
        first, second = town.sandbox.phones.kept
        assert await town.double.report((second, Fate.LOST), (first, Fate.ARRIVED), (first, Fate.ARRIVED)) == 1
        [heard] = ears.heard
        assert isinstance(heard, Heard)
        assert json.loads(heard.reply.body) == {"code": 0, "msg": "接收成功"}
        lost = Reported(second.id, News.LOST, "MOBILE_NOT_ON_SERVICE", "空号", "+8613900000002")
        arrived = Reported(first.id, News.ARRIVED, "DELIVERED", "用户接收成功", AMY)
        assert heard.events == (lost, arrived, arrived)
        ears.deaf = True
        assert await town.double.report((first, Fate.ARRIVED)) == 4
        town.double.callback = f"{ears.url}/wrong"
        ears.deaf = False
        assert await town.double.report((first, Fate.ARRIVED)) == 4
        assert all(isinstance(one, Forged) for one in ears.heard[1:])


@pytest.mark.parametrize(
    ("body", "count"),
    [(b"", None), (b"{}", None), (b"[" * 50_000, None), (b"[]", 0), (b'[1,{"biz_id":1},{}]', 0)],
)
def test_a_push_that_is_none(http: Http, body: bytes, count: int | None) -> None:
    call = Call("POST", "callback-k3y", {}, {}, body, NOW, "https://mail.corp.example/callbacks/a/callback-k3y")
    heard = Aliyun(http).hear(account("http://127.0.0.1:9"), call)
    assert isinstance(heard, Heard)
    assert heard.events == ()
    assert heard.reply.status == (400 if count is None else 200)


def test_what_no_store_keeps_is_taken_out_of_a_push(http: Http) -> None:
    body = b'[{"phone_number":"139\\u0000","biz_id":"1\\ud800","success":[],"err_code":{},"err_msg":null}]'
    call = Call("POST", "callback-k3y", {}, {}, body, NOW, "https://mail.corp.example/callbacks/a/callback-k3y")
    heard = Aliyun(http).hear(account("http://127.0.0.1:9"), call)
    assert isinstance(heard, Heard)
    assert heard.events == (Reported("1", News.LOST, "{}", "None", "+139"),)


async def test_without_a_key_nobody_is_heard(http: Http) -> None:
    call = Call("POST", "", {}, {}, b"[]", NOW, "https://mail.corp.example/callbacks/a")
    for secrets in ({}, {"callback_key": Secret("")}):
        assert isinstance(Aliyun(http).hear(replace(account("http://127.0.0.1:9"), secrets=secrets), call), Forged)


async def test_what_became_of_it_can_be_asked(town: Town) -> None:
    questions = []
    for to in (AMY, AMY, "+8613900000002"):
        sent = await town.send(to)
        assert isinstance(sent, Sent)
        questions.append(Question(sent.provider_id, to, town.now))
    assert await town.kind.ask(town.account, questions) == []
    for arrival, fate in zip(town.sandbox.phones.kept, (Fate.LOST, Fate.ARRIVED), strict=False):
        town.sandbox.phones.settle(arrival.serial, fate)
    town.now += HOUR
    assert await town.kind.ask(town.account, questions) == [
        Reported(questions[0].provider_id, News.LOST, "MOBILE_NOT_ON_SERVICE", address=AMY),
        Reported(questions[1].provider_id, News.ARRIVED, "DELIVERED", address=AMY),
    ]
    town.double.script.begin(Behaviour(status=502, body="<html>"), Behaviour(does=Does.RESET))
    town.now += 1
    assert len(await town.kind.ask(town.account, questions)) == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"params": "count={number}"}, "params: there is no {number}"),
        ({"params": "count"}, "params: must hold one name=value a line, each name once"),
        ({"code_params": "code={md5({code}}"}, "code_params: md5() does not end, or lacks an argument"),
        ({"longest": "many"}, "longest: must be a number from 1 to 500"),
        ({"base_url": "ftp://x"}, "base_url: must begin with http:// or https://"),
        ({"sign": ""}, "sign: is missing"),
    ],
)
def test_check_names_what_is_wrong(http: Http, settings: dict[str, str], complaint: str) -> None:
    given = account("http://127.0.0.1:9")
    Aliyun(http).check(given.settings, given.secrets)
    with pytest.raises(InvalidValue) as refusal:
        Aliyun(http).check({**given.settings, **settings}, given.secrets)
    assert str(refusal.value) == complaint


def test_a_private_address_is_refused(http: Http) -> None:
    given = account("http://10.0.0.1/")
    with pytest.raises(EgressRefused):
        Aliyun(http).check(given.settings, given.secrets)
