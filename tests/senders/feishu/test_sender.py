# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Notes go out by Feishu in both its ways, and what its double says to them is understood."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.messaging.tokens import SharedTokens
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.senders.contract import Account, Outcome, Parcel, Refused, Scope, Sent, TryLater, Unknown, Why
from mailroom.senders.egress import Egress
from mailroom.senders.feishu.errors import TABLE
from mailroom.senders.feishu.manifest import MANIFEST
from mailroom.senders.feishu.sender import Feishu, sign
from mailroom.senders.http import Answer, Http
from mailroom.senders.note import Note
from mailroom.senders.verdicts import Said, Spent
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from tests.senders.examples import page
from tests.senders.feishu.conftest import NOTE, NOW, SECRETS, SETTINGS, World
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


async def test_a_note_arrives_as_a_card(world: World) -> None:
    sent = await world.send(code="rcp_1")
    assert isinstance(sent, Sent)
    [arrival] = world.phone()
    assert (arrival.title, arrival.rows, arrival.url) == (NOTE.title, NOTE.rows, NOTE.url)
    assert arrival.id == sent.provider_id
    body = json.loads(arrival.raw)
    assert body["uuid"] == "rcp_1"
    assert isinstance(body["content"], str)


async def test_a_note_without_more_is_a_text(world: World) -> None:
    assert isinstance(await world.send(note=PLAIN), Sent)
    assert world.phone()[0].text == "Hello"


@pytest.mark.parametrize("note", [NOTE, PLAIN])
async def test_a_groups_bot_speaks_whatever_the_address(world: World, note: Note) -> None:
    assert await world.send("", mode="robot", note=note) == Sent("", "0", "success")
    [arrival] = world.phone("robot")
    assert arrival.url == note.url
    assert not world.purse.fetched


async def test_an_unsigned_bot_needs_no_secret(world: World) -> None:
    world.double.turn(robot_secret="")
    del world.secrets["robot_secret"]
    assert isinstance(await world.send(mode="robot"), Sent)


def test_a_bot_signs_as_in_the_worked_example() -> None:
    assert sign(Secret("SECabcdef"), 1_795_161_600_000) == "lyjoL+wD40OuIRH0+uqMcfNNR77EiiyUrXqqOxiv9t0="


@pytest.mark.parametrize("address", ["", "ou_a,ou_b", "ou_a b", "x" * 65, "ou_张"])
async def test_what_is_no_open_id_is_not_written_to(world: World, address: str) -> None:
    assert shape(await world.send(address)) == (Refused, "address", Scope.RECIPIENT, Why.GONE)
    assert not world.purse.fetched


# What is said to it.


async def test_a_repeat_is_the_same_message_for_an_hour(world: World) -> None:
    first = await world.send(code="rcp_1")
    assert await world.send(code="rcp_1") == first
    assert len(world.phone()) == 1
    world.watch.now += HOUR
    assert await world.send(code="rcp_1") != first
    assert len(world.phone()) == 2


def test_all_attempts_fall_within_that_hour() -> None:
    assert sum(MANIFEST.retries) * (1 + MANIFEST.jitter) + len(MANIFEST.retries) * MANIFEST.timeout < HOUR


async def test_a_card_that_is_not_taken_goes_out_as_text(world: World) -> None:
    world.double.turn(cards=False)
    assert isinstance(await world.send(), Sent)
    [arrival] = world.phone()
    assert (arrival.text, arrival.title) == (NOTE.text, "")
    world.double.script.begin(Behaviour(body='{"code":200621,"msg":"parse card json err"}', at="/hook/"))
    assert isinstance(await world.send(mode="robot"), Sent)
    assert world.phone("robot")[0].title == ""


async def test_there_is_one_fallback(world: World) -> None:
    bad = Behaviour(status=400, body='{"code":230099,"msg":"Failed to create card content"}', at="/im/", times=0)
    world.double.script.begin(bad)
    assert shape(await world.send()) == (Refused, "230099", Scope.RECIPIENT, Why.CONTENT)
    assert not world.phone()


