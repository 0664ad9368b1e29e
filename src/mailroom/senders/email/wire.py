# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A connection to an SMTP server: replies in, octets out, TLS in between, in flat memory whatever the server sends."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from typing import Final, cast

from mailroom.senders.egress import Egress
from mailroom.senders.email.replies import Garbage, Reply, read_line

_LINE_MOST: Final = 4096  # octets; RFC 5321 §4.5.3.1.5 allows 512
_LINES_MOST: Final = 200  # of one reply
_UNREAD_MOST: Final = 64 * 1024


class Wire(asyncio.Protocol):
    """One connection. A method raises `OSError` when the other side is gone, and `Garbage` when it talks no SMTP; time
    limits are the caller's.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._paused = False
        self._lost: Exception | None = None
        self._news = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()

    @classmethod
    async def connect(cls, egress: Egress, address: str, port: int, *, tls: tuple[ssl.SSLContext, str] | None) -> Wire:
        """Connect to an IP address; with `tls`, a context and the server's name, in TLS from the first octet. Raises
        `egress.Denied`, `OSError`.
        """
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = egress.open_socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)))
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, (address, port))
            context, name = tls or (None, None)
            _, wire = await loop.create_connection(cls, sock=connection, ssl=context, server_hostname=name)
        except BaseException:
            connection.close()
            raise
        return wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        self._news.set()
        if len(self._unread) > _UNREAD_MOST and not self._paused:
            self._paused = True
            self._sure().pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = exc or ConnectionResetError("the connection was closed")
        self._news.set()
        self._may_write.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def _sure(self) -> asyncio.Transport:
        assert self._transport is not None, "connected"
        return self._transport

    @property
    def quiet(self) -> bool:
        """The connection stands, and nothing has come that nobody asked for."""
        return self._lost is None and not self._unread

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """What the server has shown in TLS, DER, its own first."""
        secured = self._sure().get_extra_info("ssl_object")
        if secured is None:
            return ()
        if public := getattr(secured, "get_unverified_chain", None):  # from Python 3.13 on
            return tuple(public())
        chain = secured._sslobj.get_unverified_chain()  # noqa: SLF001 # the same, before it was public
        return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain or ())

    async def reply(self) -> Reply:
        """The next reply."""
        lines: deque[str] = deque()
        while len(lines) < _LINES_MOST:
            code, last, text = read_line(await self._line())
            lines.append(text)
            if last:
                return Reply(code, tuple(lines))
        raise Garbage

    async def _line(self) -> bytes:
        while (end := self._unread.find(b"\n")) < 0:
            if len(self._unread) > _LINE_MOST:
                raise Garbage
            if self._lost is not None:
                raise self._gone()
            self._news.clear()
            await self._news.wait()
        if end > _LINE_MOST:
            raise Garbage
        line = bytes(self._unread[: end + 1])
        del self._unread[: end + 1]
        if self._paused and len(self._unread) <= _UNREAD_MOST and self._lost is None:
            self._paused = False
            self._sure().resume_reading()
        return line

    async def write(self, octets: bytes) -> None:
        """Send, as fast as the other side takes it."""
        if self._lost is not None:
            raise self._gone()
        self._sure().write(octets)
        await self._may_write.wait()

    async def start_tls(self, context: ssl.SSLContext, name: str, *, seconds: float) -> None:
        """The handshake. What came before it in the clear would be taken for what came in TLS: then `Garbage`."""
        if self._unread:
            raise Garbage
        secured = await asyncio.get_running_loop().start_tls(
            self._sure(), self, context, server_hostname=name, ssl_handshake_timeout=seconds
        )
        if secured is None:
            raise self._gone()
        self._transport = secured

    def close(self, farewell: bytes = b"") -> None:
        """Hang up. A farewell is sent if it can be sent at once."""
        transport = self._sure()
        if farewell and self._lost is None and self._may_write.is_set():
            transport.write(farewell)
            transport.close()
        else:
            transport.abort()

    def _gone(self) -> Exception:
        return ConnectionResetError(f"the connection was closed ({self._lost})")
