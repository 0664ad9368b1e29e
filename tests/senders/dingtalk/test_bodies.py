# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Notes as DingTalk's messages: never the same twice, the same on a repeat, and not too long."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.senders.dingtalk import bodies
from mailroom.senders.http import octets
from mailroom.senders.note import Note

AT = 1_772_323_200_000
CARD = Note(text="x", title="New mail", rows=(("From", "Bob"),), url="https://mail.corp.example/m/1", at=AT)
PLAIN = Note(text="Your code has changed.", at=AT)
CODE = "rcp_0123456789abcdef"


@pytest.mark.parametrize("note", [CARD, PLAIN, replace(CARD, rows=()), replace(CARD, url="")])
@pytest.mark.parametrize("make", [bodies.work, bodies.group, bodies.one_to_one])
def test_each_message_ends_like_no_other_of_the_day_and_a_repeat_is_the_same(make: object, note: Note) -> None:
    assert callable(make)
    said = json.dumps(make(note, CODE))
    assert "#abcdef" in said
    assert said == json.dumps(make(note, CODE))
    assert said != json.dumps(make(note, CODE[:-1] + "0"))


def test_a_note_that_leads_somewhere_is_a_card() -> None:
    assert bodies.work(CARD, CODE) == {
        "msgtype": "oa",
        "oa": {
            "message_url": CARD.url,
            "pc_message_url": CARD.url,
            "head": {"bgcolor": "FF3B7DDD", "text": "New mail"},
            "body": {"title": "New mail", "form": [{"key": "From: ", "value": "Bob"}], "content": "#abcdef"},
        },
    }
    assert bodies.work(PLAIN, CODE)["msgtype"] == "text"
    assert bodies.group(CARD, CODE)["msgtype"] == "link"
    assert bodies.group(PLAIN, CODE)["msgtype"] == "text"
    assert bodies.one_to_one(CARD, CODE)[0] == "sampleLink"
    assert bodies.one_to_one(PLAIN, CODE)[0] == "sampleText"


def test_half_a_link_leads_nowhere() -> None:
    long = replace(CARD, url="https://mail.corp.example/" + "x" * 500)
    assert bodies.work(long, CODE)["msgtype"] == "text"
    assert bodies.group(long, CODE)["msgtype"] == "text"


@given(
    title=st.text(),
    text=st.text(max_size=5000),
    rows=st.lists(st.tuples(st.text(max_size=3000), st.text(max_size=3000)), max_size=12),
    url=st.text(max_size=600),
)
def test_no_work_notice_is_too_long(title: str, text: str, rows: list[tuple[str, str]], url: str) -> None:
    note = Note(text=text, title=title, rows=tuple(rows), url=url, at=AT)
    said = octets(bodies.work(note, CODE))
    assert len(said) <= 2048
    assert b"#abcdef" in said


def test_the_worst_note_fits() -> None:
    note = Note(
        text='"' * 5000, title="\\" * 5000, rows=(('"' * 5000, "\\" * 5000),) * 99, url="https://x/" + '"' * 490, at=AT
    )
    assert len(octets(bodies.work(note, CODE))) <= 2048