@pytest.mark.parametrize(
    ("mode", "knobs", "expected"),
    [
        ("app", {"outside": ["ou_amy"]}, (Refused, "230013", Scope.RECIPIENT, Why.GONE)),
        ("app", {"stopped": ["ou_amy"]}, (Refused, "230053", Scope.RECIPIENT, Why.OPTED_OUT)),
        ("app", {"sensitive": "Report"}, (Refused, "230022", Scope.RECIPIENT, Why.CONTENT)),
        ("app", {"ability": False}, (TryLater, "230006", Scope.SENDER, Why.ACCOUNT, None)),
        ("app", {"app_id": "cli_x"}, (TryLater, "10003", Scope.SENDER, Why.ACCOUNT, None)),
        ("app", {"app_secret": "x"}, (TryLater, "10014", Scope.SENDER, Why.ACCOUNT, None)),
        ("app", {"per_user": 0}, (TryLater, "230020", Scope.RECIPIENT, Why.OTHER, SECOND)),
        ("robot", {"keyword": "lunch"}, (TryLater, "19024", Scope.SENDER, Why.ACCOUNT, None)),
        ("robot", {"ip_allowed": False}, (TryLater, "19022", Scope.SENDER, Why.ACCOUNT, None)),
        ("robot", {"robot_secret": "x"}, (TryLater, "19021", Scope.SENDER, Why.ACCOUNT, None)),
        ("robot", {"robot_token": "x"}, (TryLater, "19001", Scope.SENDER, Why.ACCOUNT, None)),
        ("robot", {"hook_per_minute": 0}, (TryLater, "11232", Scope.SENDER, Why.OTHER, MINUTE)),
    ],
)
async def test_a_no_is_understood(
    world: World, mode: str, knobs: dict[str, object], expected: tuple[object, ...]
) -> None:
    world.double.turn(**knobs)
    assert shape(await world.send(mode=mode)) == expected
    assert not world.double.phones.kept


async def test_an_id_of_another_app_is_nobodys(world: World) -> None:
    assert shape(await world.send("on_amy")) == (Refused, "230001/receive_id", Scope.RECIPIENT, Why.GONE)


@pytest.mark.parametrize("old", [False, True])
async def test_a_limit_is_waited_for_exactly(world: World, *, old: bool) -> None:
    world.double.turn(per_minute=1, old_limit=old)
    assert isinstance(await world.send(), Sent)
    world.watch.now += 13 * SECOND
    expected = (TryLater, "99991400", Scope.SENDER, Why.OTHER, 47 * SECOND)
    assert shape(await world.send()) == expected
    world.watch.now += 47 * SECOND
    assert isinstance(await world.send(), Sent)


async def test_a_limit_without_words_is_one_all_the_same(world: World) -> None:
    world.double.script.begin(
        Behaviour(status=429, headers={"x-ogw-ratelimit-reset": "9"}, at="/im/"),
        Behaviour(status=429, body="slow", headers={"Retry-After": "8"}, at="/im/"),
    )
    assert shape(await world.send()) == (TryLater, "429", Scope.SENDER, Why.OTHER, 9 * SECOND)
    assert shape(await world.send()) == (TryLater, "429", Scope.SENDER, Why.OTHER, 8 * SECOND)


@pytest.mark.parametrize("mode", ["app", "robot"])
async def test_the_pace_stays_below_the_limits(world: World, mode: str) -> None:
    pace = MANIFEST.pace({"mode": mode})
    assert pace is not None
    for number in range(1100 if mode == "app" else 150):
        if number >= pace.burst:
            world.watch.now += pace.every
        assert isinstance(await world.send(f"ou_{number}", mode=mode), Sent)


@pytest.mark.parametrize("code", sorted(TABLE.rows))
def test_every_row_keeps_code_and_words(code: str) -> None:
    row = TABLE.rows[code]
    assert not isinstance(row, Spent)
    assert TABLE.judge(Said(code, "words")) == replace(row, code=code, text="words")


def test_what_nobody_knows_is_tried_again() -> None:
    assert shape(TABLE.judge(Said("77777", ""))) == (TryLater, "77777", Scope.RECIPIENT, Why.OTHER, None)


FIXTURES = sorted(
    (file.name.removesuffix(".json"), json.loads(file.read_text("utf-8")))
    for file in (files("mailroom.senders.feishu") / "fixtures").iterdir()
)


@pytest.mark.parametrize(("name", "recorded"), FIXTURES, ids=[name for name, _ in FIXTURES])
async def test_recorded_answers(world: World, name: str, recorded: dict[str, dict[str, Any]]) -> None:
    said = dict(recorded["answer"])
    mode = str(said.pop("mode"))
    at = {"app": "/im/v1/messages", "robot": "/hook/"}[mode]
    world.double.script.begin(Behaviour(at=at, times=0, **said))
    outcome = await world.send(mode=mode)
    expected = recorded["outcome"]
    assert {"is": type(outcome).__name__} | {
        key: getattr(outcome, key) for key in expected if key != "is"
    } == expected, name


# Tokens.


