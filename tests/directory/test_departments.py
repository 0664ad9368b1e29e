# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Departments and tags: their tree, who is in them, and whose mailboxes go with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from mailroom.core.errors import CannotDisable, InUse, InvalidValue, NameTaken, NotFound
from mailroom.core.ids import DepartmentId, TagId
from mailroom.directory import access, audit, departments, members, tags, users
from mailroom.directory.model import SYSTEM, Actor, ActorKind, Department, Tag, Users
from mailroom.mailboxes import quota, read
from mailroom.mailboxes.model import MailboxStatus
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.make import Organisation

SHUT = MailboxStatus.DEPARTMENT_DISABLED


def tree(tx: Tx, made: Organisation, *paths: str) -> dict[str, Department]:
    """Departments, each path after the one above it."""
    found: dict[str, Department] = {}
    for path in paths:
        above, _, name = path.rpartition("/")
        found[path] = departments.add(tx, SYSTEM, made.id, name, parent=found.get(above))
    return found


async def planted(store: Store, made: Organisation, *paths: str) -> dict[str, Department]:
    return await store.write(lambda tx: tree(tx, made, *paths))


async def paths(store: Store) -> list[str]:
    return [one.path for one in await store.read(departments.every)]


async def put(store: Store, made: Organisation, department: Department, *userids: str) -> None:
    who = [made.members[userid] for userid in userids]
    await store.write(lambda tx: departments.put(tx, SYSTEM, department, who))


async def stands(store: Store, made: Organisation, userid: str) -> MailboxStatus:
    return (await store.read(lambda tx: read.mailbox(tx, made.mailboxes[userid]))).status


async def test_a_tree_of_departments(store: Store) -> None:
    made = await make.organisation(store)
    found = await planted(store, made, "Sales", "Sales/East", "Sales/East/Shanghai", "研发")
    assert await paths(store) == ["Sales", "Sales/East", "Sales/East/Shanghai", "研发"]
    east = await store.read(lambda tx: departments.at(tx, "Sales/East"))
    assert east == found["Sales/East"] == await store.read(lambda tx: departments.get(tx, east.id))
    renamed = await store.write(lambda tx: departments.rename(tx, SYSTEM, east, " Ost "))
    assert renamed.path == "Sales/Ost"
    await store.write(lambda tx: departments.move(tx, SYSTEM, departments.at(tx, "Sales/Ost"), found["研发"]))
    assert await paths(store) == ["Sales", "研发", "研发/Ost", "研发/Ost/Shanghai"]
    await store.write(lambda tx: departments.move(tx, SYSTEM, departments.at(tx, "研发/Ost"), None))
    assert await paths(store) == ["Ost", "Ost/Shanghai", "Sales", "研发"]
    moves = [one.after for one in await store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=2))]
    assert moves == [{"path": "Ost"}, {"path": "研发/Ost"}]


async def test_what_a_tree_of_departments_cannot_be(store: Store) -> None:
    made = await make.organisation(store)
    found = await planted(store, made, "A", "A/B", "A/B/C", "B")
    with pytest.raises(InvalidValue, match="within itself"):
        await store.write(lambda tx: departments.move(tx, SYSTEM, found["A"], found["A/B/C"]))
    with pytest.raises(InvalidValue, match="within itself"):
        await store.write(lambda tx: departments.move(tx, SYSTEM, found["A"], found["A"]))
    with pytest.raises(NameTaken):
        await store.write(lambda tx: departments.move(tx, SYSTEM, found["A/B"], None))
    with pytest.raises(NameTaken):
        await store.write(lambda tx: departments.rename(tx, SYSTEM, found["B"], "A"))
    for name in ("", "a/b", "a\nb", "x" * 65):
        with pytest.raises(InvalidValue):
            await store.write(lambda tx, name=name: departments.add(tx, SYSTEM, made.id, name))  # type: ignore[misc] # a lambda's default
    with pytest.raises(NotFound):
        await store.read(lambda tx: departments.get(tx, DepartmentId(999)))
    with pytest.raises(NotFound):
        await store.read(lambda tx: departments.at(tx, "A/C"))
    assert await paths(store) == ["A", "A/B", "A/B/C", "B"]

    deep = await planted(store, made, *("/".join("d" * depth) for depth in range(1, 15)))
    with pytest.raises(InvalidValue, match="15 levels"):
        await store.write(lambda tx: departments.move(tx, SYSTEM, found["A"], deep["/".join("d" * 14)]))


