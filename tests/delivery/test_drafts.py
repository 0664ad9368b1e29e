# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a member's program hands in: who says to have written it, what is added, what is taken out."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.errors import MalformedMail
from mailroom.delivery import drafts
from mailroom.delivery.drafts import Draft
from mailroom.mime.scan import MAX_HEADER, scan

AUTHORS: dict[bytes, tuple[str, ...]] = {
    b"From: amy@corp.example\r\n": ("amy@corp.example",),
    b"fRoM : =?utf-8?B?6Zm2?= <amy@corp.example>\r\n": ("amy@corp.example",),
    b'From: "bob@corp.example"\r\n <amy@corp.example>\r\n': ("amy@corp.example",),
    b"From: Team: amy@corp.example;\r\n": ("amy@corp.example",),
    b'From: "a > b@c (" <amy@corp.example> (at home (") or not)\r\n': ("amy@corp.example",),
    b"From: amy@corp.example <amy@corp.example>\r\n": ("amy@corp.example",),
    "From: 李雷 <用户@例.test>\r\n".encode(): ("用户@例.test",),
    b"From: amy@corp.example, bob@corp.example\r\nSender: bob@corp.example\r\n": (
        "bob@corp.example",
        "amy@corp.example",
        "bob@corp.example",
    ),
    b"Sender: sec@corp.example\r\nFrom: amy@corp.example\r\n": ("sec@corp.example", "amy@corp.example"),
}
MALFORMED = {
    "no From": b"To: b@x.example\r\n",
    "an empty one": b"From:\r\n",
    "an empty group": b"From: nobody:;\r\n",
    "two": b"From: amy@corp.example\r\nFrom: amy@corp.example\r\n",
    "two Senders": b"From: a@x.example\r\nSender: a@x.example\r\nSender: a@x.example\r\n",
    "two in Sender": b"From: a@x.example\r\nSender: a@x.example, b@x.example\r\n",
    "several, and no Sender": b"From: a@x.example, b@x.example\r\n",
    "far too many": b"From: " + b",".join([b"a@x.example"] * 50) + b"\r\nSender: a@x.example\r\n",
    "another behind the brackets": b"From: <amy@corp.example> <bob@corp.example>\r\n",
    "another without brackets": b"From: <amy@corp.example> bob@corp.example\r\n",
    "another between comments": b'From: <amy@corp.example> (") <bob@corp.example> (")\r\n',
    "a comment without end": b"From: amy@corp.example (<bob@corp.example>\r\n",
    "a quotation without end": b'From: amy@corp.example, "<bob@corp.example>\r\n',
    "another behind Resent-From's brackets": b"From: a@x.example\r\nResent-From: <a@x.example> <b@x.example>\r\n",
    "far too many that resend": b"From: a@x.example\r\n" + b"Resent-From: a@x.example\r\n" * 50,
    "NUL": b"Fr\0om: bob@corp.example\r\nFrom: amy@corp.example\r\n",
    "a name with a control character": b"From\x0b: bob@corp.example\r\nFrom: amy@corp.example\r\n",
    "a header without end": b"From: a@x.example\r\nX: " + b"x" * MAX_HEADER + b"\r\n",
}


def draft(header: bytes) -> Draft:
    return drafts.read(scan(header + b"\r\nhi\r\n"))


@pytest.mark.parametrize("header", AUTHORS)
def test_the_authors_are_found(header: bytes) -> None:
    assert draft(header).authors == AUTHORS[header]


@pytest.mark.parametrize("title", MALFORMED)
def test_a_mail_that_nobody_has_written_is_refused(title: str) -> None:
    with pytest.raises(MalformedMail):
        draft(MALFORMED[title])


def test_what_is_missing_is_added() -> None:
    found = draft(b"From: amy@corp.example\r\nMessage-ID:\r\n <>\r\nSubject: x\r\n")
    added = found.added(now=1_790_000_000_000, new_id=lambda: "1")
    assert added == b"Date: Mon, 21 Sep 2026 14:13:20 +0000\r\nMessage-ID: <1@corp.example>\r\n"
    assert found.header_with(added) == added + b"From: amy@corp.example\r\nSubject: x\r\n\r\n"


def test_what_is_there_stays() -> None:
    header = b"From: amy@corp.example\r\nMessage-ID: <1@x>\r\nDate: yesterday\r\n"
    found = draft(header)
    assert found.added(now=0, new_id=lambda: "2") == b""
    assert found.header_with(b"") == header + b"\r\n"
    assert found.cuts == []


def test_what_others_must_not_see_or_believe_goes() -> None:
    found = draft(
        b"Received: by mx\r\nBcc: a@x.example,\r\n b@x.example\r\n"
        b"Return-Path: <a@x.example>\r\nFrom: amy@corp.example\r\n"
        b"Authentication-Results: mx.corp.example; dkim=pass\r\nBCC : c@x.example\r\nX-Mailroom-Junk: no\r\n"
        b"Resent-Bcc: d@x.example\r\nSubject: Bcc: x\r\nDate: x\r\nMessage-ID: <1@x>\r\n"
    )
    assert found.header_with(b"").split(b"\r\n") == [
        *[b"Received: by mx", b"From: amy@corp.example", b"Subject: Bcc: x", b"Date: x", b"Message-ID: <1@x>"],
        *[b"", b""],
    ]
    assert len(found.blind) == 3


@given(st.lists(st.sampled_from([b"From:", b"Bcc:", b" ", b"\r\n", b"a@x", b"<", b",", b"\n", b"\0", b":"])))
def test_no_header_breaks_it(pieces: list[bytes]) -> None:
    with contextlib.suppress(MalformedMail):
        found = draft(b"".join(pieces))
        assert found.authors
        assert b"\nbcc:" not in found.header_with(b"").lower()
