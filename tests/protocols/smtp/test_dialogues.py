# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Dialogues, by section of the RFCs: what a client says and how each reply begins."""

from __future__ import annotations

import errno

import pytest

from mailroom.core.errors import DomainNotActive, MailLoop, NoSpace, OverQuota, Refusal, Unavailable
from mailroom.protocols.smtp.session import Dialect
from tests.protocols.fake import FakeAcceptance, serving
from tests.talk import call

HELLO = [("EHLO c.example", "250-mx.x")]
TO_DATA = [*HELLO, ("MAIL FROM:<a@y>", "250 2.1.0"), ("RCPT TO:<b@x>", "250 2.1.5")]
BODY = "Subject: hi\r\n\r\n..dot\r\n."

DIALOGUES = {
    "RFC 5321 4.1.1.1: HELO is answered by the name": [("HELO c", "250 mx.x")],
    "RFC 5321 4.1.4: MAIL needs a greeting": [("MAIL FROM:<a@y>", "503 5.5.1")],
    "RFC 5321 4.1.4: RCPT needs MAIL": [*HELLO, ("RCPT TO:<b@x>", "503 5.5.1")],
    "RFC 5321 4.1.4: DATA needs MAIL": [*HELLO, ("DATA", "503 5.5.1")],
    "RFC 5321 4.1.4: one MAIL at a time": [*TO_DATA, ("MAIL FROM:<a@y>", "503 5.5.1")],
    "RFC 5321 4.1.4: EHLO forgets the mail": [*TO_DATA, *HELLO, ("DATA", "503 5.5.1")],
    "RFC 5321 4.1.1.5: RSET forgets the mail": [*TO_DATA, ("RSET", "250 2.0.0"), ("DATA", "503")],
    "RFC 5321 4.1.1.5: RSET is no greeting": [("RSET", "250 2.0.0"), ("MAIL FROM:<a@y>", "503")],
    "RFC 5321 3.3: DATA without a good recipient": [
        *HELLO,
        ("MAIL FROM:<a@y>", "250"),
        ("RCPT TO:<nobody@x>", "550 5.1.1"),
        ("DATA", "554 5.5.1"),
    ],
    "RFC 5321 3.6.2: no relay": [*HELLO, ("MAIL FROM:<a@y>", "250"), ("RCPT TO:<b@z>", "550 5.7.1 relaying denied")],
    "RFC 5321 3.5.3: VRFY says nothing": [("VRFY b", "252 2.0.0")],
    "RFC 5321 3.5: EXPN is not offered": [("EXPN b", "502 5.5.1")],
    "RFC 5321 4.1.1.8: HELP": [("HELP", "214 2.0.0")],
    "RFC 5321 4.1.1.9: NOOP": [("NOOP x", "250 2.0.0")],
    "RFC 5321 4.2.4: unknown command": [("TURN", "500 5.5.1")],
    "RFC 5321 4.5.3.1.4: line too long": [("NOOP " + "x" * 5000, "500 5.5.6"), ("NOOP", "250")],
    "RFC 5321 4.5.1: postmaster": [*HELLO, ("MAIL FROM:<>", "250"), ("RCPT TO:<postmaster>", "250 2.1.5")],
    "RFC 1870 6.1: declared too large": [*HELLO, ("MAIL FROM:<a@y> SIZE=1000001", "552 5.3.4")],
    "RFC 6531 3.5: an address in Chinese": [
        *HELLO,
        ("MAIL FROM:<a@y> SMTPUTF8", "250"),
        ("RCPT TO:<用户@例.test>", "250 2.1.5"),
    ],
    "RFC 6531 3.5: and without SMTPUTF8": [*HELLO, ("MAIL FROM:<a@y>", "250"), ("RCPT TO:<用户@例.test>", "553 5.6.7")],
    "RFC 3207 4: no STARTTLS without a certificate": [*HELLO, ("STARTTLS", "502 5.5.1")],
    "RFC 2033 4.1: LHLO is LMTP's": [("LHLO c", "500 5.5.1")],
    "RFC 3030 2: BDAT needs recipients": [
        *HELLO,
        ("MAIL FROM:<a@y>", "250"),
        ("BDAT 6 LAST\r\nQUIT", "554 5.5.1"),
        ("NOOP", "250"),
    ],
    "RFC 3030 2: DATA and MAIL do not mix with BDAT": [
        *TO_DATA,
        ("BDAT 3\r\na", "250 2.0.0 3 octets"),
        ("DATA", "503"),
        ("RCPT TO:<c@x>", "503"),
        ("RSET", "250"),
    ],
}


@pytest.mark.parametrize("title", DIALOGUES)
async def test_a_dialogue(title: str, acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, errors_most=100) as port, call(port) as c:
        await c.expect("220 mx.x ESMTP")
        for line, reply in DIALOGUES[title]:
            await c(line)
            await c.expect(reply)
    assert acceptance.kept == []


