# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""IDLE: what happens is told while it happens, whichever process did it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mailroom.storage.ports import Store
from tests.protocols.imap.room import Client, room

# Another process puts a mail into a folder, by its id.
ELSEWHERE = """
import asyncio, sys
from mailroom.core import clock
from mailroom.storage.engines import open_store
from tests import make

async def main():
    store = open_store(sys.argv[1], clock.now)
    await store.write(lambda tx: make.appended(tx, int(sys.argv[2])))
    await store.close()

asyncio.run(main())
"""


async def idle(c: Client) -> bytes:
    tag = await c.say("IDLE")
    await c.expect(r"\+ .*")
    return tag


async def done(c: Client, tag: bytes) -> None:
    await c.send(b"DONE\r\n")
    await c.expect(f"{tag.decode()} OK .*")


async def test_deliveries_flags_and_expunges(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c, place.open() as other:
        tag = await idle(c)
        await place.deliver("one")
        await c.expect(r"\* 1 EXISTS")
        await place.deliver("two")
        await c.expect(r"\* 2 EXISTS")
        await other.ok("NOOP")
        await other.ok("STORE 1 +FLAGS (\\Deleted)")
        await c.expect(r"\* 1 FETCH \(FLAGS \(\\Deleted\)\)")
        await other.ok("EXPUNGE")
        await c.expect(r"\* 1 EXPUNGE")
        await done(c, tag)
        await c.ok("FETCH 1 UID")


async def test_a_burst_is_told_of_completely(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        tag = await idle(c)
        await asyncio.gather(*(place.deliver(str(number)) for number in range(50)))
        while await c.line() != b"* 50 EXISTS":
            pass
        await done(c, tag)


async def test_what_another_process_does(store: Store, store_url: str, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        [told] = await c.ok("STATUS INBOX (MAILBOXID)")
        tag = await idle(c)
        folder_id = told.partition(b"(F")[2].partition(b")")[0].decode()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", ELSEWHERE, store_url, folder_id)
        assert await process.wait() == 0  # it may take long to start
        await c.expect(r"\* 1 EXISTS")
        await done(c, tag)


async def test_without_a_folder(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.login("amy")
        tag = await idle(c)
        await place.deliver("one")
        await done(c, tag)


async def test_anything_but_done_is_bad(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        tag = await idle(c)
        await c.send(b"a NOOP\r\n")
        await c.expect(f"{tag.decode()} BAD .*")
        await c.ok("NOOP")


async def test_done_may_be_sent_ahead_and_in_small_letters(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        await c.send(b"a IDLE\r\ndone\r\nb NOOP\r\n")
        await c.expect(r"\+ .*")
        await c.expect(r"a OK .*")
        await c.expect(r"b OK .*")


async def test_signs_of_life(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, heartbeat=0.1) as place, place.open() as c:
        tag = await idle(c)
        await c.expect(r"\* OK still here")
        await c.expect(r"\* OK still here")
        await done(c, tag)


async def test_a_client_that_idles_too_long_is_sent_away(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, silence=0.3) as place, place.open() as c:
        await idle(c)
        await c.expect(r"\* BYE .*")
        await c.expect_end()


async def test_two_folders_of_one_mailbox(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as inbox, place.open(folder="Sent") as sent:
        first, second = await idle(inbox), await idle(sent)
        await place.deliver("one")
        await inbox.expect(r"\* 1 EXISTS")
        await done(sent, second)
        await done(inbox, first)
