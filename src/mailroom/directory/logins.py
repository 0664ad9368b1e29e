# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in with a mail program: who a user name and a proof stand for, and for how long.

A user name is an address of the mailbox, or its owner's userid. The proof is the owner's own password (while the policy
`own_password` lets programs use it) or a client password of the mailbox for the service that is asked for; or a token
that another service vouches for. Names that nobody has are treated as wrong passwords in every step.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from mailroom.core import log
from mailroom.core.clock import MINUTE, SECOND, Clock
from mailroom.core.errors import AccountDisabled, InvalidAddress, InvalidValue, LoginBlocked, WrongCredentials
from mailroom.core.ids import ClientPasswordId, MailboxId
from mailroom.core.secrets import Secret
from mailroom.directory import addresses, clients, domains, policies, queries, scram
from mailroom.directory.brake import Attempt, Brake
from mailroom.directory.credentials import Passwords
from mailroom.directory.model import Account, ClientPassword, MemberStatus, Principal, Service, Verifiers
from mailroom.directory.scram import First, Keys, Offer, Proof
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal

_LOG = log.get("logins")

_REMEMBERED: Final = 10 * MINUTE
_REMEMBERED_MOST: Final = 10_000
_TOKEN_REMEMBERED: Final = 60 * SECOND
_NAME_MOST: Final = 320  # as long as an address may be (RFC 5321 §4.5.3.1)
_PASSWORD_MOST: Final = 1024
_LOGGED_MOST: Final = 64  # of a user name

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token stands for: userid or address. It ends at `expires_at`, in milliseconds; None: it is not said."""

    name: str
    expires_at: int | None


Introspect = Callable[[Secret], Awaitable[Bearer | None]]
"""Asks whom a token stands for; None: nobody. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a user name stands for, and what would prove it."""

    account: Account | None
    login: str  # see `clients.login_of`
    clients: Sequence[tuple[ClientPassword, str]]  # for the service that is asked for
    own_allowed: bool

    @property
    def own(self) -> Verifiers:
        """What is kept of the owner's password."""
        return self.account.verifiers if self.account else Verifiers()


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether a proof is right, and whether that is the owner's own password, or which client password."""

    right: bool
    own: bool = False
    client: ClientPasswordId | None = None


