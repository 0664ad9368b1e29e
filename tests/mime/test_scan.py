# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where parts begin and end: the rules of RFC 2046, and what mail that breaks them becomes."""

from __future__ import annotations

import email
import email.policy
import sys
import tracemalloc
from collections.abc import Iterator
from email.message import EmailMessage, Message
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from mailroom.mime.scan import MAX_DEPTH, MAX_HEADER, MAX_HIDDEN, MAX_PARTS, Part, Scanner, scan


def body(mail: bytes, part: Part) -> bytes:
    return mail[part.body_start : part.body_end]


def types(part: Part) -> list[str]:
    return [each.content_type for each in part.walk()]


def multipart(*lines: bytes, kind: bytes = b"mixed", boundary: bytes = b"b") -> bytes:
    return b"\r\n".join((b'Content-Type: multipart/%b; boundary="%b"' % (kind, boundary), b"", *lines))


def test_a_mail_without_mime_is_plain_text() -> None:
    mail = b"Subject: x\r\n\r\none\r\ntwo\r\n"
    part = scan(mail)
    assert (part.content_type, part.encoding, part.lines) == ("text/plain", "7bit", 2)
    assert (part.header, body(mail, part)) == (b"Subject: x\r\n\r\n", b"one\r\ntwo\r\n")


@pytest.mark.parametrize(
    ("mail", "body_start", "body_end", "lines"),
    [
        (b"", 0, 0, 0),
        (b"\r\n", 2, 2, 0),
        (b"\n", 1, 1, 0),
        (b"\r\nbody", 2, 6, 0),
        (b"A: b", 4, 4, 0),
        (b"A: b\r\n", 6, 6, 0),
        (b"A: b\n\nx\n", 6, 8, 1),
        (b"A: b\r\n\nx\r\n", 7, 10, 1),
        (b"A: b\r\r\n\r\nx", 9, 10, 0),
    ],
)
def test_header_and_body_are_told_apart(mail: bytes, body_start: int, body_end: int, lines: int) -> None:
    part = scan(mail)
    assert (part.header_start, part.body_start, part.body_end, part.lines) == (0, body_start, body_end, lines)


def test_the_line_end_before_a_boundary_belongs_to_it() -> None:
    # RFC 2046 section 5.1.1
    mail = multipart(b"preamble", b"--b", b"", b"one", b"--b", b"", b"two", b"", b"--b--", b"epilogue", b"")
    part = scan(mail)
    assert [body(mail, child) for child in part.children] == [b"one", b"two\r\n"]
    assert [child.lines for child in part.children] == [0, 1]
    assert body(mail, part).startswith(b"preamble")
    assert body(mail, part).endswith(b"epilogue\r\n")
    assert part.lines == body(mail, part).count(b"\n")


def test_lf_only_mail_has_the_same_parts() -> None:
    mail = multipart(b"--b", b"", b"one", b"--b", b"", b"two", b"--b--", b"").replace(b"\r", b"")
    assert [body(mail, child) for child in scan(mail).children] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("lines", "bodies"),
    [
        ([b"--b", b"", b"one", b"two"], [b"one\r\ntwo"]),  # the end boundary is missing
        ([b"--b", b"", b"--b--"], [b""]),
        ([b"--b", b"", b"", b"--b--"], [b""]),
        ([b"--b", b"--b", b"", b"x", b"--b--"], [b"", b"x"]),  # a header that a boundary ends
        ([b"--b", b"A: b", b"--b--"], [b""]),
        ([b"--b  \t", b"", b"x", b"--b-- "], [b"x"]),  # transport padding
        ([b"--b junk", b"", b"x", b"--b--junk"], [b"x"]),  # "exact match of the entire line is not required"
        ([b"--b", b"", b" --b", b"-b", b"--", b"--a", b"--b--"], [b" --b\r\n-b\r\n--\r\n--a"]),
        ([b"--b", b"", b"x", b"--b--", b"--b", b"", b"epilogue"], [b"x"]),  # nothing begins after the end
        ([b"no boundary at all"], []),
    ],
)
def test_boundaries(lines: list[bytes], bodies: list[bytes]) -> None:
    mail = multipart(*lines)
    assert [body(mail, child) for child in scan(mail).children] == bodies


