# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Which mailboxes a mail program may use, at this moment."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import delete, insert, update

from mailroom.core.ids import ClientPasswordId
from mailroom.directory import users
from mailroom.directory.model import SYSTEM, MemberStatus, Principal, Users
from mailroom.mailboxes import quota
from mailroom.mailboxes.access import reachable
from mailroom.mailboxes.model import MailboxStatus
from mailroom.storage import schema
from mailroom.storage.ports import Store
from tests import make

_PASSWORD = ClientPasswordId(7)


async def names(store: Store, principal: Principal) -> list[str]:
    return [mailbox.name for mailbox in await store.read(lambda tx: reachable(tx, principal))]


async def test_a_member_reaches_his_own_mailbox_and_those_he_shares(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob", "amy"], "info": ["amy"]})
    amy, bob, carol = (
        Principal(made.mailboxes[each], f"{each}@corp.example", made.members[each]) for each in ("amy", "bob", "carol")
    )
    assert await names(store, amy) == ["Amy", "Sales", "Info"]
    assert await names(store, bob) == ["Bob", "Sales"]
    assert await names(store, carol) == ["Carol"]

    await store.write(
        lambda tx: users.change(tx, SYSTEM, made.mailboxes["sales"], remove=Users((made.members["amy"],)))
    )
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, made.mailboxes["info"], MailboxStatus.DISABLED))
    assert await names(store, amy) == ["Amy"]

    # A mailbox that has been given to another member is no longer his.
    assert await names(store, replace(bob, mailbox_id=made.mailboxes["carol"])) == []
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, made.mailboxes["bob"], MailboxStatus.DISABLED))
    assert await names(store, bob) == []
    disable = update(schema.members).where(schema.members.c.id == made.members["carol"].id)
    await store.write(lambda tx: tx.run(disable.values(status=MemberStatus.DISABLED.value)))
    assert await names(store, carol) == []


async def test_a_client_password_reaches_its_mailbox_as_long_as_it_is_there(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob"]})
    sales, amy = made.mailboxes["sales"], made.mailboxes["amy"]
    add = insert(schema.client_passwords).values(
        id=_PASSWORD, mailbox_id=sales, remark="x", services="imap", scram="", created_at=0
    )
    remove = delete(schema.client_passwords).where(schema.client_passwords.c.id == _PASSWORD)
    direct = Principal(sales, "sales@corp.example", None, _PASSWORD)
    assert await names(store, direct) == []
    await store.write(lambda tx: tx.run(add))
    assert await names(store, direct) == ["Sales"]
    # It is no password of another mailbox's, and a public mailbox opens to nobody without one.
    assert await names(store, Principal(amy, "amy@corp.example", made.members["amy"], _PASSWORD)) == []
    assert await names(store, Principal(amy, "amy@corp.example", None, _PASSWORD)) == []
    await store.write(lambda tx: tx.run(remove))
    assert await names(store, direct) == []
