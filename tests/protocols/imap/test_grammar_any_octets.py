# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever octets a client sends, in whatever pieces: nothing is raised, and cuts do not matter; what we write, we
read.
"""

from __future__ import annotations

import itertools
import sys
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mailroom.protocols.imap import replies
from mailroom.protocols.imap.grammar import mutf7, sequence
from mailroom.protocols.imap.grammar.lexer import Cursor
from mailroom.protocols.imap.grammar.reader import Limits, Request, Wrong
from mailroom.protocols.imap.grammar.values import STAR, Numbers
from tests.protocols.imap.listen import COMMANDS, listen

speeches = some.lists(some.sampled_from(COMMANDS) | some.binary(max_size=8), max_size=20).map(b"".join)
names = some.text(some.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


def cut(speech: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(speech[:size])
        speech = speech[size:]
    return [*pieces, speech]


@given(speeches, some.lists(some.integers(min_value=0, max_value=60), max_size=60))
def test_cuts_do_not_matter(speech: bytes, sizes: list[int]) -> None:
    heard = listen([speech])
    assert listen(cut(speech, sizes)) == heard
    assert listen([speech[at : at + 1] for at in range(len(speech))]) == heard


@given(some.binary(max_size=300))
def test_one_line_is_one_answer(line: bytes) -> None:
    whole = b"a " + line.replace(b"\n", b"").replace(b"}", b"") + b"\r\n"
    heard = listen([whole], Limits(command=1000, skipped=0))
    assert len(heard) == 1
    assert isinstance(heard[0], Request | Wrong)


@given(names)
def test_a_name_survives_modified_utf7(name: str) -> None:
    written = mutf7.encode(name)
    assert written.isascii()
    assert mutf7.decode(written) == name


@given(some.text(some.characters(max_codepoint=126, exclude_categories=["Cc"]), max_size=20))
def test_any_ascii_is_a_name_and_no_two_are_the_same(written: str) -> None:
    name = mutf7.decode(written)
    assert mutf7.encode(name) == written or mutf7.decode(mutf7.encode(name)) == name
    if name != written:
        assert mutf7.encode(name) == written


@given(some.binary(max_size=1200).filter(lambda octets: b"\0" not in octets))
def test_a_string_is_read_as_it_was_written(octets: bytes) -> None:
    for written in (replies.string(octets), replies.astring(octets), replies.nstring(octets), replies.literal(octets)):
        cursor = Cursor(written)
        assert cursor.astring() == octets
        assert cursor.ends


@given(some.text(max_size=1200).filter(lambda text: "\0" not in text))
def test_so_is_one_in_utf8(text: str) -> None:
    assert Cursor(replies.string(text.encode(), utf8=True)).astring() == text.encode()


@given(names.filter(lambda name: name[:5].upper() != "INBOX"), some.booleans())
def test_a_mailbox_name_is_read_as_it_was_written(name: str, utf8: bool) -> None:  # noqa: FBT001 # given by the table above
    assert Cursor(replies.mailbox(name, utf8=utf8), utf8=utf8).mailbox() == name


@given(some.sets(some.integers(min_value=1, max_value=200)))
def test_numbers_are_read_as_they_were_written(numbers: set[int]) -> None:
    written = replies.numbers(sorted(numbers))
    if not numbers:
        assert written == b""
        return
    found = sequence.resolve(sequence.ranges(Cursor(written)), 1)
    assert [number for first, last in found for number in range(first, last + 1)] == sorted(numbers)
    assert replies.ranges(found) == written


numbers_or_star = some.integers(min_value=0, max_value=30)


@given(some.lists(some.tuples(numbers_or_star, numbers_or_star), min_size=1), some.integers(min_value=0, max_value=25))
def test_a_set_means_what_the_rfc_says(pairs: list[tuple[int, int]], largest: int) -> None:
    written = b",".join(b":".join(b"%d" % n if n else b"*" for n in pair) for pair in pairs)
    found = sequence.resolve(sequence.ranges(Cursor(written)), largest)
    meant = set()
    for one, other in pairs:
        if (one or largest) and (other or largest):
            first, last = sorted((one or largest, other or largest))
            meant |= set(range(first, last + 1))
    assert {number for first, last in found for number in range(first, last + 1)} == meant
    assert all(before[1] + 1 < behind[0] for before, behind in itertools.pairwise(found))
    assert sequence.ranges(Cursor(b"*")) == Numbers(((STAR, STAR),))


def steps(speech: bytes, limits: Limits) -> int:
    """How many calls it takes to hear this, of Python's and of C's functions."""
    count = 0

    def counted(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(counted)
    try:
        listen([speech], limits)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    ("begin", "again", "end"),
    [
        (b"a SEARCH ", b"(", b"\r\n"),
        (b"a SEARCH ", b"NOT ", b"SEEN\r\n"),
        (b"a SEARCH ", b"OR SEEN ", b"SEEN\r\n"),
        (b"a SEARCH ", b"SEEN ", b"\r\n"),
        (b"a SEARCH 1", b",1:*", b"\r\n"),
        (b"a FETCH 1 (", b"BODY[1] ", b")\r\n"),
        (b"a FETCH 1 BODY[1", b".1", b"]\r\n"),
        (b"a FETCH 1 BODY[HEADER.FIELDS (", b"a ", b")]\r\n"),
        (b"a FETCH 1 (", b"(", b"\r\n"),
        (b"a STORE 1 FLAGS (", b"x ", b")\r\n"),
        (b"a STORE 1 FLAGS ", b"x ", b"\r\n"),
        (b"a ID (", b'"a" "b" ', b")\r\n"),
        (b'a LOGIN "', b"\\\\", b'" x\r\n'),
        (b'a LOGIN "', b"\\a", b"\r\n"),
        (b"a LOGIN ", b"{1+}\r\nx ", b"\r\n"),
        (b"a LIST ", b"(", b"\r\n"),
        (b'a LIST "" (', b"* ", b")\r\n"),
        (b"a DELETE ", b"&", b"\r\n"),
        (b"a DELETE ", b"&AGE-", b"\r\n"),
        (b"a DELETE &", b"A", b"-\r\n"),
        (b"a", b" ", b"\r\n"),
        (b"", b"\r\n", b""),
        (b"", b"a", b" NOOP\r\n"),
        (b"", b"a NOOP\r\n", b""),
        (b"a APPEND x {1+}\r\na", b" {1+}\r\na", b"\r\n"),
        (b"a APPEND x {101+}\r\n" + b"x" * 101, b" {1+}\r\na", b"\r\n"),
        (b"a SORT (", b"REVERSE DATE ", b") UTF-8 ALL\r\n"),
        (b"a STATUS x (", b"UNSEEN ", b")\r\n"),
        (b"a ENABLE ", b"X ", b"\r\n"),
        (b"a SELECT x (", b"CONDSTORE ", b")\r\n"),
    ],
)
def test_twice_as_much_takes_no_more_than_twice_as_long(begin: bytes, again: bytes, end: bytes) -> None:
    limits = Limits(command=1 << 20, skipped=1 << 20)
    times = 20_000 // len(again)
    once = steps(begin + again * times + end, limits)
    twice = steps(begin + again * times * 2 + end, limits)
    assert twice < 2.2 * once + 500
