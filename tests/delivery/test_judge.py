# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The judge's verdicts: what is proven, what is decided for it, and what happens while nobody answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio

from mailroom.core import clock
from mailroom.core.errors import ComeAgain, PolicyRefused
from mailroom.delivery.checks.names import Names
from mailroom.delivery.judge import Client, Judge, Verdict
from mailroom.delivery.spool import SMALL, Spool
from mailroom.directory import policies
from mailroom.directory.model import SYSTEM
from mailroom.runtime.scanning import OwnServices
from mailroom.storage.engines import open_store
from tests import dns, make
from tests.mime import keys

HOST = "mx.corp.example"
GOOD, BAD = Client("192.0.2.1", "mail.out.example"), Client("198.51.100.9", "evil.example")


@dataclass
class Court:
    """A judge, the DNS that he asks, and the rules."""

    judge: Judge
    dns: dns.Names
    folder: Path

    async def decide(self, **rules: str) -> None:
        for name, value in rules.items():
            await self.judge.store.write(
                lambda tx, name=name, value=value: policies.change(tx, SYSTEM, name.replace("__", "."), value)  # type: ignore[misc] # of a loop
            )

    async def judged(self, mail: bytes, client: Client | None = GOOD, *, sender: str = "bob@out.example") -> Verdict:
        with Spool(self.folder) as spool:
            spool.write(mail)
            part = spool.finish()
            return await self.judge.judge(client, spool, part, sender=sender, recipients=["amy@corp.example"])

    async def said(self, mail: bytes, client: Client | None = GOOD, *, sender: str = "bob@out.example") -> str:
        """Authentication-Results on one line."""
        verdict = await self.judged(mail, client, sender=sender)
        return re.sub(r"\s+", " ", verdict.prefix.decode()).strip()


@pytest_asyncio.fixture
async def court(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Court]:
    store = open_store(sqlite_url, clock.now)
    async with dns.serving() as names:
        services = OwnServices()
        resolver = names.resolver
        resolver.lifetime = 10.0
        judge = Judge(store, Names(resolver), HOST, (ip_network("10.0.0.0/8"),), services.post)
        names.put("out.example", "TXT", '"v=spf1 ip4:192.0.2.0/24 -all"')
        names.put("_dmarc.out.example", "TXT", '"v=DMARC1; p=reject"')
        for name, record in keys.RECORDS.items():
            names.put(f"{name}._domainkey.out.example", "TXT", keys.txt(record))
        yield Court(judge, names, tmp_path)
        await services.close()
    await store.close()


def mail() -> bytes:
    return make.mail(sender="Bob <bob@out.example>")


def signed(octets: bytes, name: str = "rsa") -> bytes:
    return keys.signed(octets, name, domain="out.example")


async def test_a_mail_that_all_stand_behind(court: Court) -> None:
    said = re.sub(r"header\.b=[^\s;]+", "header.b=...", await court.said(signed(signed(mail()), "ed")))
    assert said == (
        f"Authentication-Results: {HOST}; spf=pass smtp.mailfrom=bob@out.example;"
        " dkim=pass header.d=out.example header.s=ed header.a=ed25519-sha256 header.b=...;"
        " dkim=pass header.d=out.example header.s=rsa header.a=rsa-sha256 header.b=...;"
        " dmarc=pass header.from=out.example"
    )


async def test_one_of_both_is_enough_for_dmarc(court: Court) -> None:
    by_spf = await court.said(mail())
    assert "spf=pass" in by_spf
    assert "dkim=none" in by_spf
    assert "dmarc=pass" in by_spf
    forwarded = await court.said(signed(mail()), BAD)
    assert "spf=fail" in forwarded
    assert "dmarc=pass" in forwarded
    court.dns.put("mail.out.example", "TXT", '"v=spf1 a:mail.out.example -all"')
    court.dns.put("mail.out.example", "A", "192.0.2.1")
    bounce = await court.said(mail(), GOOD, sender="")
    assert "spf=pass smtp.helo=mail.out.example" in bounce
    assert "dmarc=pass" in bounce


@pytest.mark.parametrize(
    ("published", "rule", "fate"),
    [
        ("reject", "published", "refuse"),
        ("quarantine", "published", "junk"),
        ("none", "published", "accept"),
        ("reject; t=y", "published", "junk"),
        ("reject; pct=10", "published", "junk"),
        ("reject", "none", "accept"),
        ("reject", "junk", "junk"),
        ("none", "refuse", "refuse"),
    ],
)
async def test_what_fails_dmarc(court: Court, published: str, rule: str, fate: str) -> None:
    court.dns.put("_dmarc.out.example", "TXT", f'"v=DMARC1; p={published}"')
    await court.decide(check__dmarc_fail=rule)
    assert await fate_of(court, mail(), BAD) == fate


