# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who administers what: the whole organisation, single domains, nothing; and whom nobody shuts out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from mailroom.core.errors import CannotDisable, InvalidValue, NoPermission, NotFound
from mailroom.core.ids import DomainId, MailboxId
from mailroom.directory import (
    addresses,
    api_keys,
    audit,
    departments,
    domains,
    members,
    policies,
    rights,
    tags,
    users,
)
from mailroom.directory.model import SYSTEM, Actor, ActorKind, DomainState, MemberStatus, Role, Users
from mailroom.mailboxes import access, create, leave, public, quota, recycle, rename
from mailroom.mailboxes.model import MailboxStatus
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.make import Organisation

OTHER = "other.example"
KEY = api_keys.new()
OPERATOR = Actor(ActorKind.OPERATOR, "root", governs_all=True)


@dataclass(frozen=True, slots=True)
class Office:
    """Amy founded it, dave administers other.example and eve has her mailbox there; bob and carol are at corp.example,
    where bob administers nothing.
    """

    store: Store
    made: Organisation

    async def by(self, userid: str) -> Actor:
        """The member as one who asks, now."""
        return await self.store.read(lambda tx: rights.of(tx, members.get(tx, userid)))

    async def may(self, userid: str, work: Callable[[Tx, Actor], object]) -> bool:
        """Whether he may do it. Nothing is changed."""
        by = await self.by(userid)
        try:
            await self.store.write(lambda tx: _undone(tx, by, work))
        except NoPermission:
            return False
        except _DoneError:
            return True
        raise AssertionError


class _DoneError(Exception):
    """It can be done; it is not to be."""


def _undone(tx: Tx, by: Actor, work: Callable[[Tx, Actor], object]) -> None:
    work(tx, by)
    raise _DoneError


@pytest_asyncio.fixture
async def office(store: Store) -> Office:
    def work(tx: Tx) -> Organisation:
        made = make.organise(tx, public={"sales": ["bob"]})
        members.mark_creator(tx, made.members["amy"])
        other = domains.add(tx, SYSTEM, made.id, OTHER, state=DomainState.ACTIVE)
        for userid in ("dave", "eve"):
            create.member(
                tx,
                SYSTEM,
                made.id,
                userid,
                name=userid,
                password_hash="",
                role=Role.MEMBER,
                address=f"{userid}@{OTHER}",
            )
        members.change_role(tx, SYSTEM, "dave", Role.MEMBER, domains=[other])
        return made

    return Office(store, await store.write(work))


def _create(tx: Tx, by: Actor, address: str, role: Role = Role.MEMBER) -> None:
    organisation_id = members.organisation(tx)
    create.member(tx, by, organisation_id, "new", name="New", password_hash="", role=role, address=address)


