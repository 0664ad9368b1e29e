# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What every sender kind promises, run over all of them: a value for whatever the outside does, and in time.

A new kind adds one line to `EXAMPLES`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import mailroom.senders
from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.senders.catalogue import manifests, open_kinds
from mailroom.senders.contract import EXCERPT, Account, Parcel, SenderKind, Sent, Shape, Unknown
from mailroom.senders.http import Http
from tests.senders import smtp_double
from tests.senders.peers import LOOPBACK, NO_ANSWERS, Talk, free_port, peer, says, tools
from tests.senders.smtp_double import DROP, HANG, Double
from tests.senders.test_webhook_bodies import MAIL

Provider = Callable[[], AbstractAsyncContextManager[int]]  # gives its port


@dataclass(frozen=True, slots=True)
class Example:
    """How a kind's account and content look, with its provider at a given port, and what that provider can do."""

    account: Callable[[int], Account]
    content: Mapping[str, Any]
    nonsense: Mapping[str, Provider]  # success by its status, nonsense by its body
    body_decides: bool  # whether that is a failure
    not_taken: Mapping[str, Provider]
    no_answer: Mapping[str, Provider]
    silence: Provider


def page(status: str, body: bytes, *headers: str) -> Talk:
    lines = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(body)}", "Connection: close"))
    return says(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)


