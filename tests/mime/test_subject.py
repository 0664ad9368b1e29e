# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Base subjects (RFC 5256 section 2.1)."""

from __future__ import annotations

import time

import pytest

from mailroom.mime.subject import LOOKED_AT, base_subject


@pytest.mark.parametrize(
    ("subject", "base", "is_answer"),
    [
        ("Hello", "hello", False),
        ("", "", False),
        ("  two   words\t here ", "two words here", False),
        ("Re: Hello", "hello", True),
        ("RE:re : Fwd: fw:Hello", "hello", True),
        ("Re[2]: Hello", "hello", True),
        ("Re [x] : Hello", "hello", True),
        ("[list] Hello", "hello", False),
        ("[list] [more] Re: [list] Hello", "hello", True),
        ("[only]", "[only]", False),
        ("Re: [only]", "[only]", True),
        ("Hello (fwd)", "hello", True),
        ("Hello (FWD) (fwd) ", "hello", True),
        ("[Fwd: Re: Hello]", "hello", True),
        ("[fwd: [fwd: Hello (fwd)]]", "hello", True),
        ("Re:", "", True),
        ("Regarding: Hello", "regarding: hello", False),
        ("a [b] c", "a [b] c", False),
        ("回复: 会议", "回复: 会议", False),
    ],
)
def test_what_stands_around_a_subject_is_taken_off(subject: str, base: str, *, is_answer: bool) -> None:
    assert base_subject(subject) == (base, is_answer)


@pytest.mark.parametrize("piece", ["re:", "[", "[]", "[a] ", "(fwd)", "[fwd:", "re[", " ", "fwd[x]"])
def test_no_subject_takes_long(piece: str) -> None:
    began = time.perf_counter()
    for end in ("", "]", ":", "x"):
        base, _ = base_subject(piece * 100_000 + end)
        assert len(base) <= LOOKED_AT
    assert time.perf_counter() - began < 2
