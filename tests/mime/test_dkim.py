# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""DKIM: the examples of the RFCs, dkimpy as the other opinion, and signatures that want to be believed."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence

import dkim as dkimpy  # type: ignore[import-untyped] # it has no types
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.mime import dkim, fields
from mailroom.mime.dkim import Bad, Bodies, Canon, Code, Forms, Result, Signature, SigningKey
from tests.mime.keys import ED, KEYS, NOW, RECORDS, RSA, apart, public, record, signed


def check(mail: bytes, records: Mapping[str, bytes] = RECORDS, *, now: int = NOW, chunk: int = 0) -> Sequence[Result]:
    """Every signature of a mail, with keys by selector."""
    header, body = apart(mail)
    found = fields.split(header)
    parsed = dkim.signatures(found)
    bodies = Bodies(one for one in parsed if isinstance(one, Signature))
    size = chunk or max(len(body), 1)
    for start in range(0, len(body), size):
        bodies.feed(body[start : start + size])
    bodies.finish()
    forms = Forms(found)
    results = []
    for one in parsed:
        if isinstance(one, Result):
            results.append(one)
            continue
        try:
            key = dkim.key([records[one.selector]])
        except Bad as bad:
            results.append(Result(bad.code, bad.reason, one))
        else:
            results.append(dkim.verify(one, key, forms=forms, bodies=bodies, now=now))
    return results


def by_hand(
    mail: bytes, *, canon: str = "relaxed/relaxed", name: str = "rsa", h: str = "from", more: str = ""
) -> bytes:
    """A signature of any kind, for what our signer never writes."""
    header, body = apart(mail)
    body_canon = Canon(canon.partition("/")[2] or "simple")
    bodies = Bodies(())
    length = re.search(r"l=(\d+)", more)
    bodies.want(body_canon, int(length[1]) if length else None)
    bodies.feed(body)
    bodies.finish()
    digest = base64.b64encode(bodies.digest(body_canon, int(length[1]) if length else None)).decode()
    kind = "ed25519" if name == "ed" else "rsa"
    text = f"v=1; a={kind}-sha256; c={canon}; d=corp.example; s={name}; h={h}; bh={digest}; {more}b="
    one = fields.split(f"DKIM-Signature: {text}\r\n".encode())[0]
    parsed = dkim.parse(one, dkim.read_tags(one) | {"b": "AA=="}, identity=dkim.read_tags(one).get("i", ""))
    key = SigningKey("corp.example", name, KEYS[name])
    value = base64.b64encode(key.sign(Forms(fields.split(header)).digest(parsed))).decode()
    return f"DKIM-Signature: {text}{value}\r\n".encode() + mail


MAIL = (
    b"From: Amy <amy@corp.example>\r\nTo: bob@out.example\r\nSubject: Hi\r\n\r\nHello,\r\n\r\n  a  line\t \r\n\r\n\r\n"
)

# RFC 8463 appendix A: two signatures of one mail.
RFC8463 = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
RFC8463_KEYS = {
    "brisbane": b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "test": b"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3id"
    b"Y6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3"
    b"rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
}

