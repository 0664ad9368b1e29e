# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""DMARC: whose record counts, who is of one organisation, and what a domain wants done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from mailroom.delivery.checks import dmarc
from mailroom.delivery.checks.dmarc import Dmarc, Judgement, Proven, Wish
from mailroom.delivery.checks.names import Names
from tests import dns


@pytest_asyncio.fixture
async def zone() -> AsyncIterator[dns.Names]:
    async with dns.serving() as names:
        yield names


def publish(zone: dns.Names, **records: str) -> None:
    for name, text in records.items():
        zone.put(f"_dmarc.{name.replace('__', '.')}", "TXT", f'"v=DMARC1; {text}"')


async def judged(
    zone: dns.Names, *authors: str, spf: str = "", dkim: Sequence[str] = (), unsure: Sequence[str] = ()
) -> Judgement:
    resolver = zone.resolver
    resolver.lifetime = 10.0
    proven = [Proven(spf, by_dkim=False)] if spf else []
    proven += [Proven(one, by_dkim=True) for one in dkim]
    return await dmarc.judge(Names(resolver), authors=authors, proven=proven, unsure=unsure)


async def verdict(zone: dns.Names, author: str, *, spf: str = "", dkim: str = "") -> Dmarc:
    return (await judged(zone, author, spf=spf, dkim=[dkim] if dkim else [])).verdict


async def wish(zone: dns.Names, author: str) -> Wish:
    one = await judged(zone, author)
    assert one.verdict is Dmarc.FAIL
    return one.wish


async def test_alignment(zone: dns.Names) -> None:
    publish(zone, corp__example="p=reject")
    for proven in ("corp.example", "mail.corp.example", "a.b.corp.example"):
        assert await verdict(zone, "corp.example", spf=proven) is Dmarc.PASS
        assert await verdict(zone, "corp.example", dkim=proven) is Dmarc.PASS
        assert await verdict(zone, "news.corp.example", dkim=proven) is Dmarc.PASS
    for proven in ("example", "xcorp.example", "out.example", "corp.example.out.example", ""):
        assert await verdict(zone, "corp.example", spf=proven, dkim=proven) is Dmarc.FAIL


async def test_strict_alignment(zone: dns.Names) -> None:
    publish(zone, corp__example="p=reject; adkim=s")
    assert await verdict(zone, "corp.example", spf="mail.corp.example") is Dmarc.PASS
    assert await verdict(zone, "corp.example", dkim="mail.corp.example") is Dmarc.FAIL
    assert await verdict(zone, "corp.example", dkim="corp.example") is Dmarc.PASS
    publish(zone, corp__example="p=reject; aspf=S")
    assert await verdict(zone, "corp.example", spf="mail.corp.example") is Dmarc.FAIL


async def test_the_tree_tells_what_an_organisation_is(zone: dns.Names) -> None:
    # RFC 9989 §4.10.2: below a public suffix that says so stands the organisation.
    publish(zone, bank="psd=y; p=reject", a__bank="p=none", sub__b__bank="p=none; psd=n")
    assert await verdict(zone, "x.a.bank", dkim="y.a.bank") is Dmarc.PASS
    assert await verdict(zone, "x.c.bank", dkim="y.c.bank") is Dmarc.PASS
    assert await verdict(zone, "x.a.bank", dkim="c.bank") is Dmarc.FAIL
    assert await verdict(zone, "sub.b.bank", dkim="b.bank") is Dmarc.FAIL
    assert await verdict(zone, "sub.b.bank", dkim="x.sub.b.bank") is Dmarc.PASS
    # A part of the organisation that has declared itself another one.
    publish(zone, corp__example="p=none", shop__corp__example="p=none; psd=n")
    assert await verdict(zone, "corp.example", dkim="shop.corp.example") is Dmarc.FAIL


async def test_whose_wish_counts(zone: dns.Names) -> None:
    publish(zone, corp__example="p=reject; sp=quarantine; np=none", own__corp__example="p=none")
    zone.put("there.corp.example", "A", "192.0.2.1")
    assert await wish(zone, "corp.example") is Wish.REJECT
    assert await wish(zone, "own.corp.example") is Wish.NONE
    assert await wish(zone, "there.corp.example") is Wish.QUARANTINE
    assert await wish(zone, "gone.corp.example") is Wish.NONE
    publish(zone, corp__example="p=quarantine")
    assert await wish(zone, "gone.corp.example") is Wish.QUARANTINE
    publish(zone, bank="psd=y; p=none; np=reject")
    assert await wish(zone, "nobody.bank") is Wish.REJECT


