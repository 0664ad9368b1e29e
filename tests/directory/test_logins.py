# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who may sign in with a mail program, by which proof, to what; and when that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.core.errors import (
    AccountDisabled,
    InvalidValue,
    LoginBlocked,
    NotFound,
    Refusal,
    TooManyAttempts,
    Unavailable,
    WrongCredentials,
)
from mailroom.core.secrets import Secret
from mailroom.directory import addresses, clients, domains, logins, members, policies, queries, scram
from mailroom.directory.clients import ClientPasswords
from mailroom.directory.logins import Bearer, Logins
from mailroom.directory.model import SYSTEM, DomainState, MemberStatus, Principal, Service
from mailroom.mailboxes import create, quota
from mailroom.mailboxes.model import MailboxStatus, topic
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.directory.scram_client import ScramClient
from tests.make import Organisation
from tests.stores import Watch

PASSWORD = "correct horse"
PEER = "192.0.2.1"


@dataclass
class Office:
    """An organisation whose members sign in."""

    store: Store
    logins: Logins
    organisation: Organisation
    watch: Watch

    @property
    def clients(self) -> ClientPasswords:
        return ClientPasswords(self.store, self.logins.passwords, self.logins.seal)

    async def enter(
        self, name: str, password: str = PASSWORD, *, service: Service = Service.IMAP, peer: str = PEER
    ) -> Principal:
        return await self.logins.by_password(name, Secret(password), service=service, peer=peer)

    async def prove(self, name: str, password: str = PASSWORD, *, service: Service = Service.IMAP) -> Principal:
        client = ScramClient(name, password)
        offer = await self.logins.offer(scram.read_first(client.first()), nonce=b"ours", peer=PEER)
        proof = offer.read_final(client.final(offer.message))
        principal, signature = await self.logins.by_proof(name, proof, service=service, peer=PEER)
        assert client.is_server(signature)
        return principal

    async def client_password(self, name: str, *services: Service) -> str:
        mailbox_id = self.organisation.mailboxes[name]
        _, shown = await self.clients.create(SYSTEM, mailbox_id, remark="Phone", services=services or tuple(Service))
        return shown.reveal()

    async def salt(self, name: str) -> bytes:
        first = scram.read_first(ScramClient(name, "").first())
        return (await self.logins.offer(first, nonce=b"n", peer=PEER)).salt

    async def is_valid(self, principal: Principal) -> bool:
        return await self.store.read(lambda tx: logins.still_valid(tx, principal))


Way = Callable[..., Awaitable[Principal]]
WAYS: list[Callable[[Office], Way]] = [lambda office: office.enter, lambda office: office.prove]
in_each_way = pytest.mark.parametrize("way", WAYS, ids=["password", "proof"])


@pytest_asyncio.fixture
async def office(store: Store, watch: Watch, tmp_path: Path) -> Office:
    organisation = await make.organisation(store, public={"sales": ["amy"]})
    made = make.logins(store, tmp_path, time=watch)
    await make.set_password(made, "amy", PASSWORD)
    return Office(store, made, organisation, watch)


async def no(attempt: Awaitable[Principal]) -> type[Refusal]:
    with pytest.raises(Refusal) as refused:
        await attempt
    return type(refused.value)


@in_each_way
@pytest.mark.parametrize("name", ["amy", "amy@corp.example", "AMY@Corp.Example", "amelie@corp.example"])
async def test_the_own_password_lets_in_by_userid_address_and_alias(
    office: Office, name: str, way: Callable[[Office], Way]
) -> None:
    mailbox_id = office.organisation.mailboxes["amy"]
    alias = addresses.parse("amelie@corp.example")
    await office.store.write(lambda tx: create.alias(tx, SYSTEM, mailbox_id, alias))
    principal = await way(office)(name)
    assert (principal.mailbox_id, principal.address) == (mailbox_id, "amy@corp.example")
    assert principal.member == office.organisation.members["amy"]
    assert principal.client_password is None
    assert await office.is_valid(principal)


@in_each_way
@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("amy", "wrong"),
        ("amy", "abcd-efgh-jkmn-pqrs"),
        ("bob", PASSWORD),  # has no password
        ("sales@corp.example", PASSWORD),
        ("nobody", PASSWORD),
        ("nobody@corp.example", "abcdefghjkmnpqrs"),
        ("amy@elsewhere.example", PASSWORD),
        ("amy+tag@corp.example", PASSWORD),
        ("@", PASSWORD),
        ("a" * 400, PASSWORD),
    ],
)
async def test_anything_else_does_not(office: Office, name: str, password: str, way: Callable[[Office], Way]) -> None:
    assert await no(way(office)(name, password)) is WrongCredentials


