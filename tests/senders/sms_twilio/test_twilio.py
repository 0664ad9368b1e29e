# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sender kind `sms_twilio` against its double: free text, signed receipts in any order, and nothing sent twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from mailroom.core.clock import HOUR
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.doubles.sms_twilio import Twilio as Double
from mailroom.sandbox.phones import Fate
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import (
    Forged,
    Heard,
    News,
    Outcome,
    Pace,
    Parcel,
    Refused,
    Reported,
    Scope,
    Sent,
    TryLater,
    Unknown,
    Why,
)
from mailroom.senders.http import Http
from mailroom.senders.note import Note
from mailroom.senders.sms_twilio import receipts
from mailroom.senders.sms_twilio.errors import TABLE
from mailroom.senders.sms_twilio.manifest import MANIFEST
from mailroom.senders.sms_twilio.sender import Twilio
from mailroom.senders.verdicts import Said
from tests.senders.ears import listening
from tests.senders.examples.sms_twilio import account
from tests.senders.recorded import as_json, recorded

NOW = 1_772_323_200_000
AMY = "+14155550100"
NOTE = Note(text="New mail from Bob Li: 报价 Q2 & more +1")


class Town:
    """The double, and the kind that talks to it."""

    def __init__(self, sandbox: Sandbox, http: Http) -> None:
        double = sandbox.doubles["sms_twilio"]
        assert isinstance(double, Double)
        self.sandbox, self.double = sandbox, double
        self.kind = Twilio(http)
        self.account = account(double.where)

    async def send(self, to: str = AMY, *, note: Note = NOTE, **settings: str) -> Outcome:
        given = replace(self.account, settings={**self.account.settings, **settings})
        return await self.kind.send(given, Parcel("rcp_1", to, note.content(), 1, NOW))

    @property
    def shown(self) -> list[tuple[str, str]]:
        return [(one.to, one.text) for one in self.sandbox.phones.kept]


@pytest.fixture
def town(http: Http, sandbox: Sandbox) -> Town:
    return Town(sandbox, http)


def test_the_worked_signature() -> None:
    """The example of Twilio's documentation."""
    parameters = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert receipts.signature(Secret("12345"), url, parameters.items()) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


async def test_free_text_arrives_as_it_is(town: Town) -> None:
    assert await town.send() == Sent("SM00000000000000000000000000000001", "queued")
    service: dict[str, Any] = {"from": "", "messaging_service": "MG-demo"}
    assert isinstance(await town.send(**service), Sent)
    assert town.shown == [(AMY, NOTE.text)] * 2


async def test_an_api_key_signs_in_as_well(town: Town) -> None:
    secrets = {"auth_token": Secret("not this"), "api_secret": Secret("demo-api-secret")}
    town.account = replace(town.account, secrets=secrets)
    assert isinstance(await town.send(api_key="SK-demo"), Sent)


@pytest.mark.parametrize(("parts", "length"), [("1", 70), ("3", 201), ("10", 670)])
async def test_a_long_text_is_cut_to_its_parts(town: Town, parts: str, length: int) -> None:
    assert isinstance(await town.send(note=Note(text="长" * 5000), max_parts=parts), Sent)
    [(_, text)] = town.shown
    assert text == "长" * (length - 3) + "..."


@pytest.mark.parametrize(
    ("to", "knobs", "code", "why"),
    [
        ("+15005550001", {}, "21211", Why.GONE),
        ("+15005550009", {}, "21614", Why.GONE),
        (AMY, {"gone": [AMY]}, "21211", Why.GONE),
        (AMY, {"opted_out": [AMY]}, "21610", Why.OPTED_OUT),
        (AMY, {"words": ["Bob"]}, "30007", Why.CONTENT),
        # A number in a place that this account does not reach says nothing of all the others.
        ("+15005550002", {}, "21612", Why.OTHER),
        ("+15005550003", {}, "21408", Why.OTHER),
        ("amy", {}, "no_number", Why.GONE),
    ],
)
async def test_refused_for_good(town: Town, to: str, knobs: dict[str, Any], code: str, why: Why) -> None:
    town.double.turn(**knobs)
    outcome = await town.send(to)
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.why, outcome.scope) == (code, why, Scope.RECIPIENT)
    assert town.shown == []


@pytest.mark.parametrize(
    ("to", "knobs", "code", "why"),
    [
        (AMY, {"auth_token": "another"}, "20003", Why.ACCOUNT),
        (AMY, {"numbers": []}, "21606", Why.ACCOUNT),
        (AMY, {"queue": 0}, "21611", Why.QUOTA),
        (AMY, {"per_second": 0}, "20429", Why.OTHER),
    ],
)
async def test_the_whole_account_waits(town: Town, to: str, knobs: dict[str, Any], code: str, why: Why) -> None:
    town.double.turn(**knobs)
    outcome = await town.send(to)
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.why) == (code, Scope.SENDER, why)
    assert outcome.after == (HOUR if why is Why.QUOTA else None)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(does=Does.RESET, taken=True),
        Behaviour(does=Does.GARBAGE, taken=True),
        Behaviour(does=Does.DRIP, taken=True),
        Behaviour(status=502, body="<html>Bad Gateway</html>", taken=True),
        Behaviour(status=500, body="{}", taken=True),
        Behaviour(status=201, body="x" * 100_000, taken=True),
        Behaviour(status=201, headers={"Content-Encoding": "gzip"}, body="not gzip", taken=True),
    ],
)
async def test_an_answer_that_is_lost_is_never_tried_again(town: Town, behaviour: Behaviour) -> None:
    town.kind = replace(town.kind, manifest=replace(MANIFEST, timeout=300))
    town.double.script.begin(behaviour)
    assert isinstance(await town.send(), Unknown)
    assert len(town.shown) == 1


