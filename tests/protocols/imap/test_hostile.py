# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that mean no good, or are broken: each harms its own connection alone, and none leaves a trace in the log."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from sqlalchemy import update

from mailroom.protocols.imap.deflate import Broken, Deflate
from mailroom.storage import schema
from mailroom.storage.ports import Store
from tests import make
from tests.protocols.imap.listen import COMMANDS, WORDS
from tests.protocols.imap.room import Client, Room, room

# What no program of ours writes: a role that there is not.
BREAK = update(schema.folders).where(schema.folders.c.name == "Sent").values(role="odd" + schema.folders.c.name)


@contextlib.asynccontextmanager
async def beside(store: Store, folder: Path, **terms: Any) -> AsyncIterator[Room]:
    """A server with a well-behaved client, who must not be disturbed, and a log that must hold no error."""
    async with room(store, folder, **terms) as place:
        await place.deliver("one", "two", "three")
        async with place.open("amy") as good:
            with structlog.testing.capture_logs() as lines:
                yield place
            assert await good.ok("FETCH 1:* UID") == [b"%d FETCH (UID %d)" % (n, n) for n in (1, 2, 3)]
        assert not [line for line in lines if line["log_level"] not in {"info", "debug"}]


async def say_all(c: Client, octets: bytes) -> None:
    """Send all of it, as far as the server wants it, and hear what it says until nothing more comes."""
    with contextlib.suppress(ConnectionError):
        await c.send(octets)
        c.writer.write_eof()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(20):
            while await c.reader.read(1 << 16):
                pass


@pytest.mark.parametrize("seed", range(4))
async def test_any_octets_in_any_state(seed: int, store: Store, tmp_path: Path) -> None:
    chance = random.Random(seed)
    async with beside(store, tmp_path) as place:
        for _ in range(25):
            async with place.call() as c:
                if chance.random() < 0.8:
                    await c.login("bob")
                    if chance.random() < 0.8:
                        await c.ok("SELECT INBOX")
                words = [chance.choice(chance.choice((COMMANDS, WORDS))) for _ in range(chance.randrange(30))]
                await say_all(c, b"".join(words))


async def test_an_endless_line(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path) as place:
        async with place.call() as c:
            await say_all(c, b"a " + b"x" * 2_000_000)
        async with place.open("bob") as c:
            await c.send(b"a SEARCH " + b"TEXT x " * 50_000)
            await c.expect(r"a BAD \[TOOBIG\].*")


async def test_literals_over_the_limit(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path) as place:
        for words in (b"LOGIN {99999999999}", b"LOGIN {99999999+}", b"APPEND INBOX {99999999999+}"):
            async with place.call() as c:
                await c.send(b"a " + words + b"\r\n")
                await c.expect(r"(a (BAD|NO)|\* BYE).*")
        async with place.open("bob") as c:
            answer = await c("SELECT {300000}")
            assert answer.status == "BAD"
            await c.send(b"a APPEND INBOX {99999999999+}\r\n")
            await c.expect(r"a NO \[TOOBIG\].*")
            await say_all(c, b"x" * 1_000_000)


async def test_unknown_commands_end_it(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path) as place, place.call() as c:
        await say_all(c, b"GET / HTTP/1.1\r\nHost: x\r\n" * 1000)
        assert c.reader.at_eof()


async def test_a_flood_of_commands_leaves_others_their_turn(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path) as place, place.open("bob") as flood, place.open("amy") as good:
        flood.writer.write(b"a NOOP\r\n" * 20_000)
        for _ in range(20):
            await good.ok("NOOP")
        heard = 0
        while heard < 20_000:
            assert await flood.line() == b"a OK done"
            heard += 1


async def test_a_client_that_does_not_read_is_cut_off_and_costs_no_memory(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path, stuck=0.5) as place, place.open("bob") as c:
        large = make.mail(size=5_000_000)
        assert (await c.append("INBOX", large)).status == "OK"
        cast("asyncio.Transport", c.writer.transport).pause_reading()
        tracemalloc.start()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while True:
                    await c.send(b"a FETCH 1:* BODY.PEEK[]\r\n" * 10)
                    await asyncio.sleep(0.01)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 12_000_000


async def test_a_client_that_closes_its_half_hears_its_answers(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path) as place, place.open("bob") as c:
        await c.send(b'a NOOP\r\nb LIST "" INBOX\r\nc IDLE\r\n')
        c.writer.write_eof()
        await c.expect("a OK .*")
        await c.expect(r"\* LIST .*")
        await c.expect("b OK .*")
        await c.expect(r"\+ .*")
        await c.expect_end()


async def test_a_client_that_vanishes_in_the_middle(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path) as place:
        large = make.mail(size=3_000_000)
        for words in (b"a FETCH 1:* BODY[]\r\n", b"a IDLE\r\n", b"a AUTHENTICATE PLAIN\r\n", b"a SEARCH TEXT x\r\n"):
            async with place.open("bob") as c:
                if b"FETCH" in words:
                    await c.append("INBOX", large)
                await c.send(words)
        async with place.call() as c:
            await c.send(b"a AUTHENTICATE PLAIN\r\n")


