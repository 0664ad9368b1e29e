# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/keys`: what programs show instead of a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailroom.core.ids import ApiKeyId, DomainId
from mailroom.core.secrets import Secret
from mailroom.directory import api_keys, domains, members, rights
from mailroom.directory.model import ApiKey
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Asked, House, Line, Moment, Operation, Page, Paging, Shape, moment, page, read
from mailroom.web.numbers import number


class NewKey(Shape):
    """A key to make."""

    name: Line
    """What it is for."""
    domains: Sequence[Line] = ()
    """What it administers; without any: the whole organisation."""


class KeyShape(Shape):
    """A key, all but the key itself."""

    id: int
    name: str
    governs_all: bool
    """Whether it administers the whole organisation."""
    domains: Sequence[str]
    """Else these domains."""
    created: Moment | None
    last_used: Moment | None
    """Exact to the hour."""
    revoked: Moment | None


class ShownKey(KeyShape):
    """A new key. It is shown here and never again."""

    key: str


def _fields(one: ApiKey, names: Mapping[DomainId, str]) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "governs_all": one.governs_all,
        "domains": sorted(names[each] for each in one.domains if each in names),
        "created": moment(one.created_at),
        "last_used": moment(one.last_used_at),
        "revoked": moment(one.revoked_at),
    }


def _names(tx: Tx) -> Mapping[DomainId, str]:
    return {one.id: one.name for one in domains.every(tx)}


def every(tx: Tx, asked: Asked[None]) -> Page[KeyShape]:
    """The keys, the oldest first, those that were revoked as well."""
    rights.over_all(asked.by)
    names = _names(tx)
    part, after = page(api_keys.every(tx), asked.query, lambda one: f"{one.id:020}")
    return Page[KeyShape](items=[KeyShape.model_validate(_fields(one, names)) for one in part], next=after)


def get(tx: Tx, asked: Asked[None]) -> KeyShape:
    """One key, all but the key itself."""
    rights.over_all(asked.by)
    return KeyShape.model_validate(_fields(api_keys.get(tx, ApiKeyId(number(asked.path["key"]))), _names(tx)))


async def _drawn(_house: House, _asked: Asked[NewKey]) -> Secret:
    return api_keys.new()


def add(tx: Tx, asked: Asked[NewKey]) -> ShownKey:
    """Make a key for a program. A key cannot make keys: this is for administrators with a session."""
    key: Secret = asked.prepared
    named = [domains.get(tx, one) for one in asked.body.domains]
    made = api_keys.add(tx, asked.by, members.organisation(tx), asked.body.name, key=key, domains=named)
    return ShownKey.model_validate(_fields(made, _names(tx)) | {"key": key.reveal()})


def revoke(tx: Tx, asked: Asked[None]) -> None:
    """Let nobody in with the key any more."""
    api_keys.revoke(tx, asked.by, ApiKeyId(number(asked.path["key"])))


OPERATIONS = (
    read("/keys", every, Page[KeyShape], query=Paging),
    Operation(
        method="POST",
        path="/keys",
        work=add,
        body=NewKey,
        answer=ShownKey,
        prepare=_drawn,
        status=201,
        location="/keys/{id}",
    ),
    read("/keys/{key}", get, KeyShape),
    Operation(method="DELETE", path="/keys/{key}", work=revoke),
)