_WRONG: Final = _Verdict(right=False)
_NO_MAILBOX: Final = MailboxId(0)
_NO_BEARER: Final = Bearer("", None)
# What no proof fits, judged where there is nothing else, so that the work is the same.
_NO_KEYS: Final = Keys(0, b"", bytes(32), bytes(32))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who asks to be let in, for the log."""

    name: str
    service: Service
    peer: str

    def log(self, event: str) -> None:
        _LOG.info(event, name=self.name[:_LOGGED_MOST], service=self.service.value, peer=self.peer)


@dataclass(slots=True)
class _Memory(Generic[V]):
    """What has been found out lately, under keys that only this process can make. Bounded in number and time."""

    clock: Clock
    _secret: bytes = field(default_factory=secrets.token_bytes)
    _kept: OrderedDict[bytes, tuple[int, V]] = field(default_factory=OrderedDict)

    def key(self, *parts: str) -> bytes:
        """The name of what depends on these and nothing else."""
        octets = [part.encode(errors="surrogatepass") for part in parts]
        return hmac.digest(self._secret, b"".join(b"%d:%b" % (len(one), one) for one in octets), "sha256")

    def get(self, key: bytes) -> V | None:
        known = self._kept.get(key)
        return known[1] if known is not None and self.clock() < known[0] else None

    def keep(self, key: bytes, value: V, *, until: int) -> None:
        self._kept.pop(key, None)
        self._kept[key] = until, value
        if len(self._kept) > _REMEMBERED_MOST:
            self._kept.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Logins:
    """Lets programs in."""

    store: Store
    passwords: Passwords
    seal: Seal
    brake: Brake
    clock: Clock
    introspect: Introspect | None = None  # None: nobody signs in by token
    _verdicts: _Memory[_Verdict] = field(init=False)
    _tokens: _Memory[Bearer] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_verdicts", _Memory[_Verdict](self.clock))
        object.__setattr__(self, "_tokens", _Memory[Bearer](self.clock))

    async def hash(self, userid: str, password: Secret) -> Verifiers:
        """What to keep of a member's new password. Raises `InvalidValue` for one that is too short, `Busy`."""
        argon2 = await self.passwords.hash(password)
        salt = clients.salt(self.seal, clients.login_of_member(userid))
        try:
            keys = await self.passwords.in_line(scram.keys, password.reveal(), salt)
        except scram.Malformed:
            return Verifiers(argon2)
        return Verifiers(argon2, self.seal.seal(str(keys)))

    # The ways in.

    async def by_password(self, name: str, password: Secret, *, service: Service, peer: str) -> Principal:
        """Whom the user name (userid or address) and the password stand for. `peer` is the client's address. Raises
        `WrongCredentials`, `TooManyAttempts`, `LoginBlocked`, `AccountDisabled`, `Busy`, `Unavailable`.
        """
        async with self.brake.looking(name, peer, lambda tx: _find(tx, name, service)) as attempt:
            found = attempt.seen
            kept = (f"{client.id} {keys}" for client, keys in found.clients)
            key = self._verdicts.key(name, password.reveal(), found.own.argon2, *kept)
            verdict = self._verdicts.get(key)
            if verdict is None:
                verdict = await self._judge(password, found)
                self._verdicts.keep(key, verdict, until=self.clock() + _REMEMBERED)
                if not verdict.right:  # the same again guesses nothing: programs do so with an old password
                    await attempt.failed()
            return await self._let_in(attempt, found, verdict, _Asked(name, service, peer))

    async def _judge(self, password: Secret, found: _Found) -> _Verdict:
        """What is computed depends on the form of the password alone, not on who there is."""
        if len(password.reveal()) > _PASSWORD_MOST:
            return _WRONG
        letters = clients.bare(password.reveal())
        if letters is not None:
            salt = clients.salt(self.seal, found.login)
            keys = str(await self.passwords.in_line(scram.keys, letters, salt))
            for client, kept in found.clients:
                if hmac.compare_digest(kept.partition(" ")[0], keys):
                    return _Verdict(right=True, client=client.id)
        return _Verdict(right=await self.passwords.fits(password, found.own.argon2), own=True)

    async def offer(self, first: First, *, nonce: bytes, peer: str) -> Offer:
        """The server's first message of SCRAM; of a name that nobody has it looks the same. Raises `TooManyAttempts`,
        `Unavailable`.
        """
        async with self.brake.looking(first.name, peer, lambda tx: _find_login(tx, first.name)) as attempt:
            return Offer(first, nonce, clients.salt(self.seal, attempt.seen))

    async def by_proof(self, name: str, proof: Proof, *, service: Service, peer: str) -> tuple[Principal, bytes]:
        """Whom the user name and SCRAM's proof stand for, and our proof to the client. Raises as `by_password`."""
        async with self.brake.looking(name, peer, lambda tx: _find(tx, name, service)) as attempt:
            found = attempt.seen
            verdict, signature = _WRONG, b""
            for client, keys in self._keys(found):
                if (fits := proof.signature(keys)) is not None:
                    verdict, signature = _Verdict(right=True, own=client is None, client=client), fits
            if not verdict.right:
                await attempt.failed()
            return await self._let_in(attempt, found, verdict, _Asked(name, service, peer)), signature

    def _keys(self, found: _Found) -> Iterator[tuple[ClientPasswordId | None, Keys]]:
        yield None, self._own_keys(found.own)
        for client, kept in found.clients:
            for keys in kept.split():
                yield client.id, Keys.parse(keys)

    def _own_keys(self, own: Verifiers) -> Keys:
        if own.scram is None:
            return _NO_KEYS
        try:
            return Keys.parse(self.seal.unseal(own.scram).reveal())
        except InvalidValue as fault:  # PLAIN still works
            _LOG.error("a password's SCRAM keys cannot be read", reason=str(fault))
            return _NO_KEYS

    async def by_token(self, token: Secret, *, name: str, service: Service, peer: str) -> Principal:
        """Whom the token stands for; `name` is the user name that came with it, or "". For personal mailboxes only.
        Raises as `by_password`.
        """
        async with self.brake.trying("", peer) as attempt:
            bearer = await self._bearer(token, attempt)
            found = await self.store.read(lambda tx: _find(tx, bearer.name, service))
            account = found.account
            fits = account is not None and account.member is not None
            if fits and name:
                fits = account == await self.store.read(lambda tx: _account(tx, name))
            return await self._let_in(attempt, found, _Verdict(right=fits), _Asked(bearer.name, service, peer))

    async def _bearer(self, token: Secret, attempt: Attempt[Any]) -> Bearer:
        if self.introspect is None:
            raise LoginBlocked
        key = self._tokens.key(token.reveal())
        bearer = self._tokens.get(key)
        if bearer is None:
            now = self.clock()
            bearer = await self.introspect(token) or _NO_BEARER
            until = now + _TOKEN_REMEMBERED
            self._tokens.keep(key, bearer, until=min(until, bearer.expires_at or until))
            if not bearer.name:
                await attempt.failed()
        return bearer

    async def _let_in(self, attempt: Attempt[Any], found: _Found, verdict: _Verdict, asked: _Asked) -> Principal:
        account = found.account
        if not verdict.right or account is None:
            asked.log("sign-in refused")
            raise WrongCredentials
        if not account.is_open:
            asked.log("sign-in to a disabled account refused")
            raise AccountDisabled(address=account.address)
        if verdict.own and not found.own_allowed:
            asked.log("sign-in by own password refused")
            raise LoginBlocked
        await attempt.succeeded()
        client = next((client for client, _ in found.clients if client.id == verdict.client), None)
        if client is not None and clients.is_use_old(client, self.clock()):
            await self.store.write(lambda tx: clients.used(tx, client, asked.peer))
        asked.log("signed in")
        own = _digest(account.verifiers.argon2) if verdict.own else ""
        return Principal(account.mailbox_id, account.address, account.member, verdict.client, own)

    async def is_name_of(self, name: str, principal: Principal) -> bool:
        """Whether the user name stands for who has signed in."""
        account = await self.store.read(lambda tx: _account(tx, name))
        return account is not None and account.mailbox_id == principal.mailbox_id