async def fate_of(court: Court, octets: bytes, client: Client, sender: str = "bob@out.example") -> str:
    try:
        return "junk" if (await court.judged(octets, client, sender=sender)).junk else "accept"
    except PolicyRefused:
        return "refuse"
    except ComeAgain:
        return "later"


@pytest.mark.parametrize(
    ("octets", "client", "sender", "is_reported"),
    [
        (mail(), GOOD, "bob@out.example", True),  # SPF
        (signed(mail()), BAD, "bob@out.example", True),  # DMARC, and he is the author
        (signed(mail()), BAD, "eve@far.example", False),
        (make.mail(sender="eve@far.example"), BAD, "eve@far.example", False),
    ],
)
async def test_only_a_sender_who_is_proven_is_told_that_his_mail_was_delivered(
    *, court: Court, octets: bytes, client: Client, sender: str, is_reported: bool
) -> None:
    assert (await court.judged(octets, client, sender=sender)).is_reported is is_reported
    assert (await court.judged(octets, Client("10.0.0.1", "x"), sender=sender)).is_reported


@pytest.mark.parametrize(
    "author",
    ["<bob@out.example> <eve@bank.example>", "bob@out.example, eve@bank.example", "bob@out.example@bank.example"],
)
async def test_who_writes_in_two_names_needs_both(court: Court, author: str) -> None:
    two = signed(make.mail(sender=author))
    assert "dmarc=none header.from=bank.example" in await court.said(two)
    court.dns.put("_dmarc.bank.example", "TXT", '"v=DMARC1; p=reject"')
    with pytest.raises(PolicyRefused, match=r"bank\.example"):
        await court.judged(two)


@pytest.mark.parametrize("rule", ["none", "junk", "refuse"])
async def test_spf_and_signatures_have_rules_of_their_own(court: Court, rule: str) -> None:
    fate = "accept" if rule == "none" else rule
    court.dns.drop("_dmarc.out.example")
    await court.decide(check__spf_fail=rule)
    assert await fate_of(court, mail(), BAD) == fate
    assert await fate_of(court, mail(), GOOD) == "accept"
    await court.decide(check__spf_fail="none", check__dkim_fail=rule)
    broken = signed(mail()).replace(b"see you", b"see me")
    assert await fate_of(court, broken, GOOD) == fate
    assert await fate_of(court, signed(broken), GOOD) == "accept"  # one of them is right
    assert await fate_of(court, mail(), GOOD) == "accept"  # there is none


async def test_while_the_dns_is_silent_nothing_is_lost(court: Court) -> None:
    await court.decide(check__spf_fail="refuse", check__dkim_fail="refuse", check__dmarc_fail="refuse")
    court.dns.silent.update(["out.example", "_dmarc.out.example", "rsa._domainkey.out.example"])
    court.judge.names.resolver.lifetime = 0.3
    said = await court.said(signed(mail()), BAD)
    for method in ("spf", "dkim", "dmarc"):
        assert f"{method}=temperror" in said
    # Where only the proof is missing, nobody knows either.
    court.dns.silent.discard("_dmarc.out.example")
    assert "dmarc=temperror" in await court.said(signed(mail()), BAD)
    # But no stranger's silence saves a mail, however long it lasts.
    court.judge.names.resolver.lifetime = 10.0
    court.dns.silent.clear()
    court.dns.silent.add("rsa._domainkey.evil.example")
    evil = keys.signed(mail(), "rsa", domain="evil.example")
    assert await fate_of(court, evil, BAD) == "refuse"


async def test_the_trusted_are_not_judged(court: Court) -> None:
    forged = make.mail(more=[f"Authentication-Results: {HOST}; dmarc=pass"])
    assert await court.judged(forged, Client("10.1.2.3")) == Verdict()
    assert await court.judged(forged, Client("::ffff:10.1.2.3")) == Verdict()
    assert await court.judged(forged, Client("")) == Verdict()
    assert await court.judged(forged, None) == Verdict()
    await court.decide(check__dnsbl="bl.example", check__greylist="yes")
    await court.judge.admit(Client("10.1.2.3"), sender="", recipient="amy@corp.example")


