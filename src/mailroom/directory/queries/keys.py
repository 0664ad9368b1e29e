# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The keys that sign what a domain sends."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, insert, select, update

from mailroom.core.ids import DomainId
from mailroom.directory.model import DomainState
from mailroom.storage import schema
from mailroom.storage.ports import Tx

_domains = schema.domains

_keys = schema.dkim_keys
_KEYS = (
    select(_keys.c.id, _domains.c.name, _keys.c.selector, _keys.c.algorithm, _keys.c.public_key, _keys.c.state)
    .join(_domains, _domains.c.id == _keys.c.domain_id)
    .order_by(_keys.c.id)
)
_KEYS_OF = _KEYS.where(_domains.c.name == bindparam("name"))
_KEYS_IN = _KEYS.where(_keys.c.state == bindparam("state"), _keys.c.changed_at < bindparam("before"))
_SIGNING_KEYS = (
    select(_domains.c.state, _keys.c.selector, _keys.c.private_key)
    .join(_domains, _domains.c.id == _keys.c.domain_id)
    .where(_domains.c.name == bindparam("name"), _keys.c.state == "active")
    .order_by(_keys.c.id)
)
_ADD_KEY = insert(_keys).values(
    {
        name: bindparam(name)
        for name in ("domain_id", "selector", "algorithm", "private_key", "public_key", "state", "changed_at")
    }
)
_CHANGE_KEY = (
    update(_keys).where(_keys.c.id == bindparam("which")).values(state=bindparam("state"), changed_at=bindparam("now"))
)
_REMOVE_KEY = delete(_keys).where(_keys.c.id == bindparam("which"))
_REMOVE_KEYS = delete(_keys).where(_keys.c.domain_id == bindparam("domain_id"))


def of_domain(tx: Tx, domain_name: str) -> Sequence[tuple[int, str, str, str, str, str]]:
    """Each key's id, domain, selector, algorithm, public key and state."""
    return [tuple(row) for row in tx.all(_KEYS_OF, name=domain_name)]


def in_state(tx: Tx, state: str, *, before: int) -> Sequence[tuple[int, str, str, str, str, str]]:
    return [tuple(row) for row in tx.all(_KEYS_IN, state=state, before=before)]


def signing(tx: Tx, domain_name: str) -> Sequence[tuple[str, bytes]]:
    """The selector and the sealed private half of each key that signs for a domain that works."""
    return [(row[1], row[2]) for row in tx.all(_SIGNING_KEYS, name=domain_name) if DomainState(row[0]).works]


def add(
    tx: Tx, domain_id: DomainId, *, selector: str, algorithm: str, private_key: bytes, public_key: str, state: str
) -> None:
    tx.run(
        _ADD_KEY,
        domain_id=domain_id,
        selector=selector,
        algorithm=algorithm,
        private_key=private_key,
        public_key=public_key,
        state=state,
        changed_at=tx.now,
    )


def change_state(tx: Tx, key_id: int, state: str) -> None:
    tx.run(_CHANGE_KEY, which=key_id, state=state, now=tx.now)


def remove(tx: Tx, key_id: int) -> None:
    tx.run(_REMOVE_KEY, which=key_id)


def remove_all(tx: Tx, domain_id: DomainId) -> None:
    tx.run(_REMOVE_KEYS, domain_id=domain_id)