async def test_of_long_names_few_are_asked(zone: dns.Names) -> None:
    publish(zone, corp__example="p=reject")
    author = ".".join(["x"] * 100) + ".corp.example"
    assert await wish(zone, author) is Wish.REJECT
    assert len([name for name, kind in zone.asked if kind == "TXT"]) == 8


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=DMARC1; p=reject", Wish.REJECT),
        ("v=DMARC1;p=REJECT;", Wish.REJECT),
        ("v = DMARC1 ; p = quarantine", Wish.QUARANTINE),
        ("v=DMARC1; p=reject; t=y", Wish.QUARANTINE),
        ("v=DMARC1; p=quarantine; t=y", Wish.NONE),
        ("v=DMARC1; p=reject; pct=50", Wish.QUARANTINE),
        ("v=DMARC1; p=reject; pct=100", Wish.REJECT),
        ("v=DMARC1; p=reject; pct=many", Wish.REJECT),
        ("v=DMARC1; rua=mailto:x@corp.example", Wish.NONE),
        ("v=DMARC1; p=dance; rua=mailto:x@corp.example", Wish.NONE),
        ("v=DMARC1; p=dance", None),
        ("v=DMARC1", None),
        ("v=DMARC2; p=reject", None),
        ("v=DMARC1 p=reject", None),
        ("p=reject; v=DMARC1", None),
        ("v=dmarc1; p=reject", None),
        ("v=DMARC1; p=reject; p=none", None),
        ("hello", None),
    ],
)
async def test_a_record_asks_for(zone: dns.Names, record: str, expected: Wish | None) -> None:
    zone.put("_dmarc.corp.example", "TXT", '"unrelated"', f'"{record}"')
    one = await judged(zone, "corp.example")
    assert (one.verdict, one.wish) == ((Dmarc.NONE, Wish.NONE) if expected is None else (Dmarc.FAIL, expected))


async def test_two_records_are_none(zone: dns.Names) -> None:
    zone.put("_dmarc.corp.example", "TXT", '"v=DMARC1; p=reject"', '"v=DMARC1; p=none"')
    assert await verdict(zone, "corp.example") is Dmarc.NONE


async def test_several_authors(zone: dns.Names) -> None:
    publish(zone, corp__example="p=none", bank__example="p=reject")
    one = await judged(zone, "corp.example", "bank.example", "out.example", dkim=["corp.example"])
    assert (one.verdict, one.domain, one.wish) == (Dmarc.FAIL, "bank.example", Wish.REJECT)
    both = await judged(zone, "corp.example", "bank.example", dkim=["corp.example", "bank.example"])
    assert both.verdict is Dmarc.PASS
    assert (await judged(zone)).verdict is Dmarc.PERMERROR
    crowd = await judged(zone, *(f"d{number}.example" for number in range(9)))
    assert (crowd.verdict, crowd.wish) == (Dmarc.FAIL, Wish.REJECT)


async def test_without_an_answer_nobody_knows(zone: dns.Names) -> None:
    publish(zone, corp__example="p=reject")
    zone.broken.add("_dmarc.out.example")
    assert await verdict(zone, "out.example") is Dmarc.TEMPERROR
    assert (await judged(zone, "corp.example", unsure=["mail.corp.example"])).verdict is Dmarc.TEMPERROR
    assert (await judged(zone, "corp.example", unsure=["out.example"])).verdict is Dmarc.FAIL


def test_authors_are_found_however_they_are_written() -> None:
    fields = [b' "a@b.example" <x@Corp.Example>, y@\xc3\xbcber.example', b" z@corp.example, garbage, <>"]
    assert dmarc.authors(fields) == ["corp.example", "xn--ber-goa.example"]
    assert dmarc.authors([]) == []


@pytest.mark.parametrize(
    "field",
    [
        b"<a@good.example> <b@bank.example>",
        b"<b@bank.example> <a@good.example>",
        b"Amy <a@good.example> Bob <b@bank.example>",
        b"<a@good.example> b@bank.example",
        b"b@bank.example a@good.example",
        b"a@good.example@bank.example",
        b"<a@good.example@bank.example>",
        b'"b@bank.example <a@good.example>',
        b"(b@bank.example <a@good.example>",
        b"<a@good.example> <b@\r\n bank.example\0>",
    ],
)
def test_where_readers_may_differ_all_are_authors(field: bytes) -> None:
    assert sorted(dmarc.authors([field])) == ["bank.example", "good.example"]


@pytest.mark.parametrize(
    "field",
    [
        b"b@bank.example <a@good.example>",  # a name, to all readers
        b'"<b@bank.example>" <a@good.example>',
        b"a@good.example (for b@bank.example)",
        b"a@good.example, nobody, root@[192.0.2.1]",
    ],
)
def test_a_name_is_no_author(field: bytes) -> None:
    assert dmarc.authors([field]) == ["good.example"]
