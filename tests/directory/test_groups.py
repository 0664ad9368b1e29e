# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailing groups as an administrator keeps them: names, addresses, members, rights. Who may send: test_posting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mailroom.core.errors import (
    AddressTaken,
    InUse,
    InvalidAddress,
    InvalidValue,
    NameTaken,
    NotFound,
    Refusal,
    TooMany,
)
from mailroom.directory import addresses, domains, groups
from mailroom.directory.groups import Lists
from mailroom.directory.model import Allow, Group
from mailroom.mailboxes import create
from mailroom.storage.ports import Store, Tx
from tests import make


async def group(
    store: Store, address: str = "all@corp.example", members: Sequence[str] = ("amy@corp.example",), **more: Any
) -> Group:
    """A group in an organisation."""

    def work(tx: Tx) -> Group:
        domain = domains.get(tx, "corp.example")
        named = {"name": "All", **more}
        return groups.create(tx, domain.organisation_id, addresses.parse_new(address), members=members, **named)

    return await store.write(work)


async def test_a_group_is_made_found_and_given_up(store: Store) -> None:
    await make.organisation(store)
    made = await group(store, members=["AMY@corp.example", "amy@corp.example", "zoe@out.example"], name=" All 大家 ")
    assert (made.address, made.name, made.allow) == ("all@corp.example", "All 大家", Allow.ORGANISATION)
    assert await store.read(lambda tx: groups.get(tx, addresses.parse("ALL+x@corp.example"))) == made
    assert await store.read(lambda tx: groups.lists(tx, made.id)) == Lists(["amy@corp.example", "zoe@out.example"], [])
    assert await store.read(lambda tx: groups.search(tx, "大")) == [made]
    assert await store.read(lambda tx: groups.search(tx, "ALL@")) == [made]
    assert await store.read(lambda tx: groups.search(tx, "none")) == []
    await store.write(lambda tx: groups.delete(tx, made))
    assert await store.read(groups.search) == []
    with pytest.raises(NotFound):
        await store.read(lambda tx: groups.get(tx, addresses.parse("all@corp.example")))
    again = await group(store)
    assert again.id != made.id


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"name": ""}, InvalidValue),
        ({"name": "大" * 67}, InvalidValue),
        ({"name": "a\nb"}, InvalidValue),
        ({"members": []}, InvalidValue),
        ({"members": ["nobody"]}, InvalidAddress),
        ({"members": ["amy@corp.example", "nobody@corp.example"]}, NotFound),
        ({"members": ["amy@corp.example", "amy+x@corp.example", "no+amy@corp.example"]}, NotFound),
        ({"members": [f"p{number}@out.example" for number in range(groups.MEMBERS_MOST + 1)]}, TooMany),
        ({"senders": ["amy@corp.example"]}, InvalidValue),
        ({"allow": Allow.CUSTOM}, InvalidValue),
        ({"address": "all@elsewhere.example"}, NotFound),
        ({"address": "a+b@corp.example"}, InvalidAddress),
        ({"address": "amy@corp.example"}, AddressTaken),
    ],
)
async def test_what_is_no_group_is_refused_and_nothing_stays(
    store: Store, wrong: dict[str, Any], refusal: type[Refusal]
) -> None:
    await make.organisation(store)
    with pytest.raises(refusal):
        await group(store, **wrong)
    assert await store.read(groups.search) == []
    assert (await group(store)).address == "all@corp.example"


async def test_the_name_space_is_one(store: Store) -> None:
    made = await make.organisation(store)
    await group(store, name="大" * 66)
    with pytest.raises(NameTaken):
        await group(store, address="more@corp.example", name="大" * 66)
    with pytest.raises(AddressTaken) as taken:
        await store.write(lambda tx: create.alias(tx, made.mailboxes["amy"], addresses.parse_new("all@corp.example")))
    assert taken.value.about["by"] == "group"
    with pytest.raises(AddressTaken):
        await group(store, name="Other")
    with pytest.raises(InUse):
        await store.write(lambda tx: domains.remove(tx, "corp.example"))


async def test_members_come_and_go(store: Store) -> None:
    await make.organisation(store)
    made = await group(store)
    await store.write(lambda tx: groups.add(tx, made, ["bob@corp.example", "Bob@corp.example"]))
    await store.write(lambda tx: groups.remove(tx, made, "AMY@corp.example"))
    assert await store.read(lambda tx: groups.members(tx, made.id)) == ["bob@corp.example"]
    with pytest.raises(NotFound):
        await store.write(lambda tx: groups.remove(tx, made, "amy@corp.example"))
    with pytest.raises(InvalidValue):  # the last one
        await store.write(lambda tx: groups.remove(tx, made, "bob@corp.example"))
    await store.write(lambda tx: groups.replace(tx, made, ["zoe@out.example", "all@corp.example"]))
    assert await store.read(lambda tx: groups.members(tx, made.id)) == ["all@corp.example", "zoe@out.example"]
    with pytest.raises(NotFound, match="nobody@corp"):
        await store.write(lambda tx: groups.add(tx, made, ["amy@corp.example", "Nobody@Corp.example"]))
    # These are always somebody's.
    await store.write(lambda tx: groups.add(tx, made, ["amy+x@corp.example", "abuse@corp.example"]))


async def test_rights_and_names_change(store: Store) -> None:
    await make.organisation(store)
    made = await group(store)
    await store.write(lambda tx: groups.allow(tx, made, Allow.CUSTOM, senders=["Bob@corp.example"]))
    assert (await store.read(lambda tx: groups.lists(tx, made.id))).senders == ["bob@corp.example"]
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: groups.allow(tx, made, Allow.CUSTOM))
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: groups.allow(tx, made, Allow.ANYONE, senders=["bob@corp.example"]))
    await store.write(lambda tx: groups.allow(tx, made, Allow.ANYONE))
    assert (await store.read(lambda tx: groups.lists(tx, made.id))).senders == []
    found = await store.read(lambda tx: groups.get(tx, addresses.parse("all@corp.example")))
    assert found.allow is Allow.ANYONE
    await store.write(lambda tx: groups.rename(tx, found, "Everybody"))
    assert [one.name for one in await store.read(groups.search)] == ["Everybody"]
    await group(store, address="more@corp.example", name="More")
    with pytest.raises(NameTaken):
        await store.write(lambda tx: groups.rename(tx, found, "More"))
