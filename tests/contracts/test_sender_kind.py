# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What every sender kind promises, run over all of them: a value for whatever the outside does, and in time.

A new kind adds its example to `tests/senders/examples/`.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mailroom.senders
from mailroom.core.errors import EgressRefused, InvalidValue, Refusal
from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.server import Sandbox
from mailroom.senders.catalogue import manifests, open_kinds
from mailroom.senders.contract import (
    EXCERPT,
    Account,
    Asks,
    Call,
    Forged,
    Hears,
    Links,
    News,
    Offer,
    Outcome,
    Pace,
    Parcel,
    Question,
    Refused,
    SenderKind,
    Sent,
    Shape,
    TryLater,
    Unknown,
)
from mailroom.senders.http import Http
from tests.senders.examples import Provider, examples
from tests.senders.peers import LOOPBACK, tools

EXAMPLES = examples()
REACHES = {"email", "url", "sms", "wechat", "wecom", "dingtalk", "feishu"}
STAGED = sorted(name for name, example in EXAMPLES.items() if example.staged)
ELSEWHERE = {"login_url", "callback_url", "pull_url"}  # where a browser goes, the provider, or in an example nobody
MODES = [
    pytest.param(name, mode, provider, id=f"{name}-{mode}-{fault}")
    for name, manifest in manifests().items()
    for field in manifest.fields
    if field.name == "mode"
    for mode in field.choices
    for fault, provider in EXAMPLES[name].no_answer.items()
]
NOW = 1_772_323_200_000
ANYWHERE = 9


def each(*sorts: str) -> list[Any]:
    """Every kind with every one of its providers of these sorts."""
    return [
        pytest.param(name, one, id=f"{name}-{title}")
        for name, example in EXAMPLES.items()
        for sort in sorts
        for title, one in getattr(example, sort).items()
    ]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http(LOOPBACK)
    yield client
    await client.close()


