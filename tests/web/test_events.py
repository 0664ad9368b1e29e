# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The stream of news, over a real server: httpx's own ASGI transport would wait for its end."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2

from mailroom.core.ids import MemberId
from mailroom.core.settings import Limits
from mailroom.directory import members
from mailroom.directory.model import SYSTEM, MemberStatus
from mailroom.runtime.http import Server
from mailroom.web.mail.events import Places
from tests import make
from tests.web.conftest import Office


@dataclass(frozen=True, slots=True)
class Served:
    """The office behind a port."""

    office: Office
    server: Server
    url: str

    async def stop(self) -> None:
        self.office.web.stopping.set()
        self.server.should_exit = True


@contextlib.asynccontextmanager
async def served(office: Office) -> AsyncIterator[Served]:
    server = Server(office.app, grace=5, limits=Limits())
    listening = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    here = Served(office, server, f"http://127.0.0.1:{listening.getsockname()[1]}")
    try:
        yield here
    finally:
        await here.stop()
        async with asyncio.timeout(10):
            await running
        listening.close()


@contextlib.asynccontextmanager
async def listening(
    here: Served, *, since: str | None = None, browser: httpx2.AsyncClient | None = None
) -> AsyncIterator[AsyncIterator[str]]:
    """Amy's stream, from what her page shows now, as lines without the silence."""
    browser = browser or await here.office.signed_in("amy")
    page = (await browser.get("/", follow_redirects=True)).text
    path = re.findall(r'data-events="([^"]+)"', page)[0].replace("&amp;", "&")
    if since is not None:
        path = path.partition("&since=")[0] + f"&since={since}"
    cookies = {"mailroom": browser.cookies["mailroom"]}
    async with (
        httpx2.AsyncClient(base_url=here.url, cookies=cookies, timeout=20) as client,
        client.stream("GET", path) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line async for line in answer.aiter_lines() if line.strip(":"))
        assert await anext(lines) == "retry: 2000"
        yield lines


async def test_a_mail_that_arrives_is_told_of(office: Office) -> None:
    async with served(office) as here, listening(here) as lines:
        await office.deliver(make.mail())
        assert await anext(lines) == "event: change"
        assert (await anext(lines)).startswith("id: ")


async def test_what_was_missed_is_told_of_at_once(office: Office) -> None:
    async with served(office) as here, listening(here, since="older") as lines:
        assert await anext(lines) == "event: change"


async def test_mail_for_others_is_not(office: Office) -> None:
    async with served(office) as here, listening(here) as lines:
        await office.deliver(make.mail(), "bob@corp.example")
        await office.deliver(make.mail(), "amy@corp.example")
        told = [await anext(lines) for _ in range(3)]
        assert told[0] == "event: change"
        waiting = asyncio.ensure_future(anext(lines))
        await asyncio.wait([waiting], timeout=0.5)
        assert not waiting.done()
        waiting.cancel()


async def test_the_stream_of_a_member_who_is_shut_out_ends(office: Office) -> None:
    async with served(office) as here, listening(here) as lines:
        await office.store.write(lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED))
        await office.deliver(make.mail())
        assert await anext(lines) == "event: end"
        assert [line async for line in lines] == ["data:"]


async def test_the_stream_of_who_signs_out_ends_at_once(office: Office) -> None:
    browser = await office.signed_in("amy")
    async with served(office) as here, listening(here, browser=browser) as lines:
        await browser.post("/sign-out")
        async with asyncio.timeout(5):
            assert [line async for line in lines] == ["event: end", "data:"]


async def test_a_stream_too_many_takes_the_place_of_the_members_oldest(office: Office) -> None:
    browser = await office.signed_in("amy")
    async with served(office) as here, contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(listening(here, browser=browser)) for _ in range(21)]
        async with asyncio.timeout(5):
            assert [line async for line in streams[0]] == ["retry: 60000"]
        await office.deliver(make.mail())
        assert {await anext(lines) for lines in streams[1:]} == {"event: change"}


def test_a_stream_too_many_for_the_server_takes_the_place_of_the_oldest() -> None:
    places = Places(of_member=2, in_all=3)
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(places.take(MemberId(number))) for number in (1, 2, 2, 3)]
        assert [place.is_set() for place in taken] == [True, False, False, False]
        stack.enter_context(places.take(MemberId(2)))
        assert [place.is_set() for place in taken] == [True, True, False, False]
    with places.take(MemberId(2)) as place:
        assert not place.is_set()


async def test_who_is_not_signed_in_hears_the_end(office: Office) -> None:
    answer = await office.browser().get(f"/mail/events?mailbox={office.organisation.mailboxes['amy']}")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "event: end\ndata:\n\n"


async def test_a_server_that_stops_does_not_wait_for_open_streams(office: Office) -> None:
    async with served(office) as here, listening(here) as lines:
        await here.stop()
        async with asyncio.timeout(5):
            assert [line async for line in lines] == []


async def test_the_head_of_the_stream_is_only_its_head(office: Office) -> None:
    browser = await office.signed_in("amy")
    answer = await browser.head(f"/mail/events?mailbox={office.organisation.mailboxes['amy']}")
    assert answer.status_code == 200