async def test_a_mail_is_kept_with_its_trace(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c.expect("220")
        for line, reply in [*TO_DATA, ("DATA", "354"), (BODY, "250 2.0.0 accepted as trace1"), ("QUIT", "221 2.0.0")]:
            await c(line)
            await c.expect(reply)
        await c.expect_end()
    (kept,) = acceptance.kept
    assert (kept.sender, kept.recipients) == ("a@y", ("b@x",))
    assert kept.content == b"Subject: hi\r\n\r\n.dot\r\n"
    assert kept.octets.startswith(
        b"Return-Path: <a@y>\r\n"
        b"Received: from c.example ([127.0.0.1])\r\n"
        b"\tby mx.x with ESMTP id trace1\r\n"
        b"\tfor <b@x>;\r\n"
        b"\tMon, 21 Sep 2026 14:13:20 +0000\r\n"
    )


async def test_recipients_of_one_mail_do_not_learn_of_each_other(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c("HELO c(evil)", "MAIL FROM:<>", "RCPT TO:<b@x>", "RCPT TO:<c@x>", "DATA", BODY)
        await c.expect("220", "250", "250", "250", "250", "354", "250")
    (kept,) = acceptance.kept
    assert kept.octets.startswith(b"Return-Path: <>\r\nReceived: from c?evil? ([127.0.0.1])\r\n\tby mx.x with SMTP id")
    assert b"for <" not in kept.octets


async def test_everything_may_be_said_ahead(acceptance: FakeAcceptance) -> None:
    mail = ["MAIL FROM:<a@y> SIZE=20", "RCPT TO:<b@x>", "RCPT TO:<nobody@x>", "DATA", BODY]
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", *mail, *mail, "QUIT")
        await c.expect("220", "250-", *["250", "250", "550 5.1.1", "354", "250 2.0.0 accepted"] * 2, "221")
        await c.expect_end()
    assert len(acceptance.kept) == 2
    assert acceptance.asked[0] == ("b@x", 20)


async def test_a_client_that_closes_its_half_is_answered(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA", BODY)
        c.half_close()
        await c.expect("220", "250-", "250", "250", "354", "250 2.0.0 accepted")
        await c.expect_end()


async def test_chunks_make_one_mail(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y> BODY=8BITMIME", "RCPT TO:<b@x>")
        await c.send(b"BDAT 7\r\nA: b\r\n\rBDAT 8\r\n\n.\r\n.x\r\nBDAT 0 LAST\r\n")
        await c.expect("220", "250-", "250", "250", "250 2.0.0 7", "250 2.0.0 8", "250 2.0.0 accepted")
    assert acceptance.kept[0].content == b"A: b\r\n\r\n.\r\n.x\r\n"


async def test_a_mail_given_up_between_chunks_is_not_kept(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>")
        await c.send(b"BDAT 6\r\nA: b\r\nRSET\r\nBDAT 0 LAST\r\n")
        await c.expect("220", "250-", "250", "250", "250 2.0.0 6", "250 2.0.0 ok", "503")
    assert acceptance.kept == []


@pytest.mark.parametrize(
    ("refusal", "reply"),
    [
        (OverQuota(), "452 4.2.2"),
        (NoSpace(), "452 4.3.1"),
        (Unavailable(what="blobs"), "451 4.3.0"),
        (MailLoop(hops=101), "554 5.4.6"),
        (OSError(errno.ENOSPC, "full"), "452 4.3.1"),
        (OSError(errno.EIO, "broken"), "451 4.3.0"),
    ],
)
async def test_a_mail_that_is_refused_at_its_end(
    acceptance: FakeAcceptance, refusal: Refusal | OSError, reply: str
) -> None:
    acceptance.fault = refusal
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA", BODY, "NOOP")
        await c.expect("220", "250-", "250", "250", "354", reply, "250 2.0.0 ok")
    assert acceptance.kept == []


async def test_a_bug_costs_one_connection_and_shows_nothing(acceptance: FakeAcceptance) -> None:
    acceptance.fault = ZeroDivisionError("inside")
    async with serving(acceptance) as port:
        async with call(port) as c:
            await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA", BODY)
            await c.expect("220", "250-", "250", "250", "354", "421 4.3.0 something went wrong, try later")
            await c.expect_end()
        acceptance.fault = None
        async with call(port) as c:
            await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA", BODY)
            await c.expect("220", "250-", "250", "250", "354", "250 2.0.0 accepted")


async def test_a_domain_that_is_not_proven(acceptance: FakeAcceptance) -> None:
    acceptance.no["b@x"] = DomainNotActive(domain="x")
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>")
        await c.expect("220", "250-", "250", "550 5.7.1 domain not verified")


async def test_lmtp_answers_for_each_recipient_in_order(acceptance: FakeAcceptance) -> None:
    acceptance.no["late:c@x"] = OverQuota()
    async with serving(acceptance, dialect=Dialect.LMTP) as port, call(port) as c:
        await c("EHLO c", "LHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "RCPT TO:<c@x>", "RCPT TO:<d@x>", "DATA", BODY)
        await c.expect("220 mx.x LMTP", "500 5.5.1", "250-mx.x", "250", "250", "250", "250", "354")
        await c.expect("250 2.0.0 accepted", "452 4.2.2", "250 2.0.0 accepted")
    assert acceptance.kept[0].recipients == ("b@x", "d@x")
    assert b"with LMTP id" in acceptance.kept[0].octets


async def test_lmtp_refuses_a_mail_once_for_each_recipient(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, dialect=Dialect.LMTP, mail_size=15) as port, call(port) as c:
        await c("LHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "RCPT TO:<c@x>", "DATA", BODY, "NOOP")
        await c.expect("220", "250-", "250", "250", "250", "354", "552 5.3.4", "552 5.3.4", "250 2.0.0 ok")
