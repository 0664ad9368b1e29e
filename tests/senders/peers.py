# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The other side of a POST, as raw as a test needs it: real sockets on loopback, and a resolver that can lie."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

import dns.asyncresolver
from aiohttp.abc import AbstractResolver, ResolveResult

from mailroom.core.secrets import Secret
from mailroom.senders import contract
from mailroom.senders.contract import Event, Mails, Refused, Token, Tools, TryLater
from mailroom.senders.egress import Egress
from mailroom.senders.http import Fault, Http

LOOPBACK = Egress((ip_network("127.0.0.0/8"), ip_network("::1")))

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(
    talk: Talk,
    *,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    well: Mapping[str, Talk] | None = None,
) -> AsyncIterator[int]:
    """A server that reads one request and then talks; gives its port. Whoever still talks at the end is cut off.

    What is asked of a path that holds a key of `well` is talked to by that instead.
    """
    talking: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            target = (await read_request(reader)).split(b" ", 2)[1].decode()
            await next((better for part, better in (well or {}).items() if part in target), talk)(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            talking.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(talking):
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
    )
    return head + await reader.readexactly(length)


def says(octets: bytes) -> Talk:
    """Answers with these octets and hangs up."""

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(octets)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return talk


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


# Every way of saying nothing that HTTP knows, and what we call it.
NO_ANSWERS: dict[str, tuple[Talk, Fault]] = {
    "silence": (hang, Fault.TIMEOUT),
    "reset": (hang_up, Fault.CUT_OFF),
    "goodbye": (says(b""), Fault.CUT_OFF),
    "half a line": (says(b"HTTP/1.1 200"), Fault.CUT_OFF),
    "TLS": (says(b"\x16\x03\x01\x00\xa5 what\r\n\r\n"), Fault.GARBAGE),
    "SSH": (says(b"SSH-2.0-OpenSSH_9.2\r\n"), Fault.GARBAGE),
    "no number": (says(b"HTTP/1.1 banana\r\n\r\n"), Fault.GARBAGE),
    "a long header": (says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"), Fault.GARBAGE),
    "many headers": (says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n"), Fault.GARBAGE),
    "a negative length": (says(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), Fault.GARBAGE),
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Names(AbstractResolver):
    """Answers each look-up with the next list of addresses; the last one stays. No addresses: no such name."""

    answers: deque[list[str]]
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # the interface is aiohttp's
    ) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if not addresses:
            raise OSError(None, "Domain name not found")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        self.answers.clear()


@dataclass(slots=True)
class Kept:
    """Keeps MTA-STS policies in memory."""

    policies: dict[str, contract.Kept] = field(default_factory=dict)

    async def get(self, domain: str) -> contract.Kept | None:
        return self.policies.get(domain)

    async def keep(self, domain: str, kept: contract.Kept) -> None:
        self.policies[domain] = kept


async def _no_octets(_number: int) -> AsyncIterator[bytes]:
    yield b"Subject: Hello\r\n\r\nHi.\r\n"


def tools(http: Http, **changes: Any) -> Tools:
    """Tools that reach nothing but what a test names. `changes` are fields of `Mails`."""
    nowhere = dns.asyncresolver.Resolver(configure=False)
    nowhere.nameservers, nowhere.port, nowhere.lifetime = ["127.0.0.1"], 9, 1.0
    mails = Mails(
        octets=_no_octets,
        resolver=nowhere,
        http=http,
        validates=False,
        policies=Kept(),
        trust=ssl.create_default_context(),
        hostname="mx.corp.example",
        names=frozenset({"mx.corp.example"}),
        port=25,
    )
    return Tools(http, replace(mails, **changes), Purse(), _hear_nothing)


async def _hear_nothing(_code: str, _events: Sequence[Event]) -> None:
    """A test that wants to hear gives an ear of its own."""


@dataclass(slots=True)
class Purse:
    """Keeps access tokens in memory, for as long as the test runs."""

    held: dict[str, Secret] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    async def get(
        self,
        key: str,
        fetch: Callable[[], Awaitable[Token | Refused | TryLater]],
        *,
        stale: Secret | None = None,
    ) -> Secret | Refused | TryLater:
        held = self.held.get(key)
        if held is not None and held != stale:
            return held
        self.fetched.append(key)
        got = await fetch()
        if not isinstance(got, Token):
            return got
        self.held[key] = got.text
        return got.text