@pytest.mark.parametrize(
    "line",
    [
        f"Authentication-Results: {HOST}; dmarc=pass",
        f"authentication-results:\r\n\t{HOST.upper()} 1; dmarc=pass",
        f'Authentication-Results: "{HOST}"; dmarc=pass',
        f"Authentication-Results: (x) {HOST}; dmarc=pass",
        f"Authentication-Results: (x; (y)) {HOST}; dmarc=pass",
        f"Authentication-Results : {HOST}",
        'Authentication-Results: "mx\\.corp.example"; dmarc=pass',
    ],
)
async def test_results_in_our_name_are_taken_out(court: Court, line: str) -> None:
    octets = make.mail(more=["Authentication-Results: other.example; dmarc=fail", line, "X: y"])
    verdict = await court.judged(octets)
    assert b"".join(octets[start:end] for start, end in verdict.cuts) == line.encode() + b"\r\n"


async def test_forwarded_by_somebody_trusted(court: Court) -> None:
    sealed = keys.sealed(mail(), "rsa", domain="list.example", results="dmarc=pass header.from=out.example")
    court.dns.put("rsa._domainkey.list.example", "TXT", keys.txt(keys.RECORDS["rsa"]))
    assert await fate_of(court, sealed, BAD) == "refuse"
    await court.decide(check__arc_trusted="list.example")
    said = await court.said(sealed, BAD)
    assert 'dmarc=fail reason="p=reject, passed before it was forwarded"' in said
    assert "arc=pass" in said
    assert await fate_of(court, sealed.replace(b"see you", b"see me"), BAD) == "refuse"
    untold = keys.sealed(mail(), "rsa", domain="list.example", results="dmarc=fail")
    assert await fate_of(court, untold, BAD) == "refuse"


async def test_large_mails_and_many_signatures_are_verified_too(court: Court) -> None:
    large = signed(make.mail(sender="bob@out.example", size=SMALL * 4))
    assert "dkim=pass" in await court.said(large)
    many = mail()
    for _ in range(15):
        many = signed(many)
    assert (await court.said(many)).count("dkim=pass") == 10


async def test_a_header_without_end_is_refused(court: Court) -> None:
    with pytest.raises(PolicyRefused, match="header is too large"):
        await court.judged(make.mail(more=[f"X-{number}: {'x' * 900}" for number in range(300)]))


async def test_who_is_listed_is_refused_at_once(court: Court) -> None:
    await court.decide(check__dnsbl="dead.example,bl.example")
    court.dns.silent.add("9.100.51.198.dead.example")
    court.dns.put("9.100.51.198.bl.example", "A", "127.0.0.2")
    court.dns.put("1.2.0.192.bl.example", "A", "127.255.255.254")  # "do not ask me so"
    with pytest.raises(PolicyRefused, match=r"198\.51\.100\.9 is listed by bl\.example"):
        await court.judge.admit(BAD, sender="x@evil.example", recipient="amy@corp.example")
    await court.judge.admit(GOOD, sender="bob@out.example", recipient="amy@corp.example")


async def test_who_is_unknown_comes_again(court: Court) -> None:
    await court.decide(check__greylist="yes")
    with pytest.raises(ComeAgain):
        await court.judge.admit(GOOD, sender="bob@out.example", recipient="amy@corp.example")


Answer = Mapping[str, object] | bytes | None


@dataclass
class Rspamd:
    """A double of rspamd on loopback: it keeps what it was asked, and says what it is told to."""

    answer: Answer = None
    status: int = 200
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.asked.append(({"": lines[0]} | headers, body))
        if self.answer is not None:
            octets = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
            writer.write(f"HTTP/1.1 {self.status} OK\r\nContent-Length: {len(octets)}\r\n\r\n".encode() + octets)
            await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def rspamd() -> AsyncIterator[Rspamd]:
    double = Rspamd()
    server = await asyncio.start_server(double.serve, "127.0.0.1", 0)
    double.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield double
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("action", "fate"),
    [
        ("no action", "accept"),
        ("greylist", "later"),
        ("add header", "junk"),
        ("rewrite subject", "junk"),
        ("soft reject", "later"),
        ("reject", "refuse"),
        ("dance", "accept"),
    ],
)
async def test_what_rspamd_says_is_done(court: Court, rspamd: Rspamd, action: str, fate: str) -> None:
    await court.decide(check__rspamd=rspamd.url)
    rspamd.answer = {"action": action, "score": 7.25, "required_score": 15, "symbols": {}}
    assert await fate_of(court, mail(), GOOD) == fate
    [(headers, body)] = rspamd.asked
    assert headers[""] == "POST /checkv2 HTTP/1.1"
    assert (headers["ip"], headers["helo"], headers["from"]) == ("192.0.2.1", "mail.out.example", "bob@out.example")
    assert headers["rcpt"] == "amy@corp.example"
    assert body == mail()


