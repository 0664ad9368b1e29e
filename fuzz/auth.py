# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Any bytes as signatures, keys, seals, SPF and DMARC records and reports: read without an exception, in bounded time.

.venv/bin/python fuzz/auth.py [--seconds 60] [--seed 1]
"""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import dns.asyncresolver
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mailroom.delivery.checks import dmarc, results, spf
from mailroom.delivery.checks.names import Found, Names, NoIdea
from mailroom.mime import arc, dkim, fields, reports
from mailroom.mime.dkim import Bad, Bodies, Forms, Signature, SigningKey

SLOWEST = 0.5  # seconds, per 64 KiB
SIGNED = [b"From: a@b.example\r\nSubject: x\r\n\r\n", b"body\r\n"]
PIECES: Sequence[bytes] = (
    b"v=1; a=rsa-sha256; c=relaxed/relaxed; d=b.example; s=k; h=from:subject; bh=AA==; b=AA==",
    b"DKIM-Signature: ",
    b"ARC-Seal: i=1; cv=none; a=rsa-sha256; d=b.example; s=k; b=AA==\r\n",
    b"ARC-Message-Signature: i=1; a=ed25519-sha256; d=b.example; s=k; h=from; bh=AA==; b=AA==\r\n",
    b"ARC-Authentication-Results: i=1; mx; dmarc=pass\r\n",
    b"From: a@b.example\r\n",
    b"\r\n ",
    b"\r\n\r\n",
    b"; l=5; x=1; t=2; i=@b.example; q=dns/txt",
    b"v=DKIM1; k=ed25519; h=sha256; t=y:s; p=",
    b"v=spf1 include:%{d} a:%{i}.x.example mx/24//64 exists:%{l1r-}.%{p}.%{v}. redirect=b.example ip4:1.2.3.4/33 -all",
    b"%{" * 20,
    b"v=DMARC1; p=reject; sp=none; np=quarantine; pct=5; psd=y; t=y; rua=mailto:x",
    b"<feedback><record><row><count>5</count></row></record><policy_published><domain>b.example</domain>",
    b'{"date-range": {"start-datetime": "2025-01-01T00:00:00Z"}, "policies": [{"policy": {"policy-domain": "b"}}]}',
    b"\0",
    b"\xff\xfe",
    b";" * 60,
    b"(" * 60,
    b"=" * 9,
)


def mutated(chance: random.Random) -> bytes:
    """Something that is nearly right."""
    octets = bytearray(b"".join(chance.choice(PIECES) for _ in range(chance.randint(1, 30))))
    for _ in range(chance.randint(0, 8)):
        at = chance.randrange(len(octets) + 1)
        octets[at : at + chance.randint(0, 3)] = chance.choice((b"", chance.randbytes(2), chance.choice(PIECES)))
    return bytes(octets * chance.choice((1, 1, 1, 50)))[: 64 * 1024]


class Zone(Names):
    """Names that answer with rubbish."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(dns.asyncresolver.Resolver(configure=False))
        object.__setattr__(self, "_chance", chance)

    async def ask(self, name: str, kind: str) -> Found:
        chance: random.Random = object.__getattribute__(self, "_chance")
        match chance.randrange(8), kind:
            case 0, _:
                return Found(exists=False)
            case 1, _:
                raise NoIdea
            case _, "TXT":
                return Found(exists=True, octets=tuple(mutated(chance)[:8192] for _ in range(chance.randint(0, 3))))
            case _, "A":
                return Found(exists=True, texts=("192.0.2.1", "198.51.100.1"))
            case _, "AAAA":
                return Found(exists=True, texts=("2001:db8::1",))
        return Found(exists=True, texts=tuple(f"{name[:50]}{number}." for number in range(chance.randint(0, 12))))


def of_mails(octets: bytes, _chance: random.Random) -> None:
    """Signatures, seals and results in a header."""
    found = fields.split(octets)
    parsed = dkim.signatures(found)
    chain = arc.chain(found)
    wanted = [one for one in parsed if isinstance(one, Signature)]
    bodies = Bodies(wanted)
    forms = Forms(found)
    key = dkim.Key(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())
    if isinstance(chain, arc.Chain):
        bodies.want(chain.newest.body_canon, chain.newest.length)
    bodies.feed(octets)
    bodies.finish()
    for one in wanted:
        dkim.verify(one, key, forms=forms, bodies=bodies, now=0)
    if isinstance(chain, arc.Chain):
        known: Mapping[str, dkim.Key | Bad] = {one.key_name: key for one in chain.signatures}
        arc.verify(chain, known, forms=forms, bodies=bodies, now=0)
    dmarc.authors(one.value for one in found)
    [results.is_forged(one, "mx.example") for one in found]
    dkim.sign(octets, bytes(32), SigningKey("b.example", "k", Ed25519PrivateKey.from_private_bytes(bytes(32))), now=1)


def of_keys(octets: bytes, _chance: random.Random) -> None:
    """Key records."""
    try:
        dkim.key([octets, octets[:100]])
    except Bad:
        return


def of_reports(octets: bytes, chance: random.Random) -> None:
    """Attachments."""
    try:
        reports.read(gzip.compress(octets) if chance.randrange(2) else octets)
    except reports.Unreadable:
        return


def of_names(octets: bytes, chance: random.Random) -> None:
    """SPF and DMARC over a DNS that lies."""
    name = octets[:40].decode("utf-8", "replace")
    client = ipaddress.ip_address(chance.choice(("192.0.2.1", "2001:db8::1")))
    asyncio.run(spf.check(Zone(chance), client=client, sender=f"{name}@b.example", hello=name))
    asyncio.run(dmarc.judge(Zone(chance), authors=["a.b.example"], proven=[], unsure=[name]))


TARGETS: Sequence[Callable[[bytes, random.Random], None]] = (of_mails, of_keys, of_reports, of_names)


def main() -> None:
    """Fuzz until the time is up, or something is found."""
    seconds, seed = (float(sys.argv[1]) if len(sys.argv) > 1 else 60), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    chance = random.Random(seed)
    until = time.monotonic() + seconds
    rounds, slowest = 0, 0.0
    while time.monotonic() < until:
        octets = mutated(chance)
        for target in TARGETS:
            slowest = max(slowest, timed(target, octets, chance))
        rounds += 1
    print(f"{rounds} rounds, slowest {slowest * 1000:.0f} ms")


def timed(target: Callable[[bytes, random.Random], None], octets: bytes, chance: random.Random) -> float:
    """Seconds that it took."""
    began = time.process_time()
    try:
        target(octets, chance)
    except Exception:
        print(f"{target.__name__}: {octets!r}")
        raise
    took = time.process_time() - began
    if took > SLOWEST:
        raise SystemExit(f"{target.__name__} took {took:.2f} s: {octets[:500]!r} ({len(octets)} octets)")
    return took


if __name__ == "__main__":
    main()