def test_a_line_too_long_for_a_mail_is_no_boundary() -> None:
    mail = multipart(b"--b", b"", b"one", b"--b" + b"x" * 2000, b"--b--")
    assert body(mail, scan(mail).children[0]).startswith(b"one\r\n--bxxx")


def test_a_boundary_that_begins_with_another_is_told_from_it() -> None:
    inner = multipart(b"--b-alt", b"", b"text", b"--b-alt", b"", b"html", b"--b-alt--", boundary=b"b-alt")
    mail = multipart(b"--b", inner, b"--b-alt", b"late", b"--b", b"", b"last", b"--b--")
    part = scan(mail)
    assert types(part) == ["multipart/mixed", "multipart/mixed", "text/plain", "text/plain", "text/plain"]
    assert [body(mail, each) for each in part.walk() if not each.children] == [b"text", b"html", b"last"]


def test_a_nested_part_may_have_the_boundary_of_the_one_around_it() -> None:
    inner = multipart(b"--b", b"", b"in", b"--b--")
    mail = multipart(b"--b", inner, b"--b", b"", b"out", b"--b--")
    part = scan(mail)
    assert [body(mail, each) for each in part.walk() if not each.children] == [b"in", b"out"]


@pytest.mark.parametrize(
    "declared",
    [
        b'"=_a b(c)+/:?"',
        b"----=_NextPart_000_0093",  # illegal without quotes, and common
        b'"trailing space "',
        b'"b"; charset=x',
        b'"b";boundary="other"',
        b"x" * 150,
    ],
)
def test_boundaries_as_programs_write_them(declared: bytes) -> None:
    written = declared.split(b";")[0].strip(b'"').rstrip()
    mail = b"Content-Type: multipart/mixed;\r\n\tboundary=%b\r\n\r\n--%b\r\n\r\none\r\n--%b--\r\n" % (
        declared,
        written,
        written,
    )
    assert [body(mail, child) for child in scan(mail).children] == [b"one"]


def test_a_boundary_in_rfc_2231_sections() -> None:
    mail = b"Content-Type: multipart/mixed; boundary*0=ab; boundary*1=cd\r\n\r\n--abcd\r\n\r\none\r\n--abcd--\r\n"
    assert [body(mail, child) for child in scan(mail).children] == [b"one"]


@pytest.mark.parametrize("kind", [b"multipart/mixed", b'multipart/mixed; boundary=""', b"multipart/alternative; x=y"])
def test_a_multipart_without_boundary_is_plain_text(kind: bytes) -> None:
    part = scan(b"Content-Type: %b\r\n\r\n--\r\n\r\nx\r\n" % kind)
    assert (part.content_type, part.params, part.children) == ("text/plain", (), ())


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (b"TEXT/HTML; charset=x", "text/html"),
        (b"text / html", "text/html"),
        (b"text/plain (a comment)", "text/plain"),
        (b"text", "text/plain"),  # RFC 2045 section 5.2
        (b"", "text/plain"),
        (b"; charset=utf-8", "text/plain"),
        (b"application/x-y.z+json", "application/x-y.z+json"),
    ],
)
def test_content_types(written: bytes, found: str) -> None:
    assert scan(b"Content-Type: %b\r\n\r\n" % written).content_type == found


@pytest.mark.parametrize(
    ("written", "found"),
    [(b"BASE64", "base64"), (b"quoted-printable;", "quoted-printable"), (b"7-bit", "7-bit"), (b"", "7bit")],
)
def test_encodings(written: bytes, found: str) -> None:
    assert scan(b"Content-Transfer-Encoding: %b\r\n\r\n" % written).encoding == found


def test_of_a_field_that_stands_twice_the_first_counts() -> None:
    assert scan(b"Content-Type: text/html\r\nContent-Type: text/plain\r\n\r\n").content_type == "text/html"


def test_the_other_content_fields() -> None:
    part = scan(
        b"content-id: <1@x>\r\nContent-Description: a\r\n b\r\nContent-Language: de, en\r\nContent-MD5: Q2hl\r\n"
        b"Content-Location: http://x.example/\r\nContent-Disposition: Attachment; FileName=x\r\n\r\n"
    )
    assert (part.id, part.description, part.language) == (b"<1@x>", b"a b", b"de, en")
    assert (part.md5, part.location) == (b"Q2hl", b"http://x.example/")
    assert (part.disposition, part.disposition_params) == ("attachment", (("filename", b"x"),))


