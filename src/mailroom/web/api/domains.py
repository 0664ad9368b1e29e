# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/domains`: what the organisation may use as addresses, and the DNS records that prove it."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.directory import domains, members, rights
from mailroom.directory.dns_records import Compared, DnsRecord
from mailroom.directory.domains import Look
from mailroom.directory.model import DomainState
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Asked, House, Line, Moment, Operation, Page, Paging, Shape, moment, page, read


class NewDomain(Shape):
    """A domain to add."""

    name: Line
    """Such as `corp.example`, without `www.`"""


class DomainShape(Shape):
    """A domain, and what the last look at its records has shown."""

    name: str
    state: DomainState
    finding: str | None
    """What the MX records say: `proven`, `foreign_mx`, `no_mx`, `no_domain`, `no_answer`, `broken`."""
    reason: str
    """The same in a sentence that says what to do."""
    mx: Sequence[str]
    resolver: str
    checked: Moment | None
    next_check: Moment | None


class RecordShape(Shape):
    """A DNS record to set, and what the last look has found in its place."""

    purpose: str
    type: str
    name: str
    value: str
    verdict: str | None
    """`good`, `missing`, `different`, `unknown`; null before the first look."""
    found: Sequence[str]


class Records(Shape):
    """All records that a domain is to have."""

    items: Sequence[RecordShape]


def _shape(look: Look) -> DomainShape:
    return DomainShape(
        name=look.domain.name,
        state=look.domain.state,
        finding=look.finding.value if look.finding else None,
        reason=look.reason("en"),
        mx=look.hosts,
        resolver=look.resolver,
        checked=moment(look.checked_at),
        next_check=moment(look.standing.check_at),
    )


def every(tx: Tx, asked: Asked[None]) -> Page[DomainShape]:
    """The domains, by name: those that the caller administers."""
    found = [one for one in domains.every(tx) if asked.by.governs_all or one.id in asked.by.domains]
    part, after = page(found, asked.query, lambda one: one.name)
    return Page[DomainShape](items=[_shape(domains.look(tx, one.name)) for one in part], next=after)


def add(tx: Tx, asked: Asked[NewDomain]) -> DomainShape:
    """Add a domain. It takes mail once its MX records prove it: see `check`."""
    added = domains.add(tx, asked.by, members.organisation(tx), asked.body.name)
    return _shape(domains.look(tx, added.name))


def get(tx: Tx, asked: Asked[None]) -> DomainShape:
    """One domain: its state, what the last look has shown, and when the next one is due."""
    look = domains.look(tx, asked.path["domain"])
    rights.over(asked.by, look.domain.id)
    return _shape(look)


async def _look(house: House, asked: Asked[None]) -> None:
    await house.checks.check(asked.by, asked.path["domain"])


def check(tx: Tx, asked: Asked[None]) -> DomainShape:
    """Look at the domain's records now; when the MX records name this server, the domain becomes active."""
    return get(tx, asked)


async def _wanted(house: House, asked: Asked[None]) -> Sequence[DnsRecord]:
    await house.checks.store.read(lambda tx: get(tx, asked))  # `wanted` makes keys where there are none
    return await house.checks.wanted(asked.path["domain"])


def records(tx: Tx, asked: Asked[None]) -> Records:
    """The DNS records to set, and what the last look has found in their place."""
    look = domains.look(tx, asked.path["domain"])
    rights.over(asked.by, look.domain.id)
    seen = {one.record: one for one in look.records}
    return Records(items=[_record(one, seen.get(one)) for one in asked.prepared])


def _record(record: DnsRecord, seen: Compared | None) -> RecordShape:
    return RecordShape(
        purpose=record.purpose.value,
        type=record.type,
        name=record.name,
        value=record.value,
        verdict=seen.verdict.value if seen else None,
        found=seen.found if seen else (),
    )


def disable(tx: Tx, asked: Asked[None]) -> DomainShape:
    """Take and send no mail for the domain; everything is kept."""
    domains.disable(tx, asked.by, asked.path["domain"])
    return get(tx, asked)


def enable(tx: Tx, asked: Asked[None]) -> DomainShape:
    """Let a disabled domain be proven again: its records are looked at at once."""
    domains.enable(tx, asked.by, asked.path["domain"])
    return get(tx, asked)


def remove(tx: Tx, asked: Asked[None]) -> None:
    """Forget a domain that no address uses any more, not even one in the recycle bin."""
    domains.remove(tx, asked.by, asked.path["domain"])


_ONE = "/domains/{domain}"
OPERATIONS = (
    read("/domains", every, Page[DomainShape], query=Paging),
    Operation(
        method="POST",
        path="/domains",
        work=add,
        body=NewDomain,
        answer=DomainShape,
        status=201,
        location="/domains/{name}",
    ),
    read(_ONE, get, DomainShape),
    Operation(method="GET", path=f"{_ONE}/records", work=records, answer=Records, prepare=_wanted),
    Operation(method="POST", path=f"{_ONE}/check", work=check, answer=DomainShape, prepare=_look),
    Operation(method="POST", path=f"{_ONE}/disable", work=disable, answer=DomainShape),
    Operation(method="POST", path=f"{_ONE}/enable", work=enable, answer=DomainShape),
    Operation(method="DELETE", path=_ONE, work=remove),
)