def still_valid(tx: Tx, principal: Principal) -> bool:
    """Whether who has signed in may go on: asked in the transactions of an open session, hence one query."""
    row = queries.accounts.standing(tx, principal.mailbox_id, principal.client_password)
    if row is None:
        return False
    owner_id, status, password, client_password = row
    owner = None if principal.member is None else principal.member.id
    return (
        owner_id == owner
        and (owner is None or status == MemberStatus.ACTIVE.value)
        and client_password == principal.client_password
        and principal.own_password in {"", _digest(password or "")}
    )


def _digest(kept: str) -> str:
    return hashlib.sha256(kept.encode()).hexdigest()


def _find(tx: Tx, name: str, service: Service) -> _Found:
    account = _account(tx, name)
    kept = queries.accounts.client_passwords(tx, account.mailbox_id if account else _NO_MAILBOX)
    return _Found(
        account,
        clients.login_of(account) if account else "nobody",
        [(client, keys) for client, keys in kept if service in client.services],
        policies.is_on(tx, "own_password"),
    )


def _account(tx: Tx, name: str) -> Account | None:
    # No name of ours has control characters, and PostgreSQL takes no NUL.
    if not name.isprintable() or len(name) > _NAME_MOST:
        return None
    if "@" not in name:
        return queries.accounts.by_userid(tx, name)
    try:
        return queries.accounts.by_address(tx, str(addresses.parse(name)))
    except InvalidAddress:
        return None


def _find_login(tx: Tx, name: str) -> str:
    """Whose passwords the name asks for. What is asked of the store is the same whoever there is, so that time does not
    tell; and whoever holds a name at one domain is meant by it at every other, as nobody is by a name that is nobody's.
    """
    try:
        local = addresses.parse(name if "@" in name else f"{name}@nobody.invalid").local
    except InvalidAddress:
        return f"nobody:{name.encode(errors='replace')!r}"
    named, owner = _account(tx, name), queries.accounts.by_userid(tx, local)
    leases = queries.addresses.leases(tx, [f"{local}@{domain.name}" for domain in domains.every(tx)])
    held = min((one.mailbox_id for one in leases.values() if one.mailbox_id is not None), default=_NO_MAILBOX)
    holder = queries.accounts.by_mailbox(tx, held)
    account = named or owner or holder
    return clients.login_of(account) if account else f"nobody:{local}"
