# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SPF: each rule of RFC 7208 once, and pyspf as the other opinion on records that nobody would write."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import spf as pyspf  # type: ignore[import-untyped] # it has no types
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mailroom.delivery.checks import spf
from mailroom.delivery.checks.names import Names
from mailroom.delivery.checks.spf import Spf
from tests import dns

ZONE: Mapping[str, Mapping[str, Sequence[str]]] = {
    "a.test": {"A": ["192.0.2.1", "192.0.2.2"], "AAAA": ["2001:db8::1"], "MX": ["10 mx.test.", "20 mx2.test."]},
    "mx.test": {"A": ["192.0.2.10"], "AAAA": ["2001:db8::10"]},
    "mx2.test": {"A": ["192.0.2.11"]},
    "null.test": {"MX": ["0 ."]},
    "many.test": {"MX": [f"{number} mx.test." for number in range(1)] + [f"{n} m{n}.test." for n in range(1, 11)]},
    "alias.test": {"CNAME": ["a.test."]},
    "loop.test": {"CNAME": ["loop.test."]},
    "pass.test": {"TXT": ['"v=spf1 +all"']},
    "fail.test": {"TXT": ['"v=spf1 -all"']},
    "neutral.test": {"TXT": ['"v=spf1 ?all"']},
    "empty.test": {"TXT": ['"v=spf1"']},
    "none.test": {"TXT": ['"v=spf10 -all"', '"hello"']},
    "two.test": {"TXT": ['"v=spf1 -all"', '"v=spf1 +all"']},
    "parts.test": {"TXT": ['"v=spf1 ip4:192.0.2." "1 -all"']},
    "self.test": {"TXT": ['"v=spf1 include:self.test -all"']},
    "1.2.0.192.in-addr.arpa": {"PTR": ["host.a.test.", "other.test.", "liar.test."]},
    "host.a.test": {"A": ["192.0.2.1"]},
    "other.test": {"A": ["192.0.2.1"]},
    "liar.test": {"A": ["192.0.2.99"]},
    "strong-bad.email.test": {"A": ["127.0.0.2"]},
    "1.2.0.192.in-addr.v.test": {"A": ["127.0.0.2"]},
    "1.0.0.2.i.test": {"A": ["127.0.0.2"]},
    "bob+x.l.test": {"A": ["127.0.0.2"]},
    "bob.d.test": {"A": ["127.0.0.2"]},
    "host.a.test.p.test": {"A": ["127.0.0.2"]},
    "other.test.p.test": {"A": ["127.0.0.2"]},
    "out.example.h.test": {"A": ["127.0.0.2"]},
}

