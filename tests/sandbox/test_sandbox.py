# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sandbox as people and programs meet it: its receivers, their remote control, and the page of the phones."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from mailroom.sandbox import page
from mailroom.sandbox.server import Sandbox

NOW = 1_772_323_200_000
PUSH = {
    "to": "amy@corp.example",
    "msgid": "<1@out.example>",
    "sender": "",
    "from": "Bob <bob@out.example>",
    "subject": "<script>alert(1)</script>",
    "body": "",
    "attachnum": 0,
    "attachlist": "",
}
JSON = "application/json; charset=utf-8"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    box = Sandbox(clock=lambda: NOW)
    await box.start()
    yield box
    await box.stop()


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield session


async def push(client: aiohttp.ClientSession, **changes: str | int) -> int:
    body = json.dumps(PUSH | changes).encode()
    async with client.post("/webhook/amy", data=body, headers={"Content-Type": JSON}) as answer:
        await answer.read()
        return answer.status


async def test_what_arrived_can_be_asked_for_by_address_and_forgotten(client: aiohttp.ClientSession) -> None:
    assert await push(client) == 200
    assert await push(client, to="bob@corp.example") == 200
    async with client.get("/sandbox/received", params={"to": "bob@corp.example"}) as answer:
        [received] = (await answer.json())["received"]
    assert received["push"] == PUSH | {"to": "bob@corp.example"}
    assert (received["at"], received["receiver"], received["problem"]) == (NOW, "amy", "")
    async with client.delete("/sandbox/received") as answer:
        assert answer.status == 204
    async with client.get("/sandbox/received") as answer:
        assert (await answer.json())["received"] == []


async def test_asking_again_waits_until_something_has_changed(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    async with client.get("/sandbox/received", params={"unlike": ""}) as answer:
        version = (await answer.json())["version"]

    async def follow() -> int:
        async with client.get("/sandbox/received", params={"unlike": str(version)}) as answer:
            return len((await answer.json())["received"])

    following = asyncio.create_task(follow())
    await push(client)
    assert await following == 1
    assert len(await sandbox.arrived(1)) == 1


async def test_stopping_lets_everyone_go() -> None:
    box = Sandbox()
    await box.start()
    async with aiohttp.ClientSession(box.url) as client:
        await client.put(
            "/sandbox/faults",
            json={"receiver": "amy", "script": [{"does": "hang"}, {"does": "drip"}, {"delay": 60_000}]},
        )
        hanging = [asyncio.create_task(push(client)) for _ in range(3)]
        following = asyncio.create_task(client.get("/sandbox/received", params={"unlike": "3"}))
        await box.arrived(3)
        waiting = asyncio.create_task(box.arrived(4))
        async with asyncio.timeout(10):
            await box.stop()
            ended = await asyncio.gather(*hanging, following, waiting, return_exceptions=True)
    assert isinstance(ended[-1], ConnectionError)


async def test_stopping_what_was_not_started() -> None:
    await Sandbox().stop()


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ({"status": 410}, "410"),
        ({"status": 429, "headers": {"Retry-After": "3"}}, "429 3"),
        ({"status": 307, "headers": {"Location": "/elsewhere"}}, "307"),
        ({"delay": 10, "status": 503}, "503"),
        ({"does": "garbage"}, "ClientResponseError"),
        ({"does": "reset"}, "ServerDisconnectedError"),
        ({"does": "hang"}, "TimeoutError"),
        ({"does": "drip"}, "TimeoutError"),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value),
)
async def test_faults_happen_as_scripted_and_then_are_over(
    sandbox: Sandbox, client: aiohttp.ClientSession, fault: dict[str, object], seen: str
) -> None:
    async with client.put("/sandbox/faults", json={"receiver": "amy", "script": [fault]}) as answer:
        assert answer.status == 204
    assert await see(client) == seen
    assert await see(client) == "200"
    assert len(sandbox.received()) == 2


async def see(client: aiohttp.ClientSession) -> str:
    try:
        async with (
            asyncio.timeout(0.5),
            client.post("/webhook/amy", json=PUSH, headers={"Content-Type": JSON}, allow_redirects=False) as answer,
        ):
            await answer.read()
            return f"{answer.status} {answer.headers.get('Retry-After', '')}".strip()
    except (aiohttp.ClientError, TimeoutError) as fault:
        return type(fault).__name__


async def test_a_fault_happens_as_often_as_said(client: aiohttp.ClientSession) -> None:
    script = [{"status": 500, "times": 2}, {"status": 404, "times": 0}, {"status": 200}]
    await client.put("/sandbox/faults", json={"receiver": "amy", "script": script})
    assert [await see(client) for _ in range(5)] == ["500", "500", "404", "404", "404"]


@pytest.mark.parametrize(
    "order",
    [
        b"",
        b"[]",
        b"{}",
        b'{"receiver":"amy"}',
        b'{"receiver":"amy","script":[1]}',
        b'{"receiver":"amy","script":[{"does":"dance"}]}',
        b'{"receiver":"amy","script":[{"colour":"blue"}]}',
    ],
)
async def test_orders_that_make_no_sense_are_refused(client: aiohttp.ClientSession, order: bytes) -> None:
    async with client.put("/sandbox/faults", data=order) as answer:
        assert answer.status == 400


