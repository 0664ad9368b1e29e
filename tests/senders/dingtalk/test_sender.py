# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Notes go out by DingTalk in each of its three ways, and what its double says to them is understood."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.messaging.tokens import SharedTokens
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.phones import Fate
from mailroom.senders.contract import (
    Account,
    News,
    Outcome,
    Pace,
    Parcel,
    Question,
    Refused,
    Scope,
    Sent,
    TryLater,
    Unknown,
    Why,
)
from mailroom.senders.dingtalk.errors import TABLE
from mailroom.senders.dingtalk.manifest import MANIFEST
from mailroom.senders.dingtalk.sender import DingTalk, sign
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http
from mailroom.senders.note import Note
from mailroom.senders.verdicts import Said, Spent
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from tests.senders.dingtalk.conftest import NOTE, NOW, SECRETS, SETTINGS, World
from tests.senders.examples import page
from tests.senders.peers import Purse, peer
from tests.stores import Watch

PLAIN = Note(text="Hello", at=NOW)


def shape(outcome: Outcome) -> tuple[object, ...]:
    """What an outcome is, but for its words."""
    match outcome:
        case Sent() | Unknown():
            return type(outcome), outcome.code
        case Refused():
            return Refused, outcome.code, outcome.scope, outcome.why
        case TryLater():
            return TryLater, outcome.code, outcome.scope, outcome.why, outcome.after


# What goes out.


async def test_a_work_notice_arrives_as_a_card_and_is_read(world: World) -> None:
    sent = await world.send(code="rcp_abcdef")
    assert isinstance(sent, Sent)
    [arrival] = world.phone()
    assert (arrival.title, arrival.rows, arrival.url) == (NOTE.title, NOTE.rows, NOTE.url)
    assert arrival.text == "#abcdef"
    assert arrival.id == sent.provider_id
    [arrived] = await world.ask(sent.provider_id)
    assert (arrived.news, arrived.provider_id, arrived.address) == (News.ARRIVED, sent.provider_id, "amy")
    await world.double.press(arrival, arrival.receipts[1])
    [read] = await world.ask(sent.provider_id)
    assert read.news is News.READ


async def test_a_note_without_more_is_a_text(world: World) -> None:
    assert isinstance(await world.send(note=PLAIN, code="rcp_abcdef"), Sent)
    assert world.phone()[0].text == "Hello\n#abcdef"


@pytest.mark.parametrize("note", [NOTE, PLAIN])
async def test_the_robot_writes_to_one_person_and_learns_of_its_reading(world: World, note: Note) -> None:
    sent = await world.send(mode="oto", note=note)
    assert isinstance(sent, Sent)
    [arrival] = world.phone()
    assert arrival.text.startswith(note.text)
    assert arrival.url == note.url
    [arrived] = await world.ask(sent.provider_id, mode="oto")
    assert arrived.news is News.ARRIVED
    await world.double.press(arrival, arrival.receipts[1])
    [read] = await world.ask(sent.provider_id, mode="oto")
    assert read.news is News.READ


@pytest.mark.parametrize("note", [NOTE, PLAIN])
async def test_a_groups_robot_speaks_whatever_the_address(world: World, note: Note) -> None:
    assert await world.send("", mode="robot", note=note) == Sent("", "0", "ok")
    assert world.phone("robot")[0].text.startswith(note.text)
    assert await world.ask("", mode="robot") == []


async def test_an_unsigned_robot_needs_no_secret(world: World) -> None:
    world.double.turn(robot_secret="")
    del world.secrets["robot_secret"]
    assert isinstance(await world.send(mode="robot"), Sent)


def test_a_robot_signs_as_in_the_worked_example() -> None:
    signature = sign(Secret("SECabcdef"), 1_795_161_600_000)
    assert quote(signature, safe="") == "mA8PQg7PBKuhN7OFiU5CcH2x6aOOClR2CZ2QsKI8Sqk%3D"


@pytest.mark.parametrize("address", ["", "amy,bob", "amy bob", "a|b", "x" * 65])
@pytest.mark.parametrize("mode", ["work", "oto"])
async def test_what_is_no_id_or_several_is_not_written_to(world: World, mode: str, address: str) -> None:
    assert shape(await world.send(address, mode=mode)) == (Refused, "address", Scope.RECIPIENT, Why.GONE)
    assert not world.purse.fetched


