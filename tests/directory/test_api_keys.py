# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a program shows instead of a person's session."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from mailroom.core.clock import HOUR
from mailroom.core.errors import NameTaken, NoPermission, NotFound, WrongCredentials
from mailroom.core.secrets import Secret
from mailroom.directory import api_keys, audit, domains
from mailroom.directory.api_keys import TOKEN
from mailroom.directory.model import SYSTEM, ActorKind
from mailroom.storage import schema
from mailroom.storage.ports import Store
from tests import make
from tests.stores import Watch


async def test_a_key_acts_until_it_is_revoked(store: Store) -> None:
    made = await make.organisation(store)
    key, other = api_keys.new(), api_keys.new()
    assert key.reveal() != other.reveal()
    added = await store.write(lambda tx: api_keys.add(tx, SYSTEM, made.id, " Payroll ", key=key))
    actor = await store.read(lambda tx: api_keys.verify(tx, key))
    assert actor is not None
    assert (actor.kind, str(actor), actor.governs_all) == (ActorKind.KEY, "key:Payroll", True)
    for wrong in (other, Secret(""), Secret("\ud800"), Secret(key.reveal()[:-1])):
        assert await store.read(lambda tx, wrong=wrong: api_keys.verify(tx, wrong)) is None  # type: ignore[misc] # a lambda's default
    # It is kept nowhere.
    kept = await store.read(lambda tx: tx.all(select(schema.api_keys)))
    logged = await store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=9))
    assert key.reveal() not in f"{kept} {logged}"
    with pytest.raises(NameTaken):
        await store.write(lambda tx: api_keys.add(tx, SYSTEM, made.id, "Payroll", key=other))

    await store.write(lambda tx: api_keys.revoke(tx, SYSTEM, added.id))
    assert await store.read(lambda tx: api_keys.verify(tx, key)) is None
    with pytest.raises(NotFound):
        await store.write(lambda tx: api_keys.revoke(tx, SYSTEM, added.id))
    await store.write(lambda tx: api_keys.add(tx, SYSTEM, made.id, "Payroll", key=other))
    found = await store.read(api_keys.every)
    assert [(one.name, one.revoked_at is None) for one in found] == [("Payroll", False), ("Payroll", True)]


async def test_a_key_for_some_domains(store: Store) -> None:
    made = await make.organisation(store)
    corp = await store.read(lambda tx: domains.get(tx, make.DOMAIN))
    key = api_keys.new()
    await store.write(lambda tx: api_keys.add(tx, SYSTEM, made.id, "Shop", key=key, domains=[corp]))
    actor = await store.read(lambda tx: api_keys.verify(tx, key))
    assert actor is not None
    assert (actor.governs_all, list(actor.domains)) == (False, [corp.id])


async def test_a_key_makes_no_keys(store: Store) -> None:
    made = await make.organisation(store)
    key = api_keys.new()
    await store.write(lambda tx: api_keys.add(tx, SYSTEM, made.id, "A", key=key))
    actor = await store.read(lambda tx: api_keys.verify(tx, key))
    assert actor is not None
    with pytest.raises(NoPermission):
        await store.write(lambda tx: api_keys.add(tx, actor, made.id, "B", key=api_keys.new()))


async def test_its_use_is_written_once_an_hour(store: Store, watch: Watch) -> None:
    made = await make.organisation(store)
    key = api_keys.new()
    await store.write(lambda tx: api_keys.add(tx, SYSTEM, made.id, "A", key=key))

    async def used() -> int | None:
        await store.write(lambda tx: api_keys.used(tx, key))
        return (await store.read(api_keys.every))[0].last_used_at

    first = watch.now
    assert await used() == first
    watch.now += HOUR - 1
    assert await used() == first
    watch.now += 1
    assert await used() == watch.now


async def test_a_token_lasts_two_hours_and_no_longer_than_its_key(store: Store, watch: Watch) -> None:
    made = await make.organisation(store)
    key, token, second = api_keys.new(), api_keys.new(), api_keys.new()
    added = await store.write(lambda tx: api_keys.add(tx, SYSTEM, made.id, "A", key=key))
    with pytest.raises(WrongCredentials):
        await store.write(lambda tx: api_keys.exchange(tx, token, token=token))
    await store.write(lambda tx: api_keys.exchange(tx, key, token=token))
    assert await store.read(lambda tx: api_keys.verify(tx, token)) is None  # it is no key
    assert await store.read(lambda tx: api_keys.by_token(tx, key)) is None
    watch.now += TOKEN - 1
    assert await store.read(lambda tx: api_keys.by_token(tx, token)) is not None
    watch.now += 1
    assert await store.read(lambda tx: api_keys.by_token(tx, token)) is None
    await store.write(lambda tx: api_keys.exchange(tx, key, token=second))
    assert len(await store.read(lambda tx: tx.all(select(schema.api_tokens)))) == 1  # the first is forgotten
    await store.write(lambda tx: api_keys.revoke(tx, SYSTEM, added.id))
    assert await store.read(lambda tx: api_keys.by_token(tx, second)) is None
