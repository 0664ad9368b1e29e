# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Commands on very many mails: what may go piece by piece does, so that others write meanwhile, and nobody is told
anything else for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mailroom.mailboxes import change
from mailroom.mailboxes.model import topic
from mailroom.storage.ports import Store
from tests.protocols.imap.room import Room, room

MANY = 1200
MIDDLE = change.AT_ONCE + 3  # a mail of the second of three pieces
LAST = 2 * MIDDLE - 1  # a mail of the third


def hints(place: Room) -> list[None]:
    """Grows by one with each transaction that changes amy's mailbox."""
    heard: list[None] = []
    place.store.hints.call(topic(place.people.mailboxes["amy"]), lambda: heard.append(None))
    return heard


async def test_expunge_goes_piece_by_piece(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver(*(f"{number}" for number in range(LAST)))
        async with place.open() as c, place.open() as other:
            await c.ok(f"STORE 1:{MIDDLE - 1},{MIDDLE + 1}:{LAST - 1} +FLAGS.SILENT (\\Deleted)")
            await other.ok("NOOP")
            heard = hints(place)
            gone = [b"1 EXPUNGE"] * (MIDDLE - 1) + [b"2 EXPUNGE"] * (LAST - MIDDLE - 1)
            assert await c.ok("EXPUNGE") == gone
            assert len(heard) == 3
            assert await c.ok("FETCH 1:* UID") == [b"1 FETCH (UID %d)" % MIDDLE, b"2 FETCH (UID %d)" % LAST]
            assert await other.ok("NOOP") == gone


@pytest.mark.parametrize(("command", "left"), [(f"UID EXPUNGE 2:{LAST - 1}", [1, LAST]), ("CLOSE", [])])
async def test_so_do_close_and_uid_expunge(command: str, left: list[int], store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver(*(f"{number}" for number in range(LAST)))
        async with place.open() as c:
            await c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
            await c.ok(command)
            await c.ok("SELECT INBOX")
            assert await c.ok("UID FETCH 1:* UID") == [b"%d FETCH (UID %d)" % pair for pair in enumerate(left, 1)]


async def test_a_folder_with_many_mails_is_removed_piece_by_piece(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver(*(f"{number}" for number in range(LAST)))
        async with place.open() as c:
            used = await c.ok("GETQUOTAROOT INBOX")
            await c.ok("CREATE a")
            await c.ok("COPY 1:* a")
            async with place.open(folder="a") as other:
                heard = hints(place)
                await c.ok("DELETE a")
                assert len(heard) == 3
                await other.say("NOOP")
                await other.expect(r"\* BYE the folder has been removed")
            assert (await c("SELECT a")).code == "NONEXISTENT"
            assert await c.ok("GETQUOTAROOT INBOX") == used
            await c.ok("SELECT INBOX")
            assert len(await c.ok("FETCH 1:* UID")) == LAST


async def test_a_folder_that_must_stay_keeps_its_mails(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver(*(f"{number}" for number in range(LAST)))
        async with place.open() as c:
            assert (await c("DELETE INBOX")).code == "CANNOT"
            assert await c.ok("STATUS INBOX (MESSAGES)") == [b"STATUS INBOX (MESSAGES %d)" % LAST]


async def test_every_other_of_many(store: Store, tmp_path: Path) -> None:
    odd = ",".join(f"{uid}" for uid in range(1, MANY, 2))
    async with room(store, tmp_path) as place:
        await place.deliver(*(f"{number}" for number in range(MANY)))
        async with place.open() as c:
            lines = await c.ok(f"UID STORE {odd} +FLAGS (\\Flagged)")
            assert lines == [b"%d FETCH (UID %d FLAGS (\\Flagged))" % (uid, uid) for uid in range(1, MANY, 2)]
            assert await c.ok("UID SEARCH RETURN (COUNT) FLAGGED") == [b'ESEARCH (TAG "t4") UID COUNT %d' % (MANY / 2)]
            assert f"{odd} 1:{MANY // 2}]".encode() in (await c(f"UID COPY {odd} Sent")).text
            lines = await c.ok(f"MOVE {odd} Trash")
            assert f"{odd} 1:{MANY // 2}]".encode() in lines[0]
            assert lines[1:] == [b"%d EXPUNGE" % number for number in range(1, MANY // 2 + 1)]
            assert await c.ok("FETCH 1:2 UID") == [b"1 FETCH (UID 2)", b"2 FETCH (UID 4)"]
            answer = await c(f"UID FETCH 1:{MANY} (FLAGS) (CHANGEDSINCE 1)")
            assert answer.lines[:1] == [b"1 FETCH (UID 2 FLAGS () MODSEQ (3))"]
            assert len(answer.lines) == MANY // 2


async def test_only_what_has_changed_since(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver(*(f"{number}" for number in range(30)))
        async with place.open() as c:
            since = int((await c.ok("STATUS INBOX (HIGHESTMODSEQ)"))[0].split()[-1].rstrip(b")"))
            for uids in ("7:9", "2", "30"):
                await c.ok(f"UID STORE {uids} +FLAGS.SILENT (\\Flagged)")
            for items in ("(UID)", "(UID PREVIEW)"):
                for among, changed in (("1:*", [2, 7, 8, 9, 30]), ("8:29", [8, 9]), ("1,3:6", [])):
                    lines = await c.ok(f"FETCH {among} {items} (CHANGEDSINCE {since})")
                    assert [int(line.split()[0]) for line in lines] == changed
