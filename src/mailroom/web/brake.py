# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A brake on guessing passwords: each try costs the next one a longer wait."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from mailroom.core.clock import HOUR, MINUTE, SECOND, Clock
from mailroom.core.errors import InvalidAddress, TooManyAttempts
from mailroom.directory import addresses

_FORGET: Final = HOUR
_KEYS_MOST: Final = 20_000


@dataclass(frozen=True, slots=True)
class _Patience:
    free: int  # tries without a wait
    longest: int  # milliseconds


# A name's wait stays short, or anyone could keep a member out; an address's may grow.
_NAME: Final = _Patience(free=5, longest=MINUTE)
_ADDRESS: Final = _Patience(free=20, longest=15 * MINUTE)


@dataclass(frozen=True, slots=True)
class _Tries:
    count: int
    last: int
    again_at: int


@dataclass(frozen=True, slots=True)
class Brake:
    """Counts tries by user name and by client address. Lives in this process and forgets in an hour."""

    clock: Clock
    _tries: OrderedDict[tuple[str, str], _Tries] = field(default_factory=OrderedDict)

    def admit(self, name: str, address: str) -> None:
        """Count a try, before it is known how it ends: many at once are many. Raises `TooManyAttempts`."""
        now = self.clock()
        keys = (_name_key(name), _NAME), (_address_key(address), _ADDRESS)
        wait = max(self._wait(key, now) for key, _ in keys)
        if wait > 0:
            raise TooManyAttempts(seconds=-(-wait // SECOND))
        for key, patience in keys:
            self._count(key, patience, now)

    def forgive(self, name: str, address: str) -> None:
        """The password was right: forget the name's tries, and this one of the address."""
        self._tries.pop(_name_key(name), None)
        known = self._tries.get(_address_key(address))
        if known is not None:
            self._tries[_address_key(address)] = _Tries(known.count - 1, known.last, 0)

    def _wait(self, key: tuple[str, str], now: int) -> int:
        known = self._tries.get(key)
        return 0 if known is None or now - known.last > _FORGET else known.again_at - now

    def _count(self, key: tuple[str, str], patience: _Patience, now: int) -> None:
        known = self._tries.pop(key, None)
        count = 1 if known is None or now - known.last > _FORGET else known.count + 1
        over = count - patience.free
        delay = min(SECOND << min(over, 30), patience.longest) if over >= 0 else 0
        self._tries[key] = _Tries(count, now, now + delay)
        while len(self._tries) > _KEYS_MOST:
            self._tries.popitem(last=False)


def _name_key(name: str) -> tuple[str, str]:
    # However an address is spelt, quoted or in letters that count as the same, it is one.
    try:
        return "name", str(addresses.parse(name))
    except InvalidAddress:
        return "name", name.strip().casefold()[:320]


def _address_key(address: str) -> tuple[str, str]:
    return "address", client_key(address)


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