# What is said to it.


async def test_the_same_is_never_told_twice_a_day_but_for_a_repeat_which_has_arrived(world: World) -> None:
    first = await world.send(code="rcp_1")
    again = await world.send(code="rcp_1")
    assert isinstance(first, Sent)
    assert isinstance(again, Sent)
    assert len(world.phone()) == 1
    [report] = await world.ask(again.provider_id)
    assert (report.news, report.code) == (News.ARRIVED, "143106")
    assert isinstance(await world.send(code="rcp_2"), Sent)
    assert len(world.phone()) == 2


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("csv", [False, True])
async def test_verdicts_are_understood_however_the_lists_are_written(world: World, *, csv: bool, nested: bool) -> None:
    world.double.turn(csv=csv, nested=nested, unknown=["zoe"], per_day=1)
    arrived, limited, invalid = await world.send(), await world.send(), await world.send("zoe")
    for outcome, to, news, code in (
        (arrived, "amy", News.ARRIVED, "unread"),
        (limited, "amy", News.LOST, "143105"),
        (invalid, "zoe", News.LOST, "invalid"),
    ):
        assert isinstance(outcome, Sent)
        [report] = await world.ask(outcome.provider_id, to)
        assert (report.news, report.code) == (news, code)
    world.double.turn(documented_names=True)
    assert isinstance(limited, Sent)
    [report] = await world.ask(limited.provider_id)
    assert (report.news, report.code) == (News.LOST, "forbidden")


async def test_of_what_is_still_queued_nothing_is_said(world: World) -> None:
    world.double.turn(pending=True)
    sent = await world.send()
    assert isinstance(sent, Sent)
    assert await world.ask(sent.provider_id) == []
    await world.double.press(world.phone()[0], world.phone()[0].receipts[2])
    [report] = await world.ask(sent.provider_id)
    assert report.news is News.LOST


async def test_what_the_robot_could_not_deliver_is_lost(world: World) -> None:
    sent = await world.send(mode="oto")
    assert isinstance(sent, Sent)
    await world.double.press(world.phone()[0], Fate.LOST)
    [report] = await world.ask(sent.provider_id, mode="oto")
    assert (report.news, report.code) == (News.LOST, "FAILED")
    world.double.script.begin(Behaviour(body='{"sendStatus":"PROCESSING"}', at="readStatus"))
    assert await world.ask(sent.provider_id, mode="oto") == []


async def test_questions_stop_when_nothing_is_heard(world: World) -> None:
    first, second = await world.send(), await world.send()
    assert isinstance(first, Sent)
    assert isinstance(second, Sent)
    questions = [Question(one.provider_id, "amy", NOW) for one in (first, Sent("nonsense"), Sent("7"), second)]
    reports = await world.kind.ask(world.account(), questions)
    assert [report.provider_id for report in reports] == [first.provider_id, second.provider_id]
    world.double.script.begin(Behaviour(status=502, body="<html>", times=0))
    assert await world.kind.ask(world.account(), questions) == []


