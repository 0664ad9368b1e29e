# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Proof that a domain is ours: its MX records name our hosts, all of them, and no others. What a look at them makes of
the domain, and when the next one is due, stands in two tables here (ADR 13).
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.resolver

from mailroom.core.clock import DAY, HOUR, MINUTE
from mailroom.core.errors import InvalidValue
from mailroom.core.text import N_, translation
from mailroom.directory.model import DomainState


class Finding(enum.StrEnum):
    """What a look at the MX records has shown."""

    PROVEN = "proven"
    FOREIGN_MX = "foreign_mx"
    NO_MX = "no_mx"
    NO_DOMAIN = "no_domain"
    NO_ANSWER = "no_answer"  # in time
    BROKEN = "broken"  # the name servers of the domain, or the way to them


@dataclass(frozen=True, slots=True)
class Proof:
    """The finding, and the hosts that were seen, lower case and without the final dot."""

    finding: Finding
    hosts: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def reason(self, language: str) -> str:
        """The finding in one sentence that says what to do."""
        said = translation(language).gettext(_REASONS[self.finding])
        return said.format(foreign=", ".join(self.foreign))


_REASONS = {
    Finding.PROVEN: N_("the MX records name this server"),
    Finding.FOREIGN_MX: N_("remove these MX records: {foreign}"),
    Finding.NO_MX: N_("the domain has no MX record"),
    Finding.NO_DOMAIN: N_("the domain does not exist in the DNS"),
    Finding.NO_ANSWER: N_("no name server answered in time; try again later"),
    Finding.BROKEN: N_("the name servers of the domain answer with an error; look at the domain's zone"),
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
    except dns.resolver.NoNameservers:
        return Proof(Finding.BROKEN)
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


class Word(enum.StrEnum):
    """What a finding says of the domain."""

    YES = "yes"
    NO = "no"
    UNHEARD = "unheard"  # nothing: our own way to the DNS may be what is broken


def word(finding: Finding) -> Word:
    """What to make of a finding."""
    if finding is Finding.PROVEN:
        return Word.YES
    return Word.UNHEARD if finding in {Finding.NO_ANSWER, Finding.BROKEN} else Word.NO


@dataclass(frozen=True, slots=True)
class Standing:
    """What the looks at a domain's records have come to. Times in milliseconds."""

    state: DomainState
    verifying_since: int | None = None
    failures: int = 0  # in a row
    failing_since: int | None = None
    check_at: int | None = None  # the next look; none: when somebody asks


# A domain that works goes on working whatever its records say: a slip in a zone must not stop an organisation's mail.
_NEXT = {
    (DomainState.PENDING, Word.YES): DomainState.ACTIVE,
    (DomainState.PENDING, Word.NO): DomainState.VERIFYING,
    (DomainState.PENDING, Word.UNHEARD): DomainState.VERIFYING,
    (DomainState.VERIFYING, Word.YES): DomainState.ACTIVE,
    (DomainState.VERIFYING, Word.NO): DomainState.VERIFYING,
    (DomainState.VERIFYING, Word.UNHEARD): DomainState.VERIFYING,
    (DomainState.ACTIVE, Word.YES): DomainState.ACTIVE,
    (DomainState.ACTIVE, Word.NO): DomainState.ACTIVE,  # or abnormal, after enough of them
    (DomainState.ACTIVE, Word.UNHEARD): DomainState.ACTIVE,
    (DomainState.ABNORMAL, Word.YES): DomainState.ACTIVE,
    (DomainState.ABNORMAL, Word.NO): DomainState.ABNORMAL,
    (DomainState.ABNORMAL, Word.UNHEARD): DomainState.ABNORMAL,
    (DomainState.DISABLED, Word.YES): DomainState.DISABLED,
    (DomainState.DISABLED, Word.NO): DomainState.DISABLED,
    (DomainState.DISABLED, Word.UNHEARD): DomainState.DISABLED,
}
_ABNORMAL_AFTER = 3  # looks in a row, over a day
_SOON, _HOURLY, _CALMLY = 10 * MINUTE, HOUR, 6 * HOUR
_SOON_FOR, _HOURLY_FOR = 3 * DAY, 33 * DAY


def after(standing: Standing, finding: Finding, *, now: int) -> Standing:
    """Where a domain stands after a look at its records at `now` (milliseconds)."""
    said = word(finding)
    state = _NEXT[standing.state, said]
    failures = {Word.YES: 0, Word.NO: standing.failures + 1, Word.UNHEARD: standing.failures}[said]
    failing_since = (standing.failing_since or now) if failures else None
    if state is DomainState.ACTIVE and failures >= _ABNORMAL_AFTER and now - (failing_since or now) >= DAY:
        state = DomainState.ABNORMAL
    verifying_since = (standing.verifying_since or now) if state is DomainState.VERIFYING else None
    return Standing(state, verifying_since, failures, failing_since, _due(state, verifying_since, failures, now=now))


def _due(state: DomainState, verifying_since: int | None, failures: int, *, now: int) -> int | None:
    if state is DomainState.VERIFYING and verifying_since is not None:
        age = now - verifying_since
        pause = _SOON if age < _SOON_FOR else _HOURLY
        return now + pause if age < _HOURLY_FOR else None
    if state.works:
        return now + (_HOURLY if failures or state is DomainState.ABNORMAL else _CALMLY)
    return None