# Each is asked of an administrator, of one who administers other.example, and of a member.
OF_ALL: dict[str, Callable[[Tx, Actor], object]] = {
    "another domain": lambda tx, by: domains.add(tx, by, members.organisation(tx), "third.example"),
    "a member here": lambda tx, by: _create(tx, by, "new@corp.example"),
    "an administrator there": lambda tx, by: _create(tx, by, f"new@{OTHER}", Role.ADMINISTRATOR),
    "a role": lambda tx, by: members.change_role(tx, by, "eve", Role.ADMINISTRATOR),
    "a member's name": lambda tx, by: members.rename(tx, by, "bob", "Robert"),
    "a member's password": lambda tx, by: members.change_password(tx, by, members.get(tx, "bob").id, ""),
    "a member's login": lambda tx, by: members.change_status(tx, by, "bob", MemberStatus.DISABLED),
    "a member's end": lambda tx, by: leave.member(tx, by, "bob"),
    "a quota": lambda tx, by: quota.change(tx, by, access.by_address(tx, addresses.parse(f"eve@{OTHER}")).id, 1),
    "a mailbox here": lambda tx, by: quota.change_status(
        tx, by, access.by_address(tx, addresses.parse("sales@corp.example")).id, MailboxStatus.DISABLED
    ),
    "an own mailbox for a member without": lambda tx, by: create.personal(
        tx,
        by,
        members.add(tx, members.organisation(tx), "new", name="New", password_hash=""),
        addresses.parse_new(f"new@{OTHER}"),
    ),
    "an alias here of a mailbox there": lambda tx, by: create.alias(
        tx, by, access.by_address(tx, addresses.parse(f"eve@{OTHER}")).id, addresses.parse_new("e@corp.example")
    ),
    "an alias there of a mailbox here": lambda tx, by: create.alias(
        tx, by, access.by_address(tx, addresses.parse("bob@corp.example")).id, addresses.parse_new(f"b@{OTHER}")
    ),
    "a public mailbox here": lambda tx, by: create.public(
        tx,
        by,
        members.organisation(tx),
        addresses.parse_new("info@corp.example"),
        name="Info",
        users=Users((members.get(tx, "eve"),)),
    ),
    "users of a mailbox here": lambda tx, by: users.change(
        tx,
        by,
        access.by_address(tx, addresses.parse("sales@corp.example")).id,
        add=Users((members.get(tx, "eve"),)),
    ),
    "a public mailbox's name": lambda tx, by: public.rename(
        tx, by, access.by_address(tx, addresses.parse("sales@corp.example")).id, "Shop"
    ),
    "a department": lambda tx, by: departments.add(tx, by, members.organisation(tx), "A"),
    "a tag": lambda tx, by: tags.add(tx, by, members.organisation(tx), "T"),
    "a policy": lambda tx, by: policies.change(tx, by, "mta_sts", "testing"),
    "a key": lambda tx, by: api_keys.add(tx, by, members.organisation(tx), "K", key=KEY),
}
OF_THE_DOMAIN: dict[str, Callable[[Tx, Actor], object]] = {
    "a member there": lambda tx, by: _create(tx, by, f"new@{OTHER}"),
    "a member, where is not said": lambda tx, by: _create(tx, by, ""),
    "his name": lambda tx, by: members.rename(tx, by, "eve", "Eva"),
    "his password": lambda tx, by: members.change_password(tx, by, members.get(tx, "eve").id, ""),
    "his login": lambda tx, by: members.change_status(tx, by, "eve", MemberStatus.DISABLED),
    "his end": lambda tx, by: leave.member(tx, by, "eve"),
    "his mailbox": lambda tx, by: quota.change_status(
        tx, by, access.by_address(tx, addresses.parse(f"eve@{OTHER}")).id, MailboxStatus.DISABLED
    ),
    "an alias": lambda tx, by: create.alias(
        tx, by, access.by_address(tx, addresses.parse(f"eve@{OTHER}")).id, addresses.parse_new(f"e@{OTHER}")
    ),
    "a public mailbox": lambda tx, by: create.public(
        tx,
        by,
        members.organisation(tx),
        addresses.parse_new(f"info@{OTHER}"),
        name="Info",
        users=Users((members.get(tx, "eve"),)),
    ),
}


@pytest.mark.parametrize("what", OF_ALL)
async def test_what_an_administrator_of_the_organisation_does(office: Office, what: str) -> None:
    assert [await office.may(each, OF_ALL[what]) for each in ("amy", "dave", "bob")] == [True, False, False]


@pytest.mark.parametrize("what", OF_THE_DOMAIN)
async def test_what_an_administrator_of_a_domain_does(office: Office, what: str) -> None:
    assert [await office.may(each, OF_THE_DOMAIN[what]) for each in ("amy", "dave", "bob")] == [True, True, False]


async def test_nobody_reaches_further_through_another(office: Office) -> None:
    """Whoever resets a password can sign in with it: not as one who administers more."""

    async def resets() -> bool:
        return await office.may("dave", lambda tx, by: members.change_password(tx, by, members.get(tx, "eve").id, ""))

    assert await resets()
    eve, sales = await office.store.read(lambda tx: members.get(tx, "eve")), office.made.mailboxes["sales"]
    await office.store.write(lambda tx: users.change(tx, SYSTEM, sales, add=Users((eve,))))
    assert not await resets()
    await office.store.write(lambda tx: users.change(tx, SYSTEM, sales, remove=Users((eve,))))
    assert await resets()
    corp = await office.store.read(lambda tx: domains.get(tx, "corp.example"))
    await office.store.write(lambda tx: members.change_role(tx, SYSTEM, "eve", Role.MEMBER, domains=[corp]))
    assert not await resets()
    await office.store.write(lambda tx: members.change_role(tx, SYSTEM, "eve", Role.ADMINISTRATOR))
    assert not await resets()