def test_a_mail_in_a_mail() -> None:
    # RFC 2046 section 5.2.1
    inner = b"Subject: inner\r\n\r\nhello\r\n"
    mail = multipart(b"--b", b"Content-Type: message/rfc822", b"", inner + b"--b--")
    (holder,) = scan(mail).children
    assert body(mail, holder) == inner.removesuffix(b"\r\n")
    assert (holder.children[0].header, body(mail, holder.children[0])) == (b"Subject: inner\r\n\r\n", b"hello")
    assert (holder.lines, holder.children[0].lines) == (2, 0)


def test_a_mail_in_a_mail_with_an_empty_body() -> None:
    mail = multipart(b"--b", b"Content-Type: message/rfc822", b"", b"Subject: inner", b"", b"--b--")
    (holder,) = scan(mail).children
    assert body(mail, holder) == b"Subject: inner\r\n\r\n"
    assert body(mail, holder.children[0]) == b""


def test_a_mail_in_a_mail_that_a_boundary_cuts_off_in_its_header() -> None:
    mail = multipart(b"--b", b"Content-Type: message/rfc822", b"--b", b"", b"x", b"--b--")
    assert types(scan(mail)) == ["multipart/mixed", "message/rfc822", "text/plain", "text/plain"]


def test_a_digest_holds_mails() -> None:
    # RFC 2046 section 5.1.5
    mail = multipart(b"--b", b"", b"Subject: one", b"", b"x", b"--b--", kind=b"digest")
    assert types(scan(mail)) == ["multipart/digest", "message/rfc822", "text/plain"]


