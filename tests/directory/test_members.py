# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Members, how they sign in, and what they may use."""

from __future__ import annotations

import time

import pytest
from argon2 import PasswordHasher

from mailroom.core.errors import InvalidValue, NameTaken, NotFound
from mailroom.core.secrets import Secret
from mailroom.directory import access, addresses, credentials, domains, members, users
from mailroom.directory.credentials import SESSION, Passwords
from mailroom.directory.model import SYSTEM, Member, MemberStatus, Role, Users, Verifiers
from mailroom.mailboxes import create
from mailroom.storage.ports import Store, Tx, Work
from tests import make
from tests.stores import Watch

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
RIGHT, WRONG, TOKEN = Secret("correct horse"), Secret("battery staple"), Secret("token")


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(_hasher=QUICK)


async def test_there_is_one_organisation(store: Store) -> None:
    with pytest.raises(NotFound, match="mailroom init"):
        await store.read(members.organisation)
    organisation_id = await store.write(lambda tx: members.found_organisation(tx, "Corp"))
    assert await store.read(members.organisation) == organisation_id
    with pytest.raises(NameTaken):
        await store.write(lambda tx: members.found_organisation(tx, "Corp 2"))


async def test_a_userid_is_letters_digits_and_few_signs(store: Store) -> None:
    organisation = await make.organisation(store, people=())

    def added(tx: Tx, userid: str, name: str) -> Member:
        return members.add(tx, organisation.id, userid, name=name, password_hash="")

    for userid in ("amy", "王小明", "a.b-c_d", "7", "x" * 64):
        member = await store.write(lambda tx, userid=userid: added(tx, userid, " Amy "))  # type: ignore[misc]  # a lambda's default
        assert (member.name, member.role, member.status) == ("Amy", Role.MEMBER, MemberStatus.ACTIVE)
        assert await store.read(lambda tx, userid=userid: members.get(tx, userid)) == member  # type: ignore[misc]  # a lambda's default
    for userid in ("", "amy@corp.example", "x" * 65, "a b", "-a", "a\n", "a/b"):
        with pytest.raises(InvalidValue, match="userid: "):
            await store.write(lambda tx, userid=userid: added(tx, userid, "Amy"))  # type: ignore[misc]  # a lambda's default
    for name in ("", "  ", "A\nB", "x" * 65):
        with pytest.raises(InvalidValue, match="name: "):
            await store.write(lambda tx, name=name: added(tx, "dave", name))  # type: ignore[misc]  # a lambda's default


async def test_a_userid_is_given_once(store: Store) -> None:
    organisation = await make.organisation(store)
    with pytest.raises(NameTaken):
        await store.write(lambda tx: members.add(tx, organisation.id, "amy", name="Amy", password_hash=""))
    assert [one.userid for one in await store.read(members.every)] == ["amy", "bob", "carol"]
    with pytest.raises(NotFound):
        await store.read(lambda tx: members.get(tx, "dave"))


@pytest.mark.parametrize("password", ["", "1234567"])
async def test_a_password_has_eight_characters(passwords: Passwords, password: str) -> None:
    with pytest.raises(InvalidValue, match="password: "):
        await passwords.hash(Secret(password))
    assert await passwords.hash(Secret("12345678"))


SIGN_IN = [
    ("amy", RIGHT, "amy"),
    ("amy@corp.example", RIGHT, "amy"),
    ("Amy@CORP.example", RIGHT, "amy"),
    ("amelie@corp.example", RIGHT, "amy"),
    ("amé@bücher.example", RIGHT, "amy"),
    ("AME\u0301@xn--bcher-kva.example", RIGHT, "amy"),
    ("amy", WRONG, None),
    ("amy", Secret(""), None),
    ("sales@corp.example", RIGHT, None),
    ("nobody", RIGHT, None),
    ("nobody@corp.example", RIGHT, None),
    ("", RIGHT, None),
    ("a\0", RIGHT, None),
    ("bob", Secret(""), None),
]


async def test_who_signs_in_is_named_by_userid_or_address(store: Store, passwords: Passwords) -> None:
    organisation = await make.organisation(store, public={"sales": ["amy"]})
    amy, hashed = organisation.members["amy"], await passwords.hash(RIGHT)
    await store.write(lambda tx: members.change_password(tx, SYSTEM, amy.id, Verifiers(hashed)))
    await store.write(lambda tx: domains.add(tx, SYSTEM, organisation.id, "bücher.example"))
    for alias in map(addresses.parse_new, ("amelie@corp.example", "amé@bücher.example")):
        await store.write(lambda tx, a=alias: create.alias(tx, SYSTEM, organisation.mailboxes["amy"], a))  # type: ignore[misc]  # a lambda's default
    for name, password, expected in SIGN_IN:
        found = await credentials.sign_in(store, passwords, name=name, password=password)
        assert (name, found and found.userid) == (name, expected)


