# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sender kind `sms_gateway` against the dialects of its double: calls, answers and receipts by profile."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mailroom.core.clock import HOUR, SECOND
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.doubles.sms_gateway import Gateway as Double
from mailroom.sandbox.phones import Fate
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import (
    Account,
    Call,
    Forged,
    Heard,
    News,
    Outcome,
    Pace,
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
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http
from mailroom.senders.note import Note
from mailroom.senders.sms_gateway.manifest import MANIFEST
from mailroom.senders.sms_gateway.sender import Gateway
from tests.senders.ears import listening
from tests.senders.examples.sms_gateway import JSON
from tests.senders.peers import LOOPBACK, hang_up, peer
from tests.senders.recorded import as_json, recorded

NOW = 1_772_323_200_000  # 2026-03-01 00:00:00 UTC, eight in the morning in China
AMY = "+8613900000001"
NOTE = Note(text='New mail from 李四: a&b=c +1 <x> "y"', values={"fromname": "李四", "count": "2"})

GBK = {
    "charset": "gbk",
    "params": "user={account}\npwd={md5({account}{password}{ts:%Y%m%d%H%M%S})}\nts={ts:%Y%m%d%H%M%S}\n"
    "mobile={mobile}\ncontent={content}",
    "success": "regex: ^result=0&",
    "id": r"regex: msgid=(\w+)",
    "errors": """
        ^result=-[13]& -> account
        ^result=-2& -> gone
        ^result=-4& -> opted_out
        ^result=-5& -> content
        ^result=-6& -> busy 5
    """,
}
XML = {
    "body": "xml",
    "raw_body": "<sms><account>{account}</account><password>{sha1({password})}</password>"
    "<mobile>{mobile}</mobile><content>{content}</content></sms>",
    "success": "xpath: ./result == 0",
    "id": "xpath: ./msgid",
    "errors": """
        <result>[13]< -> account
        <result>2< -> gone
        <result>4< -> opted_out
        <result>5< -> content
        <result>6< -> busy 5
    """,
}
PLAIN = {
    "method": "GET",
    "params": "u={account}\np={password}\nto={mobile}\ntext={content}",
    "success": r"regex: ^ok:\d+$",
    "id": r"regex: ^ok:(\d+)",
    "errors": """
        ^error:10[13] -> account
        ^error:102 -> gone
        ^error:104 -> opted_out
        ^error:105 -> content
        ^error:106 -> busy 5
    """,
}
NUMBER = {
    "params": "u={account}\np={password}\nto={mobile}\ntext={content}",
    "success": r"regex: ^\d+$",
    "id": r"regex: ^\d+",
    "errors": """
        ^-[13]\\b -> account
        ^-2\\b -> gone
        ^-4\\b -> opted_out
        ^-5\\b -> content
        ^-6\\b -> busy 5
    """,
}
DIALECTS = {
    "gbk": GBK,
    "gbk by GET": {**GBK, "method": "GET"},
    "json": JSON,
    "xml": XML,
    "plain": PLAIN,
    "number": NUMBER,
}


class Town:
    """The double, and the kind that talks to it, in one of its dialects."""

    def __init__(self, sandbox: Sandbox, http: Http) -> None:
        double = sandbox.doubles["sms_gateway"]
        assert isinstance(double, Double)
        self.sandbox, self.double, self.now = sandbox, double, NOW
        self.kind = Gateway(http, clock=lambda: self.now)

    def account(self, dialect: str, *, secret: str = "demo-secret", **settings: str) -> Account:
        entered = {"url": f"{self.double.where}/{dialect.split(' ', maxsplit=1)[0]}", "account": "demo"}
        secrets = {"password": Secret(secret), "callback_key": Secret("callback-k3y")}
        given = Account("gw", entered | {"sign": "Mailroom"} | DIALECTS[dialect] | settings, secrets)
        self.kind.check(given.settings, given.secrets)
        return given

    async def send(self, account: Account, to: str = AMY, *, note: Note = NOTE) -> Outcome:
        return await self.kind.send(account, Parcel("rcp_1", to, note.content(), 1, self.now))

    @property
    def shown(self) -> list[tuple[str, str]]:
        return [(one.to, one.text) for one in self.sandbox.phones.kept]


@pytest.fixture
def town(http: Http, sandbox: Sandbox) -> Town:
    return Town(sandbox, http)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
async def test_each_dialect_brings_it_to_the_phone(town: Town, dialect: str) -> None:
    account = town.account(dialect, phone="digits")
    assert await town.send(account) == Sent("1", "200")
    assert await town.send(account, "+85261234567") == Sent("2", "200")
    text = f"【Mailroom】{NOTE.text}"
    assert town.shown == [(AMY, text), ("+85261234567", text)]


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"password": "another"}, (TryLater, Why.ACCOUNT, Scope.SENDER)),
        ({"balance": 0}, (TryLater, Why.ACCOUNT, Scope.SENDER)),
        ({"busy": True}, (TryLater, Why.OTHER, Scope.SENDER)),
        ({"gone": ["13900000001"]}, (Refused, Why.GONE, Scope.RECIPIENT)),
        ({"blacklist": ["13900000001"]}, (Refused, Why.OPTED_OUT, Scope.RECIPIENT)),
        ({"words": ["李四"]}, (Refused, Why.CONTENT, Scope.RECIPIENT)),
    ],
)
async def test_each_dialect_says_no(town: Town, dialect: str, knobs: dict[str, Any], expected: tuple[Any, ...]) -> None:
    town.double.turn(**knobs)
    outcome = await town.send(town.account(dialect))
    assert isinstance(outcome, Refused | TryLater)
    assert (type(outcome), outcome.why, outcome.scope) == expected
    assert not isinstance(outcome, TryLater) or outcome.after == (5 * SECOND if "busy" in knobs else None)
    assert town.shown == []


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(does=Does.RESET, taken=True),
        Behaviour(does=Does.GARBAGE, taken=True),
        Behaviour(does=Does.DRIP, taken=True),
        Behaviour(status=502, body="<html>Bad Gateway</html>", taken=True),
        Behaviour(status=200, body="", taken=True),
        Behaviour(status=200, body="<!DOCTYPE html><p>Log in to the Wi-Fi", taken=True),
        Behaviour(body="x" * 100_000, taken=True),
    ],
)
async def test_an_answer_that_is_lost_is_never_tried_again(town: Town, dialect: str, behaviour: Behaviour) -> None:
    town.kind = replace(town.kind, manifest=replace(MANIFEST, timeout=300))
    town.double.script.begin(behaviour)
    assert isinstance(await town.send(town.account(dialect)), Unknown)
    assert len(town.shown) == 1