@pytest.mark.parametrize(
    ("mode", "knobs", "expected"),
    [
        ("work", {"permission": False}, (TryLater, "60011", Scope.SENDER, Why.ACCOUNT, None)),
        ("work", {"ip_allowed": False}, (TryLater, "60020", Scope.SENDER, Why.ACCOUNT, None)),
        ("work", {"agent_id": 7}, (TryLater, "40056", Scope.SENDER, Why.ACCOUNT, None)),
        ("work", {"app_secret": "x"}, (TryLater, "invalidClientIdOrSecret", Scope.SENDER, Why.ACCOUNT, None)),
        ("oto", {"unknown": ["amy"]}, (Refused, "staffId.notExisted", Scope.RECIPIENT, Why.GONE)),
        ("oto", {"invalid": ["amy"]}, (Refused, "invalidStaffIdList", Scope.RECIPIENT, Why.GONE)),
        ("oto", {"filtered": ["amy"]}, (Refused, "filteredStaffIdList", Scope.RECIPIENT, Why.OPTED_OUT)),
        (
            "oto",
            {"flow_controlled": ["amy"]},
            (TryLater, "flowControlledStaffIdList", Scope.RECIPIENT, Why.OTHER, MINUTE),
        ),
        (
            "oto",
            {"permission": False},
            (TryLater, "Forbidden.AccessDenied.AccessTokenPermissionDenied", Scope.SENDER, Why.ACCOUNT, None),
        ),
        ("robot", {"keyword": "lunch"}, (TryLater, "310000/keyword", Scope.SENDER, Why.ACCOUNT, None)),
        ("robot", {"ip_allowed": False}, (TryLater, "310000/ip", Scope.SENDER, Why.ACCOUNT, None)),
        ("robot", {"robot_secret": "x"}, (TryLater, "310000/sign", Scope.SENDER, Why.ACCOUNT, None)),
        ("robot", {"robot_token": "x"}, (TryLater, "300001", Scope.SENDER, Why.ACCOUNT, None)),
        ("robot", {"punish": True}, (TryLater, "punish", Scope.SENDER, Why.OTHER, 5 * SECOND)),
    ],
)
async def test_a_no_is_understood(
    world: World, mode: str, knobs: dict[str, object], expected: tuple[object, ...]
) -> None:
    world.double.turn(**knobs)
    assert shape(await world.send(mode=mode)) == expected
    assert not world.double.phones.kept


async def test_too_many_in_a_second_wait(world: World) -> None:
    world.double.turn(qps=1)
    assert isinstance(await world.send(), Sent)
    assert shape(await world.send()) == (TryLater, "90018", Scope.SENDER, Why.OTHER, 5 * SECOND)
    world.watch.now += SECOND
    assert isinstance(await world.send(), Sent)


async def test_a_group_robot_is_silent_for_ten_minutes_after_too_much(world: World) -> None:
    for _ in range(20):
        assert isinstance(await world.send(mode="robot"), Sent)
    assert shape(await world.send(mode="robot")) == (TryLater, "130101", Scope.SENDER, Why.OTHER, 10 * MINUTE)
    world.watch.now += 9 * MINUTE
    assert shape(await world.send(mode="robot")) == (TryLater, "410100", Scope.SENDER, Why.OTHER, 10 * MINUTE)
    world.watch.now += MINUTE
    assert isinstance(await world.send(mode="robot"), Sent)


async def test_the_pace_stays_below_what_makes_a_group_robot_silent(world: World) -> None:
    pace = MANIFEST.pace({"mode": "robot"})
    assert pace is not None
    for number in range(60):
        if number >= pace.burst:
            world.watch.now += pace.every
        assert isinstance(await world.send(mode="robot"), Sent)
    assert MANIFEST.pace({}) == Pace(60, 10)


async def test_an_old_time_is_told_from_a_wrong_signature_by_nothing_but_words(world: World) -> None:
    late = replace(world.parcel(), now=NOW - 2 * HOUR)
    outcome = await world.kind.send(world.account("robot"), late)
    assert shape(outcome) == (TryLater, "310000/sign", Scope.SENDER, Why.ACCOUNT, None)
    assert "timestamp" in outcome.text


@pytest.mark.parametrize("code", sorted(TABLE.rows))
def test_every_row_keeps_code_and_words(code: str) -> None:
    row, code = TABLE.rows[code], code.replace("*", "x")
    assert not isinstance(row, Spent)
    assert TABLE.judge(Said(code, "words")) == replace(row, code=code, text="words")


def test_a_wait_that_is_asked_for_goes_before_the_tables() -> None:
    outcome = TABLE.judge(Said("90018", "", after=7))
    assert shape(outcome) == (TryLater, "90018", Scope.SENDER, Why.OTHER, 7)
    assert shape(TABLE.judge(Said("77777", ""))) == (TryLater, "77777", Scope.RECIPIENT, Why.OTHER, None)


FIXTURES = sorted(
    (file.name.removesuffix(".json"), json.loads(file.read_text("utf-8")))
    for file in (files("mailroom.senders.dingtalk") / "fixtures").iterdir()
)


