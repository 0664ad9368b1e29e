# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Proof that a domain is ours: its MX records name our hosts, all of them, and no others (spec 3.2)."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.resolver

from mailroom.core.errors import InvalidValue
from mailroom.directory.model import DomainState


class Finding(enum.StrEnum):
    """What a look at the MX records has shown."""

    PROVEN = "proven"
    FOREIGN_MX = "foreign_mx"
    NO_MX = "no_mx"
    NO_DOMAIN = "no_domain"
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class Proof:
    """The finding, and the hosts that were seen, lower case and without the final dot."""

    finding: Finding
    hosts: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The finding in one sentence that says what to do."""
        return _REASONS[self.finding].format(foreign=", ".join(self.foreign))


_REASONS = {
    Finding.PROVEN: "the MX records name this server",
    Finding.FOREIGN_MX: "remove these MX records: {foreign}",
    Finding.NO_MX: "the domain has no MX record",
    Finding.NO_DOMAIN: "the domain does not exist in the DNS",
    Finding.NO_ANSWER: "no name server answered; try again later",
}


def resolver(address: str) -> dns.asyncresolver.Resolver:
    """The resolver at `host:port`, where the host is an IP address; "" is the system's. Raises `InvalidValue`."""
    if not address:
        return dns.asyncresolver.Resolver()
    host, _, port = address.rpartition(":")
    chosen = dns.asyncresolver.Resolver(configure=False)
    try:
        chosen.port = int(port)
        chosen.nameservers = [host.strip("[]")]
    except ValueError as fault:
        raise InvalidValue(name="resolver", reason=f"{address}: not the address and port of a name server") from fault
    chosen.lifetime = 10
    return chosen


async def look(names: dns.asyncresolver.Resolver, domain: str, *, ours: Collection[str]) -> Proof:
    """Ask the DNS for the domain's MX records and judge them."""
    try:
        answer = await names.resolve(domain, "MX")
    except dns.resolver.NXDOMAIN:
        return Proof(Finding.NO_DOMAIN)
    except dns.resolver.NoAnswer:
        return Proof(Finding.NO_MX)
    except dns.exception.DNSException:
        return Proof(Finding.NO_ANSWER)
    return judge([str(record.exchange) for record in answer], ours=ours)


def judge(exchanges: Collection[str], *, ours: Collection[str]) -> Proof:
    """Judge the hosts that the MX records name; their preferences do not matter."""
    expected = {_plain(host) for host in ours}
    hosts = tuple(sorted({_plain(host) for host in exchanges} - {""}))  # RFC 7505: "." is no host
    if not hosts:
        return Proof(Finding.NO_MX)
    foreign = tuple(host for host in hosts if host not in expected)
    return Proof(Finding.FOREIGN_MX if foreign else Finding.PROVEN, hosts, foreign)


def _plain(host: str) -> str:
    return host.strip().rstrip(".").lower()


# What a finding makes of a domain. One that works goes on working: a bad record must not stop an organisation's mail.
_AFTER_FAILURE = {
    DomainState.PENDING: DomainState.VERIFYING,
    DomainState.VERIFYING: DomainState.VERIFYING,
    DomainState.ACTIVE: DomainState.ACTIVE,
    DomainState.ABNORMAL: DomainState.ABNORMAL,
    DomainState.DISABLED: DomainState.DISABLED,
}


def next_state(state: DomainState, proof: Proof) -> DomainState:
    """The state of a domain after a look at its records."""
    if proof.finding is not Finding.PROVEN:
        return _AFTER_FAILURE[state]
    return state if state is DomainState.DISABLED else DomainState.ACTIVE