NONSENSE = {
    "nothing": page("200 OK", b""),
    "a web page": page("200 OK", b"<!doctype html><title>Log in to the Wi-Fi</title>", "Content-Type: text/html"),
    "half of JSON": page("200 OK", b'{"errcode":', "Content-Type: application/json"),
    "JSON of another kind": page("200 OK", b"[null]", "Content-Type: application/json"),
    "no text": page("200 OK", b"\xff\xfe\x00\x80" * 64, "Content-Type: application/json; charset=utf-8"),
    "an unknown charset": page("200 OK", b"{}", "Content-Type: application/json; charset=klingon"),
    "claims to be packed": page("200 OK", b"not gzip", "Content-Encoding: gzip"),
    "a flood": page("200 OK", b"{" * 10_000_000),
    "deep JSON": page("200 OK", b"[" * 60_000, "Content-Type: application/json"),
}
NOT_TAKEN = {
    "an error page": page("502 Bad Gateway", b"<html>" + b"\r\nx" * 5000),
    "a redirect": page("301 Moved", b"", "Location: http://127.0.0.1/"),
    "a redirect to nowhere": page("302 Found", b""),
    "an endless wait": page("429 Slow", b"", "Retry-After: " + "9" * 3000),
    "a number nobody knows": page("799 What", b""),
    "an echo": page("403 No", b"your key s1gning-key is wrong"),
}


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server that sticks to a script."""

    script: Mapping[str, str]

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[int]:
        double = Double({verb: [answer] * 9 for verb, answer in self.script.items()}, tls=None)
        double.extensions += ("AUTH PLAIN",)
        double.answers = lambda _: "235 2.7.0 welcome"
        async with smtp_double.serving(double):
            yield double.port


ECHO = "550 5.7.1 your password s1gning-key is wrong"
EXAMPLES = {
    "email": Example(
        lambda port: Account(
            "mail",
            {"host": "127.0.0.1", "port": str(port), "encryption": "none", "user": "amy"},
            {"password": Secret("s1gning-key")},
        ),
        {
            "mail": 1,
            "from": "amy@corp.example",
            "size": 30,
            "utf8": False,
            "eight_bit": False,
            "ret": "",
            "envid": "",
        },
        nonsense={
            "no words": Server({".": "250"}),
            "many lines": Server({".": "250-x\n" * 100 + "250 x"}),
            "no text": Server({".": "250 \udcff\udcfe\x00"}),
            "a flood": Server({".": "250 " + "x" * 4000}),
        },
        body_decides=False,
        not_taken={
            verb + answer[:3]: Server({verb: answer})
            for verb in ("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", ".")
            for answer in ("421 4.3.2 going down", "451 4.3.0 not now", ECHO, "599 \udcff\x1b[31m" + "long " * 500)
        },
        no_answer={
            verb + answer[:4]: Server({verb: answer})
            for verb in ("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", ".")
            for answer in (DROP, "HTTP/1.1 200 OK", "x" * 100_000, "250-x\n" * 100_000 + "250 x", "25", "\x16\x03\x01")
        },
        silence=Server({"RCPT": HANG}),
    ),
    "webhook": Example(
        lambda port: Account(
            "push", {"url": f"http://127.0.0.1:{port}/", "format": "json"}, {"secret": Secret("s1gning-key")}
        ),
        MAIL,
        nonsense={name: partial(peer, talk) for name, talk in NONSENSE.items()},
        body_decides=False,
        not_taken={name: partial(peer, talk) for name, talk in NOT_TAKEN.items()},
        no_answer={name: partial(peer, talk) for name, (talk, _) in NO_ANSWERS.items() if name != "silence"},
        silence=partial(peer, NO_ANSWERS["silence"][0]),
    ),
}


def each(provider: str) -> list[Any]:
    """Every kind with every one of its providers of that sort."""
    return [
        pytest.param(name, one, id=f"{name}-{title}")
        for name, example in EXAMPLES.items()
        for title, one in getattr(example, provider).items()
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


def parcel(name: str) -> Parcel:
    return Parcel("rcp_1", "amy@corp.example", EXAMPLES[name].content, 1, 1_772_323_200_000)


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
    names = [field.name for field in manifest.fields]
    assert len(set(names)) == len(names)
    for field in manifest.fields:
        assert all([field.title.en, field.title.zh, field.help.en, field.help.zh])
        assert (field.shape is Shape.CHOICE) == bool(field.choices)
        assert not field.default or not field.choices or field.default in field.choices
    assert manifests()[manifest.kind] == manifest


def test_its_example_passes_its_own_check(kind: SenderKind, name: str) -> None:
    example = EXAMPLES[name].account(1)
    kind.check(example.settings, example.secrets)
    with pytest.raises(InvalidValue):
        kind.check({**example.settings, "no_such_setting": ""}, example.secrets)


@pytest.mark.parametrize(("name", "provider"), each("nonsense"))
async def test_nonsense_with_a_good_status_is_judged(
    kinds: Mapping[str, SenderKind], name: str, provider: Provider
) -> None:
    async with provider() as port:
        outcome = await kinds[name].send(EXAMPLES[name].account(port), parcel(name))
    assert isinstance(outcome, Sent) is not EXAMPLES[name].body_decides
    assert len(outcome.text) <= EXCERPT


@pytest.mark.parametrize(("name", "provider"), each("not_taken"))
async def test_what_was_not_taken_is_not_sent(kinds: Mapping[str, SenderKind], name: str, provider: Provider) -> None:
    async with provider() as port:
        outcome = await kinds[name].send(EXAMPLES[name].account(port), parcel(name))
    assert not isinstance(outcome, Sent)
    assert outcome.code
    assert len(outcome.text) <= EXCERPT
    assert outcome.text.isprintable()
    assert "s1gning-key" not in outcome.text


@pytest.mark.parametrize(("name", "provider"), each("no_answer"))
async def test_no_answer_is_never_success(kinds: Mapping[str, SenderKind], name: str, provider: Provider) -> None:
    async with provider() as port:
        outcome = await kinds[name].send(EXAMPLES[name].account(port), parcel(name))
    assert not isinstance(outcome, Sent)
    # Where a repeat cannot be told from a second message, nobody may be told "later".
    assert kinds[name].manifest.idempotent or isinstance(outcome, Unknown)


async def test_a_provider_that_is_away_can_be_tried_later(kind: SenderKind, name: str) -> None:
    outcome = await kind.send(EXAMPLES[name].account(free_port()), parcel(name))
    assert type(outcome).__name__ == "TryLater"


async def test_the_timeout_of_the_manifest_is_kept(kind: SenderKind, name: str) -> None:
    hurried = replace(kind, manifest=replace(kind.manifest, timeout=300))  # type: ignore[type-var]  # kinds are dataclasses
    async with EXAMPLES[name].silence() as port:
        began = time.monotonic()
        outcome = await hurried.send(EXAMPLES[name].account(port), parcel(name))
    assert not isinstance(outcome, Sent)
    assert time.monotonic() - began < 5
