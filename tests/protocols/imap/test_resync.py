# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""CONDSTORE and QRESYNC (RFC 7162): a client that comes back learns just what it has missed."""

from __future__ import annotations

import re
from pathlib import Path

from mailroom.storage.ports import Store
from tests.protocols.imap.room import Client, room


async def known(c: Client, folder: str = "INBOX") -> tuple[int, int]:
    """UIDVALIDITY and HIGHESTMODSEQ."""
    [line] = await c.ok(f"STATUS {folder} (UIDVALIDITY HIGHESTMODSEQ)")
    validity, modseq = re.findall(rb"\d+", line)
    return int(validity), int(modseq)


async def test_a_client_that_comes_back(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one", "two", "three", "four", "five")
        async with place.open() as c:
            validity, modseq = await known(c)
            await c.ok("STORE 2 +FLAGS.SILENT (\\Flagged Work)")
            await c.ok("STORE 1,4 +FLAGS.SILENT \\Deleted")
            await c.ok("EXPUNGE")
        await place.deliver("six")
        async with place.call() as c:
            await c.login("amy")
            assert (await c(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")).status == "BAD"
            await c.ok("ENABLE QRESYNC")
            answer = await c(f"SELECT INBOX (QRESYNC ({validity} {modseq}))")
            assert answer.status == "OK"
            assert b"VANISHED (EARLIER) 1,4" in answer.lines
            _, now = await known(c)
            told = [line for line in answer.lines if b"FETCH" in line]
            assert [line.partition(b" MODSEQ")[0] for line in told] == [
                b"1 FETCH (UID 2 FLAGS (\\Flagged Work)",
                b"4 FETCH (UID 6 FLAGS ()",
            ]
            assert f"OK [HIGHESTMODSEQ {now}] the highest".encode() in answer.lines
            answer = await c(f"SELECT INBOX (QRESYNC ({validity} {now} 1:9))")
            assert not [line for line in answer.lines if b"FETCH" in line or b"VANISHED" in line]
            answer = await c(f"SELECT INBOX (QRESYNC ({validity} {modseq} 2:4 (1:2 2,9)))")
            assert b"VANISHED (EARLIER) 4" in answer.lines
            assert next(line for line in answer.lines if b"FETCH" in line).startswith(b"1 FETCH (UID 2 ")
            answer = await c(f"SELECT INBOX (QRESYNC ({validity + 1} 1))")
            assert not [line for line in answer.lines if b"FETCH" in line or b"VANISHED" in line]


async def test_changes_while_the_folder_is_open(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one", "two", "three")
        async with place.open() as c, place.open() as other:
            await c.ok("ENABLE QRESYNC")
            _, modseq = await known(c)
            await other.ok("STORE 3 +FLAGS (\\Seen)")
            [line] = await c.ok("NOOP")
            assert line == b"3 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (%d))" % (modseq + 1)
            await other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
            await other.ok("EXPUNGE")
            assert await c.ok("UID SEARCH ALL") == [b"SEARCH 2 3", b"VANISHED 1"]
            assert await c.ok(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq} VANISHED)") == [
                b"VANISHED (EARLIER) 1",
                b"2 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (%d))" % (modseq + 1),
            ]
            assert await c.ok(f"FETCH 1:* (UID) (CHANGEDSINCE {modseq + 9})") == []


async def test_conditional_store(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one", "two")
        async with place.open() as c, place.open() as other:
            _, modseq = await known(c)
            await other.ok("STORE 1 +FLAGS (\\Seen)")
            answer = await c(f"STORE 1:2 (UNCHANGEDSINCE {modseq}) +FLAGS (\\Flagged)")
            assert answer.text.startswith(b"[MODIFIED 1] ")
            assert answer.lines == [
                b"2 FETCH (FLAGS (\\Flagged) MODSEQ (%d))" % (modseq + 2),
                b"1 FETCH (FLAGS (\\Seen) MODSEQ (%d))" % (modseq + 1),
            ]
            answer = await c(f"UID STORE 1:2 (UNCHANGEDSINCE {modseq + 2}) +FLAGS.SILENT (\\Answered)")
            assert answer.lines == [
                b"1 FETCH (UID 1 MODSEQ (%d))" % (modseq + 3),
                b"2 FETCH (UID 2 MODSEQ (%d))" % (modseq + 3),
            ]
            answer = await c("STORE 1 (UNCHANGEDSINCE 0) +FLAGS (x)")
            assert answer.code == "MODIFIED"


async def test_a_search_tells_the_highest_modseq(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one", "two")
        async with place.open() as c:
            _, modseq = await known(c)
            await c.ok("STORE 1 +FLAGS (\\Seen)")
            assert await c.ok(f"SEARCH MODSEQ {modseq + 1}") == [b"SEARCH 1 (MODSEQ %d)" % (modseq + 1)]
            assert await c.ok(f"SEARCH MODSEQ {modseq + 2}") == [b"SEARCH"]
            [line] = await c.ok("UID SEARCH RETURN (COUNT) MODSEQ 1")
            assert line.endswith(b"UID COUNT 2 MODSEQ %d" % (modseq + 1))


async def test_what_the_rev2_forms_are(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one", "two")
        async with place.call() as c:
            await c.login("amy")
            await c.ok("ENABLE IMAP4rev2")
            lines = await c.ok("SELECT INBOX")
            assert b'LIST () "/" INBOX' in lines
            assert not [line for line in lines if b"RECENT" in line or b"UNSEEN" in line]
            assert await c.ok("SEARCH ALL") == [b'ESEARCH (TAG "t4") ALL 1:2']
            assert await c.ok("SEARCH SEEN") == [b'ESEARCH (TAG "t5")']