CASES = [
    ("", Spf.NONE),
    ("v=spf1", Spf.NEUTRAL),
    ("v=spf1 ", Spf.NEUTRAL),
    ("v=spf1 +all", Spf.PASS),
    ("V=SPF1 -ALL", Spf.FAIL),
    ("v=spf1  ~all ", Spf.SOFTFAIL),
    ("v=spf1 ?all", Spf.NEUTRAL),
    ("v=spf1 ip4:192.0.2.1 -all", Spf.PASS),
    ("v=spf1 ip4:192.0.2.0/24 -all", Spf.PASS),
    ("v=spf1 ip4:192.0.3.0/24 -all", Spf.FAIL),
    ("v=spf1 ip6:2001:db8::/32 -all", Spf.FAIL),
    ("v=spf1 ip6:::ffff:192.0.2.1 -all", Spf.FAIL),
    ("v=spf1 a:a.test -all", Spf.PASS),
    ("v=spf1 a:a.test. -all", Spf.PASS),
    ("v=spf1 a:mx.test/24 -all", Spf.PASS),
    ("v=spf1 a:mx.test/28//64 -all", Spf.PASS),
    ("v=spf1 a:mx.test -all", Spf.FAIL),
    ("v=spf1 a:alias.test -all", Spf.PASS),
    ("v=spf1 mx:a.test -all", Spf.FAIL),
    ("v=spf1 mx:a.test/28 -all", Spf.PASS),
    ("v=spf1 mx:null.test -all", Spf.FAIL),
    ("v=spf1 mx:many.test -all", Spf.PERMERROR),
    ("v=spf1 ptr:a.test -all", Spf.PASS),
    ("v=spf1 ptr:liar.test -all", Spf.FAIL),
    ("v=spf1 ptr:none.example -all", Spf.FAIL),
    ("v=spf1 exists:a.test -all", Spf.PASS),
    ("v=spf1 exists:gone.test -all", Spf.FAIL),
    ("v=spf1 include:pass.test -all", Spf.PASS),
    ("v=spf1 include:fail.test ~all", Spf.SOFTFAIL),
    ("v=spf1 include:neutral.test -all", Spf.FAIL),
    ("v=spf1 -include:pass.test +all", Spf.FAIL),
    ("v=spf1 include:none.test +all", Spf.PERMERROR),
    ("v=spf1 include:gone.test +all", Spf.PERMERROR),
    ("v=spf1 include:two.test +all", Spf.PERMERROR),
    ("v=spf1 include:parts.test -all", Spf.PASS),
    ("v=spf1 include:self.test +all", Spf.PERMERROR),
    ("v=spf1 redirect=pass.test", Spf.PASS),
    ("v=spf1 redirect=pass.test -all", Spf.FAIL),
    ("v=spf1 redirect=none.test", Spf.PERMERROR),
    ("v=spf1 redirect=empty.test", Spf.NEUTRAL),
    ("v=spf1 redirect=pass.test redirect=pass.test", Spf.PERMERROR),
    ("v=spf1 exp=a.test exp=a.test -all", Spf.PERMERROR),
    ("v=spf1 exp=a.test -all", Spf.FAIL),
    ("v=spf1 what=ever -all", Spf.FAIL),
    ("v=spf1 what=%{x} -all", Spf.PERMERROR),
    # syntax: all of the record must be right
    ("v=spf1 +all nonsense", Spf.PERMERROR),
    ("v=spf1 +all:x.test", Spf.PERMERROR),
    ("v=spf1 all/8", Spf.PERMERROR),
    ("v=spf1 include", Spf.PERMERROR),
    ("v=spf1 include:", Spf.PERMERROR),
    ("v=spf1 include:pass.test/24", Spf.PERMERROR),
    ("v=spf1 a: +all", Spf.PERMERROR),
    ("v=spf1 a:localhost +all", Spf.PERMERROR),
    ("v=spf1 a:a.123 +all", Spf.PERMERROR),
    ("v=spf1 a:a.-b +all", Spf.PERMERROR),
    ("v=spf1 a/33 +all", Spf.PERMERROR),
    ("v=spf1 a/024 +all", Spf.PERMERROR),
    ("v=spf1 a//129 +all", Spf.PERMERROR),
    ("v=spf1 ip4: +all", Spf.PERMERROR),
    ("v=spf1 ip4:1.2.3 +all", Spf.PERMERROR),
    ("v=spf1 ip4:1.2.3.4/33 +all", Spf.PERMERROR),
    ("v=spf1 ip4:1.2.3.4/032 +all", Spf.PERMERROR),
    ("v=spf1 ip4:::1 +all", Spf.PERMERROR),
    ("v=spf1 ip6:1.2.3.4 +all", Spf.PERMERROR),
    ("v=spf1 ip6:%{i} +all", Spf.PERMERROR),
    ("v=spf1 +-all", Spf.PERMERROR),
    ("v=spf1 -redirect=pass.test", Spf.PERMERROR),
    ("v=spf1 exists:%{c}.test +all", Spf.PERMERROR),
    ("v=spf1 exists:%{d0}.test +all", Spf.PERMERROR),
    ("v=spf1 exists:%x.test +all", Spf.PERMERROR),
    ("v=spf1 exists:%.test +all", Spf.PERMERROR),
    ("v=spf1 exists:a.test% +all", Spf.PERMERROR),
    ("v=spf1 \N{SNOWMAN} +all", Spf.PERMERROR),
    # macros
    ("v=spf1 exists:%{ir}.%{v}.v.test -all", Spf.PASS),
    ("v=spf1 exists:%{l}.l.test -all", Spf.PASS),
    ("v=spf1 exists:%{l1-}.l.test -all", Spf.PASS),
    ("v=spf1 exists:%{lr+}.l.test -all", Spf.FAIL),
    ("v=spf1 exists:bob.%{d1r}.test -all", Spf.PASS),
    ("v=spf1 exists:%{p}.p.test -all", Spf.PASS),
    ("v=spf1 exists:%{h}.h.test -all", Spf.PASS),
    ("v=spf1 exists:%{o} -all", Spf.FAIL),
    ("v=spf1 exists:%{o}. -all", Spf.PERMERROR),
    ("v=spf1 exists:%{ir4}.test -all", Spf.PERMERROR),
    ("v=spf1 exists:%{s}%%%_%-.test -all", Spf.FAIL),
    # limits
    ("v=spf1 " + "a:mx.test " * 10 + "+all", Spf.PASS),
    ("v=spf1 " + "a:mx.test " * 11 + "+all", Spf.PERMERROR),
    ("v=spf1 a:v1.example a:v2.example +all", Spf.PASS),
    ("v=spf1 a:v1.example a:v2.example a:v3.example +all", Spf.PERMERROR),
    ("v=spf1 a:" + "x" * 64 + ".test +all", Spf.PASS),
    ("v=spf1 a:a..test +all", Spf.PASS),
    # the DNS
    ("v=spf1 a:broken.test +all", Spf.TEMPERROR),
    ("v=spf1 a:silent.test +all", Spf.TEMPERROR),
    ("v=spf1 include:broken.test +all", Spf.TEMPERROR),
    ("v=spf1 ptr:a.test include:silent.test +all", Spf.PASS),
]


def quoted(text: str) -> str:
    """A TXT record as a zone file has it."""
    octets = "".join(chr(octet) if 32 <= octet < 127 else f"\\{octet:03d}" for octet in text.encode())
    return " ".join(f'"{octets[start : start + 200]}"' for start in range(0, len(octets), 200)) or '""'


