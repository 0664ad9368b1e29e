# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sender kind `webhook`: what it sends, how it signs, and what it makes of each answer."""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from importlib.resources import files
from typing import Any

import pytest

from mailroom.core.clock import DAY, HOUR, MINUTE
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account, Outcome, Parcel, Refused, Scope, Sent, TryLater
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http, retry_after
from mailroom.senders.webhook import signature
from mailroom.senders.webhook.manifest import MANIFEST
from mailroom.senders.webhook.sender import Webhook
from tests.senders.peers import free_port
from tests.senders.test_webhook_bodies import MAIL

NOW = 1_772_323_200_000  # 2026-03-01 00:00:00 UTC
FIXTURES = sorted(
    (file.name.removesuffix(".json"), json.loads(file.read_text("utf-8")))
    for file in (files("mailroom.senders.webhook") / "fixtures").iterdir()
)


def parcel(attempt: int = 1) -> Parcel:
    return Parcel("rcp_1", "amy@corp.example", MAIL, attempt, NOW)


def account(url: str, *, secret: str = "", **settings: str) -> Account:
    return Account("push", {"url": url, **settings}, {"secret": Secret(secret)} if secret else {})


@pytest.mark.parametrize("form", ["json", "xml", "form"])
async def test_a_strict_receiver_takes_a_push_in_each_format(http: Http, sandbox: Sandbox, form: str) -> None:
    outcome = await Webhook(http).send(account(sandbox.webhook("amy"), format=form), parcel())
    assert outcome == Sent("", "200", "")
    [received] = sandbox.received()
    assert received.problem == ""
    assert received.push == MAIL
    assert received.headers["webhook-id"] == "rcp_1"
    assert received.headers["webhook-timestamp"] == str(NOW // 1000)
    assert "webhook-signature" not in received.headers
    assert "X-Signature" not in received.headers


@pytest.mark.parametrize("form", ["json", "xml", "form"])
async def test_a_signed_push_is_recognised_and_a_forged_one_is_not(http: Http, sandbox: Sandbox, form: str) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    sandbox.receivers.trust("amy", secret)
    push = account(sandbox.webhook("amy"), secret=secret, format=form)
    assert isinstance(await Webhook(http).send(push, parcel()), Sent)
    forged = account(sandbox.webhook("amy"), secret="another", format=form)
    assert await Webhook(http).send(forged, parcel()) == TryLater("401", "wrong signature", Scope.SENDER)
    assert isinstance(await Webhook(http).send(account(sandbox.webhook("amy"), format=form), parcel()), TryLater)
    assert [received.signed for received in sandbox.received()] == [True, False, False]


async def test_while_a_secret_changes_both_sign(http: Http, sandbox: Sandbox) -> None:
    push = account(sandbox.webhook("amy"), secret="new-one old-one")
    for trusted in ("new-one", "old-one"):
        sandbox.receivers.trust("amy", trusted)
        assert isinstance(await Webhook(http).send(push, parcel()), Sent)


async def test_a_repeat_carries_the_same_id(http: Http, sandbox: Sandbox) -> None:
    sandbox.receivers.behave("amy", Behaviour(does=Does.RESET))
    kind = Webhook(http)
    first = await kind.send(account(sandbox.webhook("amy")), parcel())
    assert isinstance(first, TryLater)
    assert first.code == "cut_off"
    assert isinstance(await kind.send(account(sandbox.webhook("amy")), parcel(2)), Sent)
    assert [received.repeat for received in sandbox.received()] == [False, True]


@pytest.mark.parametrize(("name", "fixture"), FIXTURES, ids=[name for name, _ in FIXTURES])
async def test_each_recorded_answer_has_its_outcome(
    http: Http, sandbox: Sandbox, name: str, fixture: dict[str, Any]
) -> None:
    sandbox.receivers.behave(name, Behaviour(**fixture["answer"]))
    outcome = await Webhook(http).send(account(sandbox.webhook(name), secret="s3cr3t-of-the-account"), parcel())
    assert as_json(outcome) == fixture["outcome"]


def as_json(outcome: Outcome) -> dict[str, Any]:
    return {"is": type(outcome).__name__} | {field.name: getattr(outcome, field.name) for field in fields(outcome)}


async def test_every_status_has_an_outcome(http: Http, sandbox: Sandbox) -> None:
    for status in [*range(200, 600), 600, 999]:
        sandbox.receivers.behave("amy", Behaviour(status=status))
        outcome = await Webhook(http).send(account(sandbox.webhook("amy")), parcel())
        assert outcome.code == str(status)
        assert isinstance(outcome, Sent) is (status < 300)
        assert isinstance(outcome, Refused) is (status == 410)


async def test_a_receiver_that_is_away(http: Http) -> None:
    outcome = await Webhook(http).send(account(f"http://127.0.0.1:{free_port()}/"), parcel())
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.after) == ("connect", Scope.SENDER, None)
    assert "no connection" in outcome.text


