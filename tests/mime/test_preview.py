# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The words and names people see before they open a mail."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import pytest

from mailroom.mime.preview import attachments, body_text, preview
from mailroom.mime.scan import scan


def text_of(mail: bytes) -> str:
    return preview(scan(mail), lambda start, stop: mail[start:stop])


def mixed(*parts: bytes, kind: bytes = b"mixed") -> bytes:
    inner = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return b"Content-Type: multipart/%b; boundary=b\r\n\r\n%b--b--\r\n" % (kind, inner)


def part(kind: str, body: bytes = b"", *fields: str) -> bytes:
    return "\r\n".join((f"Content-Type: {kind}", *fields, "", "")).encode() + body


PLAIN = part("text/plain", b"plain")
HTML = part("text/html", b"<p>html</p>")


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        (b"\r\n  Hi Amy,\r\nplease\rfind \r\n\r\n", "Hi Amy,\nplease\nfind"),
        (part("text/plain; charset=gb2312", "报价".encode("gb18030")), "报价"),
        (b"\r\n" + "报价单据请查收".encode("gb18030"), "报价单据请查收"),
        (b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode("报价".encode()), "报价"),
        (b"Content-Transfer-Encoding: base64\r\n\r\n5oql!5Lu3*\r\n=garbage", "报价"),
        (b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=E6=8A=\r\n=A5 a=3Db =zz =", "报 a=b =zz"),
        (
            b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n"
            + binascii.b2a_uu(b"Cat")
            + b"~~~\r\nend\r\nz",
            "Cat",
        ),
        (b"Content-Transfer-Encoding: what-ever\r\n\r\nas it is", "as it is"),
        (b"\r\na\0b\x07c\x0bd\td", "abcd\td"),
        (b"\r\n" + b"x" * 511 + "报价".encode(), "x" * 511 + "报"),
        (b"\r\n" + "😀".encode() * 600, "😀" * 512),  # code points, not UTF-16 units
        (b"\r\n", ""),
        (b"Subject: no body", ""),
    ],
)
def test_plain_text(mail: bytes, text: str) -> None:
    assert text_of(mail) == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a &amp; b&nbsp;&lt;c&#x4e2d;</p>", "a & b\xa0<c中"),
        ("<html><head><title>t</title><style>p{}</style></head><body>x<script>y()</script></body>", "x"),
        ("one<br>two<p>three<p>four", "one\ntwo\nthree\nfour"),
        ("a\r\n  b\t c", "a b c"),
        ("<b>b</b><i>i</i>", "bi"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3"),
        ("<!-- c --><div>a</div>b<!-- unclosed", "a\nb"),
        ("<style>" + "p{}" * 30_000 + "</style>after", "after"),
        ("<p>unclosed <b", "unclosed"),
        ("no tags", "no tags"),
        ("&#0;&#xd800;x", "��x"),
        ("", ""),
    ],
)
def test_html(html: str, text: str) -> None:
    assert text_of(part("text/html; charset=utf-8", html.encode())) == text