async def test_rspamd_s_score_is_kept_and_no_other(court: Court, rspamd: Rspamd) -> None:
    await court.decide(check__rspamd=rspamd.url)
    rspamd.answer = {"action": "add header", "score": 7.25}
    forged = make.mail(sender="bob@out.example", more=["X-Spam: No", "X-Spam-Score: -99"], size=SMALL * 3)
    verdict = await court.judged(forged)
    assert verdict.junk
    assert verdict.prefix.endswith(b"X-Spam-Score: 7.25\r\nX-Spam: Yes\r\n")
    assert b"".join(forged[start:end] for start, end in verdict.cuts) == b"X-Spam: No\r\nX-Spam-Score: -99\r\n"


@pytest.mark.parametrize("answer", [None, b"", b"[]", b'{"action": "no action", "score": "many"}', b"[" * 9999, b"\0"])
async def test_an_rspamd_that_makes_no_sense_has_said_nothing(court: Court, rspamd: Rspamd, answer: Answer) -> None:
    await court.decide(check__rspamd=rspamd.url)
    rspamd.answer = answer
    assert await fate_of(court, mail(), GOOD) == "accept"
    await court.decide(check__down="later")
    assert await fate_of(court, mail(), GOOD) == "later"
    rspamd.answer, rspamd.status = {"action": "reject", "score": 99}, 500
    assert await fate_of(court, mail(), GOOD) == "later"


@dataclass
class Clamd:
    """A double of clamd on loopback."""

    reply: bytes = b"stream: OK\0"
    most: int = 1 << 30
    taken: bytes = b""
    place: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(10) == b"zINSTREAM\0"
        while size := int.from_bytes(await reader.readexactly(4)):
            self.taken += await reader.readexactly(size)
            if len(self.taken) > self.most:
                self.reply = b"INSTREAM size limit exceeded. ERROR\0"
                break
        writer.write(self.reply)
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def clamd() -> AsyncIterator[Clamd]:
    double = Clamd()
    server = await asyncio.start_server(double.serve, "127.0.0.1", 0)
    double.place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield double
    server.close()
    await server.wait_closed()


async def test_what_clamd_finds_is_refused(court: Court, clamd: Clamd) -> None:
    await court.decide(check__clamav=clamd.place)
    large = make.mail(sender="bob@out.example", size=SMALL * 9)
    assert await fate_of(court, large, GOOD) == "accept"
    assert clamd.taken == large
    clamd.reply = b"stream: Eicar-Test\xff FOUND\0"
    with pytest.raises(PolicyRefused, match=r"it holds Eicar-Test\?"):
        await court.judged(mail())


async def test_a_clamd_that_is_away_or_overcome_has_said_nothing(court: Court, clamd: Clamd) -> None:
    await court.decide(check__clamav=clamd.place)
    clamd.most = 100
    assert await fate_of(court, make.mail(sender="bob@out.example", size=SMALL * 9), GOOD) == "accept"
    clamd.reply = b""
    assert await fate_of(court, mail(), GOOD) == "accept"
    await court.decide(check__clamav="127.0.0.1:1")
    assert await fate_of(court, mail(), GOOD) == "accept"
    await court.decide(check__down="later")
    assert await fate_of(court, mail(), GOOD) == "later"


@pytest.mark.parametrize(
    "header",
    [
        "From: a@" + "x" * 300,
        "From: a@b@c, ,, <>",
        "From: " + ", ".join(f"a@d{number}.example" for number in range(50)),
        "From: =?utf-8?q?=00?= <a@\0.example>",
        "",
        "DKIM-Signature: v=1; a=rsa-sha256; d=.; s=.; h=from; bh=; b=",
        "DKIM-Signature: " + "a" * 100_000,
        "ARC-Seal: i=1; cv=none",
        "\r\n".join(f"ARC-Seal: i={number}; cv=pass" for number in range(200)),
        "\r\n".join(["DKIM-Signature: v=1; a=rsa-sha256; d=out.example; s=gone; h=from; bh=AA==; b=AA=="] * 1000),
        "Authentication-Results: " + "(" * 5000,
    ],
    ids=range(11),
)
async def test_hostile_mails_have_a_verdict(court: Court, header: str) -> None:
    fate = await fate_of(court, make.mail(sender="", more=[header]), BAD, sender="\0@\\.example")
    assert fate in {"accept", "junk", "refuse"}


async def test_answers_that_lie_have_a_verdict(court: Court) -> None:
    court.dns.put("out.example", "TXT", " ".join(f'"{"x" * 250}"' for _ in range(200)))
    court.dns.put("rsa._domainkey.out.example", "TXT", r'"v=DKIM1; p=\000\255"')
    court.dns.put("_dmarc.out.example", "CNAME", "_dmarc.out.example.")
    said = await court.said(signed(mail()))
    assert "spf=none" in said
    assert "dkim=permerror" in said
    assert "dmarc=temperror" in said or "dmarc=none" in said
