# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Header fields as text: RFC 2047, RFC 2231, and what programs write instead."""

from __future__ import annotations

import base64

import pytest

from mailroom.mime import headers


def b64(text: str, charset: str = "utf-8") -> bytes:
    return b"=?%b?B?%b?=" % (charset.encode(), base64.b64encode(text.encode(charset)))


def test_fields_are_read_in_order_and_garbage_is_passed_over() -> None:
    found = headers.read(b"From sender Mon\r\nA: 1\r\nno field\r\nB : 2\r\n folded\r\nA:\r\n: none\r\nC: last\r\n\r\n")
    assert found.fields == (("a", b"1"), ("b", b"2\r\n folded"), ("a", b""), ("c", b"last"))
    assert (found.first("a"), found.all("a"), found.first("x")) == (b"1", (b"1", b""), None)


def test_unfolding_keeps_the_space() -> None:
    # RFC 5322 section 2.2.3
    assert headers.unfold(b"one\r\n two\n\tthree\0") == b"one two\tthree"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        # RFC 2047 section 8
        (b"=?ISO-8859-1?Q?a?=", "a"),
        (b"=?ISO-8859-1?Q?a?= b", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=\r\n  =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a_b?=", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
        (b"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),  # RFC 2231 section 5
        (b64("报价 Q2"), "报价 Q2"),
        (b64("报价", "gb2312"), "报价"),
        (b64("報價", "big5"), "報價"),
        (b64("견적", "euc-kr").replace(b"euc-kr", b"ks_c_5601-1987"), "견적"),
        (b"=?utf-8?B?5oql5Lu?= =?utf-8?B?3?=", "报�"),  # a digit is lost for good: nothing is raised
        (b"=?utf-8?B?5oql5A==?= =?utf-8?B?u7c=?=", "报价"),  # RFC 2047 section 5 forbids it, and it is common
        (b"=?utf-8?Q?=E6=8A?=\r\n =?utf-8?Q?=A5?=", "报"),
        (b"=?utf-8?B?5oql5Lu3", "=?utf-8?B?5oql5Lu3"),
        (b"=?utf-8?B?5oql5Lu3?", "=?utf-8?B?5oql5Lu3?"),
        (b"=?utf-8?B?5oql*5Lu3!?=", "报价"),
        (b"=?utf-8?Q?two words?=", "two words"),
        (b"=?utf-8?Q?what?_yes?=", "what? yes"),
        (b"=?utf-8?Q?=zz=4?=", "=zz=4"),
        (b"=?utf-8?Q??=", ""),
        (b"Re:=?utf-8?Q?x?=y", "Re:xy"),
        (b'"=?utf-8?Q?x?=" tail', '"x" tail'),
        (b"=?nonsense?Q?abc?=", "abc"),
        (b"=?x-unknown?Q?=E6=8A=A5?=", "报"),
        (b"=?unicode-1-1-utf-7?Q?+YqU-?=", "报"),
        (b"=?utf-7?Q?+2AA-x?=", "�x"),  # a lone surrogate
        ("报价 größe".encode(), "报价 größe"),  # RFC 6532
        ("报价单请查收".encode("gb18030"), "报价单请查收"),
        (b"\x1b$B%F%9%H\x1b(B", "テスト"),
        (b"a\0b\x07c\td", "ab c d"),
        (b"=?utf-8?Q?a=00=0D=0Ab?=", "a b"),
        (b"=?utf-8?Q?=C2=85=E2=80=A8x?=", "x"),
        (b"  ", ""),
        (b"", ""),
    ],
)
def test_decode(raw: bytes, text: str) -> None:
    assert headers.decode(raw) == text


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"text/plain; charset=utf-8; Format=flowed", {"charset": "utf-8", "format": "flowed"}),
        (b"text/plain; charset=us-ascii (Plain text)", {"charset": "us-ascii"}),  # RFC 2045 section 5.1
        (b'text/plain; charset="us-ascii"', {"charset": "us-ascii"}),
        (b"text/plain;charset = utf-8 ;; x=", {"charset": "utf-8", "x": ""}),
        (b'a/b; x="1;2"; y="q\\"q\\\\"', {"x": "1;2", "y": 'q"q\\'}),
        (b"a/b; name=This is a test.txt", {"name": "This is a test.txt"}),
        (b"a/b; name=report (1).pdf", {"name": "report (1).pdf"}),
        (b'a/b; name="C:\\dir\\x.txt"', {"name": "C:\\dir\\x.txt"}),
        (b'a/b; name="unclosed', {"name": "unclosed"}),
        (b"a/b; name=one; name=two", {"name": "one"}),
        # RFC 2231 section 3
        (b'a/b; URL*0="ftp://"; URL*1="cs.utk.edu/x"', {"url": "ftp://cs.utk.edu/x"}),
        (b"a/b; x*1=b; x*0=a; x*2=c", {"x": "abc"}),
        # RFC 2231 section 4
        (b"a/b; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", {"title": "This is ***fun***"}),
        # RFC 2231 section 4.1
        (
            (
                b"a/b; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20;"
                b' title*2="isn\'t it!"'
            ),
            {"title": "This is even more ***fun*** isn't it!"},
        ),
        (b"a/b; filename*0*=utf-8''%e6%8a; filename*1*=%a5.pdf", {"filename": "报.pdf"}),
        (b"a/b; filename=plain.pdf; filename*=gb2312''%b1%a8.pdf", {"filename": "报.pdf"}),
        (b"a/b; filename*=%e6%8a%a5.pdf", {"filename": "报.pdf"}),
        (b"a/b; filename*=utf-8''%zz%", {"filename": "%zz%"}),
        # Outlook, Foxmail: forbidden by RFC 2047 section 5, and everywhere
        (b'a/b; name="' + b64("报价") + b"\r\n\t" + b64(".pdf") + b'"', {"name": "报价.pdf"}),
        (b"a/b; name=" + b64("报价.pdf", "gb2312"), {"name": "报价.pdf"}),
        (b'a/b; filename*0="=?utf-8?B?5oql"; filename*1="5Lu3?="', {"filename": "报价"}),
        ('a/b; name="报价.pdf"'.encode(), {"name": "报价.pdf"}),
        ('a/b; name="报价单据.pdf"'.encode("gb18030"), {"name": "报价单据.pdf"}),
        ('a/b; name="成功"'.encode("big5"), {"name": "成功"}),  # its last octet is a backslash
        (b"a/b", {}),
        (b"", {}),
    ],
)
def test_parameters(raw: bytes, found: dict[str, str]) -> None:
    assert headers.parameters(raw) == found


def test_parameters_stay_raw_for_imap() -> None:
    value, pairs = headers.split(b"Attachment (x) ; FileName*0*=utf-8''%e6; filename*1=\"\xb1\"")
    assert value == b"Attachment"
    assert pairs == (("filename*0*", b"utf-8''%e6"), ("filename*1", b"\xb1"))


@pytest.mark.parametrize(
    "raw", [b"=?a?q?" * 40_000, b";" * 250_000, b' ;"' * 80_000, b'";a="\\' * 50_000, b"=?=?" * 60_000, b" " * 250_000]
)
def test_hostile_values_cost_their_length_once(raw: bytes) -> None:
    # Bounded by the test's time limit: what goes over them again and again takes hours.
    headers.decode(raw)
    headers.parameters(raw)
    headers.read(raw)