async def test_two_moves_at_once_make_no_circle(store: Store) -> None:
    made = await make.organisation(store)
    found = await planted(store, made, "A", "B")
    moves = [
        store.write(lambda tx: departments.move(tx, SYSTEM, found["A"], found["B"])),
        store.write(lambda tx: departments.move(tx, SYSTEM, found["B"], found["A"])),
    ]
    outcomes = await asyncio.gather(*moves, return_exceptions=True)
    assert sorted(isinstance(one, InvalidValue) for one in outcomes) == [False, True]
    assert len(await paths(store)) == 2


async def test_a_department_in_use_stays(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["amy"]})
    found = await planted(store, made, "A", "A/B")
    await put(store, made, found["A/B"], "bob")
    await store.write(lambda tx: users.change(tx, SYSTEM, made.mailboxes["sales"], add=Users((), (found["A/B"],))))

    async def refused(path: str, by: str) -> None:
        with pytest.raises(InUse, match=by):
            await store.write(lambda tx: departments.remove(tx, SYSTEM, found[path]))

    await refused("A", "1 departments within it")
    await refused("A/B", "1 members")
    await store.write(lambda tx: departments.take(tx, SYSTEM, found["A/B"], [made.members["bob"]]))
    with pytest.raises(NotFound, match=r"bob \(A/B\)"):
        await store.write(lambda tx: departments.take(tx, SYSTEM, found["A/B"], [made.members["bob"]]))
    await refused("A/B", "1 public mailboxes")
    await store.write(lambda tx: users.change(tx, SYSTEM, made.mailboxes["sales"], remove=Users((), (found["A/B"],))))
    for path in ("A/B", "A"):
        await store.write(lambda tx, path=path: departments.remove(tx, SYSTEM, found[path]))  # type: ignore[misc] # a lambda's default
    assert await paths(store) == []


async def test_a_disabled_department_disables_its_members_mailboxes(store: Store) -> None:
    made = await make.organisation(store)
    found = await planted(store, made, "A", "A/B", "C")
    await put(store, made, found["A/B"], "bob", "carol")
    await put(store, made, found["C"], "carol")
    bob = made.mailboxes["bob"]

    await store.write(lambda tx: departments.disable(tx, SYSTEM, found["A"]))
    assert [await stands(store, made, one) for one in ("amy", "bob", "carol")] == ["active", SHUT, SHUT]
    # One that is enabled by itself stays disabled, as its department is; one that is disabled by itself stays so.
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, bob, MailboxStatus.DISABLED))
    await store.write(lambda tx: departments.disable(tx, SYSTEM, found["C"]))
    await store.write(lambda tx: departments.enable(tx, SYSTEM, departments.at(tx, "A")))
    assert [await stands(store, made, one) for one in ("bob", "carol")] == ["disabled", SHUT]
    await store.write(lambda tx: departments.disable(tx, SYSTEM, departments.at(tx, "A")))
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, bob, MailboxStatus.ACTIVE))
    assert await stands(store, made, "bob") == SHUT
    # Who is moved goes by the department that he is in now.
    await store.write(lambda tx: departments.take(tx, SYSTEM, found["A/B"], [made.members["bob"]]))
    assert await stands(store, made, "bob") == "active"
    await store.write(lambda tx: departments.move(tx, SYSTEM, found["A/B"], None))
    assert await stands(store, made, "carol") == SHUT
    await store.write(lambda tx: departments.enable(tx, SYSTEM, departments.at(tx, "C")))
    assert await stands(store, made, "carol") == "active"


async def test_a_member_and_his_department_that_is_disabled_at_once(store: Store) -> None:
    made = await make.organisation(store)
    found = await planted(store, made, "A")
    await asyncio.gather(
        put(store, made, found["A"], "bob"),
        store.write(lambda tx: departments.disable(tx, SYSTEM, found["A"])),
    )
    assert await stands(store, made, "bob") == SHUT


async def test_nobody_disables_the_creator_or_himself_with_a_department(store: Store) -> None:
    made = await make.organisation(store)
    amy, bob = made.members["amy"], made.members["bob"]
    await store.write(lambda tx: members.mark_creator(tx, amy))
    found = await planted(store, made, "A", "A/B")
    by_bob = Actor(ActorKind.MEMBER, "bob", bob, governs_all=True)
    disable: Callable[[Actor], Callable[[Tx], None]] = lambda by: partial(  # noqa: E731 # said once for four
        departments.disable, by=by, department=found["A"]
    )
    await put(store, made, found["A/B"], "amy", "carol")
    with pytest.raises(CannotDisable, match="amy"):
        await store.write(disable(SYSTEM))
    await store.write(lambda tx: departments.take(tx, SYSTEM, found["A/B"], [amy]))
    await put(store, made, found["A/B"], "bob")
    with pytest.raises(CannotDisable, match="bob"):
        await store.write(disable(by_bob))
    assert await stands(store, made, "carol") == "active"
    await store.write(disable(SYSTEM))
    with pytest.raises(CannotDisable, match="amy"):
        await put(store, made, found["A/B"], "amy")