# RFC 6376 appendix A, with its erratum on white space.
RFC6376 = b"""\
DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;
      c=simple/simple; q=dns/txt; i=joe@football.example.com;
      h=Received : From : To : Subject : Date : Message-ID;
      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB
        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut
        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV
        4bmp/YzhwvcubU4=;
Received: from client1.football.example.com  [192.0.2.1]
      by submitserver.example.com with SUBMISSION;
      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game. Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")
RFC6376_KEY = (
    b"v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"
    b"IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi"
    b"tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
)


def test_the_examples_of_rfc_8463() -> None:
    results = check(RFC8463, RFC8463_KEYS)
    assert [(one.code, one.reason) for one in results] == [(Code.PASS, ""), (Code.PASS, "")]
    assert [one.signature.algorithm for one in results if one.signature] == ["ed25519-sha256", "rsa-sha256"]


def test_the_example_of_rfc_6376() -> None:
    assert [(one.code, one.reason) for one in check(RFC6376, {"brisbane": RFC6376_KEY})] == [(Code.PASS, "")]


@pytest.mark.parametrize("name", KEYS)
def test_what_we_sign_is_right_until_it_is_changed(name: str) -> None:
    mail = signed(MAIL, name)
    assert [one.code for one in check(mail)] == [Code.PASS]
    for old, new in (
        (b"Subject: Hi", b"Subject: Ho"),
        (b"Hello", b"Hallo"),
        (b"From: Amy", b"From: Eve"),
        (b"Subject: Hi", b"Cc: eve@out.example\r\nSubject: Hi"),  # oversigned: none may be added
        (b"Subject: Hi", b"Subject: Hi\r\nSubject: Ho"),
        (b"d=corp.example", b"d=corq.example"),
    ):
        assert old in mail
        assert [one.code for one in check(mail.replace(old, new, 1))] == [Code.FAIL], new
    softer = mail.replace(b"Subject: Hi", b"SUBJECT:  Hi \t").replace(b"a  line", b"a line") + b"\r\n"
    assert [one.code for one in check(b"X-Added: 1\r\n" + softer)] == [Code.PASS]


def test_our_signature_keeps_to_short_lines() -> None:
    mail = signed(MAIL.replace(b"Subject", b"List-Id: <x>\r\nList-Post: <y>\r\nResent-From: a@b\r\nSubject"))
    assert max(map(len, mail[: mail.index(b"From:")].split(b"\r\n"))) < 100


WORDS = st.text(alphabet="ab\t ", max_size=6)
LINES = st.lists(WORDS, max_size=6).map(lambda lines: "".join(f"{line}\r\n" for line in lines).encode())
VALUES = st.lists(WORDS.map(lambda word: f"c{word}"), min_size=1, max_size=3).map("\r\n ".join)
NAMES = st.sampled_from(["Subject", "SUBJECT", "To", "X-Y", "Date"])
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


def mail_of(headers: list[tuple[str, str]], body: bytes) -> bytes:
    lines = [("From", " amy@corp.example"), *headers]
    return "".join(f"{name}:{value}\r\n" for name, value in lines).encode() + b"\r\n" + body


CANONS = [(header, body) for header in ("simple", "relaxed") for body in ("simple", "relaxed")]
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


@pytest.mark.parametrize("canon", CANONS, ids="/".join)
@settings(max_examples=25)
@given(headers=HEADERS, body=LINES, chunk=st.integers(1, 9))
def test_what_dkimpy_signs_we_verify(
    canon: tuple[str, str], headers: list[tuple[str, str]], body: bytes, chunk: int
) -> None:
    mail = mail_of(headers, body)
    header_canon, body_canon = canon
    field = dkimpy.sign(
        mail,
        b"rsa",
        b"corp.example",
        PEM,
        canonicalize=(header_canon.encode(), body_canon.encode()),
        include_headers=[b"from", b"subject", b"subject", b"x-y", b"to"],
    )
    assert [(one.code, one.reason) for one in check(field + mail, chunk=chunk)] == [(Code.PASS, "")]


@settings(max_examples=40)
@given(headers=HEADERS, body=LINES)
def test_what_we_sign_dkimpy_verifies(headers: list[tuple[str, str]], body: bytes) -> None:
    assert dkimpy.verify(signed(mail_of(headers, body)), dnsfunc=lambda *_args, **_more: RECORDS["rsa"])


@pytest.mark.parametrize("canon", Canon)
@given(body=st.text(alphabet="a \t\r\n", max_size=40).map(str.encode), chunks=st.lists(st.integers(1, 5), max_size=30))
def test_a_body_may_come_in_any_pieces(canon: Canon, body: bytes, chunks: list[int]) -> None:
    def digest(pieces: list[bytes]) -> tuple[bytes, int]:
        bodies = Bodies(())
        bodies.want(canon)
        for piece in pieces:
            bodies.feed(piece)
        bodies.finish()
        return bodies.digest(canon), bodies.size(canon)

    pieces, rest = [], body
    for size in chunks:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert digest([*pieces, rest]) == digest([body])


@pytest.mark.parametrize(
    ("body", "simple", "relaxed"),
    [
        (b"", b"\r\n", b""),
        (b"\r\n\r\n", b"\r\n", b""),
        (b" \r\n", b" \r\n", b""),
        (b"a", b"a\r\n", b"a\r\n"),
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n", b" C\r\nD E\r\n"),  # RFC 6376 §3.4.5
    ],
)
def test_canonical_bodies(body: bytes, simple: bytes, relaxed: bytes) -> None:
    bodies = Bodies(())
    for canon in Canon:
        bodies.want(canon)
    bodies.feed(body)
    bodies.finish()
    assert bodies.digest(Canon.SIMPLE) == hashlib.sha256(simple).digest()
    assert bodies.digest(Canon.RELAXED) == hashlib.sha256(relaxed).digest()


def test_canonical_headers() -> None:  # RFC 6376 §3.4.5
    found = fields.split(b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n")
    assert b"".join(dkim.canonical(one, Canon.RELAXED) for one in found) == b"a:X\r\nb:Y Z\r\n"
    assert b"".join(dkim.canonical(one, Canon.SIMPLE) for one in found) == b"A: X\r\nB : Y\t\r\n\tZ  \r\n"


def test_a_signature_over_a_part_of_the_body_does_not_pass() -> None:
    short = by_hand(MAIL, more="l=5; ")
    [result] = check(short)
    assert (result.code, result.reason) == (Code.POLICY, "covers 5 of 19 octets of the body")
    assert [one.code for one in check(by_hand(MAIL, more="l=19; "))] == [Code.PASS]
    assert [one.code for one in check(by_hand(MAIL, more="l=19; ") + b"more\r\n")] == [Code.POLICY]
    assert [one.code for one in check(by_hand(MAIL, more="l=5; ").replace(b"Hello", b"Hallo"))] == [Code.FAIL]


def test_expiry_and_identity() -> None:
    assert [one.code for one in check(by_hand(MAIL, more=f"t={NOW - 9}; x={NOW + 9}; "))] == [Code.PASS]
    expired = check(by_hand(MAIL, more=f"x={NOW - 1}; "))
    assert [(one.code, one.reason) for one in expired] == [(Code.FAIL, "signature has expired")]
    assert [one.code for one in check(by_hand(MAIL, more="i=amy@sub.corp.example; "))] == [Code.PASS]
    strict = {"rsa": record("rsa", "t=s")}
    assert [one.code for one in check(by_hand(MAIL, more="i=amy@sub.corp.example; "), strict)] == [Code.PERMERROR]
    assert [one.code for one in check(by_hand(MAIL, more="i=amy@corp.example; "), strict)] == [Code.PASS]
    testing = {"rsa": record("rsa", "t=x : y")}
    assert [one.code for one in check(by_hand(MAIL), testing)] == [Code.PASS]
    assert [one.code for one in check(by_hand(MAIL).replace(b"Hello", b"Hallo"), testing)] == [Code.NEUTRAL]


TAGS = "v=1; a=rsa-sha256; d=corp.example; s=rsa; h=from; bh=AA==; b=AA==;"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v=1; ", ""),
        ("v=1", "v=2"),
        ("a=rsa-sha256; ", ""),
        ("rsa-sha256", "rsa-md5"),
        ("h=from", "h=to"),
        ("h=from", "h=" + ":".join(["from"] * 501)),
        ("d=corp.example; ", ""),
        ("d=corp.example", "d=corp..example"),
        ("d=corp.example", "d=" + "a." * 130 + "example"),
        ("s=rsa", "s=r sa"),
        ("s=rsa", "s=../x"),
        ("bh=AA==", "bh=A"),
        ("; b=AA==", ""),
        ("b=AA==", "b=ÄÄ=="),
        ("h=from", "h=from; h=from"),
        ("h=from", "h=from; q=dns/a"),
        ("h=from", "h=from; c=none"),
        ("h=from", "h=from; l=-1"),
        ("h=from", "h=from; l=99999999999999999999"),
        ("h=from", "h=from; i=amy"),
        ("h=from", "h=from; i=amy@xcorp.example"),
        ("h=from", "h=from; t=9; x=8"),
        ("h=from", "h=from; 1=2"),
        ("h=from", "h=from; rubbish"),
        ("h=from", "h=from;" + "".join(f"x{number}=1;" for number in range(60))),
        ("h=from", "h=from; z=" + "a" * 40_000),
    ],
)
def test_a_signature_that_cannot_be_read_is_an_error_of_the_signer(old: str, new: str) -> None:
    assert old in TAGS
    [result] = check(f"DKIM-Signature: {TAGS.replace(old, new)}\r\n".encode() + MAIL)
    assert (result.code, result.signature) == (Code.PERMERROR, None)


def test_sha_1_proves_nothing() -> None:
    [result] = check(f"DKIM-Signature: {TAGS.replace('sha256', 'sha1')}\r\n".encode() + MAIL)
    assert (result.code, result.reason) == (Code.NEUTRAL, "SHA-1 proves nothing")


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("", Code.PERMERROR, "no DKIM key record"),
        ("v=DKIM1; p=", Code.PERMERROR, "key revoked"),
        ("v=DKIM2; p=AAAA", Code.PERMERROR, "no DKIM key record"),
        ("p=AAAA; v=DKIM1", Code.PERMERROR, "no DKIM key record"),
        ("v=DKIM1; h=sha1; p=AAAA", Code.PERMERROR, "key is not for SHA-256"),
        ("v=DKIM1; s=tlsrpt; p=AAAA", Code.PERMERROR, "key is not for mail"),
        ("v=DKIM1; k=dsa; p=AAAA", Code.PERMERROR, "unknown kind of key"),
        ("v=DKIM1; p=AAAA", Code.PERMERROR, "key cannot be read"),
        ("v=DKIM1; k=ed25519; p=AAAA", Code.PERMERROR, "key cannot be read"),
        ("v=DKIM1; p=\N{SNOWMAN}", Code.PERMERROR, "key record is not ASCII"),
        ("v=DKIM1; n=" + "a" * 9000, Code.PERMERROR, "key record too long"),
        (f"p={public(ED)}; k=ed25519", Code.PERMERROR, "key is for another algorithm"),
        ("v=DKIM1\0; p=AAAA", Code.PERMERROR, "no DKIM key record"),
    ],
)
def test_keys_that_are_none(text: str, code: Code, reason: str) -> None:
    [result] = check(by_hand(MAIL), {"rsa": text.encode()})
    assert (result.code, result.reason) == (code, reason)


def test_the_strength_of_keys() -> None:
    def parsed(bits: int, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> dkim.Key:
        some = rsa.RSAPublicNumbers(65537, (1 << bits - 1) | 1).public_key()
        return dkim.key([b"p=" + base64.b64encode(some.public_bytes(Encoding.DER, form))])

    assert [parsed(bits).testing for bits in (1024, 2048, 4096)] == [False] * 3
    assert parsed(1024, PublicFormat.PKCS1) == parsed(1024)
    for bits in (768, 1023, 4104, 8192):
        with pytest.raises(Bad, match=f"key of {bits} bits") as bad:
            parsed(bits)
        assert bad.value.code is Code.POLICY


def test_of_several_records_the_key_counts() -> None:
    assert dkim.key([b"hello", RECORDS["rsa"]]).public.public_numbers() == RSA.public_key().public_numbers()  # type: ignore[union-attr] # it is RSA
    with pytest.raises(Bad, match="no key"):
        dkim.key([])


def test_of_a_thousand_signatures_ten_are_looked_at() -> None:
    mail = f"DKIM-Signature: {TAGS}\r\n".encode() * 1000 + signed(MAIL)
    assert len(check(mail)) == dkim.SIGNATURES_MOST


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_rubbish_is_no_error_of_ours(text: bytes, key: bytes) -> None:
    mail = b"DKIM-Signature: " + text.replace(b"\r\n\r\n", b"") + b"\r\n" + by_hand(MAIL)
    results = check(mail, {"rsa": key})
    assert all(one.code is not Code.PASS for one in results)
