# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Search keys into trees that are no deeper and no larger than we allow."""

from __future__ import annotations

import pytest

from mailroom.core.ids import Modseq
from mailroom.mailboxes.model import NO_FLAGS, Flag
from mailroom.mailboxes.query import Arrived, Changed, Field, Flagged, Header, Keyword, Sent, Sized, Text
from mailroom.protocols.imap.grammar import values
from mailroom.protocols.imap.grammar.commands import parse
from mailroom.protocols.imap.grammar.lexer import Malformed
from mailroom.protocols.imap.grammar.search import DEEPEST, KEYS_MOST
from mailroom.protocols.imap.grammar.values import (
    STAR,
    Age,
    All,
    Among,
    Either,
    EmailId,
    Key,
    Numbers,
    Other,
    Saved,
    ThreadId,
)

DAY = 86_400_000
SEEN = Flagged(Flag.SEEN, Flag.SEEN)
UNSEEN = Flagged(Flag.SEEN, NO_FLAGS)
FEB_1_1994 = 8797


def key(said: bytes) -> Key:
    command = parse(b"a SEARCH " + said)[1]
    assert isinstance(command, values.Search)
    return command.key


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (b"ALL", All(())),
        (b"UNSEEN", UNSEEN),
        (b"ANSWERED DRAFT", All((Flagged(Flag.ANSWERED, Flag.ANSWERED), Flagged(Flag.DRAFT, Flag.DRAFT)))),
        (b"undeleted unflagged", All((Flagged(Flag.DELETED, NO_FLAGS), Flagged(Flag.FLAGGED, NO_FLAGS)))),
        (b"NEW", Either(())),
        (b"OLD", All(())),
        (b"2,4:7,9,12:*", Among(Numbers(((2, 2), (4, 7), (9, 9), (12, STAR))), uid=False)),
        (b"*", Among(Numbers(((STAR, STAR),)), uid=False)),
        (b"$ SEEN", All((Among(Saved(), uid=False), SEEN))),
        (b"UID 5:9", Among(Numbers(((5, 9),)), uid=True)),
        (b"UID $", Among(Saved(), uid=True)),
        (b"SINCE 1-Feb-1994", Arrived(since=FEB_1_1994 * DAY)),
        (b'BEFORE "01-feb-1994"', Arrived(before=FEB_1_1994 * DAY)),
        (b"ON 1-Feb-1994", Arrived(since=FEB_1_1994 * DAY, before=(FEB_1_1994 + 1) * DAY)),
        (b"SENTSINCE 1-Feb-1994", Sent(since=FEB_1_1994)),
        (b"SENTBEFORE 1-Feb-1994", Sent(before=FEB_1_1994)),
        (b"SENTON 1-Feb-1994", Sent(since=FEB_1_1994, before=FEB_1_1994 + 1)),
        (b"LARGER 10", Sized(above=10)),
        (b"SMALLER 4294967296", Sized(below=4294967296)),
        (b"KEYWORD $Forwarded", Keyword("$Forwarded")),
        (b"UNKEYWORD work", Other(Keyword("work"))),
        (b'FROM "SMITH"', Text(Field.FROM, "SMITH")),
        (b'BODY "" TEXT x', All((Text(Field.BODY, ""), Text(Field.TEXT, "x")))),
        (b"HEADER Message-ID <a@b>", Header("Message-ID", "<a@b>")),
        (b'HEADER "" {2}\r\nab', Header("", "ab")),
        (b"MODSEQ 620162338", Changed(Modseq(620162338))),
        (b'MODSEQ "/flags/\\\\draft" all 620162338', Changed(Modseq(620162338))),
        (b"YOUNGER 86400 OLDER 3600", All((Age(86400, older=False), Age(3600, older=True)))),
        (b"EMAILID M6d99ac3275bb4e", EmailId("M6d99ac3275bb4e")),
        (b"THREADID T64b478a75b7ea9", ThreadId("T64b478a75b7ea9")),
        (b"NOT SEEN", Other(SEEN)),
        (b"NOT NOT SEEN", SEEN),
        (b"OR SEEN UNSEEN", Either((SEEN, UNSEEN))),
        (b"OR SEEN OR UNSEEN OR LARGER 1 SMALLER 2", Either((SEEN, UNSEEN, Sized(above=1), Sized(below=2)))),
        (b"OR (OR SEEN UNSEEN) LARGER 1", Either((SEEN, UNSEEN, Sized(above=1)))),
        (b"( SEEN (UNSEEN  LARGER 1) ) ALL", All((SEEN, UNSEEN, Sized(above=1)))),
        (b"NOT (SEEN UNSEEN)", Other(All((SEEN, UNSEEN)))),
        (b"OR SEEN (UNSEEN LARGER 1) SMALLER 2", All((Either((SEEN, All((UNSEEN, Sized(above=1))))), Sized(below=2)))),
        (b"UNSEEN  ", UNSEEN),
    ],
)
def test_a_key_is_understood(said: bytes, meant: Key) -> None:
    assert key(said) == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("SUBJECT 报价".encode(), "报价"),
        ("SUBJECT 报价".encode("gbk"), "报价"),
        ("CHARSET UTF-8 SUBJECT {6}\r\n报价".encode(), "报价"),
        ("CHARSET gb2312 SUBJECT 报价".encode("gbk"), "报价"),
        ('CHARSET "GBK" SUBJECT "报价"'.encode("gbk"), "报价"),
        ("CHARSET US-ASCII SUBJECT 报价".encode(), "报价"),  # as some clients do
        ("CHARSET Big5 SUBJECT 報價".encode("cp950"), "報價"),
        (b"CHARSET ISO-8859-1 SUBJECT M\xfcller", "Müller"),
        (b"CHARSET ISO-2022-JP SUBJECT {12}\r\n\x1b$BJs9p=q\x1b(B", "報告書"),
        (b"CHARSET Shift_JIS SUBJECT \x95\xf1", "報"),
    ],
)
def test_text_is_read_in_its_charset(said: bytes, meant: str) -> None:
    assert key(said) == Text(Field.SUBJECT, meant)