def _owned(tx: Tx) -> MailboxId:
    return access.by_address(tx, addresses.parse(f"eve@{OTHER}")).id


# What eve, who administers the organisation, would lose by it is not dave's to take.
OF_HIS_BETTERS: dict[str, Callable[[Tx, Actor], object]] = {
    "mailbox": lambda tx, by: quota.change_status(tx, by, _owned(tx), MailboxStatus.DISABLED),
    "place": lambda tx, by: recycle.remove(tx, by, _owned(tx)),
    "address": lambda tx, by: rename.rename(tx, by, _owned(tx), addresses.parse_new(f"e@{OTHER}")),
    "former address": lambda tx, by: rename.forget(tx, by, _owned(tx), addresses.parse(f"ev@{OTHER}")),
    "further address": lambda tx, by: create.alias(tx, by, _owned(tx), addresses.parse_new(f"e@{OTHER}")),
}


@pytest.mark.parametrize("what", OF_HIS_BETTERS)
async def test_nobody_takes_from_who_administers_more(office: Office, what: str) -> None:
    await office.store.write(lambda tx: create.alias(tx, SYSTEM, _owned(tx), addresses.parse_new(f"ev@{OTHER}")))
    assert await office.may("dave", OF_HIS_BETTERS[what])
    await office.store.write(lambda tx: members.change_role(tx, SYSTEM, "eve", Role.ADMINISTRATOR))
    assert [await office.may(each, OF_HIS_BETTERS[what]) for each in ("amy", "dave")] == [True, False]


async def test_an_address_is_taken_by_who_administers_its_domain(office: Office) -> None:
    here = addresses.parse_new("e@corp.example")
    await office.store.write(lambda tx: create.alias(tx, SYSTEM, _owned(tx), here))
    forgets: Callable[[Tx, Actor], object] = lambda tx, by: rename.forget(tx, by, _owned(tx), here)  # noqa: E731 # asked twice
    assert [await office.may(each, forgets) for each in ("amy", "dave")] == [True, False]


async def test_a_right_ends_at_once(office: Office) -> None:
    rename: Callable[[Tx, Actor], object] = lambda tx, by: members.rename(tx, by, "eve", "Eva")  # noqa: E731 # asked four times
    assert await office.may("dave", rename)
    await office.store.write(lambda tx: members.change_role(tx, SYSTEM, "dave", Role.MEMBER))
    assert not await office.may("dave", rename)
    await office.store.write(lambda tx: members.change_role(tx, SYSTEM, "dave", Role.ADMINISTRATOR))
    assert await office.may("dave", rename)
    await office.store.write(lambda tx: members.change_status(tx, SYSTEM, "dave", MemberStatus.DISABLED))
    assert not await office.may("dave", rename)
    (entry, _) = await office.store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=2, action="member.role"))
    assert (entry.actor, entry.subject, entry.after) == (
        "system",
        "dave",
        {"role": "administrator", "domains": []},
    )


async def test_an_administrator_of_everything_has_no_single_domains(office: Office) -> None:
    corp = await office.store.read(lambda tx: domains.get(tx, "corp.example"))
    with pytest.raises(InvalidValue):
        await office.store.write(lambda tx: members.change_role(tx, SYSTEM, "bob", Role.ADMINISTRATOR, domains=[corp]))


SHUT_OUT: dict[str, Callable[[Tx, Actor, str], object]] = {
    "login": lambda tx, by, userid: members.change_status(tx, by, userid, MemberStatus.DISABLED),
    "end": leave.member,
    "mailbox": lambda tx, by, userid: quota.change_status(
        tx, by, access.by_address(tx, addresses.parse(f"{userid}@corp.example")).id, MailboxStatus.DISABLED
    ),
    "role": lambda tx, by, userid: members.change_role(tx, by, userid, Role.MEMBER),
}


