# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Notes as WeCom's messages: cut by us before it cuts them, never markup of a stranger, the same on a repeat."""

from __future__ import annotations

import html
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.clock import SECOND
from mailroom.senders.note import Note
from mailroom.senders.wecom import bodies
from mailroom.senders.wecom.manifest import MANIFEST
from tests.senders.examples import NOTE

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3000)
LINK = "https://mail.corp.example/m/1"


def test_a_card_says_what_the_text_does_not() -> None:
    note = replace(NOTE, rows=(("From", "Bob Li <bob@out.example>"), ("Subject", "报价 Q2"), ("时间", "16:00")))
    card = bodies.app(note, code="rcp_1")["textcard"]
    assert card["title"] == "报价 Q2"
    assert card["description"] == (
        "<div>New mail from Bob Li: 报价 Q2</div>"
        '<div class="gray">From: Bob Li &lt;bob@out.example&gt;</div>'
        '<div class="gray">时间：16:00</div>'
    )


def test_a_text_that_does_not_fit_a_card_is_sent_as_text() -> None:
    note = Note(text="汉" * 1000, title="t", url=LINK)
    body = bodies.app(note, code="c")
    assert body["msgtype"] == "text"
    content = body["text"]["content"]
    assert content.endswith(f"\n{LINK}")
    assert 2044 < len(content.encode()) <= 2048


def test_a_card_always_has_a_description() -> None:
    assert bodies.app(Note(text="", title="T", url=LINK), code="c")["textcard"]["description"] == "<div>T</div>"


def test_the_link_is_said_once() -> None:
    assert bodies.robot(Note(text=f"See {LINK}", url=LINK))["text"]["content"] == f"See {LINK}"


def test_a_repeat_is_the_same_and_other_notes_are_not() -> None:
    assert bodies.app(NOTE, code="rcp_1") == bodies.app(NOTE, code="rcp_1")
    assert len({str(bodies.app(NOTE, code=f"rcp_{number}")) for number in range(100)}) > 90


def test_repeats_are_recognised_for_as_long_as_we_make_them() -> None:
    longest = sum(MANIFEST.retries) * (1 + MANIFEST.jitter) + MANIFEST.timeout * (len(MANIFEST.retries) + 1)
    for number in range(100):
        seconds = bodies.app(NOTE, code=f"rcp_{number}")["duplicate_check_interval"]
        assert longest < seconds * SECOND
        assert seconds <= 14_400


@given(text=texts, title=texts, label=texts, value=texts, url=st.sampled_from(["", LINK, LINK + "x" * 3000]))
def test_whatever_a_mail_holds_it_is_short_and_plain(text: str, title: str, label: str, value: str, url: str) -> None:
    note = Note(text=text, title=title, rows=((label, value),), url=url)
    body = bodies.app(note, code="c")
    if body["msgtype"] == "text":
        assert len(body["text"]["content"].encode()) <= 2048
        return
    card = body["textcard"]
    assert len(card["title"].encode()) <= 128
    assert len(card["description"].encode()) <= 512
    assert card["url"] == url
    assert set(re.findall(r"<[^<>]*>", card["description"])) <= {"<div>", '<div class="gray">', "</div>"}
    assert html.unescape(re.sub(r"<[^<>]*>", "", card["description"]))
