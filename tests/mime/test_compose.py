# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails that we write ourselves."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as some

from mailroom.mime import compose, headers

words = some.lists(some.sampled_from(["你好", "Grüße", "x" * 17, "a", "Re:", "=?x?="]), min_size=1, max_size=30)


@given(words)
def test_a_subject_comes_back_as_it_was_in_words_none_of_which_is_empty(text: list[str]) -> None:
    subject = "Not delivered: " + " ".join(text)
    mail = compose.begin(name="Mailroom", local="m", hostname="mx.example", subject=subject, now=0, id_="1")
    raw = headers.read(mail.as_bytes()).first("subject")
    assert raw is not None
    assert not re.search(rb"\?[bq]\?\?=", raw)
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert headers.decode(raw) == subject
