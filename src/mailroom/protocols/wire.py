# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""One connection of a protocol in which client and server speak in turn: lines and counted octets in, answers out, TLS
in between. What is said is one coroutine that reads and answers; everything a socket can do wrong stays in here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, cast

from mailroom.core import log
from mailroom.protocols import secure
from mailroom.protocols.contract import Conversation, Peer

_AHEAD_MOST: Final = 64 * 1024  # octets that a client may send ahead of our answers
_OCTETS_A_SECOND: Final = 1000  # the slowest that counted octets may come, on average

_LOG = log.get("wire")


class Gone(Exception):
    """The client has left, or was made to."""


class LineTooLong(Exception):
    """The line was longer than it may be; it has been read over."""


@dataclass(frozen=True, slots=True)
class Farewells:
    """What a client is told that did not ask to go."""

    too_slow: bytes
    closing: bytes
    broken: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A protocol that is spoken so, ready to talk. A client may be silent for `patience` seconds."""

    talk: Callable[[Wire], Awaitable[None]]
    busy: bytes
    patience: float
    farewells: Farewells

    def converse(self, peer: Peer, *, left: Callable[[Conversation], None]) -> Conversation:
        """A conversation for one new connection."""
        return Wire(self.talk, peer, left, patience=self.patience, farewells=self.farewells)


class Wire(Conversation):
    """The connection, as `talk` uses it. When `talk` returns, it ends; so it does when the client is silent for
    `patience` seconds.
    """

    def __init__(
        self,
        talk: Callable[[Wire], Awaitable[None]],
        peer: Peer,
        left: Callable[[Conversation], None],
        *,
        patience: float,
        farewells: Farewells,
    ) -> None:
        self.peer: Final = peer
        self.patience = patience
        self._talk: Final = talk
        self._left: Final = left
        self._farewells: Final = farewells
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._expected = 0  # octets that may come now, beside those of the next line
        self._out: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        self._until = 0.0  # how long that may take
        self._choked = False  # the client does not read what we say
        self._paused = False
        self._leaving = False
        self._ended = False  # the client will send no more
        self._closing = False
        self._lost = False
        self._secure = False

    # What `talk` calls.

    @property
    def is_secure(self) -> bool:
        """Whether it is in TLS."""
        return self._secure

    async def line(self, most: int) -> bytes:
        """The client's next line, without its end. Raises `LineTooLong`, and `Gone` when there is none to come."""
        self._wait_at_most(self.patience)
        overlong, looked = False, 0
        while (end := self._buffer.find(b"\n", looked)) < 0:
            if len(self._buffer) > most:
                overlong = True
                self._buffer.clear()
            looked = len(self._buffer)
            await self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        if overlong or end > most:
            raise LineTooLong
        return line.removesuffix(b"\r")

    async def octets(self, count: int) -> bytes:
        """So many octets, which may be no more than fit into memory. Raises `Gone`."""
        self._wait_at_most(self.patience + count / _OCTETS_A_SECOND)
        self._expected = count
        try:
            while len(self._buffer) < count:
                await self._more()
        finally:
            self._expected = 0
        octets = bytes(self._buffer[:count])
        del self._buffer[:count]
        return octets

    def say(self, octets: bytes) -> None:
        """Answer; what is said in one go leaves together, at the latest when the next word of the client is awaited."""
        self._out.append(octets)

    async def drain(self) -> None:
        """Wait until the client has taken most of what was said. Raises `Gone`."""
        self._wait_at_most(self.patience)
        self._flush()
        while self._choked:
            await self._wait()
        if self._lost:
            raise Gone

    async def start_tls(self, go_ahead: bytes, context: ssl.SSLContext) -> None:
        """Say so, and go on in TLS. What the client has sent before is forgotten: anybody could have said it. Raises
        `Gone`.
        """
        self._flush()
        self._pause(now=True)
        self._buffer.clear()
        self._transport.write(go_ahead)
        try:
            self._transport = await secure.start_tls(self._transport, self, context)
        except OSError as fault:
            _LOG.info("no TLS", peer=self.peer.host, reason=str(fault))
            self._lost = True  # asyncio tells of a connection's end only to those who have seen its beginning
            raise Gone from fault
        self._secure = True
        self._paused = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._secure = transport.get_extra_info("ssl_object") is not None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._pause(now=len(self._buffer) > _AHEAD_MOST + self._expected)
        self._wake()

    def eof_received(self) -> bool:
        # A client may close its half and still want our answers; in TLS there is no half.
        self._ended = True
        self._wake()
        return not self.is_secure

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._choked = False
        self._wake()
        if self._task.done():
            self._left(self)

    # What the listener calls.

    def check(self, now: float) -> None:
        if (self._waiting is None and not self._closing) or now < self._until:
            return
        _LOG.info("client too slow", peer=self.peer.host)
        if self._choked or self._closing:
            self.abort()
        else:
            self._part(self._farewells.too_slow)
            self._wake()

    @property
    def is_over(self) -> bool:
        return self._closing and not self._choked

    def leave(self) -> None:
        self._leaving = True
        self._wake()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    # Inside.

    async def _run(self) -> None:
        try:
            await self._talk(self)
        except Gone:
            pass
        except Exception:  # noqa: BLE001 # the server's outermost frame: a bug costs one connection
            _LOG.exception("conversation broke", peer=self.peer.host)
            self._out.append(self._farewells.broken)
        if self._lost:
            self._left(self)
        else:
            self._part(b"")

    def _part(self, farewell: bytes) -> None:
        self._out.append(farewell)
        self._flush()
        self._wait_at_most(self.patience)
        self._closing = True
        self._transport.close()

    async def _more(self) -> None:
        """Wait until more has come from the client. Raises `Gone`."""
        if self._ended or self._closing or self._lost:
            raise Gone
        if self._leaving:
            self._out.append(self._farewells.closing)
            raise Gone
        self._flush()
        self._pause(now=False)
        await self._wait()

    def _wait_at_most(self, seconds: float) -> None:
        self._until = asyncio.get_running_loop().time() + seconds

    async def _wait(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _flush(self) -> None:
        if self._out and not self._lost:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _pause(self, *, now: bool) -> None:
        if now is self._paused or self._lost or self._closing:
            return
        self._paused = now
        if now:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