@pytest.mark.parametrize(("name", "recorded"), FIXTURES, ids=[name for name, _ in FIXTURES])
async def test_recorded_answers(world: World, name: str, recorded: dict[str, dict[str, Any]]) -> None:
    said = dict(recorded["answer"])
    mode = str(said.pop("mode"))
    at = {"work": "asyncsend_v2", "oto": "batchSend", "robot": "/robot/send"}[mode]
    world.double.script.begin(Behaviour(at=at, times=0, **said))
    outcome = await world.send(mode=mode)
    expected = recorded["outcome"]
    assert {"is": type(outcome).__name__} | {
        key: getattr(outcome, key) for key in expected if key != "is"
    } == expected, name


# Tokens.


async def test_one_token_serves_both_apis(world: World) -> None:
    assert isinstance(await world.send(), Sent)
    assert isinstance(await world.send(mode="oto"), Sent)
    assert len(world.purse.fetched) == 1
    [key] = set(world.purse.fetched)
    assert key.startswith("dingtalk:ding-demo:")
    assert "demo-secret" not in key


@pytest.mark.parametrize("mode", ["work", "oto"])
async def test_a_token_that_is_refused_is_fetched_once_anew(world: World, mode: str) -> None:
    assert isinstance(await world.send(mode=mode), Sent)
    world.double.revoke()
    assert isinstance(await world.send(mode=mode), Sent)
    assert len(world.purse.fetched) == 2
    bad = '{"errcode":42001,"errmsg":"expired"}' if mode == "work" else '{"code":"InvalidAuthentication"}'
    path = "asyncsend" if mode == "work" else "batchSend"
    status = 200 if mode == "work" else 400
    world.double.script.begin(Behaviour(status=status, body=bad, times=0, at=path))
    outcome = await world.send(mode=mode)
    assert shape(outcome)[0] is TryLater
    assert shape(outcome)[2:4] == (Scope.SENDER, Why.ACCOUNT)
    assert len(world.purse.fetched) == 3
    assert len(world.phone()) == 2


async def test_many_at_once_renew_a_token_once(world: World, store: Store, watch: Watch, tmp_path: Path) -> None:
    kind = replace(world.kind, tokens=SharedTokens(store, Seal.open(tmp_path / "key"), watch))

    async def burst() -> None:
        parcels = [world.parcel() for _ in range(10)]
        outcomes = await asyncio.gather(*(kind.send(world.account(), parcel) for parcel in parcels))
        assert all(isinstance(outcome, Sent) for outcome in outcomes)

    await burst()
    watch.now += HOUR
    world.double.revoke()
    fetched = world.double.fetches
    await burst()
    assert world.double.fetches == fetched + 1


async def test_a_secret_that_changes_means_another_token(world: World) -> None:
    await world.send()
    world.secrets["app_secret"] = Secret("new")
    world.double.turn(app_secret="new")
    assert isinstance(await world.send(), Sent)
    assert len(set(world.purse.fetched)) == 2


# Faults.


LOST = {
    "reset": Behaviour(does=Does.RESET, taken=True),
    "garbage": Behaviour(does=Does.GARBAGE, taken=True),
    "a web page": Behaviour(status=502, body="<html>Bad Gateway</html>", taken=True),
    "half an answer": Behaviour(body='{"errcode":', taken=True),
    "claims to be packed": Behaviour(body="{}", headers={"Content-Encoding": "gzip"}, taken=True),
    "too much": Behaviour(body="{" * 200_000, taken=True),
    "JSON of another shape": Behaviour(body='{"what":1}', taken=True),
    "it does not know itself": Behaviour(status=500, body='{"code":"unknownError","message":"?"}', taken=True),
}


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("mode", ["work", "oto", "robot"])
async def test_an_answer_that_is_lost_is_repeated_only_where_that_does_no_harm(
    world: World, mode: str, fault: str
) -> None:
    at = {"work": "asyncsend_v2", "oto": "batchSend", "robot": "/robot/send"}[mode]
    world.double.script.begin(replace(LOST[fault], at=at))
    outcome = await world.send(mode=mode, code="rcp_1")
    if mode == "oto":
        assert isinstance(outcome, Unknown)
        return
    assert isinstance(outcome, TryLater)
    assert outcome.scope in {Scope.SENDER, Scope.RECIPIENT}
    assert isinstance(await world.send(mode=mode, code="rcp_1"), Sent)
    if mode == "work":
        assert len(world.phone()) == 1