def test_html_may_name_its_own_charset() -> None:
    html = '<meta http-equiv="Content-Type" content="text/html; charset=gb2312"><p>报'.encode("gb18030")
    assert text_of(part("text/html", html)) == "报"


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        (mixed(PLAIN, HTML, kind=b"alternative"), "plain"),
        (mixed(HTML, PLAIN, kind=b"alternative"), "plain"),
        (mixed(HTML), "html"),
        (mixed(mixed(HTML, kind=b"related").replace(b"=b", b"=c").replace(b"--b", b"--c"), PLAIN), "plain"),
        (mixed(part("text/plain", b"file", "Content-Disposition: attachment"), HTML), "html"),
        (mixed(part("text/plain; name=notes.txt", b"file"), HTML), "html"),
        (mixed(part("text/plain; name=notes.txt", b"file")), "file"),
        (mixed(part("message/rfc822", b"\r\nforwarded")), ""),
        (mixed(part("image/png", b"x")), ""),
        (mixed(part("application/pgp-encrypted", b"Version: 1"), PLAIN, kind=b"encrypted"), ""),
        (part("application/pkcs7-mime; name=smime.p7m", b"x"), ""),
        (b"\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nx", ""),
        (mixed(PLAIN, part("application/pgp-signature", b"x"), kind=b"signed"), "plain"),
    ],
)
def test_the_body_is_chosen(mail: bytes, text: str) -> None:
    assert text_of(mail) == text


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (["Content-Disposition: attachment; filename=quote.pdf"], "quote.pdf"),
        (["Content-Disposition: attachment"], "attachment-1"),
        (['Content-Disposition: attachment; filename=""'], "attachment-1"),
        (["Content-Disposition: inline; filename=pic.png"], "pic.png"),
        (["Content-Disposition: attachment; filename*=utf-8''%e6%8a%a5.pdf"], "报.pdf"),
        (['Content-Disposition: attachment; filename="=?utf-8?B?5oql5Lu3LnBkZg==?="'], "报价.pdf"),
        (['Content-Disposition: attachment; filename="../../etc/passwd"'], "passwd"),
        (['Content-Disposition: attachment; filename="C:\\dir\\a.doc"'], "a.doc"),
        (['Content-Disposition: attachment; filename=".."'], "attachment-1"),
        (['Content-Disposition: attachment; filename="a||b.pdf"'], "a__b.pdf"),
        (['Content-Disposition: attachment; filename="=?utf-8?Q?a=0D=0Ab=00.pdf?="'], "a b .pdf"),
    ],
)
def test_attachment_names(fields: list[str], name: str) -> None:
    assert attachments(scan(mixed(PLAIN, part("application/x-y", b"x", *fields)))) == (name,)


@pytest.mark.parametrize(
    ("mail", "names"),
    [
        (PLAIN, ()),
        (mixed(PLAIN, HTML, kind=b"alternative"), ()),
        (mixed(HTML, part("image/png; name=logo.png", b"x"), kind=b"related"), ("logo.png",)),
        (mixed(HTML, part("image/png", b"x"), kind=b"related"), ()),
        (mixed(PLAIN, part("message/rfc822", PLAIN)), ("attachment-1",)),
        (mixed(PLAIN, part("message/rfc822; name=m.eml", mixed(part("a/b; name=inner", b"x")))), ("m.eml",)),
        (mixed(part("text/plain; name=body.txt", b"x")), ()),
        (mixed(PLAIN, part("text/plain; name=notes.txt", b"x")), ("notes.txt",)),
        (mixed(part("a/b; name=1"), part("a/b", b"", "Content-Disposition: attachment")), ("1", "attachment-2")),
        (part("application/pdf; name=only.pdf"), ("only.pdf",)),
        (mixed(part("a/b; name=encrypted.asc"), kind=b"encrypted"), ("encrypted.asc",)),
    ],
)
def test_attachments(mail: bytes, names: tuple[str, ...]) -> None:
    assert attachments(scan(mail)) == names


def test_only_the_beginning_is_read() -> None:
    mail = b"\r\n" + b"line of text\r\n" * 1_000_000
    asked: list[int] = []

    def read(start: int, stop: int) -> bytes:
        asked.append(stop - start)
        return mail[start:stop]

    assert preview(scan(mail), read).startswith("line of text\nline")
    assert sum(asked) <= 64 * 1024


def test_html_nested_without_end_is_read_in_bounded_time() -> None:
    # Bounded by the test's time limit.
    assert text_of(part("text/html", b"<div>" * 100_000 + b"x")) == ""


def test_real_mails_have_a_text_that_can_be_stored(shared_data: Path) -> None:
    for path in sorted(shared_data.rglob("*.eml")):
        mail = path.read_bytes()
        found = scan(mail)
        text = body_text(found, lambda start, stop, mail=mail: mail[start:stop])  # type: ignore[misc]  # bound now
        for each in (text, *attachments(found)):
            assert "\0" not in each, path.name
            assert "\r" not in each, path.name
            each.encode()