@pytest.mark.parametrize(
    "said",
    [
        b"", b"()", b"(SEEN", b"SEEN)", b"X", b"NOT", b"OR SEEN", b"OR", b"FROM", b"HEADER a", b"SINCE x",
        b"SINCE 30-Feb-2020", b"SINCE 1-Foo-2020", b"SINCE 1-Feb-20", b"ON 0-Jan-2020", b"SINCE 1-Feb-0000",
        b"LARGER x", b"LARGER -1", b"UID x", b"LARGER 99999999999999999999", b"YOUNGER 0", b"OLDER 4294967296",
        b"KEYWORD", b"KEYWORD \\Seen", b"MODSEQ", b"EMAILID !", b"SEEN(UNSEEN)", b"(SEEN)UNSEEN", b"0",
        b"RETURN (X) ALL", b"RETURN ALL", b"CHARSET UTF-8", b"CHARSET", b"ALL,SEEN", b"TEXT {3}\r\na\0b",
    ],
)  # fmt: skip  # a table
def test_what_is_no_key_is_refused(said: bytes) -> None:
    with pytest.raises(Malformed) as fault:
        key(said)
    assert fault.value.tag == b"a"


def depth(of: Key) -> int:
    match of:
        case All(parts) | Either(parts):
            return 1 + max(map(depth, parts), default=0)
        case Other(part):
            return 1 + depth(part)
    return 1


@pytest.mark.parametrize(
    ("down", "up", "levels"),
    [
        (b"(", b")", 1),
        (b"NOT (", b")", 2),
        (b"NOT (SEEN OR SEEN (", b"))", 4),
        (b"OR (OR SEEN (", b") UNSEEN) UNSEEN", 4),
    ],
)
def test_keys_nest_as_deep_as_we_say_and_no_deeper(down: bytes, up: bytes, levels: int) -> None:
    fits = DEEPEST // levels
    assert depth(key(down * fits + b"SEEN" + up * fits)) <= DEEPEST + 1
    for times in (fits + 1, 10_000):
        with pytest.raises(Malformed, match=r"too deep|too many"):
            key(down * times + b"SEEN" + up * times)


def test_a_long_chain_of_or_is_flat() -> None:
    found = key(b"OR SEEN " * (KEYS_MOST // 2 - 1) + b"UNSEEN")
    assert depth(found) == 2


def test_keys_are_counted() -> None:
    assert key(b"SEEN " * KEYS_MOST) == All((SEEN,) * KEYS_MOST)
    with pytest.raises(Malformed, match="too many"):
        key(b"SEEN " * (KEYS_MOST + 1))