@pytest.mark.parametrize("way", SHUT_OUT)
async def test_nobody_shuts_out_the_creator_or_himself(office: Office, way: str) -> None:
    await office.store.write(lambda tx: members.change_role(tx, SYSTEM, "bob", Role.ADMINISTRATOR))
    bob = await office.by("bob")
    for by, userid in ((bob, "amy"), (bob, "bob"), (OPERATOR, "amy"), (SYSTEM, "amy")):
        with pytest.raises(CannotDisable, match=f"^{userid} cannot"):
            await office.store.write(lambda tx, b=by, u=userid: SHUT_OUT[way](tx, b, u))  # type: ignore[misc] # lambdas' defaults
    await office.store.write(lambda tx: SHUT_OUT[way](tx, OPERATOR, "bob"))


async def test_only_the_creator_and_who_runs_the_machine_change_his_password(office: Office) -> None:
    await office.store.write(lambda tx: members.change_role(tx, SYSTEM, "bob", Role.ADMINISTRATOR))
    amy, bob = await office.by("amy"), await office.by("bob")
    amy_id = office.made.members["amy"].id
    for by in (bob, Actor(ActorKind.KEY, "k", governs_all=True)):
        with pytest.raises(NoPermission):
            await office.store.write(lambda tx, by=by: members.change_password(tx, by, amy_id, ""))  # type: ignore[misc] # a lambda's default
    for by in (amy, OPERATOR):
        await office.store.write(lambda tx, by=by: members.change_password(tx, by, amy_id, ""))  # type: ignore[misc] # a lambda's default


async def test_an_administrator_cannot_open_mail(office: Office) -> None:
    """The one door asks who uses a mailbox, and nothing else: not yours looks like not there."""
    amy, made = office.made.members["amy"], office.made
    for name in ("bob", "sales"):
        with pytest.raises(NotFound, match=f"no mailbox {made.mailboxes[name]}"):
            await office.store.read(lambda tx, name=name: access.open_mailbox(tx, amy, made.mailboxes[name]))  # type: ignore[misc] # a lambda's default


async def test_who_is_listed_is_who_may_be_changed(office: Office) -> None:
    """Also an administrator, one who administers more, one without a mailbox and one who has gone are told apart."""

    def work(tx: Tx) -> None:
        for userid in ("gus", "hal", "ida"):
            _add(tx, userid, f"{userid}@{OTHER}")
        _add(tx, "fay", "fay@corp.example")
        members.change_role(tx, SYSTEM, "gus", Role.ADMINISTRATOR)
        members.change_role(tx, SYSTEM, "hal", Role.MEMBER, domains=domains.every(tx))
        leave.member(tx, SYSTEM, "ida")

    await office.store.write(work)
    for userid, seen in (
        ("amy", None),
        ("dave", ["dave", "eve"]),
        ("hal", ["bob", "carol", "dave", "eve"]),
        ("bob", []),
    ):
        by = await office.by(userid)
        listed = await office.store.read(lambda tx, by=by: [one.userid for one in members.administered(tx, by)])  # type: ignore[misc] # a lambda's default
        assert listed == await office.store.read(lambda tx, by=by: _changeable(tx, by))  # type: ignore[misc] # likewise
        assert seen is None or set(listed) >= set(seen)


def _add(tx: Tx, userid: str, address: str) -> None:
    organisation_id = members.organisation(tx)
    create.member(tx, SYSTEM, organisation_id, userid, name=userid, password_hash="", role=Role.MEMBER, address=address)


def _changeable(tx: Tx, by: Actor) -> list[str]:
    found = []
    for one in members.every(tx):
        with contextlib.suppress(NoPermission):
            rights.over_member(tx, by, one)
            found.append(one.userid)
    return found


async def test_a_domain_that_is_not_named_is_not_governed(office: Office) -> None:
    dave = await office.by("dave")
    rights.over(dave, next(iter(dave.domains)))
    rights.over_some(dave)
    with pytest.raises(NoPermission):
        rights.over(dave, DomainId(999))
    with pytest.raises(NoPermission):
        rights.over_some(replace(dave, domains=frozenset()))
