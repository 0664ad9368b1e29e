# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Drives the server from every state of a session, for tests and for fuzzing: a client comes along one of `ROADS`, then
says anything. It must not leave a trace in the log, nor keep another from his mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
import trustme
from sqlalchemy import delete

from mailroom.storage import schema
from mailroom.storage.engines import open_store
from tests.protocols.imap.room import PASSWORD, PATIENCE, Client, Room, room

_FORGET: Final = delete(schema.brakes)
_LOGIN: Final = f'LOGIN bob "{PASSWORD}"'
_OPEN: Final = (_LOGIN, "SELECT INBOX")


@dataclass(frozen=True)
class Road:
    """Commands that are answered, then octets that are not; the client then speaks in DEFLATE, or not."""

    commands: Sequence[str] = ()
    begun: bytes = b""
    tls: bool = False
    deflates: bool = False


ROADS: Final = {
    "a stranger": Road(),
    "in a literal of a stranger": Road(begun=b"a LOGIN {9}\r\nam"),
    "asked to sign in": Road(begun=b"a AUTHENTICATE PLAIN\r\n"),
    "amid a handshake": Road(begun=b"a STARTTLS\r\n"),
    "a stranger in TLS": Road(tls=True),
    "a member": Road((_LOGIN,)),
    "a member in TLS": Road(_OPEN, tls=True),
    "with a folder open": Road(_OPEN),
    "with a folder to look at": Road((_LOGIN, "EXAMINE INBOX")),
    "who hears of what vanishes": Road((_LOGIN, "ENABLE QRESYNC IMAP4rev2", "SELECT INBOX")),
    "idling": Road(_OPEN, b"a IDLE\r\n"),
    "idling in TLS": Road(_OPEN, b"a IDLE\r\n", tls=True),
    "in a literal": Road(_OPEN, b"a SEARCH TEXT {20}\r\nab"),
    "in a mail": Road(_OPEN, b"a APPEND INBOX {90+}\r\nSubject: x\r\n"),
    "in the second mail": Road(_OPEN, b"a APPEND INBOX {4+}\r\nA: b {90+}\r\nSubject: x\r\n"),
    "in a mail that was refused": Road(_OPEN, b"a APPEND nowhere {90+}\r\nSubject: x\r\n"),
    "compressed": Road((*_OPEN, "COMPRESS DEFLATE"), deflates=True),
    "compressed, and talking plain": Road((*_OPEN, "COMPRESS DEFLATE")),
    "compressed in TLS": Road((*_OPEN, "COMPRESS DEFLATE"), tls=True, deflates=True),
    "about to compress": Road(_OPEN, b"a COMPRESS DEFLATE\r\n"),
}

STEPS: Final = [
    *[b"d1 FETCH 1:* (FLAGS UID BODY[])\r\n", b"d2 STORE 1:* +FLAGS (\\Deleted w)\r\n", b"d3 EXPUNGE\r\n"],
    *[
        b"d4 UID MOVE 1:* Trash\r\n",
        b"d5 COPY 1 INBOX\r\n",
        b"d6 CLOSE\r\n",
        b"d7 SELECT Trash\r\n",
        b"d8 UNSELECT\r\n",
    ],
    *[b"d9 APPEND INBOX {4+}\r\nA: b\r\n", b"e1 CREATE x/y\r\n", b"e2 RENAME x z\r\n", b"e3 DELETE z/y\r\n"],
    *[b"e4 SEARCH RETURN (SAVE) ALL\r\n", b"e5 FETCH $ ENVELOPE\r\n", b"e6 UID THREAD REFERENCES UTF-8 ALL\r\n"],
    *[b"e7 COMPRESS DEFLATE\r\n", b"e8 STARTTLS\r\n", b"e9 IDLE\r\n", b"DONE\r\n", b"f1 RENAME INBOX was\r\n"],
    *[b"f2 UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)\r\n", b"f3 STATUS INBOX (MESSAGES)\r\n", b"f4 LOGOUT\r\n"],
    *[b"f5 AUTHENTICATE PLAIN\r\n", b"AGJvYgBjb3JyZWN0IGhvcnNl\r\n", b"f6 ENABLE QRESYNC\r\n", b"f7 UID EXPUNGE *\r\n"],
]


async def attack(place: Room, good: Client, road: Road, pieces: Sequence[bytes]) -> None:
    """Come along the road and say it all; who reads his mail meanwhile must not be disturbed."""
    await place.store.write(lambda tx: tx.run(_FORGET))  # what failed before is not what is shown
    with structlog.testing.capture_logs() as lines:
        async with place.call() as c:
            if road.tls:
                await c.ok("STARTTLS")
                await c.start_tls()
            for command in road.commands:
                await c.ok(command)
            packer = zlib.compressobj(wbits=-15) if road.deflates else None
            with contextlib.suppress(ConnectionError):
                await c.send(road.begun if packer is None else _packed(packer, road.begun))
                for piece in pieces:
                    await c.send(piece if packer is None else _packed(packer, piece))
                await hear_out(c)
        assert await good.ok("UID SEARCH ALL") == [b"SEARCH 1"]
    assert not [line for line in lines if line["log_level"] not in {"info", "debug"}], lines


def _certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.corp.example").configure_cert(context)
    return context


def _packed(packer: zlib._Compress, octets: bytes) -> bytes:
    return packer.compress(octets) + packer.flush(zlib.Z_SYNC_FLUSH)


async def hear_out(c: Client) -> None:
    """End our half, and hear until the server has ended its own. In TLS there are no halves: the client vanishes."""
    if not c.writer.can_write_eof():
        return
    c.writer.write_eof()
    async with asyncio.timeout(PATIENCE):
        while await c.reader.read(1 << 16):
            pass


@contextlib.asynccontextmanager
async def watched(url: str, folder: Path) -> AsyncIterator[tuple[Room, Client]]:
    """A server over the store at the URL, and a client with one mail who must not be disturbed."""
    async with AsyncExitStack() as stack:
        store = open_store(url)
        stack.push_async_callback(store.close)
        place = await stack.enter_async_context(room(store, folder, tls=_certificate()))
        await place.deliver("one")
        await place.deliver("one", to="bob")
        yield place, await stack.enter_async_context(place.open("amy"))


class Standing:
    """A server for a program that is not asynchronous, as a fuzzer is; it stands until the program ends."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mailroom-imap-")
        self._runner = asyncio.Runner()
        folder = Path(self._folder.name)
        self._opened = watched(f"sqlite:///{folder}/store.db", folder)
        self._place, self._good = self._runner.run(self._opened.__aenter__())

    def attack(self, road: Road, pieces: Sequence[bytes]) -> None:
        """As the function."""
        self._runner.run(attack(self._place, self._good, road, pieces))
