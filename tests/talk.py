# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The outside language of line protocols: `await c("MAIL FROM:<a@x>"); await c.expect("250")`."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import cast

PATIENCE = 10.0  # seconds for an answer; a test that reaches it has failed


class Client:
    """A client that says what it is told to, octet for octet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def __call__(self, *lines: str) -> None:
        """Send lines, in one write."""
        await self.send("".join(f"{line}\r\n" for line in lines).encode())

    async def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self._writer.write(octets)
        await self._writer.drain()

    async def reply(self) -> str:
        """The next reply, its lines joined by newlines; "" when the server has hung up."""
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while True:
                line = (await self._reader.readline()).decode().removesuffix("\r\n")
                lines.append(line)
                if line[3:4] != "-":
                    return "\n".join(lines)

    async def expect(self, *beginnings: str) -> str:
        """The next replies begin so (`*` stands for anything); gives the last one."""
        reply = ""
        for beginning in beginnings:
            reply = await self.reply()
            assert fnmatchcase(reply, f"{beginning}*"), f"expected {beginning!r}, heard {reply!r}"
        return reply

    async def expect_end(self) -> None:
        """The server hangs up, and says nothing more."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionResetError):
                assert await self._reader.read() == b""

    async def rest(self) -> bytes:
        """All that still comes until the server hangs up."""
        async with asyncio.timeout(PATIENCE):
            return await self._reader.read()

    async def glance(self, seconds: float) -> str:
        """A reply if one comes within so many seconds, else ""."""
        try:
            async with asyncio.timeout(seconds):
                return (await self._reader.readline()).decode()
        except TimeoutError:
            return ""

    async def flood(self, octets: bytes) -> None:
        """Send the same again and again and read no answer, until the server cuts the connection."""
        cast("asyncio.Transport", self._writer.transport).pause_reading()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while True:
                    await self.send(octets)

    async def start_tls(self) -> None:
        """The handshake, taking any certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await self._writer.start_tls(context)

    def half_close(self) -> None:
        """Send no more, but listen."""
        self._writer.write_eof()

    def vanish(self) -> None:
        """Be gone without a word."""
        self._writer.transport.abort()

    @property
    def address(self) -> str:
        """Where this client calls from."""
        return str(self._writer.get_extra_info("sockname")[0])


@contextlib.asynccontextmanager
async def call(port: int, *, host: str = "127.0.0.1", source: str | None = None) -> AsyncIterator[Client]:
    """A client that has connected; it hangs up at the end."""
    local = (source, 0) if source else None
    reader, writer = await asyncio.open_connection(host, port, local_addr=local)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
