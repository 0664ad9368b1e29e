# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Passwords and the sessions that they open."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mailroom.core.clock import DAY
from mailroom.core.errors import Busy, InvalidAddress, InvalidValue
from mailroom.core.ids import MemberId
from mailroom.core.secrets import Secret
from mailroom.directory import addresses, queries
from mailroom.directory.model import Member, MemberStatus
from mailroom.storage.ports import Store, Tx

K = TypeVar("K")
T = TypeVar("T")

SESSION = 14 * DAY
_SHORTEST = 8
_VERIFYING = 16  # passwords at once: two in work, the others in line for a second or two
_BUSY = 5  # seconds


@functools.cache
def _nobody() -> str:
    """A hash that nothing fits: verified when there is no such member, so that the time taken does not tell."""
    return PasswordHasher().hash(secrets.token_urlsafe())


def ask(password: Secret) -> None:
    """Raise `InvalidValue` for a password that is too short."""
    if len(password.reveal()) < _SHORTEST:
        raise InvalidValue(name="password", reason=f"at least {_SHORTEST} characters")


@dataclass(frozen=True, slots=True)
class Passwords:
    """argon2id (RFC 9106), in two threads of its own: each hash takes 64 MiB, and guessing must not take all memory."""

    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, thread_name_prefix="argon2"))
    _hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_VERIFYING))

    async def hash(self, password: Secret) -> str:
        """The hash to keep. Raises `InvalidValue` for a password that is too short."""
        ask(password)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password.reveal())

    async def fits(self, password: Secret, kept: str) -> bool:
        """Whether the password is the one that was hashed. Raises `Busy` when too many wait already."""
        return await self.in_line(self._verify, password.reveal(), kept)

    async def in_line(self, work: Callable[[str, K], T], password: str, kept: K) -> T:
        """Compute something slow of a password, as `fits` does it. Raises `Busy`."""
        if self._places.locked():
            raise Busy(seconds=_BUSY)
        async with self._places:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, password, kept)

    def _verify(self, password: str, kept: str) -> bool:
        try:
            self._hasher.verify(kept or _nobody(), password)
        except (VerificationError, InvalidHashError):
            return False
        return bool(kept)


async def sign_in(store: Store, passwords: Passwords, *, name: str, password: Secret) -> Member | None:
    """The active member whom a user name (userid, or own mailbox's address) and password name together, or none."""
    address = _as_address(name)
    # No name of ours has control characters, and PostgreSQL takes no NUL.
    found = await store.read(lambda tx: queries.members.credentials(tx, name, address)) if name.isprintable() else None
    member, kept = found if found is not None else (None, "")
    fits = await passwords.fits(password, kept)
    return member if fits and member is not None and member.status is MemberStatus.ACTIVE else None


def _as_address(name: str) -> str:
    try:
        return str(addresses.parse(name))
    except InvalidAddress:
        return ""


def count_sealed(tx: Tx) -> int:
    """How many passwords and keys are worth nothing without the installation's key."""
    return queries.accounts.count_sealed(tx)


def sealed(tx: Tx) -> Sequence[bytes]:
    """Some of them as they are kept, to try the key at."""
    return queries.accounts.sealed(tx)


def open_session(tx: Tx, member_id: MemberId, token: Secret) -> None:
    """Let the bearer of `token` act as the member for `SESSION` milliseconds. Only the token's digest is kept."""
    queries.sessions.add(tx, _digest(token), member_id, expires_at=tx.now + SESSION)


def session_member(tx: Tx, token: Secret) -> Member | None:
    """Whom the bearer of the token may act as now."""
    return queries.sessions.member(tx, _digest(token))


def close_session(tx: Tx, token: Secret) -> None:
    """End the session."""
    queries.sessions.end(tx, _digest(token))


def forget_sessions(tx: Tx) -> None:
    """Forget the sessions that have run out."""
    queries.sessions.forget(tx)


def _digest(token: Secret) -> str:
    return hashlib.sha256(token.reveal().encode()).hexdigest()
