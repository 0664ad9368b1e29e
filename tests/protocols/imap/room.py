# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An IMAP server over a store of the test's own, in the test's event loop, and clients that say commands as they stand.

`await c("FETCH 1 FLAGS")` gives the answer; `c.lines` are untagged lines that came by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailroom.core import clock, ids
from mailroom.core.settings import Limits, Settings
from mailroom.delivery import letters
from mailroom.delivery.letters import Letters
from mailroom.directory.logins import Logins
from mailroom.mailboxes import append
from mailroom.mailboxes.contents import Bodies
from mailroom.mailboxes.model import FolderRole
from mailroom.protocols.contract import House
from mailroom.protocols.imap.server import Imap, imap
from mailroom.protocols.listener import Listener
from mailroom.storage.engines import open_blobs
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.make import Organisation
from tests.protocols.imap.talk import Answer

PASSWORD = "correct horse"
PATIENCE = 20.0


class Client:
    """One connection. Every line that is heard is octets, with the literals in it, and without its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._number = 0

    async def __call__(self, command: str | bytes) -> Answer:
        """Say a command, without its tag and last line end, and hear its answer. Literals in it must be `{n+}`."""
        return await self.answer(await self.say(command))

    async def ok(self, command: str | bytes) -> list[bytes]:
        """The lines that are said to a command that must be OK."""
        answer = await self(command)
        assert answer.status == "OK", (command, answer)
        return answer.lines

    async def say(self, command: str | bytes) -> bytes:
        """Say a command and do not wait; its tag."""
        self._number += 1
        tag = b"t%d" % self._number
        await self.send(tag + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        return tag

    async def answer(self, tag: bytes) -> Answer:
        """What is said up to the end of the command with the tag."""
        lines: list[bytes] = []
        while True:
            line = await self.line()
            assert line, f"hung up: {lines}"
            if line.startswith(tag + b" "):
                status, _, text = line[len(tag) + 1 :].partition(b" ")
                return Answer(lines, status.decode(), text)
            lines.append(line.removeprefix(b"* "))

    async def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self.writer.write(octets)
        await self.writer.drain()

    async def line(self) -> bytes:
        """The next line; b"" when the server has hung up."""
        line = b""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionResetError):
                while True:
                    line += await self.reader.readline()
                    literal = re.search(rb"\{([0-9]+)\}\r\n\Z", line)
                    if literal is None:
                        return line.removesuffix(b"\r\n")
                    line += await self.reader.readexactly(int(literal[1]))
        return line

    async def expect(self, pattern: str) -> bytes:
        """The next line, which must match."""
        line = await self.line()
        assert re.fullmatch(pattern.encode(), line, re.DOTALL), (pattern, line)
        return line

    async def expect_end(self) -> None:
        """The server hangs up, and says nothing more."""
        assert await self.line() == b""

    async def login(self, name: str, password: str = PASSWORD) -> None:
        """Sign in."""
        await self.ok(f'LOGIN {name} "{password}"')

    async def append(self, folder: str, octets: bytes, flags: str = "") -> Answer:
        """APPEND one mail."""
        return await self(f'APPEND "{folder}" ({flags}) {{{len(octets)}+}}\r\n'.encode() + octets)

    async def start_tls(self) -> None:
        """The handshake, taking any certificate."""
        await self.writer.start_tls(careless())


def careless() -> ssl.SSLContext:
    """What takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class Room:
    """A server that runs, and the people who may sign in, each with `PASSWORD`."""

    port: int
    store: Store
    logins: Logins
    people: Organisation

    @contextlib.asynccontextmanager
    async def call(self, *, tls: bool = False) -> AsyncIterator[Client]:
        """A client that has been greeted, `tls`: in TLS from the first octet."""
        context = careless() if tls else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20, ssl=context)
        client = Client(reader, writer)
        try:
            await client.expect(r"\* OK \[CAPABILITY .*")
            yield client
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @contextlib.asynccontextmanager
    async def open(self, name: str = "amy", folder: str = "INBOX") -> AsyncIterator[Client]:
        """A client that has signed in and opened a folder."""
        async with self.call() as client:
            await client.login(name)
            await client.ok(f'SELECT "{folder}"')
            yield client

    async def deliver(self, *subjects: str, to: str = "amy", octets: bytes = b"") -> None:
        """Mails come in, for a userid or the local part of a public mailbox."""
        mails = [octets] if octets else [make.mail(subject=subject) for subject in subjects]
        mailbox_id = self.people.mailboxes[to]

        def work(tx: Tx) -> None:
            for letter in map(letters.written, mails):
                content_id = letter.file(tx, refs=1)
                append.deliver(tx, content_id, mailbox_id, role=FolderRole.INBOX, size=letter.size, envelope_from="")

        await self.store.write(work)


def service(store: Store, folder: Path, *, tls: ssl.SSLContext | None = None, settings: Settings | None = None) -> Imap:
    """The service over a store, with blobs and spools in a folder."""
    spools = folder / "spools"
    spools.mkdir(exist_ok=True)
    bodies = Bodies(store, open_blobs(f"file://{folder}/blobs"))
    absent: Any = None
    house = House(
        settings=settings or Settings(),
        store=store,
        bodies=bodies,
        letters=Letters(bodies, spools, "mx.corp.example", ids.new, 0),
        logins=make.logins(store, folder),
        acceptance=absent,
        submission=absent,
        tls=tls,
        clock=clock.now,
        new_id=ids.new,
    )
    return imap(house)


@contextlib.asynccontextmanager
async def serving(
    service: Imap, *, limits: Limits | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """The service, listening; its port."""
    listener = Listener(service, limits=limits or Limits(), tls=tls, sweep=0.05)
    await listener.start("127.0.0.1:0")
    try:
        yield listener.port
    finally:
        await listener.stop(grace=0)


@contextlib.asynccontextmanager
async def room(
    store: Store,
    folder: Path,
    *,
    people: Sequence[str] = ("amy", "bob"),
    tls: ssl.SSLContext | None = None,
    settings: Settings | None = None,
    **terms: Any,
) -> AsyncIterator[Room]:
    """A server with people, who share the public mailbox `sales`. `terms` are fields of `session.Terms`."""
    made = service(store, folder, tls=tls, settings=settings)
    made = replace(made, tools=replace(made.tools, terms=replace(made.tools.terms, **terms)))
    organisation = await make.organisation(store, people=people, public={"sales": people})
    logins = made.tools.sasl.logins
    for name in people:
        await make.set_password(logins, name, PASSWORD)
    async with serving(made) as port:
        yield Room(port, store, logins, organisation)
