# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Domains."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, insert, select, update

from mailroom.core.ids import DomainId, OrganisationId
from mailroom.directory.model import Domain, DomainState
from mailroom.directory.proof import Standing
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
_STANDING_COLUMNS = (
    _domains.c.state,
    _domains.c.verifying_since,
    _domains.c.failures,
    _domains.c.failing_since,
    _domains.c.check_at,
)
_STANDING = select(*_STANDING_COLUMNS).where(_domains.c.id == bindparam("which")).with_for_update()
_LOOK = select(
    _domains.c.finding, _domains.c.seen, _domains.c.records, _domains.c.checked_at, *_STANDING_COLUMNS
).where(_domains.c.id == bindparam("which"))
_DUE = _DOMAIN.where(_domains.c.check_at <= bindparam("now")).order_by(_domains.c.check_at).limit(bindparam("most"))
_PUT_OFF = (
    update(_domains)
    .where(_domains.c.id == bindparam("which"), _domains.c.check_at <= bindparam("now"))
    .values(check_at=bindparam("until"))
)
_STAND = (
    update(_domains)
    .where(_domains.c.id == bindparam("which"))
    .values(
        state=bindparam("now_state"),
        verifying_since=bindparam("verifying"),
        failures=bindparam("failed"),
        failing_since=bindparam("failing"),
        check_at=bindparam("next_check"),
    )
)
_NOTE = (
    update(_domains)
    .where(_domains.c.id == bindparam("which"))
    .values(
        finding=bindparam("found"),
        seen=bindparam("saw"),
        records=bindparam("compared"),
        checked_at=bindparam("now"),
    )
)
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


def _to_standing(row: Row) -> Standing:
    return Standing(DomainState(row[0]), *row[1:])


def standing(tx: Tx, domain_id: DomainId) -> Standing:
    """Where it stands; nobody else may change that until the commit."""
    row = tx.first(_STANDING, which=domain_id)
    assert row is not None
    return _to_standing(row)


def stand(tx: Tx, domain_id: DomainId, new: Standing) -> None:
    tx.run(
        _STAND,
        which=domain_id,
        now_state=new.state.value,
        verifying=new.verifying_since,
        failed=new.failures,
        failing=new.failing_since,
        next_check=new.check_at,
    )


def look(tx: Tx, domain_id: DomainId) -> tuple[str, str, str, int | None, Standing]:
    """What the last look found, saw and compared, when, and where the domain stands."""
    row = tx.first(_LOOK, which=domain_id)
    assert row is not None
    return row[0], row[1], row[2], row[3], _to_standing(row[4:])


def note(tx: Tx, domain_id: DomainId, *, finding: str, seen: str, records: str) -> None:
    tx.run(_NOTE, which=domain_id, found=finding, saw=seen, compared=records, now=tx.now)


def due(tx: Tx, limit: int) -> Sequence[Domain]:
    return [_to_domain(row) for row in tx.all(_DUE, now=tx.now, most=limit)]


def put_off(tx: Tx, domain_id: DomainId, until: int) -> bool:
    """Whether it was due, and is ours to look at until then."""
    return bool(tx.run(_PUT_OFF, which=domain_id, now=tx.now, until=until))


def remove(tx: Tx, domain_id: DomainId) -> None:
    tx.run(_REMOVE_DOMAIN, which=domain_id)


def count_addresses(tx: Tx, domain_id: DomainId) -> int:
    return int(sql.returned(tx.first(_COUNT_ADDRESSES, which=domain_id)))