@pytest.mark.parametrize(("name", "password"), [("", PASSWORD), ("a\0", PASSWORD), ("amy", ""), ("amy", "x" * 2000)])
async def test_odd_input_is_just_wrong(office: Office, name: str, password: str) -> None:
    assert await no(office.enter(name, password)) is WrongCredentials


@in_each_way
async def test_a_client_password_lets_in_for_its_services(office: Office, way: Callable[[Office], Way]) -> None:
    shown = await office.client_password("amy", Service.IMAP, Service.SMTP)
    principal = await way(office)("amy", shown, service=Service.SMTP)
    assert principal.mailbox_id == office.organisation.mailboxes["amy"]
    assert principal.member == office.organisation.members["amy"]
    assert principal.client_password is not None
    assert await no(way(office)("amy", shown, service=Service.POP3)) is WrongCredentials
    assert await no(way(office)("bob", shown, service=Service.SMTP)) is WrongCredentials
    assert (await way(office)("amy", shown.replace("-", ""), service=Service.IMAP)) == principal


async def test_a_client_password_may_be_typed_in_any_way(office: Office) -> None:
    shown = await office.client_password("amy")
    assert len(shown) == 19
    for typed in (shown.upper(), shown.replace("-", " "), f" {shown}"):
        assert (await office.enter("amy", typed)).client_password is not None


@in_each_way
async def test_a_public_mailbox_opens_by_a_client_password_only(office: Office, way: Callable[[Office], Way]) -> None:
    shown = await office.client_password("sales")
    principal = await way(office)("sales@corp.example", shown)
    assert (principal.mailbox_id, principal.member) == (office.organisation.mailboxes["sales"], None)
    assert await office.is_valid(principal)
    assert await no(way(office)("amy", shown)) is WrongCredentials


@in_each_way
async def test_several_client_passwords_work_beside_the_own_one(office: Office, way: Callable[[Office], Way]) -> None:
    shown = [await office.client_password("amy") for _ in range(3)]
    ways = [(await way(office)("amy", password)).client_password for password in (*shown, PASSWORD)]
    assert len(set(ways)) == 4
    assert ways[-1] is None


@in_each_way
async def test_the_policy_may_keep_own_passwords_out(office: Office, way: Callable[[Office], Way]) -> None:
    await office.store.write(lambda tx: policies.change(tx, SYSTEM, "own_password", "no"))
    assert await no(way(office)("amy")) is LoginBlocked
    assert await no(way(office)("amy", "wrong")) is WrongCredentials
    assert (await way(office)("amy", await office.client_password("amy"))).client_password is not None


Change = Callable[[Tx, Office], object]
CLOSED: list[Change] = [
    lambda tx, _: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED),
    lambda tx, office: quota.change_status(tx, SYSTEM, office.organisation.mailboxes["amy"], MailboxStatus.DISABLED),
    lambda tx, _: domains.disable(tx, SYSTEM, "corp.example"),
]


@in_each_way
@pytest.mark.parametrize("close", CLOSED, ids=["member", "mailbox", "domain"])
async def test_what_is_disabled_lets_nobody_in(office: Office, close: Change, way: Callable[[Office], Way]) -> None:
    shown = await office.client_password("amy")
    await way(office)("amy")
    await way(office)("amy", shown)
    await office.store.write(lambda tx: close(tx, office))
    assert await no(way(office)("amy")) is AccountDisabled
    assert await no(way(office)("amy", shown)) is AccountDisabled
    # Only who has the password learns of it.
    assert await no(way(office)("amy", "wrong")) is WrongCredentials


@in_each_way
async def test_a_new_password_counts_at_once(office: Office, way: Callable[[Office], Way]) -> None:
    old = await way(office)("amy")
    await make.set_password(office.logins, "amy", "battery staple")
    assert await no(way(office)("amy")) is WrongCredentials
    assert await way(office)("amy", "battery staple") != old
    assert not await office.is_valid(old)


