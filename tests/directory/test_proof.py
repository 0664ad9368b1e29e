# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A domain is proven by its MX records: judged by a table, and looked up at a real name server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mailroom.core.errors import InvalidValue
from mailroom.directory import proof
from mailroom.directory.model import DomainState
from mailroom.directory.proof import Finding, Proof

OURS = ("mx1.mail.example", "MX2.mail.example.")


@pytest.mark.parametrize(
    ("exchanges", "expected"),
    [
        (["mx1.mail.example."], Proof(Finding.PROVEN, ("mx1.mail.example",))),
        (["MX1.Mail.Example"], Proof(Finding.PROVEN, ("mx1.mail.example",))),
        (
            ["mx2.mail.example.", "mx1.mail.example.", "mx1.mail.example."],
            Proof(Finding.PROVEN, ("mx1.mail.example", "mx2.mail.example")),
        ),
        (
            ["mx1.mail.example.", "Old.Host.example."],
            Proof(Finding.FOREIGN_MX, ("mx1.mail.example", "old.host.example"), ("old.host.example",)),
        ),
        (["mx1.mail.example.evil."], Proof(Finding.FOREIGN_MX, *[("mx1.mail.example.evil",)] * 2)),
        (["."], Proof(Finding.NO_MX)),
        ([], Proof(Finding.NO_MX)),
    ],
)
def test_all_mx_records_must_be_ours(exchanges: list[str], expected: Proof) -> None:
    assert proof.judge(exchanges, ours=OURS) == expected


def test_no_hosts_of_ours_prove_nothing() -> None:
    assert proof.judge(["mx1.mail.example."], ours=()).finding is Finding.FOREIGN_MX


def test_every_finding_says_what_to_do() -> None:
    reasons = {Proof(finding, (), ("old.example", "older.example")).reason for finding in Finding}
    assert len(reasons) == len(Finding)
    assert Proof(Finding.FOREIGN_MX, (), ("old.example",)).reason == "remove these MX records: old.example"


@pytest.mark.parametrize(
    ("before", "proven", "failed"),
    [
        (DomainState.PENDING, DomainState.ACTIVE, DomainState.VERIFYING),
        (DomainState.VERIFYING, DomainState.ACTIVE, DomainState.VERIFYING),
        (DomainState.ACTIVE, DomainState.ACTIVE, DomainState.ACTIVE),
        (DomainState.ABNORMAL, DomainState.ACTIVE, DomainState.ABNORMAL),
        (DomainState.DISABLED, DomainState.DISABLED, DomainState.DISABLED),
    ],
)
def test_a_look_changes_the_state(before: DomainState, proven: DomainState, failed: DomainState) -> None:
    for finding in Finding:
        expected = proven if finding is Finding.PROVEN else failed
        assert proof.next_state(before, Proof(finding)) is expected


ZONE = {
    "good.example.": ["10 mx1.mail.example.", "20 mx2.mail.example."],
    "moving.example.": ["10 mx1.mail.example.", "5 old.example."],
    "null.example.": ["0 ."],
}


class NameServer(asyncio.DatagramProtocol):
    """Answers MX questions from `ZONE`; some names it knows how to fail at."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # by duck typing in the standard library

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text().lower()
        if name == "silent.example.":
            return
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA | dns.flags.RA
        if name in ZONE:
            reply.answer.append(dns.rrset.from_text_list(query.question[0].name, 60, "IN", "MX", ZONE[name]))
        elif name == "broken.example.":
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif name != "empty.example.":
            reply.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(reply.to_wire(), addr)


@pytest.fixture
async def name_server() -> AsyncIterator[str]:
    """The `host:port` of a name server."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    yield f"{host}:{port}"
    transport.close()


@pytest.mark.parametrize(
    ("domain", "finding"),
    [
        ("good.example", Finding.PROVEN),
        ("GOOD.example.", Finding.PROVEN),
        ("moving.example", Finding.FOREIGN_MX),
        ("null.example", Finding.NO_MX),
        ("empty.example", Finding.NO_MX),
        ("gone.example", Finding.NO_DOMAIN),
        ("broken.example", Finding.NO_ANSWER),
        ("silent.example", Finding.NO_ANSWER),
    ],
)
async def test_the_dns_is_asked(name_server: str, domain: str, finding: Finding) -> None:
    names = proof.resolver(name_server)
    names.lifetime = names.timeout = 0.2
    assert (await proof.look(names, domain, ours=OURS)).finding is finding


async def test_a_name_server_that_is_away_is_no_answer() -> None:
    names = proof.resolver("[::1]:9")
    names.lifetime = names.timeout = 0.2
    assert (await proof.look(names, "good.example", ours=OURS)).finding is Finding.NO_ANSWER


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:dns", "ns.example:53", ":53"])
def test_a_resolver_is_an_address_and_a_port(address: str) -> None:
    with pytest.raises(InvalidValue, match="resolver: "):
        proof.resolver(address)


def test_no_resolver_is_the_systems() -> None:
    assert proof.resolver("").nameservers
