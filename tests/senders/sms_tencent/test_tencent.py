# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sender kind `sms_tencent` against its double: two places of errors, few variables, and receipts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.doubles.sms_tencent import Tencent as Double
from mailroom.sandbox.phones import Fate
from mailroom.sandbox.server import Sandbox
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
from mailroom.senders.sms_tencent import signature
from mailroom.senders.sms_tencent.errors import TABLE
from mailroom.senders.sms_tencent.manifest import MANIFEST
from mailroom.senders.sms_tencent.sender import Tencent
from mailroom.senders.verdicts import Said
from tests.senders.ears import listening
from tests.senders.examples.sms_tencent import account
from tests.senders.recorded import as_json, recorded

NOW = 1_772_323_200_000  # 2026-03-01 00:00:00 UTC, eight in the morning in China
AMY, BOB, ABROAD = "+8613900000001", "+8613900000002", "+14155550100"
NOTE = Note(text="", use=Use.NOTICE, values={"count": "3", "fromname": "Bob Li"})
CODE = Note(text="", use=Use.CODE, values={"code": "123456"})
COUNTED: dict[str, Any] = {"template": "1003", "params": "{count}\n{fromname}"}


class Town:
    """The double, and the kind that talks to it, at a time of the test's choice."""

    def __init__(self, sandbox: Sandbox, http: Http) -> None:
        double = sandbox.doubles["sms_tencent"]
        assert isinstance(double, Double)
        self.sandbox, self.double, self.now = sandbox, double, NOW
        sandbox.phones.clock = lambda: self.now
        self.kind = Tencent(http, clock=lambda: self.now)
        self.account = account(double.where)

    async def send(self, to: str = AMY, *, note: Note = NOTE, **settings: str) -> Outcome:
        given = replace(self.account, settings={**self.account.settings, **settings})
        return await self.kind.send(given, Parcel("rcp_1", to, note.content(), 1, self.now))

    @property
    def shown(self) -> list[tuple[str, str]]:
        return [(one.to, one.text) for one in self.sandbox.phones.kept]


@pytest.fixture
def town(http: Http, sandbox: Sandbox) -> Town:
    return Town(sandbox, http)


def test_the_worked_signature() -> None:
    """Equal to tencentcloud common 3.1.195."""
    body = (
        '{"PhoneNumberSet":["+8613800000000"],"SmsSdkAppId":"1400006666","SignName":"测试","TemplateId":"1234",'
        '"TemplateParamSet":["3"],"SessionContext":"dlv_1"}'
    )
    said = signature.authorization(
        body.encode(),
        host="sms.tencentcloudapi.com",
        key_id="AKIDEXAMPLE",
        secret=Secret("SECRETEXAMPLE"),
        now=1_795_161_600_000,
    )
    assert said == (
        "TC3-HMAC-SHA256 Credential=AKIDEXAMPLE/2026-11-20/sms/tc3_request, SignedHeaders=content-type;host, "
        "Signature=2f63dca4eee95933ac31058c49024da19199ead8cd5ab89c64cd5cfb0e3a174a"
    )


async def test_a_notice_a_number_abroad_and_a_code(town: Town) -> None:
    assert isinstance(await town.send(), Sent)
    assert isinstance(await town.send(ABROAD, **COUNTED), Sent)
    assert isinstance(await town.send(BOB, note=CODE), Sent)
    assert town.shown == [
        (AMY, "【Mailroom】您有新邮件，请登录查看。"),
        (ABROAD, "【Mailroom】您有3封新邮件，来自Bob Li。"),
        (BOB, "【Mailroom】验证码123456，五分钟内有效。"),
    ]
    assert json.loads(town.sandbox.phones.kept[0].raw)["SessionContext"] == "rcp_1"


async def test_where_no_variables_are_allowed_the_fixed_sentence_goes_out(town: Town) -> None:
    town.double.turn(no_variables=True)
    outcome = await town.send(**COUNTED)
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.why) == ("InvalidParameterValue.UnsupportedTemplateVariable", Why.ACCOUNT)
    assert isinstance(await town.send(ABROAD, **COUNTED), Sent)
    assert isinstance(await town.send(), Sent)


async def test_an_address_that_is_no_number(town: Town) -> None:
    outcome = await town.send("13900000001")
    assert isinstance(outcome, Refused)
    assert outcome.why is Why.GONE


