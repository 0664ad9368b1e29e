# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The DNS as checks see it: an answer, nothing, or no idea."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver
import dns.reversename

_CACHED = 1000  # answers; each has 64 KiB at most
_AT_ONCE = 300  # questions of all mails together: each holds a socket
_LIFETIME = 2.5  # seconds for one question


class NoIdea(Exception):
    """The DNS does not say: no answer in time, or a broken one."""


@dataclass(frozen=True, slots=True)
class Found:
    """An answer: the records as text, or of TXT as octets; none of them may also mean that there is no such name."""

    exists: bool
    texts: tuple[str, ...] = ()
    octets: tuple[bytes, ...] = ()


_NO_NAME = Found(exists=False)


@dataclass(frozen=True, slots=True)
class Names:
    """Asks one resolver, and remembers what it said for as long as it may."""

    resolver: dns.asyncresolver.Resolver
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE), init=False)

    def __post_init__(self) -> None:
        self.resolver.cache = dns.resolver.LRUCache(_CACHED)
        self.resolver.lifetime = min(self.resolver.lifetime, _LIFETIME)

    async def ask(self, name: str, kind: str) -> Found:
        """The records of one type at a name, which may be anything: what cannot be a name does not exist. Raises
        `NoIdea`.
        """
        try:
            asked = dns.name.from_text(name)
        except (dns.exception.DNSException, ValueError):  # UnicodeError is a ValueError
            return _NO_NAME
        async with self._turns:
            try:
                answer = await self.resolver.resolve(asked, kind, raise_on_no_answer=False, search=False)
            except dns.resolver.NXDOMAIN:
                return _NO_NAME
            except (dns.exception.DNSException, OSError, ValueError) as fault:
                raise NoIdea(str(fault)) from fault
        records = list(answer.rrset or ())
        if kind == "TXT":
            return Found(exists=True, octets=tuple(b"".join(one.strings) for one in records))
        return Found(exists=True, texts=tuple(_text(one, kind) for one in records))

    async def txt(self, name: str) -> tuple[bytes, ...]:
        """The TXT records at a name, each of them in one piece. Raises `NoIdea`."""
        return (await self.ask(name, "TXT")).octets

    async def names_of(self, address: str) -> Found:
        """What the reverse zone calls an address. Raises `NoIdea`."""
        return await self.ask(str(dns.reversename.from_address(address)), "PTR")


def _text(record: object, kind: str) -> str:
    if kind == "MX":
        return str(record.exchange)  # type: ignore[attr-defined] # an MX record has one
    return str(record)