async def test_a_password_without_scram_keys_still_works_as_it_is(office: Office) -> None:
    kept = await office.logins.hash("amy", Secret("tab\tin it"))
    assert kept.scram is None
    await office.store.write(
        lambda tx: members.change_password(tx, SYSTEM, office.organisation.members["amy"].id, kept)
    )
    await office.enter("amy", "tab\tin it")
    assert await no(office.prove("amy", "tab\tin it")) is WrongCredentials


async def test_keys_sealed_with_another_key_let_nobody_in_and_break_nothing(office: Office, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    office.logins = make.logins(office.store, tmp_path / "other", time=office.watch)
    assert await no(office.prove("amy")) is WrongCredentials
    await office.enter("amy")


# Revocation.


async def test_a_revoked_client_password_ends_what_it_opened(office: Office) -> None:
    mailbox_id = office.organisation.mailboxes["amy"]
    first, second = await office.client_password("amy"), await office.client_password("amy")
    gone, stays = await office.enter("amy", first), await office.enter("amy", second)
    assert gone.client_password is not None
    with office.store.hints.listen(topic(mailbox_id)) as ear:
        which = gone.client_password
        await office.store.write(lambda tx: clients.revoke(tx, SYSTEM, mailbox_id, which))
        async with asyncio.timeout(5):
            await ear.wait(60)  # who waits for mail hears that he should ask again
    assert (await office.is_valid(gone), await office.is_valid(stays)) == (False, True)
    assert await no(office.enter("amy", first)) is WrongCredentials
    with pytest.raises(NotFound):
        await office.store.write(lambda tx: clients.revoke(tx, SYSTEM, mailbox_id, which))


async def test_one_mailbox_s_client_passwords_are_not_another_s_to_revoke(office: Office) -> None:
    principal = await office.enter("amy", await office.client_password("amy"))
    with pytest.raises(NotFound):
        await office.store.write(
            lambda tx: clients.revoke(tx, SYSTEM, office.organisation.mailboxes["bob"], principal.client_password or 0)  # type: ignore[arg-type] # 0 is none
        )
    assert await office.is_valid(principal)


@pytest.mark.parametrize("close", CLOSED[:2], ids=["member", "mailbox"])
async def test_open_sessions_end_with_member_and_mailbox(office: Office, close: Change) -> None:
    own, client = await office.enter("amy"), await office.enter("amy", await office.client_password("amy"))
    assert await office.is_valid(own)
    assert await office.is_valid(client)
    await office.store.write(lambda tx: close(tx, office))
    assert not await office.is_valid(own)
    assert not await office.is_valid(client)


async def test_a_session_is_the_owner_s_only_while_he_is_the_owner(office: Office) -> None:
    principal = await office.enter("amy")
    assert not await office.is_valid(replace(principal, member=office.organisation.members["bob"]))
    assert not await office.is_valid(replace(principal, member=None))


# What is kept of client passwords.


async def test_last_use_is_written_once_an_hour(office: Office) -> None:
    mailbox_id = office.organisation.mailboxes["amy"]
    shown = await office.client_password("amy", Service.POP3, Service.IMAP)
    uses, kept = [], None
    for peer, later in (("192.0.2.1", 0), ("192.0.2.2", 59 * MINUTE), ("192.0.2.3", MINUTE)):
        office.watch.now += later
        await office.enter("amy", shown, peer=peer)
        (kept,) = await office.store.read(lambda tx: clients.of(tx, mailbox_id))
        uses.append((kept.last_used_at, kept.last_used_from))
    now = office.watch.now
    assert uses == [(now - HOUR, "192.0.2.1"), (now - HOUR, "192.0.2.1"), (now, "192.0.2.3")]
    assert kept is not None
    assert (kept.remark, kept.services) == ("Phone", frozenset({Service.IMAP, Service.POP3}))


@pytest.mark.parametrize("remark", ["", "  ", "a\nb", "é" * 65])
async def test_a_remark_is_short_and_printable(office: Office, remark: str) -> None:
    with pytest.raises(InvalidValue):
        await office.clients.create(SYSTEM, office.organisation.mailboxes["amy"], remark=remark)


async def test_a_client_password_is_good_for_something(office: Office) -> None:
    with pytest.raises(InvalidValue):
        await office.clients.create(SYSTEM, office.organisation.mailboxes["amy"], remark="x", services=())


async def test_a_mailbox_has_fifty_at_most(office: Office) -> None:
    mailbox_id = office.organisation.mailboxes["amy"]
    for _ in range(clients.MOST):
        add = partial(
            queries.accounts.add_client_password, mailbox_id=mailbox_id, remark="x", services=[Service.IMAP], scram=""
        )
        await office.store.write(add)
    with pytest.raises(InvalidValue):
        await office.client_password("amy")


async def test_nothing_of_a_password_can_be_read_from_the_store(office: Office) -> None:
    shown = await office.client_password("amy")
    rows = await office.store.read(
        lambda tx: queries.accounts.client_passwords(tx, office.organisation.mailboxes["amy"])
    )
    assert shown not in str(rows)
    assert shown.replace("-", "") not in str(rows)


# Guessing.


@in_each_way
async def test_guessing_is_slowed_down_for_the_right_password_too(office: Office, way: Callable[[Office], Way]) -> None:
    for number in range(5):
        assert await no(way(office)("amy", f"guess {number}")) is WrongCredentials
    assert await no(way(office)("amy")) is TooManyAttempts
    office.watch.now += SECOND
    await way(office)("amy")


async def test_the_same_wrong_password_again_and_again_is_no_guessing(office: Office) -> None:
    for _ in range(30):
        assert await no(office.enter("amy", "old password")) is WrongCredentials
        assert await no(office.enter("nobody", "old password")) is WrongCredentials
    await office.enter("amy")


@in_each_way
async def test_names_that_nobody_has_are_slowed_down_like_others(office: Office, way: Callable[[Office], Way]) -> None:
    for number in range(5):
        assert await no(way(office)("nobody", f"guess {number}")) is WrongCredentials
    assert await no(way(office)("nobody", "another")) is TooManyAttempts


async def test_a_salt_does_not_tell_who_is_there(office: Office) -> None:
    salts = {name: await office.salt(name) for name in ("amy", "bob", "nobody", "sales@corp.example", "x@else.example")}
    assert len(set(salts.values())) == 5
    assert {len(salt) for salt in salts.values()} == {16}
    for name, salt in salts.items():
        assert await office.salt(name) == salt  # and it stays
    # A userid and the address that goes with it share a salt, whether or not they are anybody's.
    for name in ("amy", "nobody"):
        assert salts[name] == await office.salt(f"{name}@corp.example")


async def test_nor_do_several_of_one_name(office: Office) -> None:
    def more(tx: Tx) -> None:
        domains.add(tx, SYSTEM, office.organisation.id, "second.example", state=DomainState.ACTIVE)
        create.alias(tx, SYSTEM, office.organisation.mailboxes["amy"], addresses.parse_new("amy@second.example"))
        create.alias(tx, SYSTEM, office.organisation.mailboxes["carol"], addresses.parse_new("info@second.example"))

    await office.store.write(more)
    shown = []
    for name in ("amy", "bob", "sales", "info", "nobody"):
        forms = [name, name.upper(), f'"{name}"@corp.example', f"{name}+x@corp.example", f"{name}@"]
        forms += [f"{name.upper()}@{domain}.example" for domain in ("corp", "second", "out")]
        salts = [await office.salt(form) for form in forms]
        shown.append([salts.index(salt) for salt in salts])
    assert shown == [[0, 0, 0, 3, 4, 0, 0, 0]] * 5


class Counting:
    """A transaction that counts what it is asked."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.asked = 0

    def __getattr__(self, name: str) -> object:
        self.asked += name in {"all", "first"}
        return getattr(self._tx, name)


@pytest.mark.parametrize("form", ["{}", "{}@corp.example", "{}@out.example", "{}+x@corp.example"])
@pytest.mark.parametrize("find", [logins._find_login, partial(logins._find, service=Service.IMAP)])
async def test_nor_does_the_number_of_questions(office: Office, find: Callable[[Tx, str], object], form: str) -> None:
    def count(tx: Tx, name: str) -> int:
        counting = Counting(tx)
        find(cast("Tx", counting), form.format(name))
        return counting.asked

    counts = {name: await office.store.read(lambda tx, name=name: count(tx, name)) for name in ("amy", "sales", "none")}  # type: ignore[misc] # of a loop
    assert len(set(counts.values())) == 1, counts


async def test_a_wrong_name_costs_the_work_of_a_wrong_password(office: Office) -> None:
    worked: list[object] = []
    passwords = office.logins.passwords

    class Counted(type(passwords)):  # type: ignore[misc] # the class of a value
        async def in_line(self, work: Callable[..., object], password: str, kept: object) -> object:
            worked.append(work.__name__)
            return await super().in_line(work, password, kept)

    office.logins = replace(office.logins, passwords=Counted(passwords._threads, passwords._hasher, passwords._places))
    counts = []
    for name in ("amy", "bob", "sales@corp.example", "nobody", "@"):
        for wrong in ("wrong", "abcd-efgh-jkmn-pqrs"):
            await no(office.enter(name, wrong))
        counts.append(list(worked))
        worked.clear()
    assert counts == [["_verify", "keys", "_verify"]] * 5


async def test_a_program_that_comes_each_minute_costs_no_hash(office: Office) -> None:
    shown = await office.client_password("amy")
    for password in (PASSWORD, shown):
        await office.enter("amy", password)
    for _ in range(16):
        await office.logins.passwords._places.acquire()  # whoever must compute now is told Busy
    for password in (PASSWORD, shown):
        for service in (Service.IMAP, Service.SMTP):
            await office.enter("amy", password, service=service)
    office.watch.now += 10 * MINUTE
    assert (await no(office.enter("amy"))).code == "busy"


# Tokens.


@pytest.fixture
def bearers() -> dict[str, Bearer | Unavailable]:
    return {"good": Bearer("amy@corp.example", None)}


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def token_office(office: Office, bearers: dict[str, Bearer | Unavailable], asked: list[str]) -> Office:
    async def introspect(token: Secret) -> Bearer | None:
        asked.append(token.reveal())
        answer = bearers.get(token.reveal())
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    office.logins = replace(office.logins, introspect=introspect)
    return office


async def by_token(office: Office, token: str, *, name: str = "", peer: str = PEER) -> Principal:
    return await office.logins.by_token(Secret(token), name=name, service=Service.IMAP, peer=peer)


async def test_a_token_lets_its_owner_in(token_office: Office) -> None:
    for name in ("", "amy", "AMY@corp.example"):
        principal = await by_token(token_office, "good", name=name)
        assert principal.mailbox_id == token_office.organisation.mailboxes["amy"]
        assert await token_office.is_valid(principal)


async def test_a_token_is_no_password_so_its_policy_does_not_matter(token_office: Office) -> None:
    await token_office.store.write(lambda tx: policies.change(tx, SYSTEM, "own_password", "no"))
    await by_token(token_office, "good")


@pytest.mark.parametrize(
    ("token", "name"), [("bad", ""), ("good", "bob"), ("good", "sales@corp.example"), ("public", ""), ("stranger", "")]
)
async def test_a_token_opens_nothing_else(
    token_office: Office, bearers: dict[str, Bearer | Unavailable], token: str, name: str
) -> None:
    bearers |= {"public": Bearer("sales@corp.example", None), "stranger": Bearer("eve@else.example", None)}
    assert await no(by_token(token_office, token, name=name)) is WrongCredentials


async def test_tokens_need_a_service_that_vouches_for_them(office: Office) -> None:
    assert await no(by_token(office, "good")) is LoginBlocked


async def test_a_token_s_standing_is_asked_once_a_minute_and_not_after_its_end(
    token_office: Office, bearers: dict[str, Bearer | Unavailable], asked: list[str]
) -> None:
    bearers["short"] = Bearer("amy", token_office.watch.now + 10 * SECOND)
    for token, times in (("good", 1), ("good", 1), ("short", 2), ("bad", 3), ("bad", 3)):
        if token == "bad":
            assert await no(by_token(token_office, token)) is WrongCredentials
        else:
            await by_token(token_office, token)
        assert len(asked) == times
    token_office.watch.now += 10 * SECOND
    await by_token(token_office, "good")
    await by_token(token_office, "short")
    assert asked[3:] == ["short"]
    token_office.watch.now += 50 * SECOND
    await by_token(token_office, "good")
    assert asked[4:] == ["good"]


async def test_when_nobody_vouches_the_token_is_neither_right_nor_wrong(
    token_office: Office, bearers: dict[str, Bearer | Unavailable]
) -> None:
    bearers["good"] = Unavailable(what="token introspection")
    for _ in range(30):
        assert await no(by_token(token_office, "good")) is Unavailable


async def test_guessing_tokens_is_slowed_down_by_address(token_office: Office) -> None:
    guesses = [partial(by_token, token_office, f"guess {number}") for number in range(20)]
    assert [await no(guess()) for guess in guesses] == [WrongCredentials] * 20
    assert await no(by_token(token_office, "good")) is TooManyAttempts
    await by_token(token_office, "good", peer="198.51.100.7")