@pytest.fixture(params=sorted(EXAMPLES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def kinds(http: Http) -> AsyncIterator[Mapping[str, SenderKind]]:
    opened = open_kinds(tools(http))
    yield opened
    for kind in opened.values():
        await kind.close()


@pytest.fixture
def kind(kinds: Mapping[str, SenderKind], name: str) -> SenderKind:
    return kinds[name]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    box = Sandbox(clock=lambda: NOW)
    await box.start()
    yield box
    await box.stop()


def parcel(name: str) -> Parcel:
    return Parcel("rcp_1", EXAMPLES[name].address, EXAMPLES[name].content, 1, NOW)


def assert_fit_to_show(outcome: Outcome, account: Account) -> None:
    """One short line, in which no secret stands."""
    assert len(outcome.text) <= EXCERPT
    assert outcome.text.isprintable()
    for secret in account.secrets.values():
        assert secret.reveal() not in f"{outcome.code} {outcome.text}"


def refused(kind: SenderKind, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> Refusal | None:
    """Why the settings cannot work, if they cannot."""
    try:
        kind.check(settings, secrets)
    except Refusal as refusal:
        return refusal
    return None


def fits(pace: Pace | None) -> bool:
    """Whether a pace is one."""
    return pace is None or (pace.every > 0 and pace.burst > 0)


def test_every_folder_is_a_kind_of_that_name_with_an_example(kinds: Mapping[str, SenderKind]) -> None:
    assert sorted(kinds) == sorted(EXAMPLES)
    for name, kind in kinds.items():
        assert kind.manifest.kind == name
        folder = Path(mailroom.senders.__path__[0]) / name
        assert {"__init__.py", "manifest.py", "sender.py", "fixtures"} <= {entry.name for entry in folder.iterdir()}
        assert import_module(f"mailroom.senders.{name}").__doc__


def test_the_manifest_is_fit_to_make_forms_from(kind: SenderKind) -> None:
    manifest = kind.manifest
    assert all([manifest.title.en, manifest.title.zh, manifest.timeout > 0, manifest.concurrency > 0])
    assert 0 <= manifest.jitter < 1
    assert all(wait > 0 for wait in manifest.retries)
    assert manifest.reach in REACHES
    names = [field.name for field in manifest.fields]
    assert len(set(names)) == len(names)
    for field in manifest.fields:
        assert all([field.title.en, field.title.zh, field.help.en, field.help.zh])
        assert (field.shape is Shape.CHOICE) == bool(field.choices)
        assert not field.default or not field.choices or field.default in field.choices
        assert not (field.default and field.shape is Shape.SECRET)
    assert manifests()[manifest.kind] == manifest


def test_the_manifest_says_when_to_ask_and_how_fast_to_go(kind: SenderKind, name: str) -> None:
    manifest, account = kind.manifest, EXAMPLES[name].account(ANYWHERE)
    assert list(manifest.asks) == sorted(set(manifest.asks))
    assert all(after > 0 for after in manifest.asks)
    assert not manifest.asks or isinstance(kind, Asks)
    for settings in ({}, account.settings):
        assert fits(manifest.pace(settings))


def test_its_example_passes_its_own_check(kind: SenderKind, name: str) -> None:
    example = EXAMPLES[name].account(ANYWHERE)
    kind.check(example.settings, example.secrets)
    with pytest.raises(InvalidValue):
        kind.check({**example.settings, "no_such_setting": ""}, example.secrets)


def test_check_names_what_is_missing(kind: SenderKind, name: str) -> None:
    example = EXAMPLES[name].account(ANYWHERE)
    for field in kind.manifest.fields:
        if field.required:
            with pytest.raises(InvalidValue) as refusal:
                kind.check(
                    {key: value for key, value in example.settings.items() if key != field.name},
                    {key: value for key, value in example.secrets.items() if key != field.name},
                )
            assert refusal.value.about["name"] == field.name


@pytest.mark.parametrize(
    "value", ["\x00", "\r\nX: y", "x" * 100_000, "\ud800", "{", "[z", "汉" * 5000, "-1", "0", "2000", "9" * 5000]
)
def test_check_names_what_is_wrong(kind: SenderKind, name: str, value: str) -> None:
    example = EXAMPLES[name].account(ANYWHERE)
    names = {field.name for field in kind.manifest.fields}
    for field in kind.manifest.fields:
        secret = field.shape is Shape.SECRET
        settings = {**example.settings, **({} if secret else {field.name: value})}
        secrets = {**example.secrets, **({field.name: Secret(value)} if secret else {})}
        refusal = refused(kind, settings, secrets)
        assert refusal is not None or fits(kind.manifest.pace(settings))
        assert not isinstance(refusal, InvalidValue) or refusal.about["name"] in names
        assert not secret or value not in str(refusal)


@pytest.mark.parametrize("url", ["http://10.1.2.3/", "https://169.254.169.254", "http://[fd00::1]:80/x"])
def test_check_refuses_what_the_server_may_not_reach(kind: SenderKind, name: str, url: str) -> None:
    example = EXAMPLES[name].account(ANYWHERE)
    for field in kind.manifest.fields:
        if field.shape is Shape.URL and field.name not in ELSEWHERE:
            with pytest.raises((EgressRefused, InvalidValue)):
                kind.check({**example.settings, field.name: url}, example.secrets)
        assert field.advanced or field.name != "base_url"


@pytest.mark.parametrize(("name", "provider"), each("nonsense"))
async def test_nonsense_with_a_good_status_is_judged(
    kinds: Mapping[str, SenderKind], name: str, provider: Provider
) -> None:
    async with provider() as port:
        account = EXAMPLES[name].account(port)
        outcome = await kinds[name].send(account, parcel(name))
    assert isinstance(outcome, Sent) is not EXAMPLES[name].body_decides
    assert_fit_to_show(outcome, account)
    assert kinds[name].manifest.idempotent(account.settings) or not isinstance(outcome, TryLater)


@pytest.mark.parametrize(("name", "provider"), each("not_taken"))
async def test_what_was_not_taken_is_not_sent(kinds: Mapping[str, SenderKind], name: str, provider: Provider) -> None:
    async with provider() as port:
        account = EXAMPLES[name].account(port)
        outcome = await kinds[name].send(account, parcel(name))
    assert not isinstance(outcome, Sent)
    assert outcome.code
    assert_fit_to_show(outcome, account)


@pytest.mark.parametrize(("name", "provider"), each("no_answer"))
async def test_no_answer_is_never_success(kinds: Mapping[str, SenderKind], name: str, provider: Provider) -> None:
    async with provider() as port:
        account = EXAMPLES[name].account(port)
        outcome = await kinds[name].send(account, parcel(name))
    assert not isinstance(outcome, Sent)
    # Where a repeat cannot be told from a second message, nobody may be told "later".
    assert kinds[name].manifest.idempotent(account.settings) or isinstance(outcome, Unknown)


async def test_a_provider_that_is_away_can_be_tried_later(kind: SenderKind, name: str) -> None:
    outcome = await kind.send(EXAMPLES[name].account(EXAMPLES[name].nowhere()), parcel(name))
    assert type(outcome).__name__ == "TryLater"


async def test_the_timeout_of_the_manifest_is_kept(kind: SenderKind, name: str) -> None:
    hurried = replace(kind, manifest=replace(kind.manifest, timeout=300))  # type: ignore[type-var]  # kinds are dataclasses
    async with EXAMPLES[name].silence() as port:
        began = time.monotonic()
        outcome = await hurried.send(EXAMPLES[name].account(port), parcel(name))
    assert not isinstance(outcome, Sent)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("name", "provider"), each("nonsense", "not_taken", "no_answer"))
async def test_asking_and_linking_never_raise(kinds: Mapping[str, SenderKind], name: str, provider: Provider) -> None:
    kind = kinds[name]
    async with provider() as port:
        account = EXAMPLES[name].account(port)
        if isinstance(kind, Asks):
            for report in await kind.ask(account, [Question("1", EXAMPLES[name].address, NOW)]):
                assert report.news not in {News.ARRIVED, News.READ}
        if isinstance(kind, Links):
            back = "https://mail.corp.example/settings/notices/back/x"
            assert isinstance(await kind.offer(account, scene="s1", back=back), Offer | Refused | TryLater)
            for said in ({}, {"code": "c", "authCode": "c", "state": "s1"}, {"error": "access_denied", "state": "s1"}):
                linked = await kind.linked(account, said=said, back=back)
                assert isinstance(linked, Refused | TryLater)
                assert_fit_to_show(linked, account)


words = st.sampled_from(
    (
        "echostr",
        "msg_signature",
        "signature",
        "timestamp",
        "nonce",
        "encrypt_type",
        "token",
        "sign",
        "challenge",
        "header",
        "event_id",
        "x-lark-signature",
        "x-lark-request-timestamp",
        "x-lark-request-nonce",
        "x-twilio-signature",
        "MessageSid",
        "MessageStatus",
        "encrypt",
        "mobile",
        "status",
    )
)
texts = st.text(max_size=40)
mappings = st.dictionaries(words | texts, texts, max_size=6)
bodies = (
    st.binary(max_size=200)
    | mappings.map(lambda pairs: "&".join(f"{key}={value}" for key, value in pairs.items()).encode("utf-8", "replace"))
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
    | st.sampled_from(
        [
            b"[" * 60_000,
            b'{"encrypt":"' + b"A" * 64 + b'"}',
            b"<xml><Encrypt><![CDATA[" + b"A" * 64 + b"]]></Encrypt></xml>",
            b'<!DOCTYPE x [<!ENTITY a "aaa">]><xml>&a;</xml>',
            b"<xml><Event>subscribe</Event><FromUserName>o1</FromUserName></xml>",
        ]
    )
)
calls = st.builds(
    Call,
    method=st.sampled_from(["GET", "POST"]),
    rest=texts,
    query=mappings,
    headers=mappings,
    body=bodies,
    now=st.just(NOW),
    url=st.just("https://mail.corp.example/callbacks/x"),
)


HEARING = {name: kind for name, kind in open_kinds(tools(Http(LOOPBACK))).items() if isinstance(kind, Hears)}


@pytest.mark.parametrize("configured", [True, False])
@pytest.mark.parametrize("name", sorted(HEARING.keys() & EXAMPLES))
@given(call=calls)
def test_nobody_elses_call_is_heard(name: str, *, configured: bool, call: Call) -> None:
    account = EXAMPLES[name].account(ANYWHERE)
    heard = HEARING[name].hear(account if configured else replace(account, secrets={}), call)
    assert isinstance(heard, Forged)
    assert all(secret.reveal() not in heard.text for secret in account.secrets.values())


@pytest.mark.parametrize(("name", "mode", "provider"), MODES)
async def test_in_each_mode_only_a_repeat_that_is_recognised_is_asked_for(
    kinds: Mapping[str, SenderKind], name: str, mode: str, provider: Provider
) -> None:
    async with provider() as port:
        account = EXAMPLES[name].account(port)
        robot = {"robot_token": Secret("demo-robot"), "robot_key": Secret("demo-robot")}
        account = replace(account, settings={**account.settings, "mode": mode}, secrets={**robot, **account.secrets})
        outcome = await kinds[name].send(account, parcel(name))
    recognised = kinds[name].manifest.idempotent(account.settings)
    assert isinstance(outcome, TryLater if recognised else Unknown)


@pytest.mark.parametrize("name", STAGED)
async def test_it_arrives_on_the_phone_of_its_double(
    kinds: Mapping[str, SenderKind], name: str, sandbox: Sandbox
) -> None:
    account = EXAMPLES[name].staged(sandbox)  # type: ignore[misc]  # STAGED has one
    kinds[name].check(account.settings, account.secrets)
    outcome = await kinds[name].send(account, parcel(name))
    assert isinstance(outcome, Sent), outcome
    [arrival] = sandbox.phones.kept
    assert arrival.text or arrival.rows


@pytest.mark.parametrize("name", STAGED)
async def test_an_answer_that_is_lost_makes_no_second_message(
    kinds: Mapping[str, SenderKind], name: str, sandbox: Sandbox
) -> None:
    account = EXAMPLES[name].staged(sandbox)  # type: ignore[misc]  # likewise
    await kinds[name].send(account, parcel(name))  # by now it has an access token
    again = replace(parcel(name), code="rcp_2")
    for double in sandbox.doubles.values():
        double.script.begin(Behaviour(does=Does.RESET, taken=True))
    outcome = await kinds[name].send(account, again)
    recognised = kinds[name].manifest.idempotent(account.settings)
    assert isinstance(outcome, TryLater if recognised else Unknown)
    if recognised:
        assert isinstance(await kinds[name].send(account, replace(again, attempt=2, now=NOW + 5000)), Sent)
    assert len(sandbox.phones.kept) == 2