async def test_a_receiver_that_answers_garbage(http: Http, sandbox: Sandbox) -> None:
    sandbox.receivers.behave("amy", Behaviour(does=Does.GARBAGE))
    outcome = await Webhook(http).send(account(sandbox.webhook("amy")), parcel())
    assert isinstance(outcome, TryLater)
    assert outcome.code == "garbage"


async def test_a_private_address_is_refused_at_once_and_the_sender_stays() -> None:
    client = Http(Egress())
    outcome = await Webhook(client).send(account("http://127.0.0.1:9/hook"), parcel())
    await client.close()
    assert outcome == Refused(
        "egress_refused",
        "127.0.0.1:9 is in a private network that egress.allow does not name.",
        Scope.RECIPIENT,
    )


async def test_without_a_url_nothing_goes_out(http: Http) -> None:
    outcome = await Webhook(http).send(Account("push", {}, {}), parcel())
    assert isinstance(outcome, Refused)
    assert outcome.code == "invalid_url"


def test_the_worked_example_of_standard_webhooks() -> None:
    """The specification's own vector; its payload is not ours, the signature is over any octets."""
    said = signature.headers(
        signature.keys(Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")),
        b'{"test": 2432232314}',
        code="msg_p5jXN8AQM9LWM0D4loKWxJek",
        now=1_614_265_330_000,
    )
    assert said["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_plain_signature_is_of_the_body_alone() -> None:
    """The key and text of Wikipedia's article on HMAC."""
    body = b"The quick brown fox jumps over the lazy dog"
    said = signature.headers(signature.keys(Secret("key")), body, code="c", now=0)
    assert said["X-Signature"] == "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"


def test_keys_are_text_or_base64() -> None:
    raw = bytes(range(32))
    coded = f"whsec_{base64.b64encode(raw).decode()}"
    assert signature.keys(Secret(f" {coded}  Grüße ")) == (raw, "Grüße".encode())
    assert signature.keys(Secret("")) == ()
    with pytest.raises(InvalidValue):
        signature.keys(Secret("whsec_%%%"))


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("0", 0),
        ("7", 7_000),
        ("  90 ", 90_000),
        ("86401", DAY),
        ("9" * 4000, DAY),
        ("Sun, 01 Mar 2026 01:00:00 GMT", HOUR),
        ("Sun, 01 Mar 2026 01:00:00 -0000", HOUR),
        ("Sun, 01 Mar 2026 09:01:00 +0800", HOUR + MINUTE),
        ("Sat, 28 Feb 2026 01:00:00 GMT", 0),
        ("Sun, 01 Mar 2099 01:00:00 GMT", DAY),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("tomorrow", None),
        ("Sun, 41 Mar 2026 01:00:00 GMT", None),
        ("٣", None),
    ],
)
def test_retry_after(value: str, after: int | None) -> None:
    assert retry_after(value, NOW) == after


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"url": ""},
        {"url": "https://hooks.example/mail?key=1"},
        {"url": "http://8.8.8.8:8080/", "format": "xml", "verify_tls": "no"},
        {"url": "https://钩子.example/", "format": "", "verify_tls": ""},
    ],
)
def test_settings_that_can_work_are_taken(settings: dict[str, str]) -> None:
    Webhook(Http(Egress())).check(settings, {"secret": Secret("one two")})


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({"url": "ftp://hooks.example/"}, {}, "url"),
        ({"url": "hooks.example"}, {}, "url"),
        ({"url": "http://amy:pw@hooks.example/"}, {}, "url"),
        ({"url": "http://hooks.example:0x50/"}, {}, "url"),
        ({"url": "http://:80/"}, {}, "url"),
        ({"format": "yaml"}, {}, "format"),
        ({"verify_tls": "maybe"}, {}, "verify_tls"),
        ({"colour": "blue"}, {}, "colour"),
        ({"secret": "in the open"}, {}, "secret"),
        ({}, {"url": "x"}, "url"),
        ({}, {"secret": "whsec_***"}, "secret"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(
    settings: dict[str, str], secrets: dict[str, str], named: str
) -> None:
    with pytest.raises(InvalidValue) as refusal:
        Webhook(Http(Egress())).check(settings, {name: Secret(text) for name, text in secrets.items()})
    assert refusal.value.about["name"] == named


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "[::1]", "10.0.0.5", "[::ffff:192.168.0.1]"])
def test_a_private_address_is_refused_when_it_is_saved(host: str) -> None:
    with pytest.raises(EgressRefused):
        Webhook(Http(Egress())).check({"url": f"http://{host}/"}, {})


def test_it_keeps_trying_for_about_a_day() -> None:
    assert sum(MANIFEST.retries) == 27 * HOUR + 36 * MINUTE + 5_000
    assert (MANIFEST.jitter, MANIFEST.timeout, MANIFEST.concurrency) == (0.2, 10_000, 4)
    assert MANIFEST.idempotent({})
