# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""ARC: chains that are whole, with dkimpy as the other opinion, and every way to break one."""

from __future__ import annotations

import dkim as dkimpy  # type: ignore[import-untyped] # it has no types
import pytest

from mailroom.mime import arc, dkim, fields
from mailroom.mime.arc import Chain
from mailroom.mime.dkim import Bodies, Code, Forms, Key, Result
from tests.mime import keys

MAIL = b"From: Amy <amy@corp.example>\r\nSubject: Hi\r\nTo: bob@out.example\r\n\r\nHello,\r\n  you.\r\n\r\n"


def check(mail: bytes) -> Result | None:
    header, body = keys.apart(mail)
    found = fields.split(header)
    chain = arc.chain(found)
    if not isinstance(chain, Chain):
        return chain
    bodies = Bodies([chain.newest])
    bodies.feed(body)
    bodies.finish()
    known: dict[str, Key | dkim.Bad] = {
        one.key_name: dkim.key([keys.RECORDS[one.selector]]) if one.selector in keys.RECORDS else dkim.Bad("no key")
        for one in chain.signatures
    }
    return arc.verify(chain, known, forms=Forms(found), bodies=bodies, now=keys.NOW)


def code(mail: bytes) -> Code | None:
    result = check(mail)
    return None if result is None else result.code


def sealed(count: int, mail: bytes = MAIL) -> bytes:
    for number in range(count):
        mail = keys.sealed(mail, "rsa", domain=f"list{number}.example")
    return mail


def theirs(mail: bytes) -> str:
    cv, _, _ = dkimpy.arc_verify(mail, dnsfunc=lambda name, **_: keys.RECORDS[name.split(b".")[0].decode()])
    return str(cv.decode())


def test_there_may_be_none() -> None:
    assert check(MAIL) is None


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_whole_chain_passes(count: int) -> None:
    assert check(sealed(count)) is not None
    assert code(sealed(count)) is Code.PASS
    assert theirs(sealed(count)) == "pass"
    mixed = keys.sealed(keys.sealed(MAIL, "ed"), "rsa")
    assert code(mixed) is Code.PASS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hello", b"Hallo"),
        (b"Subject: Hi", b"Subject: Ho"),
        (b"i=1; mx.list0.example; dmarc=pass", b"i=1; mx.list0.example; dmarc=fail"),
        (b"i=2; mx.list1.example; dmarc=pass", b"i=2; mx.list1.example; dmarc=fail"),
        (b"cv=none", b"cv=pass"),
        (b"cv=pass", b"cv=none"),
        (b"cv=pass", b"cv=fail"),
        (b"ARC-Seal: i=1", b"X-Seal: i=1"),
        (b"ARC-Message-Signature: i=1", b"ARC-Message-Signature: i=2"),
        (b"ARC-Message-Signature: i=2", b"ARC-Message-Signature: i=3"),
        (b"ARC-Message-Signature: i=2", b"ARC-Message-Signature: i=0"),
        (b"ARC-Message-Signature: i=2", b"ARC-Message-Signature: i=x"),
        (b"ARC-Authentication-Results: i=1;", b"ARC-Authentication-Results:"),
        (b"; d=list0.example", b"; d=other.example"),
        (b"; s=rsa", b"; s=gone"),
        (b"ARC-Seal: i=2;", b"ARC-Seal: i=2; h=from;"),
        (b"h=from:subject", b"h=from:subject:arc-seal"),
        (b"a=rsa-sha256", b"a=rsa-sha1"),
        (b"cv=pass; t", b"cv=pass; t=1; t"),
        (b"\r\n\r\n", b"\r\nARC-Seal: i=2; cv=pass\r\n\r\n"),
    ],
)
def test_a_chain_that_was_touched_fails(old: bytes, new: bytes) -> None:
    mail = sealed(2)
    assert old in mail
    assert code(mail.replace(old, new, 1)) is Code.FAIL
    if code(mail.replace(old, new)) is Code.PASS:
        pytest.fail("it was put right again")


def test_fields_that_no_seal_covers_may_change() -> None:
    mail = sealed(2).replace(b"To: bob", b"To: eve")
    assert code(b"Received: by x\r\n" + mail) is Code.PASS
    assert theirs(b"Received: by x\r\n" + mail) == "pass"


def test_a_chain_is_fifty_sets_long_at_most() -> None:
    longest = sealed(arc.SETS_MOST)
    assert code(longest) is Code.PASS
    assert code(keys.sealed(longest)) is Code.FAIL


def test_what_the_sealer_saw() -> None:
    def saw(results: str) -> bool:
        chain = arc.chain(fields.split(keys.apart(keys.sealed(MAIL, results=results))[0]))
        assert isinstance(chain, Chain)
        assert chain.sealer == "list.example"
        return chain.saw_pass("dmarc")

    assert saw("spf=fail; DMARC=pass header.from=x")
    assert not saw("spf=pass; dmarc=fail")
    assert not saw("spf=pass reason=dmarc=pass")
    assert not saw("dmarc=passed")
