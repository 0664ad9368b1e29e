# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A brake on guessing passwords: each wrong one costs the next a longer wait, by user name and by client network.

What failed is kept in the store, so that a restart or another node forgets nothing; who signs in rightly writes
nothing. A name's wait stays short, and does not hold for a client that has signed in with it before: else strangers
could keep a member out. A network's wait may grow; a name counts for it a few times only: else one program with an old
password could keep a whole office out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from weakref import WeakValueDictionary

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.core.errors import InvalidAddress, NotFound, TooManyAttempts
from mailroom.directory import addresses, queries
from mailroom.directory.model import Tries
from mailroom.storage.ports import Store, Tx, Work

T = TypeVar("T")

_FORGET: Final = HOUR
_GUESTS_MOST: Final = 20_000
_KEY_MOST: Final = 320  # as long as an address may be (RFC 5321 §4.5.3.1)


@dataclass(frozen=True, slots=True)
class _Patience:
    free: int  # failures without a wait
    longest: int  # milliseconds

    def delay(self, tries: int) -> int:
        over = tries - self.free
        return min(SECOND << min(over, 30), self.longest) if over >= 0 else 0


_NAME: Final = _Patience(free=5, longest=MINUTE)
_ADDRESS: Final = _Patience(free=20, longest=15 * MINUTE)


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """One attempt to sign in, and what was `seen` in its transaction. Who made it says how it ended, or nothing if it
    was neither right nor wrong.
    """

    seen: T
    _brake: Brake
    _name: str  # key; "" when there is no user name
    _address: str
    _slow: bool  # the name has failed lately

    async def failed(self) -> None:
        """The name and the proof do not belong together."""
        self._brake.guests.pop((self._name, self._address), None)
        await self._brake.store.write(lambda tx: _count(tx, self._name, self._address))

    async def succeeded(self) -> None:
        """They do."""
        self._brake.welcome(self._name, self._address)
        if self._slow:
            await self._brake.store.write(lambda tx: queries.brakes.release(tx, self._name))


@dataclass(frozen=True, slots=True)
class Brake:
    """Counts what failed. Only who comes in rightly is remembered in this process."""

    store: Store
    guests: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def trying(self, name: str, peer: str) -> AbstractAsyncContextManager[Attempt[None]]:
        """An attempt with this user name ("": none is known) from this client. One after the other for each name: many
        at once get no more tries than many in a row. Raises `TooManyAttempts`.
        """
        return self.looking(name, peer, lambda _: None)

    @contextlib.asynccontextmanager
    async def looking(self, name: str, peer: str, look: Work[T]) -> AsyncIterator[Attempt[T]]:
        """The same, where something is looked up in the transaction in which the attempt is admitted."""
        who, where = _name_key(name) if name else "", _address_key(peer)
        async with contextlib.AsyncExitStack() as turns:
            if who:
                await turns.enter_async_context(self._turn(who))
            known, seen = await self._admit(who, where, look)
            if where in known and known[where].tries >= _ADDRESS.free:  # so it is for a network that has been guessing
                await turns.enter_async_context(self._turn(where))
                known, seen = await self._admit(who, where, look)
            yield Attempt(seen, self, who, where, who in known)

    async def _admit(self, who: str, where: str, look: Work[T]) -> tuple[Mapping[str, Tries], T]:
        held_by = [where] if (who, where) in self.guests else [who, where]
        return await self.store.read(lambda tx: (_admit(tx, who, where, held_by), look(tx)))

    def _turn(self, key: str) -> asyncio.Lock:
        return self._turns.setdefault(key, asyncio.Lock())

    def welcome(self, who: str, where: str) -> None:
        """Remember that this client has signed in with this name."""
        self.guests[who, where] = None
        self.guests.move_to_end((who, where))
        if len(self.guests) > _GUESTS_MOST:
            self.guests.popitem(last=False)


def _admit(tx: Tx, who: str, where: str, held_by: Sequence[str]) -> Mapping[str, Tries]:
    """Those of the two that have failed before."""
    known = queries.brakes.get(tx, [who, where])
    wait = max((known[key].again_at - tx.now for key in held_by if key in known), default=0)
    if wait > 0:
        raise TooManyAttempts(seconds=-(-wait // SECOND))
    return known


def _count(tx: Tx, who: str, where: str) -> None:
    stale = tx.now - _FORGET
    named = 0
    if who:
        named = queries.brakes.count_try(tx, who, stale=stale)
        queries.brakes.hold_back(tx, who, tx.now + _NAME.delay(named))
    if named <= _NAME.free:
        queries.brakes.hold_back(tx, where, tx.now + _ADDRESS.delay(queries.brakes.count_try(tx, where, stale=stale)))


def blocked(tx: Tx) -> Sequence[Tries]:
    """Who has been made to wait within the hour, and until when."""
    return queries.brakes.blocked(tx, since=tx.now - _FORGET)


def unblock(tx: Tx, key: str) -> None:
    """Forget what has failed under this key. Raises `NotFound`."""
    if not queries.brakes.release(tx, key):
        raise NotFound(what="block", name=key)


def forget(tx: Tx) -> None:
    """Forget what failed long ago."""
    queries.brakes.forget(tx, stale=tx.now - _FORGET)


def _name_key(name: str) -> str:
    # However an address is spelt, quoted or in letters that count as the same, it is one.
    try:
        return f"name:{addresses.parse(name)}"
    except InvalidAddress:
        plain = "".join(one for one in name.strip().casefold() if one.isprintable())
        return f"name:{plain[:_KEY_MOST]}"


def _address_key(address: str) -> str:
    return f"address:{client_key(address)}"


def client_key(address: str) -> str:
    """What a client is counted by. One IPv6 customer has a /64 and can take any address of it; an IPv4 address that is
    written as IPv6 stays one address.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
