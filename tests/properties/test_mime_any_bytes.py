# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever octets a stranger sends: nothing is raised, offsets hold, chunks do not matter, texts can be stored."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from mailroom.mime import address, charset, headers
from mailroom.mime.scan import Part, Scanner, scan
from mailroom.mime.structure import body, from_json, summarise

PIECES = [
    b"\r\n", b"\n", b"\r", b"--", b"b", b"b2", b"--b\r\n", b"\r\n--b--\r\n", b"\r\n--b2\n", b" ", b"\t", b":", b";",
    b"Content-Type: multipart/mixed; boundary=b\r\n", b'Content-Type: multipart/digest; boundary="b2"\r\n\r\n',
    b"Content-Type: message/rfc822\r\n\r\n", b"Content-Type: text/html\r\n", b"Content-Disposition: attachment\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"Subject: x\r\n", b"From: ", b"<a@b>", b'"', b"(", b")", b"\\", b",",
    b"=?utf-8?Q?", b"=?gbk?B?", b"?=", b"=E6", b"filename*0*=", b"name=", b"utf-8''", b"%e6", b"\xb1\xa8", b"\0",
    b"\x1b$B", b"<p>", b"&#0;", b"Date: 1 Jan 2024", b"+2AA-",
]  # fmt: skip  # a table of short pieces
mails = some.lists(some.sampled_from(PIECES) | some.binary(max_size=6), max_size=60).map(b"".join)
values = some.lists(some.sampled_from(PIECES) | some.binary(max_size=4), max_size=20).map(b"".join)


def storable(text: str) -> bool:
    return "\0" not in text and text.encode() is not None


def fits(part: Part, start: int, stop: int) -> bool:
    return start <= part.header_start <= part.body_start <= part.body_end <= stop and all(
        fits(child, part.body_start, part.body_end) for child in part.children
    )


@given(mails)
def test_offsets_hold_and_lines_are_counted(mail: bytes) -> None:
    part = scan(mail)
    assert (part.header_start, part.body_end) == (0, len(mail))
    assert fits(part, 0, len(mail))
    for each in part.walk():
        assert each.header == mail[each.header_start : each.body_start]
        assert each.lines == mail[each.body_start : each.body_end].count(b"\n")


@given(mails, some.lists(some.integers(min_value=0, max_value=40), max_size=30))
def test_chunks_do_not_matter(mail: bytes, sizes: list[int]) -> None:
    scanner = Scanner()
    at = 0
    for size in sizes:
        scanner.feed(mail[at : at + size])
        at += size
    scanner.feed(mail[at:])
    assert scanner.finish() == scan(mail)


@given(mails)
def test_a_summary_can_be_stored(mail: bytes) -> None:
    part = scan(mail)
    found = summarise(part, lambda start, stop: mail[start:stop])
    texts = (found.message_id, found.subject, found.from_, found.to, found.preview, found.parts_json)
    assert all(storable(text) for text in (*texts, *found.attachments, *found.references, *found.in_reply_to))
    assert len(found.preview) <= 512
    assert all("||" not in name and "/" not in name and name for name in found.attachments)
    stored = [(each.header_start, each.body_start, each.body_end) for each in from_json(found.parts_json).walk()]
    assert stored == [(each.header_start, each.body_start, each.body_end) for each in part.walk()]


@given(mails)
def test_the_wire_forms_are_balanced(mail: bytes) -> None:
    found = summarise(scan(mail), lambda start, stop: mail[start:stop])
    for wire in (found.envelope, found.bodystructure, body(scan(mail))):
        assert read_list(wire, 0) == len(wire)


@given(values)
def test_values_are_decoded(raw: bytes) -> None:
    line = headers.decode(raw)
    assert storable(line)
    assert line.isprintable() or not any(ord(each) < 32 for each in line)
    assert all(storable(value) for value in headers.parameters(raw).values())
    for each in address.mailboxes(address.parse(raw)):
        assert storable(address.show(each))


@given(some.binary(max_size=200), some.none() | some.text(max_size=20))
def test_any_label_decodes_anything(data: bytes, label: str | None) -> None:
    charset.decode(data, label).encode()


def read_list(wire: bytes, at: int) -> int:
    """Where the parenthesised list at `at` ends: an IMAP reader in few lines, to judge ours by."""
    assert wire[at : at + 1] == b"("
    at += 1
    while wire[at : at + 1] != b")":
        match wire[at : at + 1]:
            case b"(":
                at = read_list(wire, at)
            case b'"':
                at += 1
                while wire[at : at + 1] != b'"':
                    assert wire[at : at + 1] not in (b"", b"\r", b"\n", b"\0")
                    assert wire[at] < 128
                    at += 2 if wire[at : at + 1] == b"\\" else 1
                at += 1
            case b"{":
                end = wire.index(b"}\r\n", at)
                at = end + 3 + int(wire[at + 1 : end])
            case atom:
                assert atom.isalnum() or atom == b" "
                at += 1
    return at + 1