async def test_a_token_that_is_refused_is_fetched_once_anew(world: World) -> None:
    assert isinstance(await world.send(), Sent)
    assert isinstance(await world.send(), Sent)
    assert len(world.purse.fetched) == 1
    world.double.revoke()
    assert isinstance(await world.send(), Sent)
    assert len(world.purse.fetched) == 2
    for status in (400, 401):
        world.double.script.begin(Behaviour(status=status, body='{"code":99991663,"msg":"x"}', times=0, at="/im/"))
        assert shape(await world.send()) == (TryLater, "99991663", Scope.SENDER, Why.ACCOUNT, None)
    assert len(world.purse.fetched) == 4
    assert len(world.phone()) == 3


async def test_many_at_once_renew_a_token_once(world: World, store: Store, watch: Watch, tmp_path: Path) -> None:
    kind = replace(world.kind, tokens=SharedTokens(store, Seal.open(tmp_path / "key"), watch))

    async def burst() -> None:
        parcels = [world.parcel(f"ou_{number}") for number in range(10)]
        outcomes = await asyncio.gather(*(kind.send(world.account(), parcel) for parcel in parcels))
        assert all(isinstance(outcome, Sent) for outcome in outcomes)

    await burst()
    watch.now += HOUR
    world.watch.now += HOUR
    world.double.revoke()
    fetched = world.double.fetches
    await burst()
    assert world.double.fetches == fetched + 1


async def test_near_its_end_a_token_is_replaced_and_both_work(world: World) -> None:
    assert isinstance(await world.send(), Sent)
    [first] = world.purse.held.values()
    world.watch.now += 100 * MINUTE
    world.purse.held.clear()
    assert isinstance(await world.send(), Sent)
    [second] = world.purse.held.values()
    assert first != second
    world.purse.held = dict.fromkeys(world.purse.held, first)
    assert isinstance(await world.send(), Sent)


# Faults.


LOST = {
    "reset": Behaviour(does=Does.RESET, taken=True),
    "garbage": Behaviour(does=Does.GARBAGE, taken=True),
    "a web page": Behaviour(status=502, body="<html>Bad Gateway</html>", taken=True),
    "half an answer": Behaviour(body='{"code":', taken=True),
    "claims to be packed": Behaviour(body="{}", headers={"Content-Encoding": "gzip"}, taken=True),
    "too much": Behaviour(body="{" * 200_000, taken=True),
    "JSON of another shape": Behaviour(body='{"what":1}', taken=True),
    "it does not know itself": Behaviour(status=500, body='{"code":77777,"msg":"?"}', taken=True),
    "a yes in an error": Behaviour(status=500, body='{"code":0,"msg":"ok"}', taken=True),
}


@pytest.mark.parametrize("fault", LOST)
async def test_an_answer_that_is_lost_doubles_nothing(world: World, fault: str) -> None:
    world.double.script.begin(replace(LOST[fault], at="/im/v1/messages"))
    outcome = await world.send(code="rcp_1")
    assert isinstance(outcome, TryLater)
    assert outcome.scope is Scope.SENDER
    assert isinstance(await world.send(code="rcp_1"), Sent)
    assert len(world.phone()) == 1
    world.double.script.begin(replace(LOST[fault], at="/hook/"))
    assert isinstance(await world.send(mode="robot"), TryLater)


async def test_a_yes_without_a_message_is_none(world: World) -> None:
    world.double.script.begin(Behaviour(body='{"code":0,"msg":"success","data":{}}', at="/im/"))
    assert shape(await world.send()) == (TryLater, "garbage", Scope.SENDER, Why.OTHER, None)


async def test_a_slow_provider_is_left_when_the_attempt_has_to_end(world: World) -> None:
    world.kind = replace(world.kind, manifest=replace(MANIFEST, timeout=300))
    for behaviour in (Behaviour(does=Does.HANG, at="/im/"), Behaviour(does=Does.HANG, at="tenant_access_token")):
        world.purse.held.clear()
        world.double.script.begin(behaviour)
        assert shape(await world.send()) == (TryLater, "timeout", Scope.SENDER, Why.OTHER, None)


async def test_a_bot_that_first_answered_by_other_names_is_understood(world: World) -> None:
    world.double.script.begin(Behaviour(body='{"StatusCode":0,"StatusMessage":"success"}', at="/hook/"))
    assert isinstance(await world.send(mode="robot"), Sent)


async def test_no_secret_and_no_token_is_ever_repeated(http: Http) -> None:
    echo = page("400 No", b'{"code":1,"msg":"demo-secret t-0ken"}')
    well = {"tenant_access_token": page("200 OK", b'{"code":0,"tenant_access_token":"t-0ken","expire":7200}')}
    async with peer(echo, well=well) as port:
        account = Account("feishu", SETTINGS | {"base_url": f"http://127.0.0.1:{port}"}, SECRETS)
        parcel = Parcel("rcp_1", "amy", NOTE.content(), 1, NOW)
        outcome = await Feishu(http, Purse()).send(account, parcel)
    assert (outcome.code, outcome.text) == ("1", "*** ***")


