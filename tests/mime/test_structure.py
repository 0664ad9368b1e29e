# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""IMAP's words for a mail (RFC 9051 section 7.5.2), and what delivery stores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mailroom.mime.scan import Part, scan
from mailroom.mime.structure import Summary, body, bodystructure, date_ms, envelope, from_json, summarise, to_json

MAIL = (
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
    b"From: Terry Gray <gray@cac.washington.edu>\r\n"
    b"Subject: IMAP4rev2 WG mtg summary and minutes\r\n"
    b"To: imap@cac.washington.edu\r\n"
    b"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
    b"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"
    b"one\r\ntwo\r\n"
)


def summary(mail: bytes) -> Summary:
    return summarise(scan(mail), lambda start, stop: mail[start:stop])


def test_the_envelope_of_the_rfc() -> None:
    # RFC 9051 section 7.5.2, the example
    terry = b'(("Terry Gray" NIL "gray" "cac.washington.edu"))'
    assert envelope(MAIL.partition(b"\r\n\r\n")[0]) == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes" %b %b %b '
        b'((NIL NIL "imap" "cac.washington.edu")) '
        b'((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL '
        b'"<B27397-0100000@cac.washington.edu>")' % (terry, terry, terry)
    )


@pytest.mark.parametrize(
    ("header", "wire"),
    [
        (b"", b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
        (b"Subject:\r\nDate: \r\n", b'("" "" NIL NIL NIL NIL NIL NIL NIL NIL)'),  # present but empty
        (
            b"From: a@b\r\nSender: \r\nReply-To: c@d\r\n",
            b'(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) NIL NIL NIL NIL NIL)',
        ),
        (b'Subject: a\r\n b "q" \\\r\n', b'(NIL "a b \\"q\\" \\\\" NIL NIL NIL NIL NIL NIL NIL NIL)'),
        (b"Subject: \xb1\xa8\r\n", b"(NIL {2}\r\n\xb1\xa8 NIL NIL NIL NIL NIL NIL NIL NIL)"),
        (b"Subject: =?utf-8?Q?x?=\r\n", b'(NIL "=?utf-8?Q?x?=" NIL NIL NIL NIL NIL NIL NIL NIL)'),  # undecoded
        (b"Date: someday\r\n", b'("someday" NIL NIL NIL NIL NIL NIL NIL NIL NIL)'),  # raw, not re-formatted
        (
            b"To: g: a@b;, x\r\n",
            (
                b'(NIL NIL NIL NIL NIL ((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)(NIL NIL "x" "")) '
                b"NIL NIL NIL NIL)"
            ),
        ),
        (
            b"To: a@b\r\nTo: <@r:c@d>\r\n",
            b'(NIL NIL NIL NIL NIL ((NIL NIL "a" "b")(NIL "@r" "c" "d")) NIL NIL NIL NIL)',
        ),
        (b"In-Reply-To: <1@x>\r\nBcc: a@b\r\n", b'(NIL NIL NIL NIL NIL NIL NIL ((NIL NIL "a" "b")) "<1@x>" NIL)'),
    ],
)
def test_envelopes(header: bytes, wire: bytes) -> None:
    assert envelope(header + b"\r\n") == wire


def test_a_single_part() -> None:
    part = scan(MAIL)
    assert body(part) == b'("text" "plain" ("charset" "US-ASCII") NIL NIL "7bit" 10 2)'
    assert bodystructure(part) == b'("text" "plain" ("charset" "US-ASCII") NIL NIL "7bit" 10 2 NIL NIL NIL NIL)'


MULTIPART = (
    b"Content-Type: multipart/mixed; boundary=b\r\nContent-Language: de, en\r\n\r\n"
    b"--b\r\n\r\ntext\r\n"
    b'--b\r\nContent-Type: application/pdf; name="\xb1\xa8.pdf"\r\nContent-Transfer-Encoding: BASE64\r\n'
    b"Content-ID: <1@x>\r\nContent-Description: a pdf\r\nContent-MD5: Q2hl\r\nContent-Language: en\r\n"
    b"Content-Location: x.pdf\r\nContent-Disposition: Attachment; filename*=utf-8''%e6%8a%a5.pdf\r\n\r\nAAAA\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\ny\r\n--b--\r\n"
)


def test_a_multipart() -> None:
    assert bodystructure(scan(MULTIPART)) == (
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 0 NIL NIL NIL NIL)'
        b'("application" "pdf" ("name" {6}\r\n\xb1\xa8.pdf) "<1@x>" "a pdf" "base64" 4 '
        b'"Q2hl" ("attachment" ("filename*" "utf-8\'\'%e6%8a%a5.pdf")) "en" "x.pdf")'
        b'("message" "rfc822" NIL NIL NIL "7bit" 19 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) '
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL) '
        b'"mixed" ("boundary" "b") NIL ("de" "en") NIL)'
    )
    assert body(scan(MULTIPART)) == (
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 0)'
        b'("application" "pdf" ("name" {6}\r\n\xb1\xa8.pdf) "<1@x>" "a pdf" "base64" 4)'
        b'("message" "rfc822" NIL NIL NIL "7bit" 19 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) '
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 1) 3) "mixed")'
    )


