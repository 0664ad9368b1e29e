# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What FETCH asks for, and how its answers call it."""

from __future__ import annotations

import pytest

from mailroom.protocols.imap.grammar import values
from mailroom.protocols.imap.grammar.commands import parse
from mailroom.protocols.imap.grammar.lexer import Malformed
from mailroom.protocols.imap.grammar.values import Attributes, Binary, BinarySize, Item, Numbers, Piece, Section

FAST = Item.FLAGS | Item.INTERNALDATE | Item.SIZE


def fetch(arguments: bytes, *, uid: bool = False) -> values.Fetch:
    command = parse(b"a UID FETCH 1 " + arguments if uid else b"a FETCH 1 " + arguments)[1]
    assert isinstance(command, values.Fetch)
    assert command.numbers == Numbers(((1, 1),))
    assert command.uid is uid
    return command


@pytest.mark.parametrize(
    ("said", "items"),
    [
        (b"ALL", FAST | Item.ENVELOPE),
        (b"fast", FAST),
        (b"FULL", FAST | Item.ENVELOPE | Item.BODY),
        (b"FLAGS", Item.FLAGS),
        (b"(FLAGS)", Item.FLAGS),
        (b"( UID  RFC822.SIZE flags )", Item.UID | Item.SIZE | Item.FLAGS),
        (b"(RFC822.SIZE ENVELOPE BODYSTRUCTURE)", Item.SIZE | Item.ENVELOPE | Item.BODYSTRUCTURE),
        (b"(BODY INTERNALDATE)", Item.BODY | Item.INTERNALDATE),
        (b"(MODSEQ EMAILID THREADID)", Item.MODSEQ | Item.EMAILID | Item.THREADID),
        (b"PREVIEW", Item.PREVIEW),
        (b"(PREVIEW (LAZY) UID)", Item.PREVIEW | Item.UID),
    ],
)
def test_plain_items_come_as_one_set(said: bytes, items: Item) -> None:
    found = fetch(said)
    assert found.attributes == Attributes(items)
    assert not found.attributes.marks_seen


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (b"RFC822", Section(b"RFC822")),
        (b"RFC822.HEADER", Section(b"RFC822.HEADER", piece=Piece.HEADER, peek=True)),
        (b"RFC822.TEXT", Section(b"RFC822.TEXT", piece=Piece.TEXT)),
        (b"BODY[]", Section(b"BODY[]")),
        (b"body.peek[]", Section(b"BODY[]", peek=True)),
        (b"BODY[]<0.2048>", Section(b"BODY[]<0>", partial=(0, 2048))),
        (b"BODY[]<1.0>", Section(b"BODY[]<1>", partial=(1, 0))),
        (b"BODY[HEADER]", Section(b"BODY[HEADER]", piece=Piece.HEADER)),
        (b"BODY[text]<10.5>", Section(b"BODY[TEXT]<10>", piece=Piece.TEXT, partial=(10, 5))),
        (b"BODY[4.2.2.1]", Section(b"BODY[4.2.2.1]", (4, 2, 2, 1))),
        (b"BODY[1.mime]", Section(b"BODY[1.MIME]", (1,), Piece.MIME)),
        (b"BODY[3.TEXT]", Section(b"BODY[3.TEXT]", (3,), Piece.TEXT)),
        (
            b"BODY.PEEK[HEADER.FIELDS (From X-Foo)]",
            Section(b"BODY[HEADER.FIELDS (From X-Foo)]", piece=Piece.FIELDS, fields=(b"from", b"x-foo"), peek=True),
        ),
        (
            b'BODY[2.HEADER.FIELDS.NOT ("DATE" {3}\r\nTo) ]<1.2>',
            None,  # nothing may stand behind the list
        ),
        (
            b'BODY[2.HEADER.FIELDS.NOT ("DATE" {3}\r\nT o)]<1.2>',
            Section(
                b'BODY[2.HEADER.FIELDS.NOT (DATE "T o")]<1>', (2,), Piece.FIELDS_NOT, (b"date", b"t o"), partial=(1, 2)
            ),
        ),
        (b'BODY[HEADER.FIELDS ("a]\\"")]', Section(b'BODY[HEADER.FIELDS ("a]\\"")]', (), Piece.FIELDS, (b'a]"',))),
        (b"BINARY[1]", Binary(b"BINARY[1]", (1,))),
        (b"BINARY.PEEK[1.2]<0.9>", Binary(b"BINARY[1.2]<0>", (1, 2), (0, 9), peek=True)),
        (b"BINARY[]", Binary(b"BINARY[]", ())),
        (b"BINARY.SIZE[2]", BinarySize(b"BINARY.SIZE[2]", (2,))),
    ],
)
def test_a_section_knows_what_its_answer_is_called(said: bytes, meant: Section | Binary | BinarySize | None) -> None:
    if meant is None:
        with pytest.raises(Malformed):
            fetch(said)
        return
    attributes = fetch(said).attributes
    assert attributes == Attributes(Item(0), (meant,))
    assert attributes.marks_seen is (b"PEEK" not in said.upper() and said not in {b"RFC822.HEADER", b"BINARY.SIZE[2]"})


def test_sections_keep_their_order() -> None:
    attributes = fetch(b"(UID BODY.PEEK[1] FLAGS BODY.PEEK[HEADER] BINARY.SIZE[1])").attributes
    assert attributes.items == Item.UID | Item.FLAGS
    assert [section.label for section in attributes.sections] == [b"BODY[1]", b"BODY[HEADER]", b"BINARY.SIZE[1]"]


def test_changed_since_asks_for_modseq_too() -> None:
    found = fetch(b"(FLAGS) (CHANGEDSINCE 12345)")
    assert found == values.Fetch(False, Numbers(((1, 1),)), Attributes(Item.FLAGS | Item.MODSEQ), 12345)
    assert fetch(b"FLAGS (CHANGEDSINCE 9 VANISHED)", uid=True).vanished


@pytest.mark.parametrize(
    "said",
    [
        b"", b"()", b"(", b"FLAGS)", b"X", b"(ALL)", b"ALL FLAGS", b"ALL[]", b"BODY[", b"BODY[0]", b"BODY[1.0]",
        b"BODY[1.]", b"BODY[MIME]", b"BODY[1.X]", b"BODY[X]", b"BODY[1 2]", b"BODY[]<1>",
        b"BODY[]<1.-2>", b"BODY[]<a.b>", b"BODY[]<1.99999999999999999999>", b"BODY[HEADER.FIELDS]",
        b"BODY[HEADER.FIELDS ()]", b"BODY[HEADER.FIELDS (a]", b'BODY[HEADER.FIELDS ("a\xe6")]', b"BODY[HEADER (a)]",
        b"BODY[HEADER.FIELDS (a)b]", b"BINARY[TEXT]", b"BINARY.SIZE[1]<0.1>", b"FLAGS[]", b"RFC822[]", b"BODYX[]",
        b"FLAGS (CHANGEDSINCE)", b"FLAGS (CHANGEDSINCE a)", b"FLAGS (X)", b"FLAGS (CHANGEDSINCE 1) x",
        b"FLAGS (VANISHED)", b"FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)", b"FLAGSUID", b"(FLAGS(UID))",
        b"(" + b"BODY[1] " * 101 + b")", b"BODY[" + b"1." * 101 + b"1]", b"FLAGS (CHANGEDSINCE 1 VANISHED)",
    ],
)  # fmt: skip  # a table
def test_what_cannot_be_fetched_is_refused(said: bytes) -> None:
    with pytest.raises(Malformed):
        fetch(said)
