# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailboxes as they are made: with their members, and public ones."""

from __future__ import annotations

import asyncio

import pytest

from mailroom.core.errors import (
    AddressTaken,
    InvalidAddress,
    MemberHasMailbox,
    NameTaken,
    NotFound,
    PublicMailboxLimit,
)
from mailroom.core.ids import MailboxId
from mailroom.directory import access, addresses, audit, departments, domains, members, policies, tags
from mailroom.directory.model import SYSTEM, AddressRole, DomainState, Member, Role, Users
from mailroom.mailboxes import create, leave, public, quota, read, recycle
from mailroom.mailboxes.model import FolderRole, MailboxStatus
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.make import Organisation


def added(tx: Tx, userid: str, address: str = "") -> str:
    """The address of the mailbox of a new member."""
    organisation_id = members.organisation(tx)
    made = create.member(
        tx, SYSTEM, organisation_id, userid, name=userid, password_hash="", role=Role.MEMBER, address=address
    )
    own = access.own_mailbox(tx, made.id)
    return "" if own is None else addresses.primary(tx, own)


async def test_a_member_gets_a_mailbox_with_a_digit_where_the_address_is_taken(store: Store) -> None:
    made = await make.organisation(store)
    await store.write(
        lambda tx: create.alias(tx, SYSTEM, made.mailboxes["bob"], addresses.parse_new("dan@corp.example"))
    )
    assert await store.write(lambda tx: added(tx, "dan")) == "dan1@corp.example"
    assert await store.write(lambda tx: added(tx, "dan1")) == "dan11@corp.example"
    assert await store.write(lambda tx: added(tx, "Dan")) == "dan2@corp.example"
    # One that is given is the one, or none.
    with pytest.raises(AddressTaken, match="alias"):
        await store.write(lambda tx: added(tx, "eve", "Dan@corp.example"))
    with pytest.raises(NotFound):
        await store.read(lambda tx: members.get(tx, "eve"))
    with pytest.raises(InvalidAddress):
        await store.write(lambda tx: added(tx, "_eve"))
    assert await store.write(lambda tx: added(tx, "_eve", "eve@corp.example")) == "eve@corp.example"


async def test_a_mailbox_is_prepared_where_no_domain_works_yet(store: Store) -> None:
    await make.organisation(store, people=(), domain="b.example", state=DomainState.PENDING)
    organisation_id = await store.read(members.organisation)
    await store.write(lambda tx: domains.add(tx, SYSTEM, organisation_id, "a.example", state=DomainState.VERIFYING))
    assert await store.write(lambda tx: added(tx, "amy")) == "amy@a.example"
    await store.write(lambda tx: domains.add(tx, SYSTEM, organisation_id, "c.example", state=DomainState.ABNORMAL))
    assert await store.write(lambda tx: added(tx, "bob")) == "bob@c.example"


async def test_without_a_domain_there_is_a_member_without_a_mailbox(store: Store) -> None:
    await store.write(lambda tx: members.found_organisation(tx, "Corp"))
    assert await store.write(lambda tx: added(tx, "amy")) == ""
    await store.write(lambda tx: domains.add(tx, SYSTEM, members.organisation(tx), "corp.example"))

    def given(tx: Tx) -> MailboxId:
        return create.personal(tx, SYSTEM, members.get(tx, "amy"), addresses.parse_new("amy@corp.example"))

    await store.write(given)
    with pytest.raises(MemberHasMailbox):
        await store.write(given)


async def test_what_is_made_is_written_down(store: Store) -> None:
    made = await make.organisation(store, people=("amy",), public={"sales": ["amy"]})
    found = await store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=9))
    assert [(one.action, one.subject, one.mailbox_id) for one in reversed(found)] == [
        ("domain.add", "corp.example", None),
        ("mailbox.create", "amy@corp.example", made.mailboxes["amy"]),
        ("mailbox.create", "sales@corp.example", made.mailboxes["sales"]),
        ("mailbox.users", "sales@corp.example", made.mailboxes["sales"]),
    ]


def shop(tx: Tx, made: Organisation, local: str, name: str = "") -> MailboxId:
    address = addresses.parse_new(f"{local}@corp.example")
    users = Users((made.members["amy"],))
    return create.public(tx, SYSTEM, made.id, address, name=name or local, users=users)


