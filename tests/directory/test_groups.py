# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailing groups as an administrator keeps them: names, addresses, members, rights. Who may send: test_posting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mailroom.core.errors import (
    AddressTaken,
    GroupRefused,
    InUse,
    InvalidAddress,
    InvalidValue,
    NameTaken,
    NoPermission,
    NotFound,
    Refusal,
    TooMany,
)
from mailroom.core.ids import DepartmentId, DomainId
from mailroom.directory import addresses, audit, departments, domains, groups, tags
from mailroom.directory.groups import Lists
from mailroom.directory.model import SYSTEM, Actor, ActorKind, Allow, Department, Group, Tag
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
        return groups.create(tx, SYSTEM, domain.organisation_id, addresses.parse_new(address), members=members, **named)

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
    await store.write(lambda tx: groups.delete(tx, SYSTEM, made))
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
        await store.write(
            lambda tx: create.alias(tx, SYSTEM, made.mailboxes["amy"], addresses.parse_new("all@corp.example"))
        )
    assert taken.value.about["by"] == "group"
    with pytest.raises(AddressTaken):
        await group(store, name="Other")
    with pytest.raises(InUse):
        await store.write(lambda tx: domains.remove(tx, SYSTEM, "corp.example"))


async def test_members_come_and_go(store: Store) -> None:
    await make.organisation(store)
    made = await group(store)
    await store.write(lambda tx: groups.add(tx, SYSTEM, made, ["bob@corp.example", "Bob@corp.example"]))
    await store.write(lambda tx: groups.remove(tx, SYSTEM, made, "AMY@corp.example"))
    assert await store.read(lambda tx: groups.members(tx, made.id)) == ["bob@corp.example"]
    with pytest.raises(NotFound):
        await store.write(lambda tx: groups.remove(tx, SYSTEM, made, "amy@corp.example"))
    with pytest.raises(InvalidValue):  # the last one
        await store.write(lambda tx: groups.remove(tx, SYSTEM, made, "bob@corp.example"))
    await store.write(lambda tx: groups.replace(tx, SYSTEM, made, ["zoe@out.example", "all@corp.example"]))
    assert await store.read(lambda tx: groups.members(tx, made.id)) == ["all@corp.example", "zoe@out.example"]
    with pytest.raises(NotFound, match="nobody@corp"):
        await store.write(lambda tx: groups.add(tx, SYSTEM, made, ["amy@corp.example", "Nobody@Corp.example"]))
    # These are always somebody's.
    await store.write(lambda tx: groups.add(tx, SYSTEM, made, ["amy+x@corp.example", "abuse@corp.example"]))


async def test_two_who_take_the_last_two_members_at_once_leave_one(store: Store) -> None:
    await make.organisation(store)
    both = ["amy@corp.example", "bob@corp.example"]
    made = await group(store, members=both)
    offs = (store.write(lambda tx, one=one: groups.remove(tx, SYSTEM, made, one)) for one in both)  # type: ignore[misc] # a lambda's default
    outcomes = await asyncio.gather(*offs, return_exceptions=True)
    assert sorted(isinstance(one, InvalidValue) for one in outcomes) == [False, True]
    assert len(await store.read(lambda tx: groups.members(tx, made.id))) == 1


async def test_a_group_is_changed_as_it_is_now_not_as_it_was_looked_at(store: Store) -> None:
    await make.organisation(store)
    made = await group(store)
    await store.write(lambda tx: groups.allow(tx, SYSTEM, made, Allow.MEMBERS))
    await store.write(lambda tx: groups.rename(tx, SYSTEM, made, "Everybody"))
    now = await store.read(lambda tx: groups.get(tx, addresses.parse(made.address)))
    assert (now.name, now.allow) == ("Everybody", Allow.MEMBERS)
    await store.write(lambda tx: groups.delete(tx, SYSTEM, now))
    with pytest.raises(NotFound):
        await store.write(lambda tx: groups.add(tx, SYSTEM, made, ["bob@corp.example"]))


async def test_rights_and_names_change(store: Store) -> None:
    await make.organisation(store)
    made = await group(store)
    await store.write(lambda tx: groups.allow(tx, SYSTEM, made, Allow.CUSTOM, senders=["Bob@corp.example"]))
    assert (await store.read(lambda tx: groups.lists(tx, made.id))).senders == ["bob@corp.example"]
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: groups.allow(tx, SYSTEM, made, Allow.CUSTOM))
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: groups.allow(tx, SYSTEM, made, Allow.ANYONE, senders=["bob@corp.example"]))
    await store.write(lambda tx: groups.allow(tx, SYSTEM, made, Allow.ANYONE))
    assert (await store.read(lambda tx: groups.lists(tx, made.id))).senders == []
    found = await store.read(lambda tx: groups.get(tx, addresses.parse("all@corp.example")))
    assert found.allow is Allow.ANYONE
    await store.write(lambda tx: groups.rename(tx, SYSTEM, found, "Everybody"))
    assert [one.name for one in await store.read(groups.search)] == ["Everybody"]
    await group(store, address="more@corp.example", name="More")
    with pytest.raises(NameTaken):
        await store.write(lambda tx: groups.rename(tx, SYSTEM, found, "More"))