def form(text: str) -> tuple[str, bytes]:
    return "application/x-www-form-urlencoded; charset=utf-8", text.encode()


def xml(text: str) -> tuple[str, bytes]:
    return "application/xml; charset=utf-8", text.encode()


NO_PUSHES = {
    "no type": ("", json.dumps(PUSH).encode()),
    "no charset": ("application/json", json.dumps(PUSH).encode()),
    "another charset": ("application/json; charset=gbk", json.dumps(PUSH).encode()),
    "another type": ("text/plain; charset=utf-8", b"hello"),
    "no JSON": (JSON, b"hello"),
    "no UTF-8": (JSON, b'{"to": "\xff"}'),
    "deep JSON": (JSON, b"[" * 500_000),
    "an array": (JSON, json.dumps([PUSH]).encode()),
    "another order": (JSON, json.dumps(dict(reversed(PUSH.items()))).encode()),
    "a field too many": (JSON, json.dumps(PUSH | {"cc": ""}).encode()),
    "attachments uncounted": (JSON, json.dumps(PUSH | {"attachnum": "many"}).encode()),
    "no XML": xml("hello"),
    "another element": xml("<Answer/>"),
    "an element too few": xml("<Request><To>a</To></Request>"),
    "a document type": xml('<!DOCTYPE x [<!ENTITY a "aaa">]><Request/>'),
    "an empty form": form(""),
    "a form without prefixes": form("to=a&msgid=b&sender=&from=c&subject=&body=&attachnum=0&attachlist="),
    "a form of raw octets": form("wm_to=é"),
}


@pytest.mark.parametrize("case", NO_PUSHES)
async def test_what_is_no_push_is_kept_and_refused(sandbox: Sandbox, client: aiohttp.ClientSession, case: str) -> None:
    content_type, body = NO_PUSHES[case]
    async with client.post("/webhook/amy", data=body, headers={"Content-Type": content_type}) as answer:
        assert answer.status == 400
    [received] = sandbox.received()
    assert received.push is None
    assert received.problem


async def test_a_signature_must_be_right_and_fresh(client: aiohttp.ClientSession) -> None:
    await client.put("/sandbox/secrets", json={"receiver": "amy", "secret": "key"})
    body = json.dumps(PUSH).encode()

    async def attempt(stamp: str, key: bytes = b"key") -> int:
        signed = hmac.digest(key, f"m1.{stamp}.".encode() + body, hashlib.sha256)
        headers = {
            "Content-Type": JSON,
            "webhook-id": "m1",
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1a,x v1,{base64.b64encode(signed).decode()}",
        }
        async with client.post("/webhook/amy", data=body, headers=headers) as answer:
            return answer.status

    now = NOW // 1000
    assert await attempt(str(now)) == 200
    assert await attempt(str(now - 299)) == 200
    assert await attempt(str(now - 301)) == 401
    assert await attempt(str(now + 301)) == 401
    assert await attempt("now") == 401
    assert await attempt(str(now), b"another") == 401
    assert await push(client) == 401
    await client.put("/sandbox/secrets", json={"receiver": "amy", "secret": ""})
    assert await push(client) == 200


async def test_only_so_much_is_kept(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": JSON, "webhook-id": "m1"}
    await client.post("/webhook/amy", json=PUSH, headers=headers)
    sandbox.receivers.kept.extend([sandbox.received()[0]] * 2000)
    assert len(sandbox.received()) == 1000
    sandbox.receivers._seen.update({("amy", str(number)): None for number in range(9_999)})
    await client.post("/webhook/amy", json=PUSH, headers=headers | {"webhook-id": "m2"})
    assert len(sandbox.receivers._seen) == 10_000
    assert ("amy", "m1") not in sandbox.receivers._seen


async def test_waiting_for_a_change_has_an_end(sandbox: Sandbox) -> None:
    version = sandbox.phones.version
    await sandbox.phones.change(version, patience=1)
    assert sandbox.phones.version == version


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("ZH-Hant-TW", "zh"),
        ("fr, zh;q=0.2", "zh"),
        ("zh;q=nonsense", "en"),
        ("de", "en"),
    ],
)
def test_the_page_speaks_the_readers_language(header: str, language: str) -> None:
    assert page.language(header) == language


async def test_the_page_brings_all_it_needs_and_lets_nothing_else_in(client: aiohttp.ClientSession) -> None:
    async with client.get("/", headers={"Accept-Language": "zh-CN"}) as answer:
        html = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
    assert '<html lang="zh-CN">' in html
    assert "沙盒" in html
    assert "$" not in html
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy
    for path, kind in (("/phones.js", "text/javascript"), ("/phones.css", "text/css")):
        assert f'"{path}"' in html
        async with client.get(path) as answer:
            assert (answer.status, answer.content_type) == (200, kind)