async def test_the_limit_of_public_mailboxes_is_a_policy(store: Store) -> None:
    made = await make.organisation(store)
    ids = [await store.write(lambda tx, n=number: shop(tx, made, f"shop{n}")) for number in range(3)]  # type: ignore[misc] # a lambda's default
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, ids[0], MailboxStatus.DISABLED))
    with pytest.raises(PublicMailboxLimit, match=r"\(3\)"):
        await store.write(lambda tx: shop(tx, made, "more"))
    await store.write(lambda tx: recycle.remove(tx, SYSTEM, ids[1]))  # those in the bin are not counted
    await store.write(lambda tx: shop(tx, made, "more"))
    await store.write(lambda tx: policies.change(tx, SYSTEM, "mailbox.public_most", "0"))
    await store.write(lambda tx: shop(tx, made, "more2"))
    await store.write(lambda tx: policies.change(tx, SYSTEM, "mailbox.public_most", "1"))  # what is there stays
    with pytest.raises(PublicMailboxLimit, match=r"\(1\)"):
        await store.write(lambda tx: shop(tx, made, "more3"))


async def test_of_two_made_at_once_at_the_limit_there_is_one(store: Store) -> None:
    made = await make.organisation(store, public={"a": ["amy"], "b": ["amy"]})
    outcomes = await asyncio.gather(
        *(store.write(lambda tx, n=number: shop(tx, made, f"shop{n}")) for number in range(4)),  # type: ignore[misc] # a lambda's default
        return_exceptions=True,
    )
    assert sorted(isinstance(one, PublicMailboxLimit) for one in outcomes) == [False, True, True, True]


async def test_public_mailboxes_have_names_of_their_own(store: Store) -> None:
    made = await make.organisation(store)
    sales = await store.write(lambda tx: shop(tx, made, "sales", " Sales "))
    info = await store.write(lambda tx: shop(tx, made, "info", "大" * 32))
    for taken in ("Sales", "sALES"):
        with pytest.raises(NameTaken):
            await store.write(lambda tx, name=taken: public.rename(tx, SYSTEM, info, name))  # type: ignore[misc] # a lambda's default
    await store.write(lambda tx: public.rename(tx, SYSTEM, sales, "SALES"))  # its own
    assert (await store.read(lambda tx: read.mailbox(tx, sales))).name == "SALES"
    with pytest.raises(NotFound, match="public mailbox"):
        await store.write(lambda tx: public.rename(tx, SYSTEM, made.mailboxes["amy"], "Amy's"))
    await store.write(lambda tx: recycle.remove(tx, SYSTEM, sales))
    await store.write(lambda tx: public.rename(tx, SYSTEM, info, "Sales"))
    with pytest.raises(NotFound):
        await store.write(lambda tx: public.rename(tx, SYSTEM, sales, "Other"))


async def test_the_name_goes_with_the_member(store: Store) -> None:
    made = await make.organisation(store)
    await store.write(lambda tx: members.rename(tx, SYSTEM, "amy", " Amélie "))
    amy = await store.read(lambda tx: members.get(tx, "amy"))
    mailbox = await store.read(lambda tx: read.mailbox(tx, made.mailboxes["amy"]))
    assert (amy.name, mailbox.name) == ("Amélie", "Amélie")


async def test_a_mailbox_that_a_member_of_a_disabled_department_is_given(store: Store) -> None:
    await make.organisation(store)
    dan: Member = await store.write(
        lambda tx: members.add(tx, members.organisation(tx), "dan", name="Dan", password_hash="")
    )
    await store.write(lambda tx: _shut(tx, dan))
    mailbox_id = await store.write(lambda tx: create.personal(tx, SYSTEM, dan, addresses.parse_new("dan@corp.example")))
    mailbox = await store.read(lambda tx: read.mailbox(tx, mailbox_id))
    assert mailbox.status is MailboxStatus.DEPARTMENT_DISABLED


def _shut(tx: Tx, who: Member) -> None:
    department = departments.add(tx, SYSTEM, members.organisation(tx), "A")
    departments.put(tx, SYSTEM, department, [who])
    departments.disable(tx, SYSTEM, department)


