# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Address lists: RFC 5322 section 3.4 and appendix A, and what stands in real mail."""

from __future__ import annotations

import pytest

from mailroom.mime.address import Address, Group, mailboxes, parse, show


def plain(name: bytes, local: bytes, host: bytes) -> Address:
    return Address(name, b"", local, host)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"a@b.example", plain(b"", b"a", b"b.example")),
        (b"<a@b.example>", plain(b"", b"a", b"b.example")),
        (b"Bob Li <bob@out.example>", plain(b"Bob Li", b"bob", b"out.example")),
        (b'"Li, Bob" <bob@out.example>', plain(b"Li, Bob", b"bob", b"out.example")),
        (b'"a \\"b\\" c" <a@b>', plain(b'a "b" c', b"a", b"b")),
        (b'Joe "Q." Public<j@x>', plain(b"Joe Q. Public", b"j", b"x")),
        (b"Joe Q. Public <john.q.public@example.com>", plain(b"Joe Q. Public", b"john.q.public", b"example.com")),
        (b'"john doe"@b', plain(b"", b"john doe", b"b")),
        # RFC 5322 appendix A.5
        (
            b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            plain(b"Pete", b"pete", b"silly.test"),
        ),
        # RFC 5322 appendix A.6.1, A.6.3
        (b"Mary Smith <@node.test:mary@example.net>", Address(b"Mary Smith", b"@node.test", b"mary", b"example.net")),
        (b"<@a,@b:c@d>", Address(b"", b"@a,@b", b"c", b"d")),
        (b"jdoe@test  . example (John (the) Doe)", plain(b"John (the) Doe", b"jdoe", b"test.example")),
        (b"a@[127.0.0.1]", plain(b"", b"a", b"[127.0.0.1]")),
        (b"bob@x.example <bob@y.example>", plain(b"bob@x.example", b"bob", b"y.example")),
        (b"=?utf-8?Q?Li,_Bob?= <b@x>", plain(b"=?utf-8?Q?Li,_Bob?=", b"b", b"x")),
        (b"=?utf-8?Q?Li, Bob?= <b@x>", plain(b"=?utf-8?Q?Li, Bob?=", b"b", b"x")),
        (b"\xb1\xa8\xbc\xdb <b@x>", plain(b"\xb1\xa8\xbc\xdb", b"b", b"x")),
        ("Jöhn <jdöe@mächine.example>".encode(), plain("Jöhn".encode(), "jdöe".encode(), "mächine.example".encode())),
        (b"root", plain(b"", b"root", b"")),
        (b"MAILER-DAEMON (Mail System)", plain(b"Mail System", b"MAILER-DAEMON", b"")),
        (b"Name <>", plain(b"Name", b"", b"")),
        (b"Name <a@b", plain(b"Name", b"a", b"b")),
        (b"a@b@c", plain(b"", b"a", b"b@c")),
        (b"<a@b> tail <c@d>", plain(b"", b"a", b"b")),
        (b"(unclosed", None),
        (b'"unclosed <a@b>', plain(b"", b"unclosed <a@b>", b"")),
    ],
)
def test_one_address(raw: bytes, found: Address | None) -> None:
    assert parse(raw) == (() if found is None else (found,))


def test_lists() -> None:
    found = parse(b"a@b, , C <c@d>;\r\n\te@f,")
    assert found == (plain(b"", b"a", b"b"), plain(b"C", b"c", b"d"), plain(b"", b"e", b"f"))


def test_groups() -> None:
    # RFC 5322 appendix A.1.3
    found = parse(b"A Group:Ed Jones <joe@where.test>,jdoe@one.test;, x@y, Undisclosed recipients:;")
    joe, jdoe = plain(b"Ed Jones", b"joe", b"where.test"), plain(b"", b"jdoe", b"one.test")
    assert found == (Group(b"A Group", (joe, jdoe)), plain(b"", b"x", b"y"), Group(b"Undisclosed recipients", ()))
    assert mailboxes(found) == (joe, jdoe, plain(b"", b"x", b"y"))
    assert parse(b"open: a@b") == (Group(b"open", (plain(b"", b"a", b"b"),)),)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Bob Li <bob@out.example>", "Bob Li <bob@out.example>"),
        (b"bob@out.example", "bob@out.example"),
        (b'"=?gb2312?B?sai82w==?=" <b@x>', "报价 <b@x>"),
        ("报价单据 <b@x>".encode("gb18030"), "报价单据 <b@x>"),
        (b"root", "root"),
        (b"Name <>", "Name"),
        (b"a\0\x07 <b@x>", "a <b@x>"),
    ],
)
def test_show(raw: bytes, text: str) -> None:
    (found,) = mailboxes(parse(raw))
    assert show(found) == text


@pytest.mark.parametrize(
    "raw", [b"a " * 125_000, b"(" * 250_000, b'"\\' * 100_000, b"<" * 250_000, b"a:" * 100_000, b"=?a?q?" * 40_000]
)
def test_hostile_lists_cost_their_length_once(raw: bytes) -> None:
    # Bounded by the test's time limit: what goes over them again and again takes hours.
    parse(raw)
