# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Nobody hides a mail inside another (SMTP smuggling), and nobody speaks into a TLS session from outside."""

from __future__ import annotations

import ssl

import pytest

from tests.protocols.fake import FakeAcceptance, serving
from tests.talk import call

# Every mark that some server has taken for the end of a mail, but CRLF.CRLF.
FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\r\n.\r\r\n",
    b"\n\n.\r\n",
    b"\r\n.\n\r\n",
    b"\r\n.\r\r\n",
]
BARE = [end for end in FALSE_ENDS if b"\r" in end.replace(b"\r\n", b"") or b"\n" in end.replace(b"\r\n", b"")]
SMUGGLED = b"MAIL FROM:<evil@y>\r\nRCPT TO:<b@x>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"


@pytest.mark.parametrize("end", FALSE_ENDS)
async def test_a_false_end_ends_nothing(end: bytes, acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA")
        await c.expect("220", "250-", "250", "250", "354")
        await c.send(b"Subject: outer\r\n\r\nx" + end + SMUGGLED + b"\r\n.\r\nNOOP\r\n")
        await c.expect("550 5.5.2 bare CR/LF" if end in BARE else "250 2.0.0 accepted", "250 2.0.0 ok")
    assert len(acceptance.kept) == (0 if end in BARE else 1)
    assert all(kept.sender == "a@y" for kept in acceptance.kept)


@pytest.mark.parametrize("end", BARE)
async def test_nor_in_chunks(end: bytes, acceptance: FakeAcceptance) -> None:
    content = b"Subject: outer\r\n\r\nx" + end + b"x\r\n"
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>")
        await c.send(b"BDAT %d LAST\r\n" % len(content) + content + b"NOOP\r\n")
        await c.expect("220", "250-", "250", "250", "550 5.5.2 bare CR/LF", "250 2.0.0 ok")
    assert acceptance.kept == []


async def test_a_chunk_after_a_refused_one_is_content_still(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>")
        await c.send(b"BDAT 3\r\na\nbBDAT %d LAST\r\n" % len(SMUGGLED) + SMUGGLED + b"NOOP\r\n")
        await c.expect("220", "250-", "250", "250", "550 5.5.2", "503 5.5.1", "250 2.0.0 ok")
    assert acceptance.kept == []


async def test_after_a_chunk_of_unknown_length_there_is_no_next_command(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "BDAT 1x LAST", "MAIL FROM:<evil@y>")
        await c.expect("220", "250-", "250", "250", "501 5.5.4")
        await c.expect_end()


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\rRSET\r\n", b"NO\0OP\r\n"])
async def test_a_command_line_ends_with_crlf(line: bytes, acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c.send(line + b"NOOP\r\n")
        await c.expect("220", "500 5.5.2", "250 2.0.0")


async def test_a_browser_is_shown_the_door(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c("POST / HTTP/1.1", "EHLO c", "MAIL FROM:<a@y>")
        await c.expect("220", "421 4.7.0")
        await c.expect_end()


async def test_tls_begins_anew(acceptance: FakeAcceptance, certificate: ssl.SSLContext) -> None:
    async with serving(acceptance, tls=certificate) as port, call(port) as c:
        await c("EHLO before")
        assert "STARTTLS" in await c.expect("220", "250-")
        await c("STARTTLS")
        await c.expect("220 2.0.0")
        await c.start_tls()
        await c("MAIL FROM:<a@y>", "STARTTLS")
        await c.expect("503", "503")
        await c("EHLO after")
        assert "STARTTLS" not in await c.expect("250-")
        await c("MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA", "x", ".", "QUIT")
        await c.expect("250", "250", "354", "250", "221")
    assert b"from after" in acceptance.kept[0].octets
    assert b"with ESMTPS id" in acceptance.kept[0].octets


async def test_what_was_said_before_tls_is_not_heard(acceptance: FakeAcceptance, certificate: ssl.SSLContext) -> None:
    # CVE-2011-0411: commands in the packet of STARTTLS were obeyed inside TLS.
    async with serving(acceptance, tls=certificate) as port, call(port) as c:
        await c("EHLO c")
        await c.expect("220", "250-")
        await c("STARTTLS", "EHLO evil", "MAIL FROM:<evil@y>")
        await c.expect("220 2.0.0")
        await c.start_tls()
        await c("RCPT TO:<b@x>", "NOOP")
        await c.expect("503", "250 2.0.0")


async def test_a_handshake_that_is_none_ends_the_connection(
    acceptance: FakeAcceptance, certificate: ssl.SSLContext
) -> None:
    async with serving(acceptance, tls=certificate) as port, call(port) as c:
        await c("EHLO c", "STARTTLS")
        await c.expect("220", "250-", "220 2.0.0")
        await c("EHLO evil", "MAIL FROM:<evil@y>")
        heard = await c.reply()
        assert not heard.startswith("2")