async def test_a_department_and_a_tag_stand_for_who_is_in_them(store: Store) -> None:
    made = await make.organisation(store)

    def begin(tx: Tx) -> tuple[Department, Tag, Group]:
        sales = departments.add(tx, SYSTEM, made.id, "Sales")
        east = departments.add(tx, SYSTEM, made.id, "East", parent=sales)
        press = tags.add(tx, SYSTEM, made.id, "Press")
        departments.put(tx, SYSTEM, east, [made.members["bob"]])
        tags.put(tx, SYSTEM, press, [made.members["carol"]])
        address = addresses.parse_new("all@corp.example")
        named = [f"department:{sales.id}", f"tag:{press.id}", "zoe@out.example"]
        return east, press, groups.create(tx, SYSTEM, made.id, address, name="All", members=named, allow=Allow.MEMBERS)

    east, press, group = await store.write(begin)

    def asked(tx: Tx, sender: str) -> None:
        groups.ask(tx, group.id, sender=sender, is_known=True)

    assert await store.read(lambda tx: groups.members(tx, group.id)) == [
        "bob@corp.example",
        "carol@corp.example",
        "zoe@out.example",
    ]
    await store.read(lambda tx: asked(tx, "bob@corp.example"))
    with pytest.raises(GroupRefused):
        await store.read(lambda tx: asked(tx, "amy@corp.example"))
    await store.write(lambda tx: departments.take(tx, SYSTEM, east, [made.members["bob"]]))
    with pytest.raises(GroupRefused):
        await store.read(lambda tx: asked(tx, "bob@corp.example"))
    assert "bob@corp.example" not in await store.read(lambda tx: groups.members(tx, group.id))
    await store.write(lambda tx: groups.allow(tx, SYSTEM, group, Allow.CUSTOM, senders=[f"tag:{press.id}"]))
    await store.read(lambda tx: asked(tx, "carol@corp.example"))
    with pytest.raises(GroupRefused):
        await store.read(lambda tx: asked(tx, "bob@corp.example"))
    with pytest.raises(InUse):
        await store.write(lambda tx: tags.remove(tx, SYSTEM, press))
    with pytest.raises(InUse):
        await store.write(
            lambda tx: departments.remove(tx, SYSTEM, departments.get(tx, DepartmentId(east.parent_id or 0)))
        )
    for nobody in ("department:4711", "tag:4711"):
        with pytest.raises(NotFound):
            await store.write(lambda tx, nobody=nobody: groups.add(tx, SYSTEM, group, [nobody]))  # type: ignore[misc] # a lambda with defaults


async def test_who_administers_another_domain_changes_nothing_and_what_is_changed_is_written_down(store: Store) -> None:
    made = await make.organisation(store)
    group_ = await group(store)
    eve = Actor(ActorKind.MEMBER, "eve", domains=frozenset({DomainId(4711)}))
    for change in (
        lambda tx: groups.rename(tx, eve, group_, "X"),
        lambda tx: groups.allow(tx, eve, group_, Allow.ANYONE),
        lambda tx: groups.add(tx, eve, group_, ["bob@corp.example"]),
        lambda tx: groups.replace(tx, eve, group_, ["bob@corp.example"]),
        lambda tx: groups.remove(tx, eve, group_, "amy@corp.example"),
        lambda tx: groups.delete(tx, eve, group_),
        lambda tx: groups.create(
            tx, eve, made.id, addresses.parse_new("x@corp.example"), name="X", members=["amy@corp.example"]
        ),
    ):
        with pytest.raises(NoPermission):
            await store.write(change)
    await store.write(lambda tx: groups.change(tx, SYSTEM, group_, name="Us", members=["bob@corp.example"]))
    found = await store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=3))
    assert [(one.action, one.subject, one.after) for one in found] == [
        ("group.members", "all@corp.example", {"added": ["bob@corp.example"], "removed": ["amy@corp.example"]}),
        ("group.rename", "all@corp.example", {"name": "Us"}),
        ("group.add", "all@corp.example", {"name": "All", "allow": "organisation", "members": 1, "senders": 0}),
    ]
