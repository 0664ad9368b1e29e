# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""FETCH and STORE over a socket: sections, decoded parts, flags and keywords, mails that have gone, large ones."""

from __future__ import annotations

import base64
import quopri
from pathlib import Path

import pytest

from mailroom.storage.ports import Store
from tests import make
from tests.protocols.imap.room import Client, room
from tests.protocols.imap.talk import fetched

NESTED = make.mail(
    subject="outer",
    more=['Content-Type: multipart/mixed; boundary="o"'],
    body=(
        "--o\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        "caf=C3=A9 =\r\non\r\n"
        "--o\r\nContent-Type: message/rfc822\r\n\r\n"
        "Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n"
        "--i\r\n\r\nplain\r\n--i\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        "PGI+\r\naGk8L2I+\r\n--i--\r\n"
        "--o\r\nContent-Type: application/x-odd\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n#86)C\r\n"
        "--o--\r\n"
    ),
)
ONLY_HEADER = b"Subject: no body"
NULS = b"Subject: nul\r\n\r\na\0b"


async def told(c: Client, items: str, number: int = 1) -> dict[bytes, object]:
    return fetched(await c.ok(f"FETCH {number} {items}"))[number]


SECTIONS = [
    ("BODY.PEEK[1]", b"caf=C3=A9 =\r\non"),
    ("BODY.PEEK[2.HEADER]", b"Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n"),
    ("BODY.PEEK[2.HEADER.FIELDS (SUBJECT)]", b"Subject: inner\r\n\r\n"),
    ("BODY.PEEK[2.HEADER.FIELDS.NOT (SUBJECT)]", b"Content-Type: multipart/alternative; boundary=i\r\n\r\n"),
    ("BODY.PEEK[2.1]", b"plain"),
    ("BODY.PEEK[2.2.MIME]", b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
    ("BODY.PEEK[2.2]", b"PGI+\r\naGk8L2I+"),
    ("BODY.PEEK[2.2]<6.4>", b"aGk8"),
    ("BODY.PEEK[2.2]<99.4>", b""),
    ("BODY.PEEK[1.1]", None),
    ("BODY.PEEK[9]", None),
    ("BODY.PEEK[1.HEADER]", None),
    ("BODY.PEEK[HEADER.FIELDS (x-none)]", b"\r\n"),
    ("BINARY.PEEK[1]", "café on".encode()),
    ("BINARY.PEEK[2.2]", b"<b>hi</b>"),
    ("BINARY.PEEK[2.2]<3.2>", b"hi"),
    ("BINARY.SIZE[2.2]", b"9"),
    ("BINARY.PEEK[9]", None),
]


async def test_sections(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver(octets=NESTED)
        async with place.open() as c:
            for section, octets in SECTIONS:
                [(label, value)] = (await told(c, section)).items()
                assert value == octets, section
                wanted = section.replace(".PEEK", "")
                assert label == (wanted.partition(".4>")[0].partition(".2>")[0] + ">" * ("<" in wanted)).encode()


async def test_a_part_that_cannot_be_decoded_fails_alone(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        await place.deliver(octets=NESTED)
        await c.ok("NOOP")
        answer = await c("FETCH 1 (UID BINARY[3] BINARY[2.2])")
        assert (answer.status, answer.code) == ("NO", "UNKNOWN-CTE")
        assert fetched(answer.lines)[1][b"BINARY[2.2]"] == b"<b>hi</b>"


async def test_body_is_body_structure_without_its_extension(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        await place.deliver(octets=NESTED)
        await c.ok("NOOP")
        found = await told(c, "(BODY BODYSTRUCTURE)")
        body = found[b"BODY"]
        assert isinstance(body, list)
        assert [len(part) for part in body[:-1]] == [8, 10, 7]
        assert body[-1] == b"mixed"
        inner = body[1][8]
        assert [inner[0][:2], inner[1][:2], inner[2]] == [[b"text", b"plain"], [b"text", b"html"], b"alternative"]
        assert body[1][7][1] == b"inner"


@pytest.mark.parametrize("octets", [ONLY_HEADER, NULS, b"", b"\r\n", b"\r\nbody"])
async def test_odd_mails(octets: bytes, store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c:
        await place.deliver(octets=octets or b"\n")
        await c.ok("NOOP")
        found = await told(c, "(BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BINARY.PEEK[])")
        whole = found[b"BODY[]"]
        assert whole == (octets or b"\n") == found[b"BINARY[]"]
        assert isinstance(found[b"BODY[HEADER]"], bytes)
        assert found[b"BODY[HEADER]"] + found[b"BODY[TEXT]"] == whole  # type: ignore[operator]  # whatever the answer held
        await c.ok("FETCH 1 FULL")


async def test_a_large_mail_in_all_its_pieces(store: Store, tmp_path: Path) -> None:
    data = bytes(range(256)) * 8_000
    octets = make.multipart(
        (["Content-Type: application/x", "Content-Transfer-Encoding: base64"], base64.encodebytes(data)),
        (["Content-Transfer-Encoding: quoted-printable"], quopri.encodestring(data[:300_000])),
    )
    async with room(store, tmp_path) as place, place.open() as c:
        assert (await c.append("INBOX", octets)).status == "OK"
        found = await told(c, "(RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[]<1000000.50>)")
        assert found[b"BODY[]"] == octets
        assert found[b"BODY[]<1000000>"] == octets[1_000_000:1_000_050]
        assert octets.startswith(bytes(found[b"BODY[HEADER]"]))  # type: ignore[call-overload]  # whatever the answer held
        found = await told(c, "(BINARY.PEEK[1] BINARY.SIZE[1] BINARY.PEEK[1]<1000000.7> BINARY.SIZE[2])")
        assert found[b"BINARY[1]"] == data
        assert found[b"BINARY.SIZE[1]"] == b"%d" % len(data)
        assert found[b"BINARY[1]<1000000>"] == data[1_000_000:1_000_007]


async def test_reading_marks_as_seen_and_peeking_does_not(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c, place.open() as other:
        await place.deliver("one", "two")
        await c.ok("NOOP")
        assert await c.ok("FETCH 1 (BODY.PEEK[TEXT] FLAGS)") != []
        assert await c.ok("SEARCH SEEN") == [b"SEARCH"]
        [line] = await c.ok("FETCH 1 BODY[TEXT]<0.1>")
        assert line.startswith(b"1 FETCH (FLAGS (\\Seen) BODY[TEXT]<0> {1}")
        [line] = await c.ok("FETCH 1 RFC822.TEXT")
        assert b"FLAGS" not in line
        assert await other.ok("NOOP") == [b"2 EXISTS"]
        assert await other.ok("UID FETCH 1:* FLAGS") == [
            b"1 FETCH (UID 1 FLAGS (\\Seen))",
            b"2 FETCH (UID 2 FLAGS ())",
        ]
        await other.ok("EXAMINE INBOX")
        await other.ok("FETCH 2 BODY[]")
        assert await c.ok("SEARCH UNSEEN") == [b"SEARCH 2"]


async def test_a_folder_full_of_bodies(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c, place.open() as other:
        await place.deliver(*map(str, range(200)))
        await c.ok("NOOP")
        await other.ok("NOOP")
        found = fetched(await c.ok("FETCH 1:* (UID BODY[HEADER.FIELDS (SUBJECT)])"))
        assert [items[b"BODY[HEADER.FIELDS (SUBJECT)]"] for items in found.values()] == [
            b"Subject: %d\r\n\r\n" % number for number in range(200)
        ]
        assert list(found) == list(range(1, 201))
        assert all(items[b"FLAGS"] == [b"\\Seen"] for items in found.values())
        assert await c.ok("NOOP") == []
        assert len(await other.ok("NOOP")) == 200


async def test_new_keywords_are_announced_before_a_mail_has_them(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one")
        async with place.open() as c, place.open() as other:
            await c.ok("STORE 1 +FLAGS ($Forwarded Work)")
            known, kept, line = await other.ok("NOOP")
            assert known == b"FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded Work)"
            assert kept.startswith(b"OK [PERMANENTFLAGS (")
            assert line == b"1 FETCH (FLAGS ($Forwarded Work))"
            assert await c.ok("STORE 1 -FLAGS (WORK)") == [b"1 FETCH (FLAGS ($Forwarded))"]
            assert await other.ok("NOOP") == [b"1 FETCH (FLAGS ($Forwarded))"]


async def test_store(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one", "two", "three")
        async with place.open() as c:
            assert await c.ok("STORE 1:2 +FLAGS \\Seen \\Flagged") == [
                b"1 FETCH (FLAGS (\\Flagged \\Seen))",
                b"2 FETCH (FLAGS (\\Flagged \\Seen))",
            ]
            assert await c.ok("STORE 2:3 FLAGS (\\Deleted)") == [
                b"2 FETCH (FLAGS (\\Deleted))",
                b"3 FETCH (FLAGS (\\Deleted))",
            ]
            assert await c.ok("UID STORE 2 -FLAGS.SILENT \\Deleted") == []
            assert await c.ok("UID STORE 1,2,9 +FLAGS (\\Seen)") == [
                b"1 FETCH (UID 1 FLAGS (\\Flagged \\Seen))",
                b"2 FETCH (UID 2 FLAGS (\\Seen))",
            ]
            assert (await c("STORE 4 +FLAGS \\Seen")).status == "BAD"
            assert (await c("STORE 1 +FLAGS \\Recent")).status == "OK"
            await c.ok("EXAMINE INBOX")
            assert (await c("STORE 1 +FLAGS \\Seen")).status == "NO"


async def test_what_has_gone_but_was_not_told(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one", "two", "three")
        async with place.open() as c, place.open() as other:
            await c.ok("FETCH 1:* FLAGS")
            await other.ok("STORE 1 +FLAGS \\Deleted")
            await other.ok("EXPUNGE")
            await place.deliver("four")
            answer = await c("FETCH 1:3 (UID)")
            assert (answer.lines, answer.code) == ([b"2 FETCH (UID 2)", b"3 FETCH (UID 3)"], "EXPUNGEISSUED")
            answer = await c("STORE 1:2 +FLAGS (\\Seen)")
            assert (answer.lines, answer.code) == ([b"2 FETCH (FLAGS (\\Seen))"], "EXPUNGEISSUED")
            assert (await c("FETCH 4 UID")).status == "BAD"
            assert await c.ok("SEARCH ALL") == [b"SEARCH 2 3"]
            answer = await c("COPY 1 Sent")
            assert (answer.status, answer.code) == ("OK", "EXPUNGEISSUED")
            assert answer.lines == [b"1 EXPUNGE", b"3 EXISTS"]
            assert await c.ok("FETCH 1:* UID") == [b"1 FETCH (UID 2)", b"2 FETCH (UID 3)", b"3 FETCH (UID 4)"]


async def test_preview_and_objects(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver(octets=make.mail(body="好" * 600))
        async with place.open() as c:
            found = await told(c, "(PREVIEW (LAZY) EMAILID THREADID)")
            assert found[b"PREVIEW"] == ("好" * 256).encode()
            assert found[b"THREADID"] is None
            [line] = await c.ok("FETCH 1 EMAILID")
            id_ = line.partition(b"EMAILID (")[2].rstrip(b")")
            await c.ok("COPY 1 Sent")
            await c.ok("SELECT Sent")
            assert await c.ok(f"SEARCH EMAILID {id_.decode()}") == [b"SEARCH 1"]
            assert await c.ok("SEARCH EMAILID M999999") == [b"SEARCH"]
            assert await c.ok("SEARCH OR THREADID T1 EMAILID x") == [b"SEARCH"]
