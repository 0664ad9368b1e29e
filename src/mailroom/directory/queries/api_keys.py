# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""API keys, and the tokens that they are exchanged for."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, insert, select, update

from mailroom.core.ids import ApiKeyId, DomainId, OrganisationId
from mailroom.directory.model import ApiKey
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_keys = schema.api_keys
_tokens = schema.api_tokens

# What `scope` says of a key without limits; else it is the ids of its domains.
_ALL = "admin"

_KEY = select(_keys.c.id, _keys.c.name, _keys.c.scope, _keys.c.created_at, _keys.c.last_used_at, _keys.c.revoked_at)
_EVERY = _KEY.order_by(_keys.c.id)
_BY_DIGEST = _KEY.where(_keys.c.digest == bindparam("digest"), _keys.c.revoked_at.is_(None))
_BY_TOKEN = _KEY.join(_tokens, _tokens.c.api_key_id == _keys.c.id).where(
    _tokens.c.digest == bindparam("digest"), _tokens.c.expires_at > bindparam("now"), _keys.c.revoked_at.is_(None)
)
_ADD = (
    insert(_keys)
    .values(
        organisation_id=bindparam("organisation_id"),
        name=bindparam("name"),
        digest=bindparam("digest"),
        scope=bindparam("scope"),
        created_at=bindparam("now"),
    )
    .returning(_keys.c.id)
)
_USE = update(_keys).where(_keys.c.id == bindparam("which")).values(last_used_at=bindparam("now"))
_REVOKE = (
    update(_keys)
    .where(_keys.c.id == bindparam("which"), _keys.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_ADD_TOKEN = insert(_tokens).values(
    digest=bindparam("digest"), api_key_id=bindparam("api_key_id"), expires_at=bindparam("expires_at")
)
_END_TOKENS = delete(_tokens).where(_tokens.c.api_key_id == bindparam("api_key_id"))
_FORGET_TOKENS = delete(_tokens).where(_tokens.c.expires_at <= bindparam("now"))


def _to_key(row: Row) -> ApiKey:
    domains = frozenset() if row[2] == _ALL else frozenset(DomainId(int(one)) for one in row[2].split())
    return ApiKey(ApiKeyId(row[0]), row[1], row[2] == _ALL, domains, row[3], row[4], row[5])


def every(tx: Tx) -> Sequence[ApiKey]:
    return [_to_key(row) for row in tx.all(_EVERY)]


def by_digest(tx: Tx, digest: str) -> ApiKey | None:
    row = tx.first(_BY_DIGEST, digest=digest)
    return _to_key(row) if row else None


def by_token(tx: Tx, digest: str) -> ApiKey | None:
    row = tx.first(_BY_TOKEN, digest=digest, now=tx.now)
    return _to_key(row) if row else None


def add(
    tx: Tx, organisation_id: OrganisationId, name: str, digest: str, domains: frozenset[DomainId] | None
) -> ApiKeyId:
    """`domains`: its limits, or none."""
    scope = _ALL if domains is None else " ".join(map(str, sorted(domains)))
    row = tx.first(_ADD, organisation_id=organisation_id, name=name, digest=digest, scope=scope, now=tx.now)
    return ApiKeyId(sql.returned(row))


def use(tx: Tx, which: ApiKeyId) -> None:
    tx.run(_USE, which=which, now=tx.now)


def revoke(tx: Tx, which: ApiKeyId) -> int:
    """With its tokens; 1 when there was one to revoke, else 0."""
    tx.run(_END_TOKENS, api_key_id=which)
    return tx.run(_REVOKE, which=which, now=tx.now)


def add_token(tx: Tx, digest: str, which: ApiKeyId, *, expires_at: int) -> None:
    tx.run(_FORGET_TOKENS, now=tx.now)
    tx.run(_ADD_TOKEN, digest=digest, api_key_id=which, expires_at=expires_at)