@pytest.mark.parametrize(
    ("knobs", "settings", "code", "why"),
    [
        ({"gone": [AMY]}, {}, "InvalidParameterValue.IncorrectPhoneNumber", Why.GONE),
        ({"blacklist": [AMY]}, {}, "FailedOperation.PhoneNumberInBlacklist", Why.OPTED_OUT),
        ({"words": ["邮件"]}, {}, "FailedOperation.ContainSensitiveWord", Why.CONTENT),
        ({"longest": 2}, COUNTED, "InvalidParameterValue.TemplateParameterLengthLimit", Why.CONTENT),
        (
            {},
            {"template": "1002", "params": "www.a.cn"},
            "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter",
            Why.CONTENT,
        ),
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
    ("knobs", "settings", "code"),
    [
        ({"balance": 0}, {}, "FailedOperation.InsufficientBalanceInSmsPackage"),
        ({"signs": []}, {}, "FailedOperation.SignatureIncorrectOrUnapproved"),
        ({"templates": {}}, {}, "FailedOperation.TemplateIncorrectOrUnapproved"),
        ({}, {"template": "1003"}, "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"),
        ({"sdk_app_id": "1"}, {}, "UnauthorizedOperation.SmsSdkAppIdVerifyFail"),
        ({"secret_id": "another"}, {}, "AuthFailure.SecretIdNotFound"),
        ({"secret_key": "another"}, {}, "AuthFailure.SignatureFailure"),
    ],
)
async def test_the_account_is_at_fault_and_the_queue_waits(
    town: Town, knobs: dict[str, Any], settings: dict[str, Any], code: str
) -> None:
    town.double.turn(**knobs)
    outcome = await town.send(**settings)
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.why) == (code, Scope.SENDER, Why.ACCOUNT)
    assert town.shown == []


async def test_a_clock_that_is_wrong_by_more_than_ten_minutes(town: Town) -> None:
    for skew, kind in ((-9 * MINUTE, Sent), (11 * MINUTE, TryLater), (-11 * MINUTE, TryLater)):
        outcome = await town.kind.send(town.account, Parcel("rcp_1", AMY, NOTE.content(), 1, NOW + skew))
        assert isinstance(outcome, kind)
        assert not isinstance(outcome, TryLater) or outcome.why is Why.ACCOUNT


async def test_a_number_has_its_share_of_half_a_minute_an_hour_and_a_day(town: Town) -> None:
    waits: list[int] = []
    while not waits or waits[-1] <= HOUR:
        outcome = await town.send()
        if isinstance(outcome, TryLater):
            assert outcome.scope is Scope.RECIPIENT
            waits.append(outcome.after or 0)
            town.now += waits[-1]
    assert list(dict.fromkeys(waits[:-1])) == [30 * SECOND, HOUR]
    assert (town.now + 8 * HOUR) % DAY == 0
    assert len(town.shown) == 10


async def test_an_answer_that_leaves_the_number_out_is_unknown(town: Town) -> None:
    town.double.turn(forgets=[AMY])
    assert isinstance(await town.send(), Unknown)


async def test_another_numbers_status_is_not_ours(town: Town) -> None:
    body = '{"Response":{"SendStatusSet":[{"PhoneNumber":"+8613900000009","Code":"Ok","SerialNo":"1"}]}}'
    town.double.script.begin(Behaviour(body=body))
    assert isinstance(await town.send(), Unknown)


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
        Behaviour(body='{"Response":{}}', taken=True),
        Behaviour(headers={"Content-Encoding": "gzip"}, body="not gzip", taken=True),
        Behaviour(does=Does.DRIP, taken=True),
    ],
)
async def test_an_answer_that_says_nothing_is_unknown(town: Town, behaviour: Behaviour) -> None:
    town.kind = replace(town.kind, manifest=replace(MANIFEST, timeout=300))
    town.double.script.begin(behaviour)
    assert isinstance(await town.send(), Unknown)


@pytest.mark.parametrize("fixture", recorded("sms_tencent"))
async def test_each_recorded_answer_has_its_outcome(town: Town, fixture: dict[str, Any]) -> None:
    town.double.script.begin(Behaviour(**fixture["answer"]))
    given = replace(town.account, secrets={"secret_key": Secret("s3cr3t-of-the-account")})
    assert as_json(await town.kind.send(given, Parcel("rcp_1", AMY, NOTE.content(), 1, NOW))) == fixture["outcome"]


@pytest.mark.parametrize("row", sorted(TABLE.rows))
def test_every_row_says_what_follows(row: str) -> None:
    outcome = TABLE.judge(Said(row.replace("*", ".Xyz"), "t"))
    assert outcome.code == row.replace("*", ".Xyz")
    if isinstance(outcome, TryLater) and outcome.why is Why.ACCOUNT:
        assert outcome.scope is Scope.SENDER