async def test_a_slow_provider_is_left_when_the_attempt_has_to_end(world: World) -> None:
    world.kind = replace(world.kind, manifest=replace(MANIFEST, timeout=300))
    world.double.script.begin(Behaviour(does=Does.HANG, at="asyncsend_v2"))
    assert shape(await world.send()) == (TryLater, "timeout", Scope.SENDER, Why.OTHER, None)
    world.double.script.begin(Behaviour(does=Does.DRIP, at="batchSend"))
    assert isinstance(await world.send(mode="oto"), Unknown)
    world.purse.held.clear()
    world.double.script.begin(Behaviour(does=Does.HANG, at="accessToken"))
    assert shape(await world.send(mode="oto")) == (TryLater, "timeout", Scope.SENDER, Why.OTHER, None)


async def test_what_was_not_taken_for_sure_is_tried_again(world: World) -> None:
    await world.send(mode="oto")
    world.double.script.begin(
        Behaviour(status=503, body='{"code":"ServiceUnavailable","message":"later"}', at="batchSend"),
        Behaviour(status=429, body="slow down", headers={"Retry-After": "7"}, at="batchSend"),
    )
    assert shape(await world.send(mode="oto")) == (TryLater, "ServiceUnavailable", Scope.SENDER, Why.OTHER, None)
    assert shape(await world.send(mode="oto")) == (TryLater, "429", Scope.SENDER, Why.OTHER, 7 * SECOND)


async def test_no_secret_and_no_token_is_ever_repeated(http: Http) -> None:
    echo = page("400 No", b'{"code":"no demo-secret","message":"demo-secret t0ken"}')
    well = {"accessToken": page("200 OK", b'{"accessToken":"t0ken","expireIn":7200}')}
    async with peer(echo, well=well) as port:
        where = f"http://127.0.0.1:{port}"
        account = Account("ding", SETTINGS | {"mode": "oto", "base_url": where, "api_url": where}, SECRETS)
        parcel = Parcel("rcp_1", "amy", NOTE.content(), 1, NOW)
        outcome = await DingTalk(http, Purse()).send(account, parcel)
    assert (outcome.code, outcome.text) == ("no ***", "*** ***")


# Settings.


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"app_key": ""}, "app_key: is missing"),
        ({"agent_id": ""}, "agent_id: is missing"),
        ({"agent_id": "abc"}, "agent_id: must be a number"),
        ({"mode": "pigeon"}, "mode: must be one of work, oto, robot"),
        ({"api_url": "ftp://x"}, "api_url: must begin with http:// or https://"),
        ({"login_url": "x"}, "login_url: must begin with http:// or https://"),
    ],
)
def test_settings_that_cannot_work_are_refused(http: Http, change: dict[str, str], complaint: str) -> None:
    kind = DingTalk(http, Purse())
    kind.check(SETTINGS, SECRETS)
    with pytest.raises(InvalidValue) as refusal:
        kind.check(SETTINGS | change, SECRETS)
    assert str(refusal.value) == complaint


def test_secrets_that_cannot_work_are_refused(http: Http) -> None:
    kind = DingTalk(http, Purse())
    kind.check({"mode": "robot"}, {"robot_token": Secret("x")})
    for mode in ("work", "oto", "robot"):
        with pytest.raises(InvalidValue, match="is missing"):
            kind.check(SETTINGS | {"mode": mode}, {})
    with pytest.raises(InvalidValue, match="aes_key"):
        kind.check(SETTINGS, SECRETS | {"aes_key": Secret("short")})


@pytest.mark.parametrize("name", ["base_url", "api_url"])
def test_an_address_that_may_not_be_reached_is_refused(name: str) -> None:
    with pytest.raises(EgressRefused):
        DingTalk(Http(Egress()), Purse()).check(SETTINGS | {name: "http://127.0.0.1/"}, SECRETS)
