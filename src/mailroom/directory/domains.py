# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Domains: what the organisation may use as addresses, and since when it has been proven."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mailroom.core.errors import InUse, InvalidValue, NameTaken, NotFound
from mailroom.core.ids import OrganisationId
from mailroom.directory import audit, proof, queries, rights
from mailroom.directory.dns_records import Compared
from mailroom.directory.model import Actor, Domain, DomainState
from mailroom.directory.names import canonical_domain
from mailroom.directory.proof import Finding, Proof, Standing
from mailroom.events import outbox
from mailroom.events.facts import DomainAbnormal
from mailroom.storage.ports import Conflict, Tx

TOPIC = "domains"  # the hint that one is due to be looked at


@dataclass(frozen=True, slots=True)
class Look:
    """What the last look at a domain's records has shown. Times in milliseconds; none: not yet, or not again."""

    domain: Domain
    standing: Standing
    finding: Finding | None
    hosts: tuple[str, ...]
    foreign: tuple[str, ...]
    resolver: str  # which name server was asked; "": the system's
    checked_at: int | None
    records: tuple[Compared, ...]

    def reason(self, language: str) -> str:
        """The finding in one sentence that says what to do; "" before the first look."""
        return Proof(self.finding, self.hosts, self.foreign).reason(language) if self.finding else ""


def add(
    tx: Tx, by: Actor, organisation_id: OrganisationId, name: str, *, state: DomainState = DomainState.PENDING
) -> Domain:
    """Add a domain; it takes no mail before it is proven. Raises `InvalidAddress`, `InvalidValue`, `NameTaken`,
    `NoPermission`.
    """
    rights.over_all(by)
    canonical = canonical_domain(name)
    if canonical.startswith("www."):  # the host of a web site; the MX records stand at the domain itself
        raise InvalidValue(name="domain", reason=f"leave out www.: {canonical.removeprefix('www.')}")
    if queries.domains.by_name(tx, canonical) is not None:
        raise NameTaken(what="domain", name=canonical)
    try:
        domain_id = queries.domains.add(tx, organisation_id, canonical, state)
    except Conflict as taken:
        raise NameTaken(what="domain", name=canonical) from taken
    audit.record(tx, by, "domain.add", canonical, after={"state": state.value})
    return Domain(domain_id, organisation_id, canonical, state)


def get(tx: Tx, name: str) -> Domain:
    """The domain of that name. Raises `NotFound`."""
    found = queries.domains.by_name(tx, canonical_domain(name))
    if found is None:
        raise NotFound(what="domain", name=name)
    return found


def verify(tx: Tx, by: Actor, name: str) -> Domain:
    """Have the domain looked at now, and from then on until it is proven ("verify now"). Raises `NotFound`,
    `NoPermission`.
    """
    domain = get(tx, name)
    rights.over(by, domain.id)
    if domain.state is DomainState.DISABLED:
        return domain
    standing = queries.domains.standing(tx, domain.id)
    if standing.state is DomainState.PENDING:
        standing = replace(standing, state=DomainState.VERIFYING)
    since = tx.now if standing.state is DomainState.VERIFYING else None
    queries.domains.stand(tx, domain.id, replace(standing, verifying_since=since, check_at=tx.now))
    audit.record(tx, by, "domain.verify", domain.name)
    tx.hint(TOPIC)
    return replace(domain, state=standing.state)


def disable(tx: Tx, by: Actor, name: str) -> Domain:
    """Take and send no mail for the domain, from the commit on; everything is kept. Raises `NotFound`,
    `NoPermission`.
    """
    domain = get(tx, name)
    rights.over_all(by)
    queries.domains.stand(tx, domain.id, Standing(DomainState.DISABLED))
    return _changed(tx, by, "domain.disable", domain, DomainState.DISABLED)


def enable(tx: Tx, by: Actor, name: str) -> Domain:
    """Let a disabled domain be proven again, at once; one that is not disabled stays as it is. Raises `NotFound`,
    `NoPermission`.
    """
    domain = get(tx, name)
    rights.over_all(by)
    if domain.state is not DomainState.DISABLED:
        return domain
    standing = Standing(DomainState.VERIFYING, verifying_since=tx.now, check_at=tx.now)
    queries.domains.stand(tx, domain.id, standing)
    tx.hint(TOPIC)
    return _changed(tx, by, "domain.enable", domain, DomainState.VERIFYING)


def _changed(tx: Tx, by: Actor, action: str, domain: Domain, state: DomainState) -> Domain:
    audit.record(tx, by, action, domain.name, before={"state": domain.state.value}, after={"state": state.value})
    return replace(domain, state=state)


def remove(tx: Tx, by: Actor, name: str) -> None:
    """Forget a domain that no address uses, not even one in the recycle bin. Raises `NotFound`, `InUse`,
    `NoPermission`.
    """
    domain = get(tx, name)
    rights.over_all(by)
    queries.domains.standing(tx, domain.id)  # nobody takes an address of it until the commit
    if (count := queries.domains.count_addresses(tx, domain.id)) > 0:
        raise InUse(what="domain", name=domain.name, by=f"{count} addresses")
    queries.keys.remove_all(tx, domain.id)
    queries.rights.remove_all(tx, domain.id)
    queries.domains.remove(tx, domain.id)
    audit.record(tx, by, "domain.remove", domain.name, before={"state": domain.state.value})


def every(tx: Tx) -> Sequence[Domain]:
    """All domains, by name."""
    return queries.domains.every(tx)


def look(tx: Tx, name: str) -> Look:
    """What the last look at the domain's records has shown. Raises `NotFound`."""
    domain = get(tx, name)
    finding, seen, records, checked_at, standing = queries.domains.look(tx, domain.id)
    saw: Mapping[str, object] = json.loads(seen)
    hosts, foreign = (_texts(saw.get(key)) for key in ("hosts", "foreign"))
    compared = tuple(Compared.from_json(one) for one in json.loads(records))
    resolver = str(saw.get("resolver", ""))
    return Look(domain, standing, Finding(finding) if finding else None, hosts, foreign, resolver, checked_at, compared)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def note(tx: Tx, by: Actor, name: str, proof_: Proof, records: Sequence[Compared], *, resolver: str) -> Standing:
    """Write down a look at the domain's records, and what it makes of the domain. Raises `NotFound` (removed since),
    `NameTaken` (another organisation has proven it before).
    """
    domain = get(tx, name)
    before = queries.domains.standing(tx, domain.id)
    now = proof.after(before, proof_.finding, now=tx.now)
    seen = json.dumps({"hosts": proof_.hosts, "foreign": proof_.foreign, "resolver": resolver})
    compared = json.dumps([one.to_json() for one in records], ensure_ascii=False)
    queries.domains.note(tx, domain.id, finding=proof_.finding.value, seen=seen, records=compared)
    try:
        queries.domains.stand(tx, domain.id, now)
    except Conflict as taken:
        raise NameTaken(what="domain", name=domain.name) from taken
    if now.state is not before.state:
        _changed(tx, by, "domain.check", replace(domain, state=before.state), now.state)
    if now.state is DomainState.ABNORMAL and before.state is not DomainState.ABNORMAL:
        foreign = " ".join(proof_.foreign)
        outbox.emit(tx, DomainAbnormal(name=domain.name, finding=proof_.finding.value, foreign=foreign))
    return now
