# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""APPEND: what was sent is kept to the octet before OK, all of it or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from mailroom.directory.model import SYSTEM
from mailroom.mailboxes import quota
from mailroom.storage import schema
from mailroom.storage.ports import Store
from tests import make
from tests.protocols.imap.room import Client, Room, room

FACTS = select(func.count()).select_from(schema.facts)
CONTENTS = select(func.count()).select_from(schema.contents)


async def body(c: Client, number: int = 1) -> bytes:
    lines = await c.ok(f"FETCH {number} BODY.PEEK[]")
    return lines[-1].partition(b"}\r\n")[2].removesuffix(b")")


@pytest.mark.parametrize("size", [5, 4_000, 65_536, 65_537, 1_000_000])
async def test_a_mail_of_any_size_is_kept_as_it_was_sent(size: int, store: Store, tmp_path: Path) -> None:
    octets = make.mail(size=size) if size > 100 else b"A: \x80"
    async with room(store, tmp_path) as place, place.open() as c:
        answer = await c.append("INBOX", octets, "\\Seen $Label")
        assert (answer.status, answer.text) == ("OK", b"[APPENDUID 2 1] kept")
        assert answer.lines == [b"1 EXISTS"]
        assert await body(c) == octets
        assert not list((tmp_path / "spools").iterdir())


async def test_flags_and_date(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        await c.ok('APPEND INBOX (\\Seen \\Draft Work) " 3-Feb-2024 04:05:06 +0200" {4+}\r\nA: b')
        lines = await c.ok("FETCH 1 (FLAGS INTERNALDATE)")
        assert lines == [
            b"FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work)",
            b"OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work \\*)] what can be kept",
            b'1 FETCH (FLAGS (\\Seen \\Draft Work) INTERNALDATE " 3-Feb-2024 02:05:06 +0000")',
        ]


async def test_a_client_that_waits_is_told_to_go_on(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        await c.send(b"a APPEND INBOX {4}\r\n")
        await c.expect(r"\+ .*")
        await c.send(b"A: b {5}\r\n")
        await c.expect(r"\+ .*")
        await c.send(b"C: de\r\n")
        await c.expect(r"\* 2 EXISTS")
        await c.expect(r"a OK \[APPENDUID 2 1:2\] .*")


async def test_a_mail_that_arrives_so_is_no_news(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        await c.append("INBOX", make.mail())
        await c.ok("COPY 1 INBOX")
    assert await store.read(lambda tx: tx.first(FACTS)) == (0,)


async def refused(c: Client, words: bytes, code: str) -> None:
    """The command is refused before its literal is sent; and, sent all the same, the literal is passed over."""
    await c.send(b"w " + words + b"}\r\n")
    assert (await c.answer(b"w")).code == code
    size = int(words.rpartition(b"{")[2])
    answer = await c(words + b"+}\r\n" + b"x" * size)
    assert (answer.status, answer.code) == ("NO", code)
    await c.ok("NOOP")


async def test_refusals_come_before_the_mail(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, mail_size=1000) as place, place.open() as c:
        await refused(c, b"APPEND nowhere {9", "TRYCREATE")
        await refused(c, b"APPEND Shared/nobody@corp.example/INBOX {9", "TRYCREATE")
        await refused(c, b"APPEND INBOX {1001", "TOOBIG")
        await refused(c, b"APPEND INBOX {0", "")
        await store.write(lambda tx: quota.change(tx, SYSTEM, place.people.mailboxes["amy"], 100))
        await refused(c, b"APPEND INBOX {200", "OVERQUOTA")
        assert await c.ok("SEARCH ALL") == [b"SEARCH"]


async def test_all_mails_are_taken_or_none(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        await store.write(lambda tx: quota.change(tx, SYSTEM, place.people.mailboxes["amy"], 100_000))
        large = make.mail(size=90_000)
        words = b"APPEND INBOX (\\Seen) {%d+}\r\n%b {%d+}\r\n%b" % (len(large), large, len(large), large)
        answer = await c(words)
        assert (answer.status, answer.code) == ("NO", "OVERQUOTA")
        assert await c.ok("STATUS INBOX (MESSAGES)") == [b"STATUS INBOX (MESSAGES 0)"]
        answer = await c(b"APPEND INBOX {4+}\r\nA: b {2000000+}\r\n" + b"x" * 2_000_000)
        assert (answer.status, answer.lines) == ("NO", [])
        answer = await c(b"APPEND INBOX {4+}\r\nA: b {5+}\r\nC: de (bad")
        assert answer.status == "BAD"
        assert await c.ok("SEARCH ALL") == [b"SEARCH"]
    assert await store.read(lambda tx: tx.first(CONTENTS)) == (0,)
    assert not list((tmp_path / "spools").iterdir())


async def test_many_mails_in_one_command(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        mails = [make.mail(subject=f"{number}") for number in range(100)]
        answer = await c(b"APPEND INBOX" + b"".join([b" {%d+}\r\n%b" % (len(mail), mail) for mail in mails]))
        assert (answer.lines, answer.code) == ([b"100 EXISTS"], "APPENDUID")
        assert await body(c, 100) == mails[99]
        answer = await c(b"APPEND INBOX" + b" {4+}\r\nA: b" * 101)
        assert (answer.status, answer.code) == ("NO", "LIMIT")
        assert await c.ok("STATUS INBOX (MESSAGES)") == [b"STATUS INBOX (MESSAGES 100)"]


async def test_a_client_that_vanishes_leaves_nothing(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        async with place.open() as c:
            await c.send(b"a APPEND INBOX {900000}\r\n")
            await c.expect(r"\+ .*")
            await c.send(b"x" * 300_000)
        async with place.open() as c:
            assert await c.ok("SEARCH ALL") == [b"SEARCH"]
    assert not list((tmp_path / "spools").iterdir())


async def test_a_folder_that_goes_meanwhile(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c, place.open() as other:
        await c.ok("CREATE brief")
        await c.send(b"a APPEND brief {4}\r\n")
        await c.expect(r"\+ .*")
        await other.ok("DELETE brief")
        await c.send(b"A: b\r\n")
        await c.expect(r"a NO \[TRYCREATE\] .*")


async def test_strangers_append_nothing(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        answer = await c("APPEND INBOX {4+}\r\nA: b")
        assert (answer.status, answer.text) == ("BAD", b"not now")
        await c.send(b"a APPEND INBOX {4}\r\n")
        assert (await c.answer(b"a")).status == "BAD"


async def test_utf8(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        await c.ok("ENABLE UTF8=ACCEPT")
        await c.ok("CREATE 报告".encode())
        mail = "Subject: 报\r\n\r\n".encode()
        answer = await c("APPEND 报告 UTF8 (~{%d+}\r\n".encode() % len(mail) + mail + b")")
        assert answer.code == "APPENDUID"
        assert await c.ok('LIST "" 报%'.encode()) == ['LIST (\\HasNoChildren) "/" "报告"'.encode()]


async def test_two_clients_at_once(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as one, place.open("bob", SHARED) as two:
        await two.ok("NOOP")
        await upload(place, one)
        assert await two.ok("NOOP") == [b"3 EXISTS"]


SHARED = "Shared/sales@corp.example/INBOX"


async def upload(place: Room, c: Client) -> None:
    async with place.open() as other:
        first = await c.say(f'APPEND "{SHARED}" {{4+}}\r\nA: b')
        second = await other.say(f'APPEND "{SHARED}" {{4+}}\r\nA: c {{4+}}\r\nA: d')
        assert {(await c.answer(first)).code, (await other.answer(second)).code} == {"APPENDUID"}
