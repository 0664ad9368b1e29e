# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Domains: names, states and what each allows, and what a domain cannot leave behind."""

from __future__ import annotations

import pytest

from mailroom.core.errors import InUse, InvalidAddress, NameTaken, NotFound
from mailroom.directory import addresses, domains, members, names
from mailroom.directory.model import SYSTEM, DomainState
from mailroom.mailboxes import create
from mailroom.storage.ports import Store
from tests import make


@pytest.mark.parametrize("state", DomainState)
def test_only_active_and_abnormal_domains_work(state: DomainState) -> None:
    assert state.works == (state in {DomainState.ACTIVE, DomainState.ABNORMAL})


async def test_a_new_domain_is_pending_under_its_canonical_name(store: Store) -> None:
    organisation_id = await store.write(lambda tx: members.found_organisation(tx, "Corp"))
    added = await store.write(lambda tx: domains.add(tx, SYSTEM, organisation_id, "BÜCHER.Example."))
    assert (added.name, added.state) == ("xn--bcher-kva.example", DomainState.PENDING)
    assert await store.read(lambda tx: domains.get(tx, "bücher.example")) == added
    with pytest.raises(NameTaken):
        await store.write(lambda tx: domains.add(tx, SYSTEM, organisation_id, "Bücher.example"))


@pytest.mark.parametrize("name", ["", "corp", "corp..example", "corp example", "a@corp.example", "1.2.3.4/24"])
def test_what_is_no_domain_is_refused(name: str) -> None:
    with pytest.raises(InvalidAddress):
        names.canonical_domain(name)


async def test_domains_are_listed_by_name_with_their_states(store: Store) -> None:
    organisation = await make.organisation(store)
    await store.write(lambda tx: domains.add(tx, SYSTEM, organisation.id, "b.example"))
    await store.write(lambda tx: domains.add(tx, SYSTEM, organisation.id, "a.example"))
    await store.write(lambda tx: domains.disable(tx, SYSTEM, "b.example"))
    assert [(one.name, one.state) for one in await store.read(domains.every)] == [
        ("a.example", DomainState.PENDING),
        ("b.example", DomainState.DISABLED),
        ("corp.example", DomainState.ACTIVE),
    ]
    with pytest.raises(NotFound):
        await store.write(lambda tx: domains.disable(tx, SYSTEM, "c.example"))


async def test_a_domain_goes_only_when_no_address_needs_it(store: Store) -> None:
    organisation = await make.organisation(store)
    await store.write(lambda tx: domains.add(tx, SYSTEM, organisation.id, "shop.example"))
    amy, alias = organisation.mailboxes["amy"], addresses.parse_new("amy@shop.example")
    await store.write(lambda tx: create.alias(tx, SYSTEM, amy, alias))
    with pytest.raises(InUse, match="1 addresses"):
        await store.write(lambda tx: domains.remove(tx, SYSTEM, "shop.example"))
    await store.write(lambda tx: addresses.release(tx, alias, amy))
    await store.write(lambda tx: domains.remove(tx, SYSTEM, "Shop.example"))
    with pytest.raises(NotFound):
        await store.read(lambda tx: domains.get(tx, "shop.example"))
