# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A text is cut for those who split it themselves: never into more parts than asked for, and as little as needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.senders.sms import fitted, split


@given(st.text(max_size=700), st.integers(1, 4), st.sampled_from(["", "【Mailroom】", " -- x"]))
def test_it_makes_no_more_parts_than_asked_for(text: str, most: int, tail: str) -> None:
    cut = fitted(text, most=most, tail=tail)
    assert len(split(cut, most=10).parts) <= most
    assert cut.endswith(tail)
    kept = cut.removesuffix(tail)
    assert kept == text or text.startswith(kept.removesuffix("..."))
    if kept != text:
        one_more = text[: len(kept) - 2] + "..." + tail
        assert len(split(one_more, most=10).parts) > most or len(kept) - 2 > len(text)


@pytest.mark.parametrize(
    ("text", "most", "tail", "expected"),
    [
        ("", 1, "", ""),
        ("x" * 160, 1, "", "x" * 160),
        ("x" * 161, 1, "", "x" * 157 + "..."),
        ("x" * 157 + "€€", 1, "", "x" * 157 + "..."),
        ("长" * 70, 1, "", "长" * 70),
        ("长" * 71, 1, "", "长" * 67 + "..."),
        ("x" * 71, 1, "【签】", "x" * 64 + "...【签】"),
        ("x" * 400, 2, "", "x" * 303 + "..."),
    ],
)
def test_where_it_is_cut(text: str, most: int, tail: str, expected: str) -> None:
    assert fitted(text, most=most, tail=tail) == expected