async def test_a_get_is_not_repeated_behind_our_back(town: Town) -> None:
    """On a kept connection that breaks once the request was taken, an HTTP client may try again by itself."""
    account = town.account("plain")
    assert isinstance(await town.send(account), Sent)
    town.double.script.begin(Behaviour(does=Does.RESET, taken=True))
    assert isinstance(await town.send(account), Unknown)
    assert len(town.shown) == 2


@pytest.mark.parametrize("fixture", recorded("sms_gateway"))
async def test_each_recorded_answer_has_its_outcome(town: Town, fixture: dict[str, Any]) -> None:
    town.double.script.begin(Behaviour(**fixture["answer"]))
    assert as_json(await town.send(town.account("json", secret="s3cr3t-of-the-account"))) == fixture["outcome"]


async def test_a_call_can_be_seen_without_being_made(town: Town) -> None:
    account = town.account("gbk by GET", headers="X-Id: {id}\nX-Name: {fromname}")
    parcel = Parcel("rcp_1", AMY, replace(NOTE, text="测试").content(), 1, NOW)
    shown = town.kind.render(replace(account, secrets={"password": Secret("***")}), parcel)
    assert shown == town.kind.render(replace(account, secrets={"password": Secret("***")}), parcel)
    assert shown.method == "GET"
    assert shown.url.endswith("&ts=20260301080000&mobile=13900000001&content=%A1%BEMailroom%A1%BF%B2%E2%CA%D4")
    assert dict(shown.headers) == {"X-Id": "rcp_1", "X-Name": "李四"}
    assert "demo-secret" not in repr(town.kind.render(account, parcel))
    assert town.shown == []