# The double itself is as strict as Feishu.


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"content": {"text": "x"}}, 230001),
        ({"content": "{"}, 230001),
        ({"content": json.dumps({"text": "x" * 151 * 1024})}, 230025),
        ({"msg_type": "interactive", "content": json.dumps({"elements": "x" * 31 * 1024})}, 230025),
        ({"msg_type": "interactive", "content": "{}"}, 230099),
        ({"uuid": "x" * 51}, 230001),
        ({"receive_id": "amy"}, 230001),
    ],
)
async def test_the_double_refuses_what_feishu_refuses(
    world: World, http: Http, change: dict[str, object], code: int
) -> None:
    await world.send()
    [token] = world.purse.held.values()
    body = {"receive_id": "ou_amy", "msg_type": "text", "content": '{"text":"x"}', "uuid": "u"} | change
    answer = await http.post(
        f"{world.double.where}/open-apis/im/v1/messages?receive_id_type=open_id",
        json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token.reveal()}", "Content-Type": "application/json"},
    )
    assert isinstance(answer, Answer)
    assert json.loads(answer.body)["code"] == code
    assert len(world.phone()) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"msg_type": "text", "content": {"text": "x"}}, 0),
        ({"msg_type": "text", "content": '{"text":"x"}'}, 9499),
        ({"msg_type": "text", "content": {"text": "x" * 21_000}}, 9499),
        ({"msg_type": "interactive", "content": {"elements": []}}, 9499),
        ({}, 9499),
    ],
)
async def test_a_bot_takes_an_object_where_an_app_takes_a_text(
    world: World, http: Http, body: dict[str, object], code: int
) -> None:
    world.double.turn(robot_secret="")
    url = f"{world.double.where}/open-apis/bot/v2/hook/demo-bot"
    answer = await http.post(url, json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    assert isinstance(answer, Answer)
    assert json.loads(answer.body)["code"] == code


async def test_the_double_answers_by_its_own_errors(world: World, http: Http) -> None:
    url = f"{world.double.where}/open-apis/auth/v3/tenant_access_token/internal"
    for answer, code in (
        (await http.get(url), 404),
        (await http.post(url, b"{}", headers={"Content-Type": "text/plain"}), 9499),
        (await http.post(url, b"[]", headers={"Content-Type": "application/json"}), 9499),
        (await http.get(f"{world.double.where}/open-apis/authen/v1/user_info"), 20005),
    ):
        assert isinstance(answer, Answer)
        assert json.loads(answer.body)["code"] == code


async def test_as_new_the_double_knows_nothing(world: World) -> None:
    first = await world.send(code="rcp_1")
    world.double.turn(per_user=1)
    world.double.reset()
    assert world.double.set == world.double.knobs
    assert await world.send(code="rcp_1") != first


async def test_a_bots_signature_ends_after_an_hour(world: World) -> None:
    for late, code in ((HOUR, "0"), (HOUR + SECOND, "19021")):
        parcel = replace(world.parcel(), now=NOW - late)
        assert (await world.kind.send(world.account("robot"), parcel)).code == code


# Settings.


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"app_id": ""}, "app_id: is missing"),
        ({"mode": "pigeon"}, "mode: must be one of app, robot"),
        ({"base_url": "ftp://x"}, "base_url: must begin with http:// or https://"),
        ({"login_url": "x"}, "login_url: must begin with http:// or https://"),
    ],
)
def test_settings_that_cannot_work_are_refused(http: Http, change: dict[str, str], complaint: str) -> None:
    kind = Feishu(http, Purse())
    kind.check(SETTINGS, SECRETS)
    with pytest.raises(InvalidValue) as refusal:
        kind.check(SETTINGS | change, SECRETS)
    assert str(refusal.value) == complaint


def test_each_mode_needs_its_secret(http: Http) -> None:
    kind = Feishu(http, Purse())
    kind.check({"mode": "robot"}, {"robot_token": Secret("x")})
    for mode in ("app", "robot"):
        with pytest.raises(InvalidValue, match="is missing"):
            kind.check(SETTINGS | {"mode": mode}, {})


def test_an_address_that_may_not_be_reached_is_refused() -> None:
    with pytest.raises(EgressRefused):
        Feishu(Http(Egress()), Purse()).check(SETTINGS | {"base_url": "http://127.0.0.1/"}, SECRETS)
