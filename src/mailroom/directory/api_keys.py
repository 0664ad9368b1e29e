# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""API keys: what a program shows instead of a person's session. A key administers the whole organisation or some
domains; it is shown once, and only its digest is kept: there is nothing to guess in 256 random bits.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Final

from mailroom.core.clock import HOUR, SECOND
from mailroom.core.errors import NameTaken, NoPermission, NotFound, TooMany, WrongCredentials
from mailroom.core.ids import ApiKeyId, OrganisationId
from mailroom.core.secrets import Secret
from mailroom.directory import audit, queries, rights
from mailroom.directory.model import Actor, ActorKind, ApiKey, Domain
from mailroom.directory.names import printable
from mailroom.storage.ports import Tx

TOKEN: Final = 7200 * SECOND  # how long a token lasts
MOST: Final = 100  # in force at once
_NAME_MOST: Final = 64
_PREFIX: Final = "mr_"  # so that scanners of source code know one when it is published
_USES_WRITTEN_EVERY: Final = HOUR


def new() -> Secret:
    """A new key or token, that nobody has seen yet."""
    return Secret(_PREFIX + secrets.token_urlsafe(32))


def add(
    tx: Tx,
    by: Actor,
    organisation_id: OrganisationId,
    name: str,
    *,
    key: Secret,
    domains: Sequence[Domain] = (),
) -> ApiKey:
    """Let the bearer of `key`, from `new`, administer these domains, or the whole organisation where none is named. A
    key makes no keys. Raises `NoPermission`, `InvalidValue`, `NameTaken`, `TooMany`.
    """
    rights.over_all(by)
    if by.kind is ActorKind.KEY:
        raise NoPermission
    name = printable(name, most=_NAME_MOST)
    queries.organisations.lock(tx)  # of two keys of one name, the later is refused
    in_force = [one for one in every(tx) if one.revoked_at is None]
    if name in {one.name for one in in_force}:
        raise NameTaken(what="key", name=name)
    if len(in_force) >= MOST:
        raise TooMany(what="keys", limit=MOST)
    ids = frozenset(one.id for one in domains)
    which = queries.api_keys.add(tx, organisation_id, name, _digest(key), ids or None)
    audit.record(tx, by, "key.add", name, after={"domains": sorted(one.name for one in domains)})
    return ApiKey(which, name, not ids, ids, tx.now, None, None)


def every(tx: Tx) -> Sequence[ApiKey]:
    """All keys, the oldest first, those that were revoked as well."""
    return queries.api_keys.every(tx)


def get(tx: Tx, which: ApiKeyId) -> ApiKey:
    """The key with that id. Raises `NotFound`."""
    found = next((one for one in every(tx) if one.id == which), None)
    if found is None:
        raise NotFound(what="key", name=str(which))
    return found


def revoke(tx: Tx, by: Actor, which: ApiKeyId) -> None:
    """Let nobody in with the key any more, nor with the tokens that it was exchanged for. Raises `NoPermission`,
    `NotFound`.
    """
    rights.over_all(by)
    found = get(tx, which)
    if not queries.api_keys.revoke(tx, which):
        raise NotFound(what="key", name=str(which))
    audit.record(tx, by, "key.revoke", found.name)


def verify(tx: Tx, key: Secret) -> Actor | None:
    """Whom the bearer of the key may act as now, or none."""
    return _to_actor(queries.api_keys.by_digest(tx, _digest(key)))


def is_use_old(tx: Tx, key: Secret) -> bool:
    """Whether its last use was written down so long ago that this one should be."""
    found = queries.api_keys.by_digest(tx, _digest(key))
    return found is not None and (found.last_used_at is None or tx.now - found.last_used_at >= _USES_WRITTEN_EVERY)


def used(tx: Tx, key: Secret) -> None:
    """Write down that the key was used just now, unless that was written within the hour."""
    found = queries.api_keys.by_digest(tx, _digest(key))
    if found is not None and is_use_old(tx, key):
        queries.api_keys.use(tx, found.id)


def exchange(tx: Tx, key: Secret, *, token: Secret) -> None:
    """Let the bearer of `token`, from `new`, act as the bearer of the key would, for `TOKEN` milliseconds. Raises
    `WrongCredentials`.
    """
    found = queries.api_keys.by_digest(tx, _digest(key))
    if found is None:
        raise WrongCredentials
    queries.api_keys.add_token(tx, _digest(token), found.id, expires_at=tx.now + TOKEN)
    queries.api_keys.use(tx, found.id)


def by_token(tx: Tx, token: Secret) -> Actor | None:
    """Whom the bearer of the token may act as now, or none."""
    return _to_actor(queries.api_keys.by_token(tx, _digest(token)))


def _to_actor(key: ApiKey | None) -> Actor | None:
    if key is None:
        return None
    return Actor(ActorKind.KEY, key.name, governs_all=key.governs_all, domains=key.domains)


def _digest(key: Secret) -> str:
    return hashlib.sha256(key.reveal().encode(errors="replace")).hexdigest()