def test_the_unique_id_is_of_the_parcel_not_of_the_attempt(town: Town) -> None:
    account = town.account("json")
    first = town.kind.render(account, Parcel("rcp_1", AMY, NOTE.content(), 1, NOW))
    again = town.kind.render(account, Parcel("rcp_1", AMY, NOTE.content(), 2, NOW + HOUR))
    other = town.kind.render(account, Parcel("rcp_2", AMY, NOTE.content(), 1, NOW))
    assert first.body == again.body
    assert first.body != other.body


@pytest.mark.parametrize(
    ("form", "number", "expected"),
    [
        ("e164", AMY, AMY),
        ("bare86", AMY, "13900000001"),
        ("digits", AMY, "8613900000001"),
        ("bare86", "+14155550100", "14155550100"),
    ],
)
def test_the_form_of_numbers(town: Town, form: str, number: str, expected: str) -> None:
    account = town.account("number", phone=form, params="to={mobile}")
    call = town.kind.render(account, Parcel("rcp_1", number, NOTE.content(), 1, NOW))
    assert call.body == f"to={expected.replace('+', '%2B')}".encode()


@pytest.mark.parametrize(
    ("place", "parts", "text", "expected"),
    [
        ("before", "1", "你好", "【Mailroom】你好"),
        ("after", "1", "你好", "你好【Mailroom】"),
        ("none", "1", "【Other】你好", "【Other】你好"),
        ("before", "1", "【Bank】你好", "【Mailroom】[Bank]你好"),
        ("after", "1", "长" * 100, "长" * 57 + "...【Mailroom】"),
        ("before", "2", "长" * 200, "【Mailroom】" + "长" * 121 + "..."),
        ("none", "1", "x" * 161, "x" * 157 + "..."),
    ],
)
def test_the_signature_and_the_length(town: Town, place: str, parts: str, text: str, expected: str) -> None:
    account = town.account("number", sign_place=place, max_parts=parts, body="raw", params="", raw_body="{content}")
    call = town.kind.render(account, Parcel("rcp_1", AMY, Note(text=text).content(), 1, NOW))
    assert call.body.decode() == expected


def test_nothing_from_a_mail_breaks_out(town: Town) -> None:
    note = Note(text='"}&x=1</content><x/>\r\n{password}', values={"fromname": "a\r\nX-Evil: 1"})
    parcel = Parcel("rcp_1", AMY, note.content(), 1, NOW)
    body = '{"a":"{content}"}'
    raw = town.kind.render(town.account("json", params="", raw_body=body, sign=""), parcel).body
    assert raw == b'{"a":"\\"}&x=1</content><x/>\\r\\n{password}"}'
    assert b"</content><x/>" not in town.kind.render(town.account("xml"), parcel).body
    assert b"&x=1" not in town.kind.render(town.account("number"), parcel).body
    call = town.kind.render(town.account("number", headers="X-From: {fromname}"), parcel)
    assert call.headers["X-From"] == "a X-Evil: 1"


async def test_an_address_that_is_no_number(town: Town) -> None:
    outcome = await town.send(town.account("json"), "amy")
    assert isinstance(outcome, Refused)
    assert outcome.why is Why.GONE


@pytest.mark.parametrize(
    ("errors", "kind", "after"),
    [
        ("no -> later", TryLater, None),
        ("no -> later 90", TryLater, 90 * SECOND),
        ("no -> share", TryLater, 16 * HOUR),
        ("no -> quota", TryLater, 16 * HOUR),
        ("no -> quota 3600", TryLater, HOUR),
        ("no -> account 60", TryLater, 60 * SECOND),
        ("other -> gone\nstatus 4.. -> unknown", Unknown, None),
        ("status 40 -> gone", Refused, None),
        ("a -> b -> refused", Refused, None),
    ],
)
async def test_the_table_of_errors(
    town: Town, errors: str, kind: type[Refused | TryLater | Unknown], after: int | None
) -> None:
    town.double.script.begin(Behaviour(status=400, body="no"))
    outcome = await town.send(town.account("json", errors=errors))
    assert isinstance(outcome, kind)
    assert not isinstance(outcome, TryLater) or outcome.after == after