def test_longer_rows_win() -> None:
    assert isinstance(TABLE.row("InternalError.Timeout"), Unknown)
    assert isinstance(TABLE.row("InternalError.OtherError"), TryLater)
    for code in ("FailedOperation.TemplateIncorrectOrUnapproved", "InvalidParameterValue.TemplateParameterLengthLimit"):
        assert code.endswith("Unapproved") is isinstance(TABLE.row(code), TryLater)


@pytest.mark.parametrize(("at", "wait"), [(NOW, DAY), (NOW - HOUR, HOUR), (NOW + HOUR, 23 * HOUR)])
def test_marketing_waits_for_eight_in_the_morning(at: int, wait: int) -> None:
    outcome = TABLE.judge(Said("FailedOperation.MarketingSendTimeConstraint", "", at=at))
    assert isinstance(outcome, TryLater)
    assert outcome.after == wait


async def test_receipts_are_pushed_in_any_order_and_again_until_taken(town: Town) -> None:
    async with listening(town.kind, town.account, lambda: town.now) as ears:
        town.double.callback = f"{ears.url}/callback-k3y"
        for to in (AMY, ABROAD):
            assert isinstance(await town.send(to), Sent)
        first, second = town.sandbox.phones.kept
        assert await town.double.report((second, Fate.LOST), (first, Fate.ARRIVED), (first, Fate.ARRIVED)) == 1
        [heard] = ears.heard
        assert isinstance(heard, Heard)
        assert json.loads(heard.reply.body) == {"result": 0, "errmsg": "OK"}
        lost = Reported(second.id, News.LOST, "UNDELIV", "号码不存在", ABROAD)
        arrived = Reported(first.id, News.ARRIVED, "DELIVRD", "用户短信送达成功", AMY)
        assert heard.events == (lost, arrived, arrived)
        assert await town.double.report(*((first, Fate.ARRIVED),) * 201) == 3
        ears.deaf = True
        assert await town.double.report((first, Fate.ARRIVED)) == 3
        ears.deaf, town.double.callback = False, f"{ears.url}/wrong"
        assert await town.double.report((first, Fate.ARRIVED)) == 3
        assert isinstance(ears.heard[-1], Forged)


@pytest.mark.parametrize(
    ("body", "count"),
    [(b"", None), (b"{}", None), (b"[" * 50_000, None), (b"[]", 0), (b'[1,{"sid":1},{}]', 0)],
)
def test_a_push_that_is_none(http: Http, body: bytes, count: int | None) -> None:
    call = Call("POST", "callback-k3y", {}, {}, body, NOW, "https://mail.corp.example/callbacks/a/callback-k3y")
    heard = Tencent(http).hear(account("http://127.0.0.1:9"), call)
    assert isinstance(heard, Heard)
    assert heard.events == ()
    assert heard.reply.status == (400 if count is None else 200)


async def test_what_became_of_it_can_be_asked(town: Town) -> None:
    questions = []
    for to in (AMY, BOB):
        sent = await town.send(to)
        assert isinstance(sent, Sent)
        questions.append(Question(sent.provider_id, to, town.now))
    assert await town.kind.ask(town.account, questions) == []
    for arrival, fate in zip(town.sandbox.phones.kept, (Fate.LOST, Fate.ARRIVED), strict=True):
        town.sandbox.phones.settle(arrival.serial, fate)
    town.now += HOUR
    assert await town.kind.ask(town.account, questions) == [
        Reported(questions[0].provider_id, News.LOST, text="UNDELIV", address=AMY),
        Reported(questions[1].provider_id, News.ARRIVED, text="DELIVRD", address=BOB),
    ]
    town.double.script.begin(Behaviour(status=502, body="<html>"), Behaviour(does=Does.RESET))
    assert await town.kind.ask(town.account, questions) == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"params": "{number}"}, "params: there is no {number}"),
        ({"code_params": "\n".join(["{code}"] * 21)}, "code_params: must be a number from 0 to 20"),
        ({"longest": "0"}, "longest: must be a number from 1 to 500"),
        ({"base_url": "ftp://x"}, "base_url: must begin with http:// or https://"),
        ({"sdk_app_id": ""}, "sdk_app_id: is missing"),
    ],
)
def test_check_names_what_is_wrong(http: Http, settings: dict[str, str], complaint: str) -> None:
    given = account("http://127.0.0.1:9")
    Tencent(http).check(given.settings, given.secrets)
    with pytest.raises(InvalidValue) as refusal:
        Tencent(http).check({**given.settings, **settings}, given.secrets)
    assert str(refusal.value) == complaint


def test_a_private_address_is_refused(http: Http) -> None:
    given = account("http://10.0.0.1/")
    with pytest.raises(EgressRefused):
        Tencent(http).check(given.settings, given.secrets)