def test_an_encoded_mail_in_a_mail_is_not_looked_into() -> None:
    part = scan(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeAo=\r\n")
    assert (part.content_type, part.children) == ("message/rfc822", ())


def test_deep_nesting_ends_in_a_leaf() -> None:
    mail = b"".join(b"Content-Type: multipart/mixed; boundary=b%03d\r\n\r\n--b%03d\r\n" % (n, n) for n in range(500))
    parts = list(scan(mail).walk())
    assert len(parts) == MAX_DEPTH
    assert parts[-1].content_type == "application/octet-stream"
    assert types(scan(b"Content-Type: message/rfc822\r\n\r\n" * 500))[-2:] == ["message/rfc822"] * 2


def test_ever_more_parts_end_in_an_epilogue() -> None:
    mail = multipart(*[b"--b\r\n\r\nx"] * (MAX_PARTS + 50))
    part = scan(mail)
    assert len(list(part.walk())) == MAX_PARTS
    assert part.body_end == len(mail)


def test_a_long_header_is_measured_but_not_held() -> None:
    mail = b"A: " + b"x" * (3 * MAX_HEADER) + b"\r\n\r\nbody"
    part = scan(mail)
    assert (len(part.header), body(mail, part)) == (MAX_HEADER, b"body")


def test_memory_stays_flat_whatever_the_size() -> None:
    chunk = b"a line of an attachment that goes on and on\r\n" * 1500
    tracemalloc.start()
    scanner = Scanner()
    scanner.feed(multipart(b"--b", b"", b""))
    for _ in range(300):
        scanner.feed(chunk)
    part = scanner.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert part.children[0].lines == 1500 * 300
    assert peak < 1_000_000


def test_many_boundary_like_lines_cost_no_more_than_others() -> None:
    # Bounded by the test's time limit: were they looked up one in another, this would take hours.
    mail = multipart(b"--b", b"", b"--b_not\r\n" * 200_000, boundary=b"b_is")
    assert scan(mail).body_end == len(mail)


def nested(*boundaries: bytes) -> bytes:
    return b"".join(multipart(b"--" + each + b"\n", boundary=each) for each in boundaries)


@pytest.mark.parametrize("line", [b"--\n", b"--q\n", b"--z\n", b"--z2\r\n"])
@pytest.mark.parametrize("place", [b"A: header\n", b"\nbody\n"])
def test_many_open_boundaries_cost_no_more_than_few(line: bytes, place: bytes) -> None:
    # They share nothing but the dashes. Were they tried one by one for each line, these would cost four times as much.
    few, many = ([b"%b%02d" % (side, n) for side in (b"a", b"z") for n in range(count)] for count in (1, 24))
    lines = line * 500
    assert steps_for(lines, nested(*many) + place) <= 1.5 * steps_for(lines, nested(*few) + place)


def steps_for(lines: bytes, before: bytes) -> int:
    """How many lines of Python are run for those lines."""
    steps = 0

    def count(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal steps
        steps += event == "line"
        return count

    scanner = Scanner()
    scanner.feed(before)
    tracer = sys.gettrace()
    sys.settrace(count)
    try:
        scanner.feed(lines)
    finally:
        sys.settrace(tracer)
    return steps


@pytest.mark.parametrize("size", [1, 5, 7, 64])
def test_among_lines_that_begin_alike_the_boundary_is_found_however_they_are_cut(size: int) -> None:
    mail = nested(b"a00", b"z00") + b"\n--\n--z0\n--z\n--z00\nA: b\n--\n--a0\n\nx\n--z00--\n--a\n--a00--\n--"
    scanner = Scanner()
    for start in range(0, len(mail), size):
        scanner.feed(mail[start : start + size])
    assert scanner.finish() == scan(mail)
    assert [body(mail, each) for each in scan(mail).walk() if not each.children] == [b"--\n--z0\n--z", b"x"]


@pytest.mark.parametrize(("hidden", "parts"), [(MAX_HIDDEN, 4), (MAX_HIDDEN + 1, 3)])
def test_ever_more_late_boundaries_end_the_search(hidden: int, parts: int) -> None:
    mail = nested(b"b", b"bX") + b"\n--bX--\n" + b"--bX\n" * hidden + b"--b\n\nlast"
    assert len(list(scan(mail).walk())) == parts


def made_mails() -> Iterator[EmailMessage]:
    plain = EmailMessage(policy=email.policy.SMTP)
    plain["Subject"] = "报价"
    plain.set_content("text\nof two lines\n")
    yield plain
    both = EmailMessage(policy=email.policy.SMTP)
    both.set_content("text ü\n", cte="quoted-printable")
    both.add_alternative("<p>html ü</p>\n", subtype="html", cte="base64")
    yield both
    related = EmailMessage(policy=email.policy.SMTP)
    related.set_content("<img src='cid:1'>", subtype="html")
    related.add_related(b"png" * 100, "image", "png", cid="<1>")
    related.add_attachment(b"pdf" * 1000, maintype="application", subtype="pdf", filename="报价 单.pdf")
    yield related
    forwarded = EmailMessage(policy=email.policy.SMTP)
    forwarded.set_content("see below\n")
    forwarded.add_attachment(related)
    forwarded.add_attachment("last\n", filename="last.txt")
    yield forwarded


def leaves(message: Message) -> Iterator[tuple[str, bytes]]:
    for part in message.walk():
        if not part.is_multipart():
            yield part.get_content_type(), str(part.get_payload()).encode("ascii")


@pytest.mark.parametrize("made", list(made_mails()))
def test_the_standard_library_finds_the_same_parts(made: EmailMessage) -> None:
    mail = made.as_bytes()
    part = scan(mail)
    theirs = email.message_from_bytes(mail)
    assert types(part) == [each.get_content_type() for each in theirs.walk()]
    ours = [(each.content_type, body(mail, each)) for each in part.walk() if not each.children]
    assert ours == list(leaves(theirs))


def test_real_mails_are_scanned(shared_data: Path) -> None:
    files = [path for path in sorted(shared_data.rglob("*")) if path.is_file()]
    assert files
    for path in files:
        mail = path.read_bytes()
        part = scan(mail)
        assert (part.header_start, part.body_end) == (0, len(mail)), path.name
        for each in part.walk():
            assert each.header_start <= each.body_start <= each.body_end, path.name
            assert each.lines == body(mail, each).count(b"\n"), path.name
            for child in each.children:
                assert each.body_start <= child.header_start, path.name
                assert child.body_end <= each.body_end, path.name