async def test_who_sent_what(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob"]})
    sales = made.mailboxes["sales"]
    bob = made.members["bob"].id

    def work(tx: Tx) -> None:
        into = make.folder(tx, sales, FolderRole.SENT).id
        make.appended(tx, into, make.mail(subject="One", to="Zoe <zoe@out.example>"), sent_by=bob)
        make.appended(tx, into, make.mail(subject="Two", to="dan@out.example"))
        make.appended(tx, make.folder(tx, sales).id, make.mail(subject="In"), sent_by=bob)

    await store.write(work)
    two, one = await store.read(lambda tx: public.sent(tx, sales, limit=9))
    assert (two.subject, two.userid) == ("Two", "")
    assert (one.subject, one.userid, "zoe@out.example" in one.recipients) == ("One", "bob", True)
    assert await store.read(lambda tx: public.sent(tx, sales, limit=1)) == [two]
    assert await store.read(lambda tx: public.sent(tx, sales, before=two.uid, limit=9)) == [one]
    # Also after he has gone.
    await store.write(lambda tx: leave.member(tx, SYSTEM, "bob"))
    assert (await store.read(lambda tx: public.sent(tx, sales, limit=9)))[1].userid == "bob"


async def test_a_member_who_goes_leaves_nothing_but_his_mailbox_in_the_bin(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob", "carol"]})
    bob, own = made.members["bob"], made.mailboxes["bob"]

    def settled(tx: Tx) -> None:
        departments.put(tx, SYSTEM, departments.add(tx, SYSTEM, made.id, "A"), [bob])
        tags.put(tx, SYSTEM, tags.add(tx, SYSTEM, made.id, "T"), [bob])
        members.change_role(tx, SYSTEM, "bob", Role.MEMBER, domains=[domains.get(tx, make.DOMAIN)])

    await store.write(settled)
    entry = await store.write(lambda tx: leave.member(tx, SYSTEM, "bob"))
    assert entry is not None
    assert (entry.mailbox_id, entry.address, entry.source, entry.userid) == (
        own,
        "bob@corp.example",
        "deleted_member",
        "bob",
    )
    with pytest.raises(NotFound):
        await store.read(lambda tx: members.get(tx, "bob"))
    assert [one.userid for one in await store.read(members.every)] == ["amy", "carol"]
    assert await store.read(lambda tx: access.mailboxes_of(tx, bob.id)) == []
    assert await store.read(lambda tx: access.users(tx, made.mailboxes["sales"])) == ["carol"]
    assert await store.read(lambda tx: (departments.of(tx, bob.id), tags.of(tx, bob.id))) == ([], [])
    with pytest.raises(NotFound):
        await store.write(lambda tx: leave.member(tx, SYSTEM, "bob"))
    # His userid is free, his address is not.
    assert await store.write(lambda tx: added(tx, "bob")) == "bob1@corp.example"
    again = await store.read(lambda tx: members.get(tx, "bob"))
    assert again.id != bob.id
    assert await store.read(lambda tx: access.mailboxes_of(tx, again.id)) not in ([], [own])


async def test_who_was_the_only_user_may_go(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob"]})
    await store.write(lambda tx: leave.member(tx, SYSTEM, "bob"))
    assert await store.read(lambda tx: access.users(tx, made.mailboxes["sales"])) == []


async def test_former_addresses_are_not_counted_as_aliases(store: Store) -> None:
    made = await make.organisation(store)
    amy = made.mailboxes["amy"]
    await store.write(lambda tx: addresses.take(tx, addresses.parse_new("old@corp.example"), amy, AddressRole.FORMER))
    for number in range(5):
        new = addresses.parse_new(f"a{number}@corp.example")
        await store.write(lambda tx, new=new: create.alias(tx, SYSTEM, amy, new))  # type: ignore[misc] # a lambda's default
    assert len(await store.read(lambda tx: addresses.aliases(tx, amy))) == create.ALIASES_MOST


async def test_a_mailbox_in_the_bin_gets_no_alias(store: Store) -> None:
    made = await make.organisation(store)
    bob = made.mailboxes["bob"]
    await store.write(lambda tx: recycle.remove(tx, SYSTEM, bob))
    with pytest.raises(NotFound, match="bob@corp"):
        await store.write(lambda tx: create.alias(tx, SYSTEM, bob, addresses.parse_new("b@corp.example")))