@pytest.mark.parametrize(
    ("body", "success", "is_sent"),
    [
        ('{"a":{"b":[{"c":0}]}}', "json: a.b[0].c == 0", True),
        ('{"a":{"b":[{"c":0}]}}', "json: a.b[1].c == 0", False),
        ('{"a":true}', "json: a == true", True),
        ('{"a":"5"}', "json: a >= 5", True),
        ('{"a":"x"}', "json: a > 5", False),
        ('{"a":-1}', "json: a < 0", True),
        ('{"a":"OK"}', "json: a ~ ^(OK|ok)$", True),
        ('{"a":"OK"}', 'json: a != "OK"', False),
        ('[{"a":1}]', "json: [0].a == 1", True),
        ('{"a":{}}', "json: a", False),
        ('{"a":"1"}', "json: a", True),
        ('<?xml version="1.0" encoding="GBK"?><r><s c="0">x</s></r>', "xpath: s/@c == 0", True),
        ("<r><s>x</s></r>", "xpath: ./s ~ x", True),
        ("<r>0</r>", "xpath: . == 0", True),
        ("<r/>", "xpath: ./s == 0", False),
    ],
)
async def test_rules_of_success(town: Town, body: str, success: str, *, is_sent: bool) -> None:
    town.double.script.begin(Behaviour(body=body))
    outcome = await town.send(town.account("json", success=success, id="", errors=""))
    assert isinstance(outcome, Sent if is_sent else Refused)


async def test_an_answer_of_another_kind_than_the_rule_is_unknown(town: Town) -> None:
    for body in ("ok", "[" * 30_000, '<!DOCTYPE a [<!ENTITY b "c">]><r>&b;</r>'):
        for success in ("json: a == 0", "xpath: ./a == 0"):
            if body.startswith("[") and success.startswith("xpath"):
                continue
            town.double.script.begin(Behaviour(body=body))
            assert isinstance(await town.send(town.account("json", success=success, id="", errors="")), Unknown)


PUSHES = {
    "json": {},
    "form": {},
    "get": {},
    "xml": {"receipt_fields": "id=./msgid\nmobile=./mobile\nstatus=./status"},
    "array": {},
}


@pytest.mark.parametrize("form", sorted(PUSHES))
async def test_receipts_are_pushed_in_each_form_and_again_until_taken(town: Town, form: str) -> None:
    account = town.account("json", receipts="push", **PUSHES[form])
    async with listening(town.kind, account, lambda: NOW) as ears:
        town.double.callback = f"{ears.url}/callback-k3y"
        town.double.turn(push=form)
        for to in (AMY, "+8613900000002"):
            assert isinstance(await town.send(account, to), Sent)
        first, second = town.sandbox.phones.kept
        count = await town.double.report((second, Fate.LOST), (first, Fate.ARRIVED), (first, Fate.ARRIVED))
        assert count == (1 if form == "array" else 3)
        told = [event for heard in ears.heard if isinstance(heard, Heard) for event in heard.events]
        lost = Reported("2", News.LOST, "UNDELIV", address="+8613900000002")
        arrived = Reported("1", News.ARRIVED, "DELIVRD", address=AMY)
        assert told == [lost, arrived, arrived]
        ears.deaf = True
        assert await town.double.report((first, Fate.ARRIVED)) == 4
        ears.deaf, town.double.callback = False, f"{ears.url}/wrong"
        assert await town.double.report((first, Fate.ARRIVED)) == 4
        assert isinstance(ears.heard[-1], Forged)


def pushed(body: bytes, **more: Any) -> Call:
    call = Call("POST", "callback-k3y", {}, {}, body, NOW, "https://mail.corp.example/callbacks/gw/callback-k3y")
    return replace(call, **more)


def test_receipts_within_a_field_and_states_that_are_not_final(town: Town) -> None:
    account = town.account("json", receipts="push", receipt_list="report", receipt_lost="UNDELIV|EXPIRED")
    body = b"report=%5B%7B%22msgid%22%3A7%2C%22status%22%3A%22ENROUTE%22%7D%2C"
    body += b"%7B%22msgid%22%3A8%2C%22status%22%3A%22EXPIRED%22%7D%5D"
    heard = town.kind.hear(account, pushed(body))
    assert isinstance(heard, Heard)
    assert heard.events == (Reported("8", News.LOST, "EXPIRED"),)
    assert heard.reply.body == b"OK"


