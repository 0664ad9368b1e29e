# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Domains."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, insert, select, update

from mailroom.core.ids import DomainId, OrganisationId
from mailroom.directory.model import Domain, DomainState
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_domains = schema.domains
_addresses = schema.addresses

_DOMAIN = select(_domains.c.id, _domains.c.organisation_id, _domains.c.name, _domains.c.state)
_DOMAIN_BY_NAME = _DOMAIN.where(_domains.c.name == bindparam("name"))
_DOMAINS = _DOMAIN.order_by(_domains.c.name)
_ADD_DOMAIN = (
    insert(_domains)
    .values(
        organisation_id=bindparam("organisation_id"),
        name=bindparam("name"),
        state=bindparam("state"),
        created_at=bindparam("now"),
    )
    .returning(_domains.c.id)
)
_CHANGE_DOMAIN_STATE = update(_domains).where(_domains.c.id == bindparam("which")).values(state=bindparam("state"))
_REMOVE_DOMAIN = delete(_domains).where(_domains.c.id == bindparam("which"))
_COUNT_ADDRESSES = select(func.count()).select_from(_addresses).where(_addresses.c.domain_id == bindparam("which"))


def _to_domain(row: Row) -> Domain:
    return Domain(DomainId(row[0]), OrganisationId(row[1]), row[2], DomainState(row[3]))


def by_name(tx: Tx, name: str) -> Domain | None:
    row = tx.first(_DOMAIN_BY_NAME, name=name)
    return _to_domain(row) if row else None


def every(tx: Tx) -> Sequence[Domain]:
    return [_to_domain(row) for row in tx.all(_DOMAINS)]


def add(tx: Tx, organisation_id: OrganisationId, name: str, state: DomainState) -> DomainId:
    row = tx.first(_ADD_DOMAIN, organisation_id=organisation_id, name=name, state=state.value, now=tx.now)
    return DomainId(sql.returned(row))


def change_state(tx: Tx, domain_id: DomainId, state: DomainState) -> None:
    tx.run(_CHANGE_DOMAIN_STATE, which=domain_id, state=state.value)


def remove(tx: Tx, domain_id: DomainId) -> None:
    tx.run(_REMOVE_DOMAIN, which=domain_id)


def count_addresses(tx: Tx, domain_id: DomainId) -> int:
    return int(sql.returned(tx.first(_COUNT_ADDRESSES, which=domain_id)))