@pytest.mark.parametrize("fixture", recorded("sms_twilio"))
async def test_each_recorded_answer_has_its_outcome(town: Town, fixture: dict[str, Any]) -> None:
    town.double.script.begin(Behaviour(**fixture["answer"]))
    given = replace(town.account, secrets={"auth_token": Secret("s3cr3t-of-the-account")})
    assert as_json(await town.kind.send(given, Parcel("rcp_1", AMY, NOTE.content(), 1, NOW))) == fixture["outcome"]


@pytest.mark.parametrize("row", sorted(TABLE.rows))
def test_every_row_says_what_follows(row: str) -> None:
    outcome = TABLE.judge(Said(row, "t"))
    assert outcome.code == row
    if isinstance(outcome, TryLater):
        assert outcome.scope is Scope.SENDER


async def test_final_states_are_heard_in_any_order(town: Town) -> None:
    async with listening(town.kind, town.account, lambda: NOW) as ears:
        callback = f"{ears.url}/?a=1&b=%2B"
        assert isinstance(await town.send(callback_url=callback), Sent)
        [arrival] = town.sandbox.phones.kept
        for status in ("delivered", "queued", "sent", "delivered", "undelivered", "failed", "read", "accepted"):
            assert await town.double.tell(arrival, status) == 204
        await town.double.press(arrival, Fate.LOST)
        told = [event for heard in ears.heard if isinstance(heard, Heard) for event in heard.events]
        arrived = Reported(arrival.id, News.ARRIVED, address=AMY)
        lost = Reported(arrival.id, News.LOST, "30003", address=AMY)
        assert told == [arrived, arrived, lost, lost, Reported(arrival.id, News.READ, address=AMY), lost]


async def test_a_callback_that_somebody_else_signed_is_forged(town: Town) -> None:
    async with listening(town.kind, town.account, lambda: NOW) as ears:
        assert isinstance(await town.send(callback_url=ears.url + "/"), Sent)
        [arrival] = town.sandbox.phones.kept
        town.double.turn(auth_token="another")
        assert await town.double.tell(arrival, "delivered") == 403
        town.double.turn(auth_token="demo-secret")
        assert await town.double.tell(arrival, "delivered") == 204
        call = ears.calls[-1]
        changes: list[dict[str, Any]] = [
            {"body": call.body.replace(b"delivered", b"failed")},
            {"body": call.body + b"&x=1"},
            {"url": call.url + "x"},
            {"headers": {}},
            {"headers": {"X-Twilio-Signature": ""}},
        ]
        for change in changes:
            assert isinstance(town.kind.hear(town.account, replace(call, **change)), Forged)
        assert isinstance(town.kind.hear(replace(town.account, secrets={}), call), Forged)
        # A proxy in front of us may have turned https into http.
        seen = replace(call, url="http://127.0.0.1:1/")
        told = replace(town.account, settings={**town.account.settings, "callback_url": call.url})
        assert isinstance(town.kind.hear(told, seen), Heard)
        assert dict(parse_qsl(call.body.decode()))["MessageSid"] == arrival.id


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"from": ""}, "from: is missing, and so is messaging_service"),
        ({"api_key": "SK1"}, "api_secret: goes with api_key, and only with it"),
        ({"callback_url": "mail.corp.example"}, "callback_url: must begin with http:// or https://"),
        ({"max_parts": "11"}, "max_parts: must be a number from 1 to 10"),
        ({"rate": "0"}, "rate: must be a number from 1 to 1000"),
        ({"account_sid": ""}, "account_sid: is missing"),
    ],
)
def test_check_names_what_is_wrong(http: Http, settings: dict[str, str], complaint: str) -> None:
    given = account("http://127.0.0.1:9")
    Twilio(http).check(given.settings, given.secrets)
    with pytest.raises(InvalidValue) as refusal:
        Twilio(http).check({**given.settings, **settings}, given.secrets)
    assert str(refusal.value) == complaint


def test_a_private_address_is_refused(http: Http) -> None:
    given = account("http://10.0.0.1/")
    with pytest.raises(EgressRefused):
        Twilio(http).check(given.settings, given.secrets)


def test_the_pace_is_the_numbers_own() -> None:
    assert MANIFEST.pace({}) == Pace(every=1000, burst=1)
    assert MANIFEST.pace({"rate": "100"}) == Pace(every=10, burst=1)
