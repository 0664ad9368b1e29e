# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Transfer encodings undone in a stream, and numbers, sizes, languages as pages use them."""

from __future__ import annotations

import base64
import binascii
import itertools
import quopri
import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from mailroom.core.text import LANGUAGES
from mailroom.directory.model import Member
from mailroom.mime.scan import scan
from mailroom.web.mail import reading, transfer
from mailroom.web.words import language_of
from tests import make


async def _streamed(octets: bytes, encoding: str, at: list[int]) -> bytes:
    cuts = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in at)})

    async def chunks() -> AsyncIterator[bytes]:
        for start, end in itertools.pairwise(cuts):
            yield octets[start:end]

    return b"".join([chunk async for chunk in transfer.decoded(chunks(), encoding)])


@given(st.binary(max_size=2000), st.lists(st.integers(0, 5000), max_size=20))
async def test_base64_cut_anywhere(octets: bytes, at: list[int]) -> None:
    encoded = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    assert await _streamed(encoded, "base64", at) == octets


@given(st.binary(max_size=2000), st.lists(st.integers(0, 5000), max_size=20))
async def test_quoted_printable_cut_anywhere(octets: bytes, at: list[int]) -> None:
    encoded = quopri.encodestring(octets)
    assert await _streamed(encoded, "quoted-printable", at) == binascii.a2b_qp(encoded)


@given(st.binary(max_size=500), st.sampled_from(["base64", "quoted-printable", "x-odd"]), st.lists(st.integers(0, 500)))
async def test_garbage_never_raises(octets: bytes, encoding: str, at: list[int]) -> None:
    await _streamed(octets, encoding, at)


async def test_quoted_printable_on_one_endless_line() -> None:
    encoded = b"=C3=A9" * 100_000
    assert await _streamed(encoded, "quoted-printable", list(range(0, len(encoded), 65_537))) == "é".encode() * 100_000


def _request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,zh;q=0.9", "en"),
        ("de,zh;q=0.2,en;q=0.1", "zh"),
        ("fr", "en"),
        ("zh;q=x", "en"),
        ("zh;q=", "zh"),
    ],
)
def test_the_language_the_browser_likes_best(accepted: str, language: str) -> None:
    assert language_of(_request(accept_language=accepted), None) == language


def test_what_the_reader_chose_counts_more_than_the_browser(amy: Member) -> None:
    assert language_of(_request(accept_language="en"), amy) == "zh"
    assert language_of(_request(cookie="language=en"), amy) == "en"
    assert language_of(_request(cookie="language=tlh"), amy) == "zh"
    assert set(LANGUAGES) == {"en", "zh"}


@pytest.fixture
def amy() -> Member:
    from mailroom.core.ids import MemberId, OrganisationId  # noqa: PLC0415 -- only here
    from mailroom.directory.model import MemberStatus, Role  # noqa: PLC0415 -- only here

    return Member(MemberId(1), OrganisationId(1), "amy", "Amy", MemberStatus.ACTIVE, Role.MEMBER, "zh")


@pytest.mark.parametrize(
    ("plain", "url"),
    [
        ("see http://a.example/x.", "http://a.example/x"),
        ("(https://a.example/)", "https://a.example/"),
        ("访问https://a.example/路径。谢谢", "https://a.example/路径"),
        ('"https://a.example/"', "https://a.example/"),
        ("<https://a.example/?a=1&b=2>", "https://a.example/?a=1&amp;b=2"),
    ],
)
def test_web_addresses_in_plain_text(plain: str, url: str) -> None:
    assert f'<a href="{url}" target="_blank"' in reading.linked(plain)


def test_an_address_is_read_as_what_it_leads_to() -> None:
    linked = reading.linked("\u202ehttps://a.example/\u202egpj.exe")
    assert '<a href="https://a.example/" target="_blank"' in linked
    assert "<bdi>https://a.example/</bdi></a>" in linked


def test_only_so_many_addresses_are_links() -> None:
    linked = reading.linked("http://a/ " * 30_000)
    assert linked.count("<a ") == linked.count("</a>") == reading.LINKS_MOST
    assert linked.count("http://a/") == 30_000 + reading.LINKS_MOST


@pytest.mark.parametrize("plain", ["javascript:alert(1)", "http://", "data:text/html,x", "https:// x"])
def test_what_is_no_web_address_is_not_linked(plain: str) -> None:
    assert "<a" not in reading.linked(plain)


@given(st.text())
def test_plain_text_stays_text(plain: str) -> None:
    assert "<" not in re.sub(r"</?(?:a|bdi)\b", "", reading.linked(plain.replace("http", "")))


def test_html_says_its_charset_itself() -> None:
    body = '<meta charset="gb2312">你好'.encode("gb18030")
    octets = make.mail(more=["Content-Type: text/html"], body=body)
    part = scan(octets)
    assert "你好" in reading.text(part, octets[part.body_start :])