async def used(store: Store, made: Organisation, userid: str) -> set[str]:
    """The public mailboxes that the member uses, by local part."""
    names = {mailbox_id: name for name, mailbox_id in made.mailboxes.items()}
    found = await store.read(lambda tx: access.mailboxes_of(tx, made.members[userid].id))
    return {names[each] for each in found} - {userid}


async def test_what_is_given_to_a_department_is_given_to_all_within_it(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["amy"], "info": ["amy"]})
    found = await planted(store, made, "A", "A/B", "A/B/C", "D")
    sales, info = made.mailboxes["sales"], made.mailboxes["info"]
    await store.write(lambda tx: users.assign(tx, SYSTEM, sales, members=[], departments=[found["A"]]))
    await store.write(lambda tx: users.change(tx, SYSTEM, info, add=Users((), (found["A/B/C"],))))
    assert await used(store, made, "amy") == {"info"}
    await put(store, made, found["A/B"], "bob")
    await put(store, made, found["A/B/C"], "carol")
    assert (await used(store, made, "bob"), await used(store, made, "carol")) == ({"sales"}, {"sales", "info"})
    assert await store.read(lambda tx: access.users(tx, sales)) == ["bob", "carol"]
    # Moving a department, or a member, counts at once.
    await store.write(lambda tx: departments.move(tx, SYSTEM, found["A/B/C"], found["D"]))
    assert await used(store, made, "carol") == {"info"}
    await store.write(lambda tx: departments.take(tx, SYSTEM, found["A/B"], [made.members["bob"]]))
    await put(store, made, found["A/B/C"], "bob")
    assert await used(store, made, "bob") == {"info"}
    assert await store.read(lambda tx: access.users(tx, sales)) == []
    given = await store.read(lambda tx: users.of(tx, info))
    assert (given.members, [one.path for one in given.departments]) == ((made.members["amy"],), ["D/C"])


async def test_tags(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["amy"]})
    amy, bob, sales = made.members["amy"], made.members["bob"], made.mailboxes["sales"]
    oncall, other = await store.write(
        lambda tx: (tags.add(tx, SYSTEM, made.id, " On call "), tags.add(tx, SYSTEM, made.id, "Other"))
    )
    assert oncall == Tag(oncall.id, "On call") == await store.read(lambda tx: tags.by_name(tx, "On call"))
    with pytest.raises(NameTaken):
        await store.write(lambda tx: tags.add(tx, SYSTEM, made.id, "Other"))
    with pytest.raises(NameTaken):
        await store.write(lambda tx: tags.rename(tx, SYSTEM, oncall, "Other"))
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: tags.rename(tx, SYSTEM, oncall, ""))
    with pytest.raises(NotFound):
        await store.read(lambda tx: tags.get(tx, TagId(999)))
    for _ in range(2):
        await store.write(lambda tx: tags.put(tx, SYSTEM, oncall, [amy, bob]))
    await store.write(lambda tx: users.assign(tx, SYSTEM, sales, members=(), tags=[oncall]))
    assert await used(store, made, "bob") == {"sales"}
    assert await store.read(lambda tx: access.users(tx, sales)) == ["amy", "bob"]
    assert await store.read(lambda tx: tags.of(tx, bob.id)) == [oncall]
    with pytest.raises(InUse):
        await store.write(lambda tx: tags.remove(tx, SYSTEM, oncall))
    await store.write(lambda tx: tags.take(tx, SYSTEM, oncall, [bob]))
    assert await used(store, made, "bob") == set()
    with pytest.raises(NotFound):
        await store.write(lambda tx: tags.take(tx, SYSTEM, oncall, [bob]))
    await store.write(lambda tx: tags.put(tx, SYSTEM, other, [bob]))
    await store.write(lambda tx: tags.remove(tx, SYSTEM, other))
    assert await store.read(tags.every) == [oncall]
    assert await store.read(lambda tx: tags.of(tx, bob.id)) == []


async def test_what_two_change_at_once_of_one_department_is_both_kept(store: Store) -> None:
    made = await make.organisation(store)
    found = (await planted(store, made, "A"))["A"]
    await asyncio.gather(
        store.write(lambda tx: departments.disable(tx, SYSTEM, found)),
        store.write(lambda tx: departments.rename(tx, SYSTEM, found, "B")),
    )
    now = await store.read(lambda tx: departments.get(tx, found.id))
    assert (now.name, now.is_disabled) == ("B", True)
