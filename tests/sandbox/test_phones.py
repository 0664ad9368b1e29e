# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The phones and the doubles by remote control: what arrived, what its sender is told, knobs, scripts and scans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from mailroom.sandbox.server import Sandbox
from tests.sandbox.pigeon import loft


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with loft() as box:
        yield box


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield session


async def fly(client: aiohttp.ClientSession, to: str = "amy") -> str:
    try:
        async with asyncio.timeout(1), client.post("/pigeon/fly", json={"to": to, "text": "coo"}) as answer:
            return f"{answer.status} {await answer.text()}"
    except (aiohttp.ClientError, TimeoutError) as fault:
        return type(fault).__name__


async def ask(client: aiohttp.ClientSession, method: str, path: str, **request: Any) -> int:
    async with client.request(method, path, **request) as answer:
        await answer.read()
        return answer.status


async def shown(client: aiohttp.ClientSession, unlike: str = "") -> dict[str, Any]:
    async with client.get("/sandbox/phones", params={"unlike": unlike}) as answer:
        said: dict[str, Any] = await answer.json()
        return said


async def test_what_arrived_is_shown_and_wiped(client: aiohttp.ClientSession) -> None:
    assert await fly(client) == "200 flown"
    said = await shown(client)
    [arrival] = said["phones"]
    assert (arrival["provider"], arrival["to"], arrival["text"], arrival["fate"]) == ("pigeon", "amy", "coo", "sent")
    assert "pigeon" in [double["name"] for double in said["doubles"]]
    following = asyncio.create_task(shown(client, str(said["version"])))
    assert await ask(client, "DELETE", "/sandbox/phones") == 204
    assert (await following)["phones"] == []


async def test_a_push_is_news_for_the_phones_too(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    following = asyncio.create_task(shown(client, str(sandbox.phones.version)))
    await client.post("/webhook/amy", data=b"no push")
    assert [one["receiver"] for one in (await following)["received"]] == ["amy"]


async def test_its_sender_is_told_what_became_of_it(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    await fly(client)
    callback = f"{sandbox.url}/webhook/customer/"
    assert await ask(client, "PUT", "/sandbox/doubles/pigeon", json={"callback": callback}) == 204
    assert await ask(client, "POST", "/sandbox/phones/1/read") == 204
    [told] = sandbox.received()
    assert told.body == b'{"to": "amy", "fate": "read"}'
    assert sandbox.phones.kept[0].fate == "read"


@pytest.mark.parametrize("path", ["2/read", "1/sent", "1/eaten", "x/read"])
async def test_what_nobody_can_tell_of(client: aiohttp.ClientSession, path: str) -> None:
    await fly(client)
    assert await ask(client, "POST", f"/sandbox/phones/{path}") == 404


async def test_a_customer_who_does_not_answer(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    await fly(client)
    assert await ask(client, "POST", "/sandbox/phones/1/read") == 502
    assert sandbox.phones.kept[0].fate == "sent"


@pytest.mark.parametrize(
    ("step", "seen", "arrived"),
    [
        ({"does": "reset"}, "ServerDisconnectedError", 0),
        ({"does": "reset", "taken": True}, "ServerDisconnectedError", 1),
        ({"status": 502, "body": "<html>"}, "502 <html>", 0),
        ({"delay": 10}, "200 flown", 1),
        ({"does": "hang"}, "TimeoutError", 0),
    ],
    ids=str,
)
async def test_a_double_misbehaves_as_scripted(
    sandbox: Sandbox, client: aiohttp.ClientSession, step: dict[str, Any], seen: str, arrived: int
) -> None:
    assert await ask(client, "PUT", "/sandbox/doubles/pigeon", json={"script": [step]}) == 204
    assert await fly(client) == seen
    assert len(sandbox.phones.kept) == arrived
    assert await fly(client) == "200 flown"


async def test_knobs_are_turned_and_put_back(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    turned = {"loft": "south", "tired": True, "per_day": 6, "lost": ["y"]}
    order = {"knobs": turned, "script": [{"does": "hang", "times": 0}]}
    assert await ask(client, "PUT", "/sandbox/doubles/pigeon", json=order) == 204
    async with client.get("/sandbox/doubles/pigeon") as answer:
        view = await answer.json()
    assert (view["where"], view["knobs"]) == (f"{sandbox.url}/pigeon", turned)
    assert [step["does"] for step in view["script"]] == ["hang"]
    assert await ask(client, "DELETE", "/sandbox/doubles/pigeon") == 204
    assert sandbox.doubles["pigeon"].set["lost"] == frozenset({"x"})
    assert await fly(client) == "200 flown"


@pytest.mark.parametrize(
    "order",
    [
        b"[]",
        b'{"knobs": {"wings": 2}}',
        b'{"knobs": {"per_day": "six"}}',
        b'{"knobs": {"per_day": true}}',
        b'{"knobs": {"lost": 3}}',
        b'{"knobs": 3}',
        b'{"script": [{"does": "dance"}]}',
        b'{"script": 1}',
    ],
)
async def test_orders_that_make_no_sense_change_nothing(
    sandbox: Sandbox, client: aiohttp.ClientSession, order: bytes
) -> None:
    before = sandbox.doubles["pigeon"].view()
    assert await ask(client, "PUT", "/sandbox/doubles/pigeon", data=order) == 400
    assert sandbox.doubles["pigeon"].view() == before


async def test_no_such_double(client: aiohttp.ClientSession) -> None:
    assert [await ask(client, method, "/sandbox/doubles/dodo") for method in ("GET", "DELETE")] == [404, 404]


async def test_somebody_scans_a_code(sandbox: Sandbox, client: aiohttp.ClientSession) -> None:
    sandbox.doubles["pigeon"].callback = sandbox.webhook("customer")
    asked = {"scene": "scene1", "address": "o1"}
    assert await ask(client, "POST", "/sandbox/doubles/pigeon/scan", json=asked) == 204
    assert [one.body for one in sandbox.received()] == [b'{"scene": "scene1", "address": "o1"}']
    assert await ask(client, "POST", "/sandbox/doubles/pigeon/scan", json=asked | {"scene": "s2"}) == 404
