# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where a domain's mail goes: its MX hosts in order, and the addresses of each (RFC 5321 §5.1, RFC 7505)."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.resolver

from mailroom.core import clock
from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.senders.email.dane import Tlsa
from mailroom.senders.email.replies import Trouble

_HOSTS_MOST: Final = 10
_ADDRESSES_MOST: Final = 6  # of one host
_TLSA_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Host:
    """A server that takes mail for a domain. With `literal` its name is an address already; `secure`: the DNS has
    vouched for it.
    """

    name: str
    secure: bool = False
    literal: bool = False


class Remembered(dns.resolver.LRUCache):
    """Answers for as long as the DNS allows, but for no more than an hour, and what is not there for five minutes: a
    name server that forgets to say how long (RFC 2308 §5) must not hide a domain for good.
    """

    def put(self, key: dns.resolver.CacheKey, value: dns.resolver.Answer) -> None:
        longest = HOUR if value.rrset is not None else 5 * MINUTE
        value.expiration = min(value.expiration, (clock.now() + longest) / SECOND)
        super().put(key, value)


@dataclass(frozen=True, slots=True)
class Routes:
    """Looks up where mail goes. `names` are those of this server; `chance` gives numbers from 0 to 1."""

    resolver: dns.asyncresolver.Resolver
    names: frozenset[str]
    validates: bool
    chance: Callable[[], float]

    async def hosts(self, domain: str) -> Sequence[Host]:
        """The domain's servers, the best first, those of equal preference in any order. Raises `Trouble`."""
        if domain.startswith("["):
            return [_literal(domain)]
        answer = await self._ask(domain, "MX")
        if answer is None:  # RFC 5321 §5.1: the implicit MX
            return [Host(domain)]
        secure = self._vouched(answer)
        found = [(record.preference, str(record.exchange).rstrip(".").lower()) for record in answer]
        if all(not name for _, name in found):
            raise Trouble(556, f"5.1.10 {domain} takes no mail")  # RFC 7505
        # We are one of them: only better ones may have it, or it would come back to us.
        own = min((preference for preference, name in found if name in self.names), default=None)
        ordered = sorted((preference, self.chance(), name) for preference, name in found if name)
        hosts = [Host(name, secure) for preference, _, name in ordered if own is None or preference < own]
        if not hosts:
            raise Trouble(554, f"5.4.6 mail for {domain} would come back to this server")
        return hosts[:_HOSTS_MOST]

    async def addresses(self, host: Host) -> tuple[Sequence[str], bool]:
        """The host's addresses, the two families in turn, IPv6 first; and whether the DNS has vouched for them. Raises
        `Trouble`.
        """
        if host.literal:
            return [host.name], False
        six, four = await asyncio.gather(self._ask(host.name, "AAAA"), self._ask(host.name, "A"))
        answers = [answer for answer in (six, four) if answer is not None]
        pairs = zip_longest(*([record.address for record in answer] for answer in answers))
        addresses = [address for address in chain.from_iterable(pairs) if address is not None]
        if not addresses:
            raise Trouble(550, f"5.4.4 {host.name} has no address", elsewhere=True)
        return addresses[:_ADDRESSES_MOST], all(map(self._vouched, answers))

    async def tlsa(self, host: Host, port: int) -> tuple[Tlsa, ...]:
        """The host's TLSA records, if the DNS vouches for them. Raises `Trouble`: that none could be had might be an
        attacker's doing (RFC 7672 §2.1.2).
        """
        try:
            answer = await self._ask(f"_{port}._tcp.{host.name}", "TLSA")
        except Trouble as trouble:
            if trouble.code < 500:
                raise
            return ()
        if answer is None or not self._vouched(answer):
            return ()
        return tuple(Tlsa(one.usage, one.selector, one.mtype, bytes(one.cert)) for one in answer)[:_TLSA_MOST]

    def _vouched(self, answer: dns.resolver.Answer) -> bool:
        return self.validates and bool(answer.response.flags & dns.flags.AD)

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """The records; none: the name has none of that type. Raises `Trouble`."""
        try:
            return await self.resolver.resolve(name, kind, search=False)
        except dns.resolver.NoAnswer:
            return None
        except dns.resolver.NXDOMAIN:
            raise Trouble(550, f"5.1.2 the domain {name} does not exist", elsewhere=True) from None
        except (dns.exception.DNSException, OSError):
            raise Trouble(451, f"4.4.3 no name server has answered for {name}", elsewhere=True) from None
        except ValueError:  # labels too long, and the like
            raise Trouble(553, f"5.1.2 {name} is no name that can be looked up") from None


def _literal(domain: str) -> Host:
    """The server in an address literal (RFC 5321 §4.1.3). Raises `Trouble`."""
    text = domain.strip("[]")
    with contextlib.suppress(ValueError):
        return Host(str(ipaddress.ip_address(text[5:] if text.lower().startswith("ipv6:") else text)), literal=True)
    raise Trouble(553, f"5.1.3 {domain} is no address literal")
