# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mail server on loopback that takes what it gets, but for the faults that a test writes into its script."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

HANG = "hang"  # says nothing any more
DROP = "drop"  # hangs up
EXTENSIONS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


@dataclass(slots=True)
class Mail:
    """A mail that was taken; its octets as they came, the doubled dots undone."""

    mail: str
    rcpt: list[str]
    octets: bytes
    secured: bool
    name: str  # the name that the client asked for in TLS


@dataclass(slots=True)
class Double:
    """`script` has the answer to a command by its verb (`CONNECT` is the greeting, `.` the end of the mail), a list of
    them in turn; what it does not have is answered as a good server does.
    """

    script: dict[str, list[str]] = field(default_factory=dict)
    extensions: tuple[str, ...] = EXTENSIONS
    tls: ssl.SSLContext | None = None
    answers: Callable[[str], str] | None = None  # to what is neither a known verb nor scripted: AUTH and its answers
    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    connections: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def taken(self, count: int) -> list[Mail]:
        """The mails, once they are so many."""
        async with asyncio.timeout(20), self.news:
            await self.news.wait_for(lambda: len(self.mails) >= count)
        return self.mails


class _Hung(Exception):
    pass


class _Dialogue:
    def __init__(self, double: Double, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.double, self.reader, self.writer = double, reader, writer
        self.mail, self.rcpt = "", list[str]()
        self.names: list[str] = []

    async def run(self) -> None:
        await self.say("CONNECT", "220 double ESMTP")
        while line := await self.reader.readline():
            text = line.decode().rstrip("\r\n")
            self.double.heard.append(text)
            verb = text.partition(" ")[0].partition(":")[0].upper()
            act: Callable[[str], Awaitable[None]] = getattr(self, f"on_{verb.lower()}", self.on_other)
            await act(text)

    async def say(self, verb: str, usual: str) -> str:
        turn = self.double.script.get(verb)
        answer = turn.pop(0) if turn else usual
        if answer == HANG:
            raise _Hung
        if answer == DROP:
            raise ConnectionResetError
        self.writer.write(answer.replace("\n", "\r\n").encode("utf-8", "surrogateescape") + b"\r\n")
        await self.writer.drain()
        return answer

    @property
    def secured(self) -> bool:
        return self.writer.get_extra_info("ssl_object") is not None

    async def on_ehlo(self, _: str) -> None:
        offers = list(self.double.extensions)
        if self.double.tls and not self.secured:
            offers.append("STARTTLS")
        lines = ["double", *offers]
        await self.say("EHLO", "\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"]))

    async def on_helo(self, _: str) -> None:
        await self.say("HELO", "250 double")

    async def on_starttls(self, _: str) -> None:
        answer = await self.say("STARTTLS", "220 go ahead")
        if answer.startswith("220") and self.double.tls:
            context = self.double.tls

            def note(_socket: object, name: str | None, _context: ssl.SSLContext) -> None:
                self.names.append(name or "")

            context.sni_callback = note
            await self.writer.start_tls(context)

    async def on_mail(self, text: str) -> None:
        if (await self.say("MAIL", "250 2.1.0 ok")).startswith("2"):
            self.mail, self.rcpt = text, []

    async def on_rcpt(self, text: str) -> None:
        usual = "250 2.1.5 ok" if self.mail else "503 5.5.1 MAIL first"
        if (await self.say("RCPT", usual)).startswith("2"):
            self.rcpt.append(text)

    async def on_rset(self, _: str) -> None:
        self.mail, self.rcpt = "", []
        await self.say("RSET", "250 ok")

    async def on_data(self, _: str) -> None:
        answer = await self.say("DATA", "354 go on" if self.rcpt else "554 5.5.1 no valid recipients")
        if not answer.startswith("354"):
            return
        octets = bytearray()
        while (line := await self.reader.readline()) != b".\r\n":
            if not line:
                return
            octets += line.removeprefix(b".")
        number = len(self.double.mails) + 1
        if (await self.say(".", f"250 2.0.0 ok: queued as {number}")).startswith("2") and self.rcpt:
            name = self.names[-1] if self.names else ""
            async with self.double.news:
                self.double.mails.append(Mail(self.mail, self.rcpt, bytes(octets), self.secured, name))
                self.double.news.notify_all()
        self.mail, self.rcpt = "", []

    async def on_quit(self, _: str) -> None:
        await self.say("QUIT", "221 bye")
        raise ConnectionResetError

    async def on_other(self, text: str) -> None:
        usual = self.double.answers(text) if self.double.answers else "500 5.5.1 what?"
        await self.say(text.partition(" ")[0].upper(), usual)


@contextlib.asynccontextmanager
async def serving(double: Double, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Double]:
    """The double, listening while the context lasts."""
    talking: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        double.connections += 1
        try:
            await _Dialogue(double, reader, writer).run()
        except _Hung:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await reader.read()
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError, ValueError):
            return
        finally:
            talking.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, host, port)
    double.port = server.sockets[0].getsockname()[1]
    try:
        yield double
    finally:
        server.close()
        for task in tuple(talking):
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
