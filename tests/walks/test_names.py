# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where mail and messages go is asked of the resolver of the setting, and what it answers is judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest_asyncio

from mailroom.runtime.app import App, open_app
from mailroom.senders.contract import Account, Outcome, Parcel, Refused, Sent
from tests import dns
from tests.senders.peers import peer, says
from tests.senders.smtp_double import Double, serving
from tests.senders.test_webhook_bodies import MAIL as PUSH
from tests.walks.town import settings_for

MAIL = {"mail": 1, "from": "", "size": 4, "utf8": False, "eight_bit": False, "ret": "", "envid": ""}


@pytest_asyncio.fixture
async def names() -> AsyncIterator[dns.Names]:
    async with dns.serving() as served:
        served.put("here.corp.example", "A", "127.0.0.1")
        served.put("inside.corp.example", "A", "10.0.0.1")
        yield served


@pytest_asyncio.fixture
async def app(sqlite_url: str, tmp_path: Path, names: dns.Names) -> AsyncIterator[App]:
    async with open_app(replace(settings_for(sqlite_url, tmp_path), resolver=names.address)) as opened:
        yield opened


async def push(app: App, host: str, port: int) -> Outcome:
    account = Account("push", {"url": f"http://{host}:{port}/"}, {})
    return await app.senders.kind("webhook").send(account, Parcel("msg_1", "", PUSH, 1, 0))


async def send(app: App, host: str, port: int) -> Outcome:
    account = Account("mail", {"host": host, "port": str(port), "encryption": "none"}, {})
    parcel = Parcel("msg_1", "bob@out.example", MAIL, 1, 0, octets=lambda: b"\r\nHi.")
    return await app.senders.kind("email").send(account, parcel)


async def test_what_is_pushed(app: App, names: dns.Names) -> None:
    async with peer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        assert isinstance(await push(app, "here.corp.example", port), Sent)
        assert ("here.corp.example", "A") in names.asked
        refused = await push(app, "inside.corp.example", port)
        assert isinstance(refused, Refused)
        assert refused.code == "egress_refused"


async def test_the_server_that_sends_for_us(app: App, names: dns.Names) -> None:
    async with serving(Double()) as double:
        assert isinstance(await send(app, "here.corp.example", double.port), Sent)
        assert ("here.corp.example", "A") in names.asked
        refused = await send(app, "inside.corp.example", double.port)
        assert isinstance(refused, Refused)
        assert refused.text.startswith("5.4.4 inside.corp.example")


async def test_this_machine_is_no_name_for_others_to_know(app: App, names: dns.Names) -> None:
    names.put("localhost", "A", "10.0.0.1")
    async with serving(Double()) as double:
        for host in ("localhost", "LOCALHOST.", "127.0.0.1", "[127.0.0.1]"):
            assert isinstance(await send(app, host, double.port), Sent)
    assert names.asked == []