def test_a_multipart_without_parts_is_shown_with_an_empty_one() -> None:
    part = scan(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n")
    assert body(part) == b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed")'
    assert bodystructure(part).count(b"(") == bodystructure(part).count(b")")


def test_a_mail_that_cannot_be_looked_into_is_shown_as_empty() -> None:
    part = scan(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n")
    assert body(part) == (
        b'("message" "rfc822" NIL NIL NIL "base64" 6 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) '
        b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) 1)'
    )


def without_headers(part: Part) -> Part:
    return replace(part, header=b"", children=tuple(without_headers(child) for child in part.children))


@pytest.mark.parametrize("mail", [b"", MAIL, MULTIPART])
def test_parts_are_stored_and_come_back(mail: bytes) -> None:
    stored = to_json(scan(mail))
    assert from_json(stored) == without_headers(scan(mail))
    assert json.loads(stored)["t"] == scan(mail).content_type


@pytest.mark.parametrize(
    "field",
    [
        b'Content-Type: a/b; name="%b"',
        b"Content-Type: a/b; %b",
        b"Content-Type: a/b; x=%b",
        b"Content-Type: a/%b",
        b"Content-Transfer-Encoding: %b",
        b"Content-Disposition: %b",
        b"Content-Disposition: x; filename=%b",
        b"Content-Description: %b",
    ],
)
@pytest.mark.parametrize("octet", [b"\xe1", b"\1", b"a", b"a=b;"])
@pytest.mark.parametrize("length", [100, 1000, 20_000])
def test_what_is_stored_is_hardly_larger_than_the_mail(field: bytes, octet: bytes, length: int) -> None:
    part = b"\r\n--b\r\n" + field % (octet * (length // len(octet))) + b"\r\n\r\n"
    mail = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * (1_000_000 // len(part))
    parts = scan(mail)
    stored = to_json(parts)
    assert len(stored.encode()) < len(mail) * 1.5
    assert len(from_json(stored).children) == len(parts.children)


def test_a_section_is_fetched_from_what_was_stored() -> None:
    pdf = from_json(to_json(scan(MULTIPART))).children[1]
    assert MULTIPART[pdf.body_start : pdf.body_end] == b"AAAA"


def test_a_summary() -> None:
    mail = (
        b"Message-ID:  <1@x> \r\nFrom: =?utf-8?B?5p2O?= <a@b>, second@b\r\nTo: Amy <amy@c>, g: d@e;\r\n"
        b"Subject: =?gb2312?B?sai82w==?=\r\n folded\r\nDate: Thu, 1 Feb 2024 10:00:00 +0800\r\n"
        b"In-Reply-To: <0@x>\r\nReferences: <00@x>\r\n <0@x> <00@x> junk\r\n\r\n Hello\r\n"
    )
    found = summary(mail)
    assert (found.message_id, found.subject) == ("<1@x>", "报价 folded")
    assert (found.from_, found.to) == ("李 <a@b>", "Amy <amy@c>, d@e")
    assert found.date_ms == 1_706_752_800_000
    assert (found.in_reply_to, found.references) == (("<0@x>",), ("<00@x>", "<0@x>"))
    assert (found.preview, found.attachments) == ("Hello", ())
    assert found.header_size == mail.index(b" Hello")
    assert found.envelope == envelope(mail)
    assert found.bodystructure == bodystructure(scan(mail))


@pytest.mark.parametrize(
    ("written", "message_id"),
    [
        (b"<1@x>", "<1@x>"),
        (b"(c) <1@x> junk", "<1@x>"),
        (b"1@x", "1@x"),
        (b"<1 2@x>", "<1 2@x>"),
        *[(empty, "") for empty in (b"", b"<>", b"< >", b" <> <>", b"<\1>", b"<\xc2\xa0>", b">")],
    ],
)
def test_a_message_id_of_nothing_is_none(written: bytes, message_id: str) -> None:
    assert summary(b"Message-ID: " + written + b"\r\n\r\n").message_id == message_id


def test_a_summary_of_nothing() -> None:
    found = summary(b"")
    assert (found.message_id, found.subject, found.from_, found.to, found.date_ms) == ("", "", "", "", None)


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        (b"Thu, 01 Jan 1970 00:00:01 +0000", 1000),
        (b"1 Jan 70 00:00:01 GMT", 1000),
        (b"Thu, 01 Jan 1970 01:00:00 +0100 (CET)", 0),
        (b"Thu, 01 Jan 1970 00:00:00", 0),
        (b"Thu, 01 Jan 1970 00:00:00 -0000", 0),
        (b"", None),
        (b"someday", None),
        (b"Mon, 99 Foo 2024 99:99:99 +9999", None),
        (b"1 Jan 99999 00:00:00 +0000", None),
        (b"1 Jan 2024 00:00:00 +99999999999999999999", None),
        (b"\xb1\xa8 2024", None),
    ],
)
def test_dates(raw: bytes, moment: int | None) -> None:
    assert date_ms(raw) == moment


def test_real_mails_are_summarised(shared_data: Path) -> None:
    for path in sorted(shared_data.rglob("*.eml")):
        found = summary(path.read_bytes())
        texts = (found.message_id, found.subject, found.from_, found.to, found.preview, *found.references)
        assert all("\0" not in text and "\n" not in text for text in texts if text is not found.preview), path.name
        assert "\0" not in found.preview, path.name
        for text in texts:
            text.encode()