def fill(names: dns.Names) -> None:
    for name, records in ZONE.items():
        for kind, texts in records.items():
            names.put(name, kind, *texts)
    names.broken.add("broken.test")
    names.silent.add("silent.test")


async def verdict(
    names: dns.Names,
    record: str,
    *,
    client: str = "192.0.2.1",
    sender: str = "bob+x@d.test",
    hello: str = "out.example",
) -> Spf:
    names.put("d.test", "TXT", quoted(record))
    resolver = names.resolver
    resolver.lifetime = 0.3 if "silent" in record else 10.0
    return await spf.check(Names(resolver), client=ipaddress.ip_address(client), sender=sender, hello=hello)


@pytest.mark.parametrize(
    ("record", "expected"), CASES, ids=[f"{number} {case[0]:.60}" for number, case in enumerate(CASES)]
)
async def test_a_record_means(record: str, expected: Spf) -> None:
    async with dns.serving() as names:
        fill(names)
        assert await verdict(names, record) == expected


@pytest.mark.parametrize(
    ("record", "client", "expected"),
    [
        ("v=spf1 ip6:2001:db8::/32 -all", "2001:db8::1", Spf.PASS),
        ("v=spf1 a:a.test -all", "2001:db8::1", Spf.PASS),
        ("v=spf1 a:a.test//32 -all", "2001:db8:1::1", Spf.PASS),
        ("v=spf1 mx:a.test -all", "2001:db8::10", Spf.PASS),
        ("v=spf1 ip4:192.0.2.1 -all", "::ffff:192.0.2.1", Spf.PASS),
        ("v=spf1 exists:%{i4r}.i.test -all", "2001:db8::1", Spf.PASS),
    ],
)
async def test_ipv6(record: str, client: str, expected: Spf) -> None:
    async with dns.serving() as names:
        fill(names)
        assert await verdict(names, record, client=client) == expected


async def test_the_null_sender_is_who_it_calls_itself() -> None:
    async with dns.serving() as names:
        fill(names)
        assert await verdict(names, "", sender="", hello="pass.test") is Spf.PASS
        assert await verdict(names, "v=spf1 exists:%{l}.l.test -all", sender="", hello="d.test") is Spf.FAIL
        assert ("postmaster.l.test", "A") in names.asked
        assert await verdict(names, "", sender="", hello="[192.0.2.1]") is Spf.NONE
        assert await verdict(names, "", sender="", hello="localhost") is Spf.NONE
        assert await verdict(names, "", sender="a@\0\0.\0") is Spf.NONE
        assert await verdict(names, "", sender="a@" + "x." * 200 + "test") is Spf.NONE
        assert await verdict(names, "", sender="a@a\\300.test") is Spf.NONE


MECHANISMS = """
    all a mx ptr a:a.test mx:a.test/28 ip4:192.0.2.0/24 ip4:198.51.100.1 ip6:2001:db8::/32 include:pass.test
    include:fail.test include:empty.test exists:a.test exists:%{ir}.%{v}.v.test exists:%{l}.l.test a/24 a:mx.test
    a:gone.test include:none.test a:localhost ip4:1.2.3 mx:gone.test a:%{d} a:%{d2}. exists:%{s}.test
    """.split()  # noqa: SIM905 # as they stand in records
MODIFIERS = ["redirect=pass.test", "redirect=fail.test", "redirect=gone.test", "x=y", "exp=a.test"]
QUALIFIERS = ["", "+", "-", "~", "?"]
TERMS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(QUALIFIERS), st.sampled_from(MECHANISMS)).map("".join), st.sampled_from(MODIFIERS)
    ),
    max_size=7,
    unique=True,  # pyspf bears no unknown modifier twice, against §6
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(terms=["a", "ptr", "mx:gone.test"], client="192.0.2.10")  # three questions without an answer (§4.6.4)
@given(terms=TERMS, client=st.sampled_from(["192.0.2.1", "192.0.2.10", "198.51.100.1", "2001:db8::1", "203.0.113.9"]))
async def test_pyspf_is_of_the_same_opinion(terms: list[str], client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = " ".join(["v=spf1", *terms])
    async with dns.serving() as names:
        fill(names)
        ours = await verdict(names, record, client=client)
        monkeypatch.setattr(pyspf, "DNSLookup", lambda name, kind, *_: theirs(names, name, kind))
        other, _ = pyspf.check2(i=client, s="bob+x@d.test", h="out.example", querytime=0)
    assert ours.value == other, record


def theirs(names: dns.Names, name: str, kind: str) -> list[Any]:
    """The same zone as pyspf wants it."""
    records = names.records.get(name.rstrip(".").lower(), {})
    if kind == "MX":
        pairs = [text.split() for text in records.get(kind, ())]
        return [((name, kind), (int(preference), host)) for preference, host in pairs]
    if kind == "TXT":
        return [((name, kind), [b"".join(_strings(text))]) for text in records.get(kind, ())]
    return [((name, kind), text.rstrip(".")) for text in records.get(kind, ())]


def _strings(text: str) -> list[bytes]:
    return [part.encode() for part in text.split('"')[1::2]]
