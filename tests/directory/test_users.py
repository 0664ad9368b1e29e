# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whom a public mailbox is given to."""

from __future__ import annotations

import asyncio

import pytest

from mailroom.core.errors import InvalidValue, NoPermission, NotFound
from mailroom.directory import audit, departments, tags, users
from mailroom.directory.model import SYSTEM, Actor, ActorKind, Users
from mailroom.storage.ports import Store
from tests import make


async def test_of_a_kind_that_is_not_named_nothing_changes(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["amy", "bob"]})
    amy, sales = made.members["amy"], made.mailboxes["sales"]
    department = await store.write(lambda tx: departments.add(tx, SYSTEM, made.id, "A"))
    tag = await store.write(lambda tx: tags.add(tx, SYSTEM, made.id, "T"))
    await store.write(lambda tx: users.assign(tx, SYSTEM, sales, departments=[department], tags=[tag]))
    await store.write(lambda tx: users.assign(tx, SYSTEM, sales, members=[amy]))
    await store.write(lambda tx: users.assign(tx, SYSTEM, sales, departments=[]))
    assert await store.read(lambda tx: users.of(tx, sales)) == Users((amy,), (), (tag,))
    (entry,) = await store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=1, action="mailbox.users"))
    assert (entry.subject, entry.mailbox_id) == ("sales@corp.example", sales)
    assert (entry.before["departments"], entry.after) == (["A"], {"members": ["amy"], "departments": [], "tags": ["T"]})
    await store.write(lambda tx: users.assign(tx, SYSTEM, sales, members=()))
    with pytest.raises(InvalidValue, match="at least"):
        await store.write(lambda tx: users.assign(tx, SYSTEM, sales, tags=()))
    assert await store.read(lambda tx: users.of(tx, sales)) == Users((), (), (tag,))


async def test_only_whom_it_was_given_to_by_name_can_be_taken_off(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["amy"]})
    bob, sales = made.members["bob"], made.mailboxes["sales"]
    department = await store.write(lambda tx: departments.add(tx, SYSTEM, made.id, "A"))
    await store.write(lambda tx: departments.put(tx, SYSTEM, department, [bob]))
    await store.write(lambda tx: users.change(tx, SYSTEM, sales, add=Users((), (department,))))
    with pytest.raises(NotFound, match="no user bob"):
        await store.write(lambda tx: users.change(tx, SYSTEM, sales, remove=Users((bob,))))


async def test_two_who_take_off_the_last_two_at_once_leave_one(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["amy", "bob"]})
    sales = made.mailboxes["sales"]
    offs = [
        store.write(lambda tx, who=made.members[one]: users.change(tx, SYSTEM, sales, remove=Users((who,))))  # type: ignore[misc] # a lambda's default
        for one in ("amy", "bob")
    ]
    outcomes = await asyncio.gather(*offs, return_exceptions=True)
    assert sorted(isinstance(one, InvalidValue) for one in outcomes) == [False, True]
    assert len((await store.read(lambda tx: users.of(tx, sales))).members) == 1


async def test_two_who_are_given_it_at_once_both_have_it(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["amy"]})
    sales = made.mailboxes["sales"]
    department = await store.write(lambda tx: departments.add(tx, SYSTEM, made.id, "A"))
    more = [Users((made.members["bob"],)), Users((), (department,))]
    await asyncio.gather(*(store.write(lambda tx, one=one: users.change(tx, SYSTEM, sales, add=one)) for one in more))  # type: ignore[misc] # a lambda's default
    now = await store.read(lambda tx: users.of(tx, sales))
    assert ([one.userid for one in now.members], now.departments) == (["amy", "bob"], (department,))


async def test_a_user_does_not_administer_what_he_uses(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob"]})
    by_bob = Actor(ActorKind.MEMBER, "bob", made.members["bob"])
    with pytest.raises(NoPermission):
        await store.write(
            lambda tx: users.change(tx, by_bob, made.mailboxes["sales"], add=Users((made.members["carol"],)))
        )


async def test_a_members_own_mailbox_is_given_to_nobody_else(store: Store) -> None:
    made = await make.organisation(store)
    amy = Users((made.members["amy"],))
    with pytest.raises(NotFound, match=r"no public mailbox bob@corp\.example"):
        await store.write(lambda tx: users.change(tx, SYSTEM, made.mailboxes["bob"], add=amy))
    assert await store.read(lambda tx: users.of(tx, made.mailboxes["bob"])) == Users()