async def test_sets_and_patterns_that_are_costly(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path) as place, place.open("bob") as c:
        await c.ok("CREATE " + "a" * 200)
        async with asyncio.timeout(10):
            await c('LIST "" ' + "*a" * 25 + "b")
            await c('LIST "" ' + "%a" * 25 + "*" + "a%" * 20 + "b")
            assert (await c('LIST "" ' + "%a" * 1000)).code == "LIMIT"
            await c("UID FETCH " + ",".join(f"{n}" for n in range(1, 30_000, 2)) + " FLAGS")
            await c("UID FETCH 1:4294967295,4294967295:* FLAGS")
            await c("UID STORE 1:4294967295 +FLAGS (" + " ".join(f"k{n}" for n in range(300)) + ")")
            await c("UID SEARCH " + "OR SEEN " * 39 + "SEEN")


# COMPRESS.


class Compressed:
    """A client's half of COMPRESS."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._out = zlib.compressobj(wbits=-15)
        self._in = zlib.decompressobj(-15)
        self._heard = b""

    async def __call__(self, words: bytes) -> bytes:
        """Say a command whose tag is `z`; all that is said up to its end."""
        await self._client.send(self._out.compress(words + b"\r\n") + self._out.flush(zlib.Z_SYNC_FLUSH))
        async with asyncio.timeout(20):
            while b"\nz " not in b"\n" + self._heard or not self._heard.endswith(b"\r\n"):
                octets = await self._client.reader.read(1 << 16)
                assert octets
                self._heard += self._in.decompress(octets)
        heard, self._heard = self._heard, b""
        return heard


async def test_compress(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path) as place, place.open("bob") as c:
        large = make.mail(size=300_000)
        assert (await c.append("INBOX", large)).status == "OK"
        assert (await c("COMPRESS LZMA")).status == "BAD"
        assert (await c("COMPRESS DEFLATE")).status == "OK"
        z = Compressed(c)
        assert large in await z(b"z FETCH 1 BODY.PEEK[]")
        assert b"COMPRESS=DEFLATE" not in await z(b"z CAPABILITY")
        assert b"COMPRESSIONACTIVE" in await z(b"z COMPRESS DEFLATE")
        append = b"z APPEND INBOX {%d+}\r\n%b" % (len(large), large)
        assert b"APPENDUID" in await z(append)


@pytest.mark.parametrize(
    "bomb", [b"x" * 200_000_000, b"z NOOP\r\n" * 2_000_000, b"z LOGIN {1+}\r\nx {9999999+}\r\n" * 9]
)
async def test_a_bomb(bomb: bytes, store: Store, tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(bomb) + packer.flush(zlib.Z_SYNC_FLUSH)
    async with beside(store, tmp_path, stuck=1) as place, place.open("bob") as c:
        await c.ok("COMPRESS DEFLATE")
        cast("asyncio.Transport", c.writer.transport).pause_reading()
        tracemalloc.start()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(3):
                await c.send(packed)
                while True:
                    await c.send(b"\0")
                    await asyncio.sleep(0.05)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8_000_000


async def test_a_bomb_leaves_others_their_turn(store: Store, tmp_path: Path) -> None:
    bomb = b"y LOGIN {40000000+}\r\n" + b"x" * 40_000_000 + b"\r\nz NOOP"
    async with beside(store, tmp_path) as place, place.open("bob") as c, place.open("amy") as other:
        await c.ok("COMPRESS DEFLATE")
        answer = asyncio.create_task(Compressed(c)(bomb))
        for _ in range(3):
            await other.ok("NOOP")
        assert not answer.done()
        assert b"z OK" in await answer


async def test_what_is_no_deflate_ends_it(store: Store, tmp_path: Path) -> None:
    async with beside(store, tmp_path) as place, place.open("bob") as c:
        await c.ok("COMPRESS DEFLATE")
        await say_all(c, b"\xff\xff a NOOP\r\n")


def test_inflating_gives_no_more_than_is_asked_for() -> None:
    deflate = Deflate()
    packer = zlib.compressobj(wbits=-15)
    deflate.feed(packer.compress(b"x" * 1_000_000) + packer.flush(zlib.Z_SYNC_FLUSH))
    pieces = []
    while octets := deflate.inflate(1000):
        assert len(octets) <= 1000
        pieces.append(octets)
    assert b"".join(pieces) == b"x" * 1_000_000
    deflate.feed(packer.flush(zlib.Z_FINISH))
    with pytest.raises(Broken):
        deflate.inflate(1000)


async def test_a_bug_costs_one_connection(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open("bob") as c, place.open("amy") as good:
        with structlog.testing.capture_logs() as lines:
            await store.write(lambda tx: tx.run(BREAK))
            await c.say("STATUS Sent (MESSAGES)")
            await c.expect(r"\* BYE .*")
            await c.expect_end()
        assert [line["event"] for line in lines if line["log_level"] == "error"] == ["imap conversation broke"]
        await good.ok("NOOP")