def test_receipts_deep_within(town: Town) -> None:
    account = town.account(
        "json", receipts="push", receipt_list="data[0].all", receipt_fields="id=a.b[1]\nstatus=s\nmobile=m"
    )
    body = b'{"data":[{"all":[{"a":{"b":[1,"x\\u0000y"]},"s":"DELIVRD","m":"0085261234567"},{"s":"DELIVRD"},7]}]}'
    heard = town.kind.hear(account, pushed(body))
    assert isinstance(heard, Heard)
    assert heard.events == (Reported("x y", News.ARRIVED, "DELIVRD", address="+85261234567"),)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 50_000, b"<a", b"\xff\xfe", b"&&&"])
def test_a_push_that_is_none(town: Town, body: bytes) -> None:
    heard = town.kind.hear(town.account("json", receipts="push"), pushed(body))
    assert isinstance(heard, Heard)
    assert heard.events == ()
    assert heard.reply.status == 400


def test_who_takes_no_pushes_hears_nobody(town: Town) -> None:
    assert isinstance(town.kind.hear(town.account("json"), pushed(b"{}")), Forged)
    account = replace(town.account("json", receipts="push"), secrets={})
    assert isinstance(town.kind.hear(account, pushed(b"{}", rest="")), Forged)


async def test_receipts_are_pulled_all_at_once(town: Town) -> None:
    url = f"{town.double.where}/reports?user={{account}}&pwd={{password}}"
    account = town.account("json", receipts="pull", pull_url=url, receipt_list="list")
    for to in (AMY, "+8613900000002"):
        assert isinstance(await town.send(account, to), Sent)
    questions = [Question("1", AMY, NOW), Question("2", "+8613900000002", NOW)]
    assert not await town.kind.ask(account, questions)
    for arrival in tuple(town.sandbox.phones.kept):
        await town.double.press(arrival, Fate.ARRIVED)
    assert await town.kind.ask(account, questions) == [
        Reported("1", News.ARRIVED, "DELIVRD", address=AMY),
        Reported("2", News.ARRIVED, "DELIVRD", address="+8613900000002"),
    ]
    assert not await town.kind.ask(account, questions)
    assert not await town.kind.ask(account, [])


async def test_receipts_are_pulled_one_by_one(town: Town) -> None:
    url = f"{town.double.where}/report?msgid={{id}}"
    account = town.account(
        "json", receipts="pull", pull_url=url, receipt_fields="status=./status", receipt_lost="UNDELIV"
    )
    for _ in range(2):
        assert isinstance(await town.send(account), Sent)
    await town.double.press(town.sandbox.phones.kept[1], Fate.LOST)
    questions = [Question("1", AMY, NOW), Question("2", AMY, NOW)]
    assert await town.kind.ask(account, questions) == [Reported("2", News.LOST, "UNDELIV", address=AMY)]
    assert await town.kind.ask(town.account("json"), questions) == ()
    town.double.script.begin(Behaviour(does=Does.RESET), Behaviour(status=502, body="<status>UNDELIV</status>"))
    assert await town.kind.ask(account, questions) == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"url": "ftp://x/"}, "url: must begin with http:// or https://"),
        ({"url": "http://{account}.example/"}, "url: must name its host without holes"),
        ({"url": "http://a.example{account}/"}, "url: must name its host without holes"),
        ({"params": "to={phone}"}, "params: there is no {phone}"),
        ({"params": "", "raw_body": "{shell(ls)}"}, "raw_body: there is no shell()"),
        ({"raw_body": "{content}"}, "params: goes without raw_body"),
        ({"params": "", "body": "xml"}, "raw_body: is missing"),
        ({"params": "", "method": "GET", "raw_body": "x"}, "raw_body: goes with POST and body json, xml or raw"),
        ({"headers": "Host: x"}, "headers: Host cannot be set; one Name: value a line"),
        ({"headers": "no colon"}, "headers: no colon cannot be set; one Name: value a line"),
        ({"success": "code == 0"}, "success: must be regex: <pattern>, json: <path> <op> <value>, or xpath: likewise"),
        ({"success": "json: a..b == 0"}, "success: a..b is no path"),
        ({"success": "xpath: /a[ == 0"}, "success: /a[ is no path"),
        ({"success": "regex: (a+)+$"}, "success: the pattern repeats a group, or nests sets"),
        ({"success": "regex: [[a]]"}, "success: the pattern repeats a group, or nests sets"),
        ({"success": "regex: ^.*.*.*.*x"}, "success: the pattern is too long, or repeats too much"),
        ({"success": "regex: .*code.*:.*0"}, "success: the pattern is too long, or repeats too much"),
        ({"errors": "^x|.*.*.*y -> gone"}, "errors: the pattern is too long, or repeats too much"),
        ({"id": "regex: ("}, "id: ( is no regular expression"),
        ({"errors": "x"}, "errors: must hold one pattern -> class a line, class one of gone"),
        ({"errors": "x -> dead"}, "errors: must hold one pattern -> class a line, class one of gone"),
        ({"utc_offset": "CST"}, "utc_offset: must look like +08:00"),
        ({"max_parts": "0"}, "max_parts: must be a number from 1 to 10"),
        ({"rate": "x"}, "rate: must be a number from 1 to 1000"),
        ({"receipts": "pull"}, "pull_url: is missing"),
        ({"receipts": "pull", "pull_url": "http://x.example/{content}"}, "pull_url: there is no {content}"),
        ({"receipt_fields": "who=a"}, "receipt_fields: must hold name=path lines of code, id"),
        ({"receipts": "push", "receipt_fields": "id=a"}, "receipt_fields: says not where the status is"),
        ({"charset": "utf-7"}, "charset: must be one of utf-8, gbk"),
    ],
)
def test_check_names_what_is_wrong(town: Town, settings: dict[str, str], complaint: str) -> None:
    given = town.account("json")
    with pytest.raises(InvalidValue) as refusal:
        town.kind.check({**given.settings, **settings}, given.secrets)
    assert str(refusal.value).startswith(complaint)


