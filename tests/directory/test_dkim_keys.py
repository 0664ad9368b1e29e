# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The keys of a domain: made once, named apart, forgotten in time, and gone with it."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from mailroom.core.clock import DAY
from mailroom.core.errors import NotFound
from mailroom.directory import dkim_keys, domains
from mailroom.directory.dkim_keys import DkimKeys, KeyState
from mailroom.directory.model import SYSTEM
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from tests import dns, make
from tests.mime.keys import txt
from tests.stores import Watch


@pytest.fixture
def keys(store: Store, tmp_path: Path) -> DkimKeys:
    return DkimKeys(store, Seal.open(tmp_path / "key"))


async def states(store: Store) -> dict[str, KeyState]:
    return {key.selector: key.state for key in await store.read(lambda tx: dkim_keys.keys(tx, make.DOMAIN))}


async def test_whoever_asks_first_makes_them(store: Store, keys: DkimKeys) -> None:
    await make.organisation(store)
    first, second = await asyncio.gather(keys.ensure(make.DOMAIN), keys.ensure(make.DOMAIN))
    assert first == second
    assert await states(store) == {"m2025a": KeyState.NEW, "m2025b": KeyState.NEW}
    with pytest.raises(NotFound):
        await keys.ensure("none.example")


async def test_only_what_the_dns_shows_whole_signs(store: Store, keys: DkimKeys) -> None:
    await make.organisation(store)
    rsa, ed = await keys.ensure(make.DOMAIN)
    async with dns.serving() as names:
        names.put(rsa.name, "TXT", '"v=DKIM1; k=rsa; p=AAAA"')
        names.put(ed.name, "TXT", '"hello"', txt(ed.record))
        await keys.advance(names.resolver, "other.example")
        assert await states(store) == {rsa.selector: KeyState.NEW, ed.selector: KeyState.NEW}
        await keys.advance(names.resolver)
    assert await states(store) == {rsa.selector: KeyState.NEW, ed.selector: KeyState.ACTIVE}


async def test_a_retired_key_is_forgotten_after_a_month(store: Store, keys: DkimKeys, watch: Watch) -> None:
    await make.organisation(store)
    old = await keys.ensure(make.DOMAIN)
    for key in (*old, *(await keys.rotate(make.DOMAIN))[2:]):
        await store.write(partial(dkim_keys.activate, key=key))
    assert list((await states(store)).values()) == [KeyState.RETIRED] * 2 + [KeyState.ACTIVE] * 2
    async with dns.serving() as names:
        watch.now += 30 * DAY
        await keys.advance(names.resolver)
        assert len(await states(store)) == 4
        watch.now += 1
        await keys.advance(names.resolver)
    assert list((await states(store)).values()) == [KeyState.ACTIVE] * 2


async def test_they_go_with_their_domain(store: Store, keys: DkimKeys) -> None:
    organisation = await make.organisation(store)
    await store.write(lambda tx: domains.add(tx, SYSTEM, organisation.id, "old.example"))
    await keys.ensure("old.example")
    await store.write(lambda tx: domains.remove(tx, SYSTEM, "old.example"))
    assert await store.read(lambda tx: dkim_keys.keys(tx, "old.example")) == []


def test_selectors_do_not_run_out() -> None:
    names = dkim_keys._selectors(1_767_225_600_000)
    assert (names[0], names[25], names[26]) == ("m2026a", "m2026z", "m2026aa")
    assert len(set(names)) == len(names) == 702
