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

from mailroom.core.clock import DAY, HOUR, MINUTE
from mailroom.core.errors import InvalidValue
from mailroom.core.text import LANGUAGES
from mailroom.directory import proof
from mailroom.directory.model import DomainState
from mailroom.directory.proof import Finding, Proof, Standing

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


def test_every_finding_says_what_to_do_in_every_language() -> None:
    found = [Proof(finding, (), ("old.example", "older.example")) for finding in Finding]
    reasons = {one.reason(language) for one in found for language in LANGUAGES}
    assert len(reasons) == len(Finding) * len(LANGUAGES)
    assert Proof(Finding.FOREIGN_MX, (), ("old.example",)).reason("en") == "remove these MX records: old.example"


NOW = 1_800_000_000_000
UNPROVEN = [finding for finding in Finding if finding is not Finding.PROVEN]
UNHEARD = [Finding.NO_ANSWER, Finding.BROKEN]


@pytest.mark.parametrize("state", [state for state in DomainState if state is not DomainState.DISABLED])
def test_a_proven_domain_is_active_and_its_failures_are_forgotten(state: DomainState) -> None:
    before = Standing(state, verifying_since=NOW - DAY, failures=2, failing_since=NOW - DAY)
    assert proof.after(before, Finding.PROVEN, now=NOW) == Standing(DomainState.ACTIVE, check_at=NOW + 6 * HOUR)


@pytest.mark.parametrize("finding", UNPROVEN)
@pytest.mark.parametrize("state", [DomainState.PENDING, DomainState.VERIFYING])
def test_a_domain_that_is_not_proven_yet_is_looked_at_again(state: DomainState, finding: Finding) -> None:
    after = proof.after(Standing(state), finding, now=NOW)
    assert (after.state, after.verifying_since) == (DomainState.VERIFYING, NOW)
    assert after.check_at == NOW + 10 * MINUTE


@pytest.mark.parametrize(
    ("age", "pause"),
    [
        (3 * DAY - 1, 10 * MINUTE),
        (3 * DAY, HOUR),
        (33 * DAY - 1, HOUR),
        (33 * DAY, None),
    ],
)
def test_every_ten_minutes_for_three_days_then_hourly_for_thirty(age: int, pause: int | None) -> None:
    before = Standing(DomainState.VERIFYING, verifying_since=NOW - age)
    after = proof.after(before, Finding.NO_MX, now=NOW)
    assert after.verifying_since == NOW - age
    assert after.check_at == (None if pause is None else NOW + pause)


@pytest.mark.parametrize("finding", Finding)
def test_a_disabled_domain_stays_so(finding: Finding) -> None:
    after = proof.after(Standing(DomainState.DISABLED), finding, now=NOW)
    assert (after.state, after.check_at) == (DomainState.DISABLED, None)


def test_an_active_domain_becomes_abnormal_after_three_failures_and_a_day_and_recovers() -> None:
    standing = Standing(DomainState.ACTIVE)
    for hour in range(24):
        standing = proof.after(standing, Finding.FOREIGN_MX, now=NOW + hour * HOUR)
        assert (standing.state, standing.check_at) == (DomainState.ACTIVE, NOW + (hour + 1) * HOUR)
    standing = proof.after(standing, Finding.FOREIGN_MX, now=NOW + DAY)
    assert (standing.state, standing.failures, standing.failing_since) == (DomainState.ABNORMAL, 25, NOW)
    assert proof.after(standing, Finding.NO_DOMAIN, now=NOW + 99 * DAY).state is DomainState.ABNORMAL
    assert proof.after(standing, Finding.PROVEN, now=NOW + 2 * DAY).state is DomainState.ACTIVE


def test_two_failures_are_not_enough_however_long_ago() -> None:
    standing = proof.after(Standing(DomainState.ACTIVE), Finding.NO_MX, now=NOW)
    standing = proof.after(standing, Finding.NO_MX, now=NOW + 9 * DAY)
    assert standing.state is DomainState.ACTIVE
    assert proof.after(standing, Finding.NO_MX, now=NOW + 9 * DAY).state is DomainState.ABNORMAL


@pytest.mark.parametrize("finding", UNHEARD)
def test_a_dns_that_is_away_says_nothing_against_a_domain_that_works(finding: Finding) -> None:
    before = Standing(DomainState.ACTIVE, failures=2, failing_since=NOW - 2 * DAY)
    after = proof.after(before, finding, now=NOW)
    assert (after.state, after.failures, after.failing_since) == (DomainState.ACTIVE, 2, NOW - 2 * DAY)


@pytest.mark.parametrize("finding", Finding)
@pytest.mark.parametrize("state", DomainState)
def test_a_clock_that_goes_back_harms_no_domain(state: DomainState, finding: Finding) -> None:
    before = Standing(state, verifying_since=NOW + DAY, failures=2, failing_since=NOW + DAY)
    after = proof.after(before, finding, now=NOW)
    assert after.state.works == (state.works or (finding is Finding.PROVEN and state is not DomainState.DISABLED))
    assert after.check_at is None or NOW < after.check_at <= NOW + DAY


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
        ("broken.example", Finding.BROKEN),
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