async def test_a_disabled_member_stays_out_and_an_enabled_one_comes_in(store: Store, passwords: Passwords) -> None:
    amy, hashed = (await make.organisation(store)).members["amy"], await passwords.hash(RIGHT)
    await store.write(lambda tx: members.change_password(tx, SYSTEM, amy.id, Verifiers(hashed)))
    await store.write(lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED))
    assert await credentials.sign_in(store, passwords, name="amy", password=RIGHT) is None
    await store.write(lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.ACTIVE))
    assert await credentials.sign_in(store, passwords, name="amy", password=RIGHT) is not None


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(store: Store) -> None:
    passwords = Passwords()
    amy, hashed = (await make.organisation(store)).members["amy"], await passwords.hash(RIGHT)
    await store.write(lambda tx: members.change_password(tx, SYSTEM, amy.id, Verifiers(hashed)))

    async def took(name: str) -> float:
        began = time.perf_counter()
        assert await credentials.sign_in(store, passwords, name=name, password=WRONG) is None
        return time.perf_counter() - began

    await took("nobody")  # makes the hash that nothing fits
    known, unknown = [min([await took(name) for _ in range(3)]) for name in ("amy", "nobody")]
    assert unknown > known / 4


async def test_a_session_ends_by_the_clock_and_by_hand(store: Store, watch: Watch) -> None:
    amy = (await make.organisation(store)).members["amy"]
    await store.write(lambda tx: credentials.open_session(tx, amy.id, TOKEN))
    watch.now += SESSION - 1
    assert await store.read(lambda tx: credentials.session_member(tx, TOKEN)) == amy
    assert await store.read(lambda tx: credentials.session_member(tx, Secret("other"))) is None
    watch.now += 1
    assert await store.read(lambda tx: credentials.session_member(tx, TOKEN)) is None
    watch.now -= 1
    await store.write(lambda tx: credentials.close_session(tx, TOKEN))
    assert await store.read(lambda tx: credentials.session_member(tx, TOKEN)) is None


async def test_a_new_password_and_a_disabled_login_end_open_sessions(store: Store) -> None:
    members_ = (await make.organisation(store)).members
    amy, bob, bobs = members_["amy"], members_["bob"], Secret("Bob's token")
    await store.write(lambda tx: credentials.open_session(tx, bob.id, bobs))
    ends: list[Work[None]] = [
        lambda tx: members.change_password(tx, SYSTEM, amy.id, ""),
        lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED),
    ]
    for end in ends:
        await store.write(lambda tx: credentials.open_session(tx, amy.id, TOKEN))
        await store.write(end)
        assert await store.read(lambda tx: credentials.session_member(tx, TOKEN)) is None
        assert await store.read(lambda tx: credentials.session_member(tx, bobs)) == bob
    # Enabling does not bring them back.
    await store.write(lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.ACTIVE))
    assert await store.read(lambda tx: credentials.session_member(tx, TOKEN)) is None


async def test_a_member_uses_his_own_mailbox_and_the_public_ones_he_was_given(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["amy", "bob"], "info": ["amy"]})
    amy, sales = made.members["amy"].id, made.mailboxes["sales"]

    async def used() -> list[str]:
        names = {mailbox_id: name for name, mailbox_id in made.mailboxes.items()}
        return [names[each] for each in await store.read(lambda tx: access.mailboxes_of(tx, amy))]

    assert await used() == ["amy", "sales", "info"]
    await store.write(lambda tx: users.change(tx, SYSTEM, sales, remove=Users((made.members["amy"],))))
    assert await used() == ["amy", "info"]
    for _ in range(2):
        await store.write(lambda tx: users.change(tx, SYSTEM, sales, add=Users((made.members["amy"],))))
    assert await used() == ["amy", "sales", "info"]
    assert await store.read(lambda tx: access.users(tx, sales)) == ["amy", "bob"]


async def test_the_administrators_are_the_active_ones(store: Store) -> None:
    made = await make.organisation(store)
    assert await store.read(access.administrators) == [made.mailboxes["amy"]]
    await store.write(lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED))
    assert await store.read(access.administrators) == []
