# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What every sender kind promises, run over all of them: a value for whatever the outside does, and in time.

A new kind adds one line to `EXAMPLES`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import mailroom.senders
from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.senders.catalogue import open_kinds
from mailroom.senders.contract import EXCERPT, Account, Parcel, SenderKind, Sent, Shape, Tools, Unknown
from mailroom.senders.http import Http
from tests.senders.peers import LOOPBACK, NO_ANSWERS, Talk, free_port, peer, says
from tests.senders.test_webhook_bodies import MAIL


@dataclass(frozen=True, slots=True)
class Example:
    """How a kind's account and content look, with its provider at a given address."""

    account: Callable[[str], Account]
    content: Mapping[str, Any]
    body_decides: bool  # whether a 200 with a nonsensical body is a failure


EXAMPLES = {
    "webhook": Example(
        lambda url: Account("push", {"url": url, "format": "json"}, {"secret": Secret("s1gning-key")}),
        MAIL,
        body_decides=False,
    ),
}


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


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http(LOOPBACK)
    yield client
    await client.close()


@pytest.fixture(params=sorted(EXAMPLES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kind(http: Http, name: str) -> SenderKind:
    return open_kinds(Tools(http))[name]


def parcel(name: str) -> Parcel:
    return Parcel("rcp_1", "amy@corp.example", EXAMPLES[name].content, 1, 1_772_323_200_000)


def test_every_folder_is_a_kind_of_that_name_with_an_example(http: Http) -> None:
    kinds = open_kinds(Tools(http))
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


def test_its_example_passes_its_own_check(kind: SenderKind, name: str) -> None:
    example = EXAMPLES[name].account("http://127.0.0.1:1/")
    kind.check(example.settings, example.secrets)
    with pytest.raises(InvalidValue):
        kind.check({**example.settings, "no_such_setting": ""}, example.secrets)


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_with_a_good_status_is_judged(kind: SenderKind, name: str, nonsense: str) -> None:
    async with peer(NONSENSE[nonsense]) as port:
        outcome = await kind.send(EXAMPLES[name].account(f"http://127.0.0.1:{port}/"), parcel(name))
    assert isinstance(outcome, Sent) is not EXAMPLES[name].body_decides
    assert len(outcome.text) <= EXCERPT


@pytest.mark.parametrize("refusal", NOT_TAKEN)
async def test_what_was_not_taken_is_not_sent(kind: SenderKind, name: str, refusal: str) -> None:
    async with peer(NOT_TAKEN[refusal]) as port:
        outcome = await kind.send(EXAMPLES[name].account(f"http://127.0.0.1:{port}/"), parcel(name))
    assert not isinstance(outcome, Sent)
    assert outcome.code
    assert len(outcome.text) <= EXCERPT
    assert outcome.text.isprintable()
    assert "s1gning-key" not in outcome.text


@pytest.mark.parametrize("silence", sorted(set(NO_ANSWERS) - {"silence"}))
async def test_no_answer_is_never_success(kind: SenderKind, name: str, silence: str) -> None:
    async with peer(NO_ANSWERS[silence][0]) as port:
        outcome = await kind.send(EXAMPLES[name].account(f"http://127.0.0.1:{port}/"), parcel(name))
    assert not isinstance(outcome, Sent)
    # Where a repeat cannot be told from a second message, nobody may be told "later".
    assert kind.manifest.idempotent or isinstance(outcome, Unknown)


async def test_a_provider_that_is_away_can_be_tried_later(kind: SenderKind, name: str) -> None:
    outcome = await kind.send(EXAMPLES[name].account(f"http://127.0.0.1:{free_port()}/"), parcel(name))
    assert type(outcome).__name__ == "TryLater"


async def test_the_timeout_of_the_manifest_is_kept(http: Http, kind: SenderKind, name: str) -> None:
    hurried = type(kind)(http, replace(kind.manifest, timeout=300))  # type: ignore[call-arg]  # kinds are (tool, manifest)
    async with peer(NO_ANSWERS["silence"][0]) as port:
        began = time.monotonic()
        outcome = await hurried.send(EXAMPLES[name].account(f"http://127.0.0.1:{port}/"), parcel(name))
    assert not isinstance(outcome, Sent)
    assert time.monotonic() - began < 5
