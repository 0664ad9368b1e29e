# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where a mail ends: against a reader that goes octet by octet and is too simple to be wrong."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailroom.protocols.smtp.content import Counted, Dotted

NASTY = st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"a"]), max_size=30).map(
    b"".join
)
CUTS = st.lists(st.integers(0, 60), max_size=8)


def pieces(octets: bytes, cuts: list[int]) -> list[bytes]:
    marks = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    return [octets[a:b] for a, b in itertools.pairwise(marks)]


def plainly(octets: bytes) -> tuple[bytes, bytes] | None:
    """Content and rest as RFC 5321 section 4.5.2 says, or None if there is no end."""
    whole = b"\r\n" + octets
    for at in range(len(whole)):
        if whole[at : at + 5] == b"\r\n.\r\n":
            lines = whole[2 : at + 2].split(b"\r\n")
            undone = b"\r\n".join(line[1:] if line[:1] == b"." else line for line in lines)
            return undone, whole[at + 5 :]
    return None


def is_bare(octets: bytes) -> bool:
    without = octets.replace(b"\r\n", b"")
    return b"\r" in without or b"\n" in without


@given(NASTY, CUTS)
@example(b".\r\n", [1, 2])
@example(b"a\r\n..b\r\n.\r\nQUIT\r\n", [2, 3, 4])
def test_data_ends_where_the_rfc_says_however_it_is_cut(octets: bytes, cuts: list[int]) -> None:
    reader, content, rest = Dotted(), b"", b""
    for piece in pieces(octets, cuts):
        if reader.ended:
            rest += piece
        else:
            content += reader.feed(piece)
    wanted = plainly(octets)
    assert reader.ended is (wanted is not None)
    if wanted is not None:
        assert (content, reader.rest + rest) == wanted
        assert reader.bare is is_bare(octets[: len(octets) - len(wanted[1]) - 3])


@given(NASTY, NASTY, CUTS)
def test_chunks_are_counted_and_a_line_end_may_lie_across_two(first: bytes, second: bytes, cuts: list[int]) -> None:
    content = b""
    one = Counted(len(first), last=False)
    for piece in pieces(first, cuts):
        content += one.feed(piece)
    two = Counted(len(second), last=True, after=one)
    content += two.feed(second + b"QUIT")
    assert content == first + second
    assert two.ended
    assert two.rest == b"QUIT"
    assert two.bare is is_bare(first + second)


@pytest.mark.parametrize("lines", [b"..\r\n", b".x\r\n", b"x\r\n.\n\r\n"])
def test_what_looks_like_an_end_is_none(lines: bytes) -> None:
    reader = Dotted()
    reader.feed(lines)
    assert not reader.ended
