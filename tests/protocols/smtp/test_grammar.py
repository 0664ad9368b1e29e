# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Command lines and what they mean, by section of RFC 5321 and its extensions."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.protocols.smtp import grammar
from mailroom.protocols.smtp.grammar import Auth, BadCommand, Bdat, Command, Data, Hello, MailFrom, NoOp, RcptTo

GOOD: list[tuple[bytes, Command]] = [
    (b"EHLO mx.example", Hello("EHLO", "mx.example")),
    (b"ehlo [192.0.2.1]", Hello("EHLO", "[192.0.2.1]")),
    (b"LHLO a", Hello("LHLO", "a")),
    (b"MAIL FROM:<>", MailFrom("")),
    (b"MAIL FROM:<a@x>", MailFrom("a@x")),
    (b"mail from: <a@x>  ", MailFrom("a@x")),
    (b"MAIL FROM:<@one,@two:a@x>", MailFrom("a@x")),
    (b'MAIL FROM:<"a b\\"@"@x>', MailFrom('"a b\\"@"@x')),
    (b"MAIL FROM:<a@[192.0.2.1]>", MailFrom("a@[192.0.2.1]")),
    (b"MAIL FROM:<a@[IPv6:2001:db8::1]>", MailFrom("a@[IPv6:2001:db8::1]")),
    (b"MAIL FROM:<a..b.@x_y.example>", MailFrom("a..b.@x_y.example")),
    (b"MAIL FROM:<a@x> SIZE=100 BODY=8bitmime", MailFrom("a@x", size=100, body="8BITMIME")),
    ("MAIL FROM:<用户@例.test> SMTPUTF8".encode(), MailFrom("用户@例.test", utf8=True)),
    (b"MAIL FROM:<a@x> RET=HDRS ENVID=QQ+2B1", MailFrom("a@x", ret="HDRS", envid="QQ+2B1")),
    (b"RCPT TO:<PostMaster>", RcptTo("PostMaster")),
    (b"RCPT TO:<b@x>", RcptTo("b@x")),
    (b"RCPT TO:<b@x> NOTIFY=NEVER", RcptTo("b@x", frozenset({"NEVER"}))),
    (b"RCPT TO:<b@x> NOTIFY=success,DELAY", RcptTo("b@x", frozenset({"SUCCESS", "DELAY"}))),
    (b"RCPT TO:<b@x> ORCPT=rfc822;b@x", RcptTo("b@x", orcpt="rfc822;b@x")),
    (b"MAIL FROM:<a@x> AUTH=<> RET=full", MailFrom("a@x", ret="FULL")),
    (b"MAIL FROM:<a@x> AUTH=e+3Dmc2@x", MailFrom("a@x")),
    (b"AUTH PLAIN", Auth("PLAIN")),
    (b"auth scram-sha-256  biws", Auth("SCRAM-SHA-256", b"biws")),
    (b"AUTH PLAIN =", Auth("PLAIN", b"=")),
    (b"DATA ", Data()),
    (b"BDAT 0 LAST", Bdat(0, last=True)),
    (b"BDAT 86 last", Bdat(86, last=True)),
    (b"BDAT 86", Bdat(86, last=False)),
    (b"NOOP whatever", NoOp()),
]

BAD: list[tuple[bytes, int, str]] = [
    (b"", 500, "5.5.1"),
    (b"WIZ", 500, "5.5.1"),
    (b"NOOP \0", 500, "5.5.2"),
    (b"NOOP a\rb", 500, "5.5.2"),
    (b"EHLO", 501, "5.5.4"),
    (b"EHLO " + b"a" * 256, 501, "5.5.4"),
    ("EHLO 例".encode(), 501, "5.5.4"),
    (b"DATA now", 501, "5.5.4"),
    (b"MAIL", 501, "5.5.4"),
    (b"MAIL FROM:", 501, "5.1.7"),
    (b"MAIL FROM:a@x", 501, "5.1.7"),
    (b"MAIL FROM:<a@x", 501, "5.1.7"),
    (b"MAIL FROM:<a>", 501, "5.1.7"),
    (b"MAIL FROM:<a@x..y>", 501, "5.1.7"),
    (b"MAIL FROM:<a b@x>", 501, "5.1.7"),
    (b"MAIL FROM:<a@[300.0.0.1]>", 501, "5.1.7"),
    (b"MAIL FROM:<a@[IPv6:zz]>", 501, "5.1.7"),
    (b"MAIL FROM:<" + b"a" * 330 + b"@x>", 501, "5.1.7"),
    (b"MAIL FROM:<\xff@x> SMTPUTF8", 501, "5.1.7"),
    ("MAIL FROM:<用户@x>".encode(), 553, "5.6.7"),
    (b"MAIL FROM:<a@x> SIZE=ten", 501, "5.5.4"),
    (b"MAIL FROM:<a@x> SIZE=1 SIZE=1", 501, "5.5.4"),
    (b"MAIL FROM:<a@x> BODY=BINARYMIME", 501, "5.5.4"),
    (b"MAIL FROM:<a@x> SMTPUTF8=1", 501, "5.5.4"),
    (b"MAIL FROM:<a@x> FOO=1", 555, "5.5.4"),
    (b"MAIL FROM:<a@x> AUTH=a=b", 501, "5.5.4"),
    (b"AUTH", 501, "5.5.4"),
    (b"AUTH " + b"A" * 21, 501, "5.5.4"),
    (b"AUTH PLAIN a b", 501, "5.5.4"),
    ("AUTH PLAIN 例".encode(), 501, "5.5.4"),
    (b"RCPT TO:<>", 501, "5.1.3"),
    (b"RCPT TO:<b>", 501, "5.1.3"),
    (b"RCPT TO:<b@x> NOTIFY=NEVER,DELAY", 501, "5.5.4"),
    (b"RCPT TO:<b@x> ORCPT=b", 501, "5.5.4"),
    (b"RCPT TO:<b@x> ORCPT=rfc822;a=b", 501, "5.5.4"),
    (b"BDAT", 501, "5.5.4"),
    (b"BDAT -1", 501, "5.5.4"),
    (b"BDAT 1 FIRST", 501, "5.5.4"),
]


@pytest.mark.parametrize(("line", "command"), GOOD)
def test_a_command_is_read(line: bytes, command: Command) -> None:
    assert grammar.parse(line) == command


@pytest.mark.parametrize(("line", "code", "status"), BAD)
def test_a_wrong_line_has_its_answer(line: bytes, code: int, status: str) -> None:
    with pytest.raises(BadCommand) as bad:
        grammar.parse(line)
    assert (bad.value.answer.code, bad.value.answer.status) == (code, status)


@given(st.sampled_from([b"", b"MAIL FROM:<", b"RCPT TO:<", b"BDAT ", b"EHLO ", b"MAIL FROM:<a@x> "]), st.binary())
def test_no_line_breaks_the_grammar(beginning: bytes, end: bytes) -> None:
    with contextlib.suppress(BadCommand):
        grammar.parse(beginning + end)