def test_a_push_needs_its_key(town: Town) -> None:
    given = town.account("json")
    with pytest.raises(InvalidValue) as refusal:
        town.kind.check({**given.settings, "receipts": "push"}, {"password": Secret("x")})
    assert str(refusal.value) == "callback_key: is missing"


@pytest.mark.parametrize(
    "settings", [{"url": "http://10.0.0.1/"}, {"receipts": "pull", "pull_url": "http://10.0.0.1/"}]
)
def test_a_private_address_is_refused(town: Town, settings: dict[str, str]) -> None:
    given = town.account("json")
    with pytest.raises(EgressRefused):
        town.kind.check({**given.settings, **settings}, given.secrets)


async def test_a_gateway_that_hangs_up_at_once_is_unknown(town: Town) -> None:
    async with peer(hang_up) as port:
        outcome = await town.send(
            replace(town.account("plain"), settings={**PLAIN, "url": f"http://127.0.0.1:{port}/"})
        )
    assert isinstance(outcome, Unknown)


def presets() -> list[Any]:
    """Those of the guide: blocks of `field: value`, whose longer values go on in indented lines."""
    guide = Path(__file__).parents[3] / "docs" / "guide" / "sms-gateways.md"
    found = []
    for title, block in re.findall(
        r"^## (.+?)\n(?:(?!^## ).)*?^```\n(.*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL
    ):
        fields = re.findall(r"^(\w+): ?(.*(?:\n  .*)*)", block, re.MULTILINE)
        found.append(pytest.param({name: value.replace("\n  ", "\n").strip() for name, value in fields}, id=title))
    return found


@pytest.mark.parametrize("preset", presets())
def test_the_presets_of_the_guide_pass(http: Http, preset: dict[str, str]) -> None:
    secrets = {"password": Secret("x"), "callback_key": Secret("callback-k3y")}
    Gateway(Http(Egress(LOOPBACK.allow))).check(preset, secrets)
    shown = Gateway(http).render(Account("gw", preset, secrets), Parcel("rcp_1", AMY, NOTE.content(), 1, NOW))
    assert b"13900000001" in shown.body or "13900000001" in shown.url


def test_the_guide_has_presets() -> None:
    assert len(presets()) > 3


def test_the_pace_is_the_accounts_own() -> None:
    assert MANIFEST.pace({}) == Pace(every=100, burst=1)
    assert MANIFEST.pace({"rate": "1"}) == Pace(every=1000, burst=1)
