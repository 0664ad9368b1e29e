# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Notes as Feishu's messages: plain, whatever stands in them, and not too long."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mailroom.senders.feishu import bodies
from mailroom.senders.http import octets
from mailroom.senders.note import Note

CARD = Note(text="x", title="New mail", rows=(("From", "Bob"),), url="https://mail.corp.example/m/1")


def test_a_note_with_rows_or_a_link_is_a_card() -> None:
    assert bodies.card(CARD) == {
        "config": {"wide_screen_mode": True},
        "card_link": {"url": CARD.url},
        "header": {"template": "blue", "title": {"tag": "plain_text", "content": "New mail"}},
        "elements": [{"tag": "div", "text": {"tag": "plain_text", "content": "From: Bob"}}],
    }
    assert bodies.card(replace(CARD, rows=(), url="")) is None
    assert bodies.card(replace(CARD, rows=(), url="javascript:alert(1)")) is None
    assert "card_link" not in (bodies.card(replace(CARD, url="")) or {"card_link": 1})


def test_nobody_is_called_by_what_a_stranger_wrote() -> None:
    text = 'Hi <at user_id="all">all</at> < AT x><b@x.example>'
    assert bodies.text(Note(text=text)) == {
        "text": 'Hi <\u200bat user_id="all">all<\u200b/at> <\u200b AT x><b@x.example>'
    }


@given(
    title=st.text(),
    text=st.text(max_size=20_000),
    rows=st.lists(st.tuples(st.text(max_size=3000), st.text(max_size=3000)), max_size=30),
    url=st.text(max_size=3000),
)
def test_neither_is_too_long_for_a_bot_nor_for_an_app(
    title: str, text: str, rows: list[tuple[str, str]], url: str
) -> None:
    note = Note(text=text, title=title, rows=tuple(rows), url=url)
    for content in (bodies.card(note), bodies.text(note)):
        if content is not None:
            assert len(octets({"card": content})) <= 19_000
            assert len(json.dumps({"content": octets(content).decode()})) <= 150_000


def test_the_worst_note_fits() -> None:
    note = Note(text='"' * 20_000, title="\\" * 5000, rows=(("长" * 5000, "\U0001f600" * 5000),) * 99)
    assert len(octets({"card": bodies.card(note)})) <= 19_000
    assert len(octets({"content": bodies.text(note)})) <= 19_000
