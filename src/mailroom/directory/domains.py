# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Domains: what the organisation may use as addresses, and since when it has been proven."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.errors import InUse, NameTaken, NotFound
from mailroom.core.ids import OrganisationId
from mailroom.directory import queries
from mailroom.directory.model import Domain, DomainState
from mailroom.directory.names import canonical_domain
from mailroom.storage.ports import Conflict, Tx


def add(tx: Tx, organisation_id: OrganisationId, name: str, *, state: DomainState = DomainState.PENDING) -> Domain:
    """Add a domain; it takes no mail before it is proven. Raises `InvalidAddress`, `NameTaken`."""
    canonical = canonical_domain(name)
    if queries.domains.by_name(tx, canonical) is not None:
        raise NameTaken(what="domain", name=canonical)
    try:
        domain_id = queries.domains.add(tx, organisation_id, canonical, state)
    except Conflict as taken:
        raise NameTaken(what="domain", name=canonical) from taken
    return Domain(domain_id, organisation_id, canonical, state)


def get(tx: Tx, name: str) -> Domain:
    """The domain of that name. Raises `NotFound`."""
    found = queries.domains.by_name(tx, canonical_domain(name))
    if found is None:
        raise NotFound(what="domain", name=name)
    return found


def change_state(tx: Tx, name: str, state: DomainState) -> Domain:
    """Put the domain into a state; mail is taken or refused from the commit on. Raises `NotFound`, `NameTaken`."""
    domain = get(tx, name)
    try:
        queries.domains.change_state(tx, domain.id, state)
    except Conflict as taken:
        raise NameTaken(what="domain", name=domain.name) from taken
    return Domain(domain.id, domain.organisation_id, domain.name, state)


def enable(tx: Tx, name: str) -> Domain:
    """Let a disabled domain be proven again; one that is not disabled stays as it is. Raises `NotFound`."""
    domain = get(tx, name)
    return change_state(tx, name, DomainState.VERIFYING) if domain.state is DomainState.DISABLED else domain


def remove(tx: Tx, name: str) -> None:
    """Forget a domain that nothing uses. Raises `NotFound`, `InUse`."""
    domain = get(tx, name)
    if (count := queries.domains.count_addresses(tx, domain.id)) > 0:
        raise InUse(what="domain", name=domain.name, by=f"{count} addresses")
    queries.keys.remove_all(tx, domain.id)
    queries.domains.remove(tx, domain.id)


def every(tx: Tx) -> Sequence[Domain]:
    """All domains, by name."""
    return queries.domains.every(tx)
