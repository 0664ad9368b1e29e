# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP server's bounds on what a stranger may hold open, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
import trustme
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from mailroom.core.settings import Limits, Network
from mailroom.runtime.http import Server

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a.example\r\n"
LOOPBACK = (ip_network("127.0.0.0/8"),)


class Here:
    """A server whose only page says who asks, and at `/slow` waits until it is told to go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.url.path == "/slow":
            await self.go_on.wait()
        assert request.client is not None
        answer: Response = PlainTextResponse(request.client.host + " " + str(len(await request.body())))
        await answer(scope, receive, send)

    async def call(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, octets: bytes) -> bytes:
        """All that the server says before it closes; nothing if it did not even let us finish."""
        reader, writer = await self.call()
        try:
            writer.write(octets)
            async with asyncio.timeout(10):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def served(
    limits: Limits | None = None,
    *,
    proxies: tuple[Network, ...] = (),
    patience: float = 10.0,
    grace: float = 5,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Here]:
    here = Here()
    server = Server(here, grace=grace, limits=limits or Limits(), proxies=proxies, patience=patience, tls=tls)
    listening = socket.create_server(("127.0.0.1", 0))
    here.port = listening.getsockname()[1]
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        if tls is None:
            await here.ask(GET + b"Connection: close\r\n\r\n")
        yield here
    finally:
        here.go_on.set()
        server.should_exit = True
        async with asyncio.timeout(10):
            await running
        listening.close()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(GET + b"X: a\r\n" * 20_000, id="many fields"),
        pytest.param(GET + b"X: " + b"a" * 100_000, id="a long value"),
        pytest.param(b"GET /" + b"a" * 100_000, id="a long path"),
        pytest.param(GET + b"X: a\r\n" * 20_000 + b"\r\n", id="many fields with an end"),
    ],
)
async def test_a_head_is_bounded(head: bytes) -> None:
    async with served() as here:
        answer = await here.ask(head)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


async def test_chunks_and_their_trailers_are_not_taken() -> None:
    async with served() as here:
        answer = await here.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 2000)
        assert answer.startswith(b"HTTP/1.1 411 Length Required\r\n")


async def test_a_head_that_does_not_come_is_not_waited_for() -> None:
    async with served(patience=0.2) as here:
        assert await here.ask(b"") == b""
        assert await here.ask(GET) == b""
        first, _, rest = (await here.ask(GET + b"\r\n" + GET)).partition(b"\r\n")
        assert first == b"HTTP/1.1 200 OK"
        assert b"HTTP/1.1" not in rest


async def test_nor_is_a_body() -> None:
    async with served(Limits(idle=1)) as here:
        assert await here.ask(POST + b"Content-Length: 5\r\n\r\n1234") == b""


async def test_an_answer_may_take_longer_than_a_head() -> None:
    async with served(patience=0.2) as here:
        reader, writer = await here.call()
        writer.write(GET.replace(b"/ ", b"/slow ", 1) + b"\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.5)
        here.go_on.set()
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.close()


async def test_nonsense_behind_a_request_waits_for_its_answer() -> None:
    async with served() as here:
        answer = await here.ask(GET + b"\r\n" + b"nonsense\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"HTTP/1.1 400 Bad Request" in answer


async def test_many_requests_at_once_are_answered_one_after_the_other() -> None:
    async with served() as here:
        answer = await here.ask((GET + b"\r\n") * 500 + GET + b"Connection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200 OK") == 501


async def _refused(here: Here) -> bool:
    reader, writer = await here.call()
    writer.write(GET + b"\r\n")
    try:
        return b" 503 " in await reader.readline()
    except ConnectionError:
        return True
    finally:
        writer.close()


@pytest.mark.parametrize("limits", [Limits(http_connections_per_address=2), Limits(http_connections=2)])
async def test_connections_are_counted(limits: Limits) -> None:
    async with served(limits) as here:
        (_, first), (reader, second) = [await here.call() for _ in range(2)]
        second.write(GET + b"\r\n")
        await reader.readline()
        assert await _refused(here)
        first.close()
        async with asyncio.timeout(5):
            while await _refused(here):
                pass
        second.close()


async def test_who_calls_through_a_proxy_is_who_it_says_and_is_counted_by_the_application() -> None:
    asked = GET + b"X-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n\r\n"
    async with served() as here:
        assert (await here.ask(asked)).endswith(b"127.0.0.1 0")
    async with served(Limits(http_connections_per_address=1), proxies=LOOPBACK) as here:
        _, other = await here.call()
        assert (await here.ask(asked)).endswith(b"192.0.2.7 0")
        other.close()


async def test_who_says_no_goodbye_in_tls_does_not_hold_up_the_stop() -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)

    def ask(port: int) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        secure = client.wrap_socket(plain, server_hostname="127.0.0.1")
        secure.sendall(GET + b"\r\n")
        assert secure.recv(4) == b"HTTP"
        return secure

    async with served(grace=60, tls=server) as here:  # and ends in ten seconds at most
        mute = await asyncio.to_thread(ask, here.port)
    mute.close()
