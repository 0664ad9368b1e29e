# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Takes a mail to one recipient: to the servers of his domain, the best first, or to the server that sends for us.

The parcel's content is `mail` (the number by which its octets are had), `prefix` (header fields that go before them, if
any), `from`, `size`, `utf8`, `eight_bit`, `ret` and `envid`; a recipient's options are `notify` and `orcpt`. A 2xx to
the mail itself is success and nothing else is; a lost answer is tried again, for a second copy is less harm than none
(RFC 5321 §6.1).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

from mailroom.core.clock import SECOND
from mailroom.core.errors import EgressRefused, InvalidValue, Refusal
from mailroom.core.secrets import Secret
from mailroom.senders.contract import (
    Account,
    Mails,
    Manifest,
    Outcome,
    Parcel,
    Scope,
    SenderKind,
    Sent,
    Tools,
    TryLater,
    excerpt,
)
from mailroom.senders.egress import Egress, is_localhost
from mailroom.senders.email.envelope import Envelope, from_parcel, heading, to_ascii
from mailroom.senders.email.lapsing import Lapsing
from mailroom.senders.email.manifest import MANIFEST
from mailroom.senders.email.mx import Host, Remembered, Routes
from mailroom.senders.email.pool import Pool
from mailroom.senders.email.replies import Trouble
from mailroom.senders.email.security import Demand, Level, decide
from mailroom.senders.email.session import Session
from mailroom.senders.email.sts import Policy, Sts
from mailroom.senders.email.wire import Wire

_HOSTS_TRIED: Final = 5
_CONNECT: Final = 20.0  # seconds, for one address
_DOWN: Final = 60.0  # seconds for which an address that did not answer is not asked again
_NO_SECRET: Final = Secret("")
_Addresses = Callable[[], Awaitable[Sequence[str]]]  # looked up when a connection is made, not for each mail
_ENCRYPTION: Final = {"starttls": Level.VERIFY, "tls": Level.VERIFY, "none": Level.CLEAR}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stop:
    """A server that is to take the mail, and how to be with it. Equal stops can share their connections."""

    name: str
    port: int
    demand: Demand
    at_once: bool = False  # TLS from the first octet
    user: str = ""
    password: Secret = _NO_SECRET


def _trusting() -> ssl.SSLContext:
    """Takes any certificate: against those who only listen."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class Email:
    """The sender kind `email`."""

    egress: Egress
    mails: Mails
    routes: Routes
    sts: Sts
    resolver: AbstractResolver | None  # for the server that sends for us; none: the system's
    manifest: Manifest = MANIFEST
    _pool: Pool = field(default_factory=Pool)
    _down: Lapsing[tuple[str, int], str] = field(default_factory=lambda: Lapsing(_DOWN))
    _anyone: ssl.SSLContext = field(default_factory=_trusting)

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`. Without a host, mail goes to each domain's own servers."""
        self.manifest.check(settings, secrets)
        port = self.manifest.value(settings, "port")
        if not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
            raise InvalidValue(name="port", reason="must be a number from 1 to 65535")
        host = settings.get("host", "")
        if not self.egress.permits_host(host):
            raise EgressRefused(host=host)
        if settings.get("user") and self.manifest.value(settings, "encryption") == "none" and not _is_here(host):
            raise InvalidValue(name="encryption", reason="a password is not sent in the clear to another machine")

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        try:
            async with asyncio.timeout(self.manifest.timeout / SECOND):
                envelope = from_parcel(parcel, sender=account.settings.get("from", ""))
                if account.settings.get("host"):
                    return await self._through(account, envelope, parcel)
                return await self._direct(envelope, parcel)
        except TimeoutError:
            return TryLater("451", "4.4.1 it took too long")
        except Trouble as trouble:
            return trouble.outcome(hide=account.secrets.values())
        except Refusal as ours:  # the mail's octets cannot be had now
            return TryLater("451", excerpt(f"4.3.0 {ours}"))

    async def close(self) -> None:
        """See `SenderKind`."""
        self._pool.close()

    async def _direct(self, envelope: Envelope, parcel: Parcel) -> Outcome:
        domain = to_ascii(envelope.domain)
        hosts = await self.routes.hosts(domain)
        policy = None if hosts[0].literal else await self.sts.policy(domain, now=parcel.now)
        troubles = []
        for host in hosts[:_HOSTS_TRIED]:
            try:
                addresses, secure = await self.routes.addresses(host)
                demand = await self._demand(host, policy, secure=host.secure and secure)
                stop = _Stop(name=host.name, port=self.mails.port, demand=demand)
                return await self._deliver(stop, partial(_known, addresses), envelope, parcel)
            except Trouble as trouble:
                if not trouble.elsewhere:
                    raise
                troubles.append(trouble)
        raise _most_hopeful(troubles)

    async def _demand(self, host: Host, policy: Policy | None, *, secure: bool) -> Demand:
        tlsa = await self.routes.tlsa(host, self.mails.port) if secure else ()
        demand = decide(host.name, tlsa=tlsa, policy=policy)
        if demand is None:
            raise Trouble(451, f"4.7.5 {host.name} is not in the domain's MTA-STS policy", elsewhere=True)
        return demand

    async def _through(self, account: Account, envelope: Envelope, parcel: Parcel) -> Outcome:
        settings = account.settings
        encryption = self.manifest.value(settings, "encryption")
        stop = _Stop(
            name=settings["host"],
            port=int(self.manifest.value(settings, "port")),
            demand=Demand(_ENCRYPTION[encryption]),
            at_once=encryption == "tls",
            user=settings.get("user", ""),
            password=account.secret("password"),
        )
        try:
            return await self._deliver(stop, lambda: self._looked_up(stop.name), envelope, parcel)
        except Trouble as trouble:
            if trouble.elsewhere and trouble.code < 500:  # all other mail would fare the same
                trouble.scope = Scope.SENDER
            raise

    async def _looked_up(self, name: str) -> Sequence[str]:
        """The addresses of the server that sends for us; unlike an MX host the system may know it without any DNS."""
        host = name.strip("[]")
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            resolver = self.resolver or ThreadedResolver()
        try:
            found = await resolver.resolve(host, 0, socket.AF_UNSPEC)
        except (OSError, ValueError):
            raise Trouble(451, f"4.4.3 {host} cannot be looked up", elsewhere=True) from None
        return list(dict.fromkeys(one["host"] for one in found))

    async def _deliver(self, stop: _Stop, addresses: _Addresses, envelope: Envelope, parcel: Parcel) -> Outcome:
        now = datetime.fromtimestamp(parcel.now / SECOND, UTC)
        while True:
            async with self._pool.session(stop, lambda: self._connect(stop, addresses, now)) as session:
                reused = session.mails > 0
                try:
                    reply = await session.deliver(envelope, self._octets(parcel))
                except Trouble as trouble:
                    if reused and trouble.elsewhere:  # it had been closed meanwhile
                        continue
                    raise
                said, told = excerpt(session.said(reply)), "DSN" in session.offered or "SUCCESS" not in envelope.notify
                return Sent(said, str(reply.code), said, told=told)

    async def _octets(self, parcel: Parcel) -> AsyncIterator[bytes]:
        if parcel.octets is not None:
            yield heading(parcel) + parcel.octets()
            return
        yield heading(parcel)
        async for piece in self.mails.octets(parcel.content["mail"]):
            yield piece

    async def _connect(self, stop: _Stop, addresses: _Addresses, now: datetime) -> Session:
        troubles = []
        for address in await addresses():
            try:
                return await self._open(stop, address, stop.demand, now)
            except ssl.SSLError as fault:
                if stop.demand.level is Level.MAY:  # RFC 7435 §3: rather in the clear than not at all
                    return await self._open(stop, address, Demand(Level.CLEAR), now)
                text = f"4.7.5 no trustworthy TLS with {_server(stop, address)} ({fault.reason or fault})"
                troubles.append(Trouble(451, text, elsewhere=True))
            except Trouble as trouble:
                if not trouble.elsewhere:
                    raise
                troubles.append(trouble)
        raise _most_hopeful(troubles)

    async def _open(self, stop: _Stop, address: str, demand: Demand, now: datetime) -> Session:
        """A session at one address, ready for a mail. Raises `Trouble`, `ssl.SSLError`."""
        session = await self._greeted(stop, address)
        try:
            if demand.level is not Level.CLEAR and not stop.at_once:
                await session.secure(demand, self._context(demand), self.mails.hostname, name=stop.name)
                session.authenticate(demand, name=stop.name, now=now)
            if stop.user:
                if demand.level is Level.CLEAR and not _is_here(address):
                    text = "4.7.11 a password is not sent in the clear to another machine"
                    raise Trouble(451, text, scope=Scope.SENDER)
                await session.sign_in(stop.user, stop.password, nonce=secrets.token_urlsafe(18))
        except BaseException:
            session.close()
            raise
        return session

    async def _greeted(self, stop: _Stop, address: str) -> Session:
        server = _server(stop, address)
        if not self.egress.permits(ipaddress.ip_address(address)):
            raise Trouble(550, f"5.4.4 {server}: {EgressRefused(host=address)}", elsewhere=True)
        if known := self._down.get((address, stop.port)):
            raise Trouble(451, known, elsewhere=True)
        tls = (self._context(stop.demand), stop.name) if stop.at_once else None
        try:
            async with asyncio.timeout(_CONNECT):
                wire = await Wire.connect(self.egress, address, stop.port, tls=tls)
        except ssl.SSLError:
            raise
        except OSError as fault:  # TimeoutError among them
            why = os.strerror(fault.errno) if fault.errno else "in time"  # asyncio's own words name its calls
            text = f"4.4.1 {server} does not answer ({why})"
            self._down[address, stop.port] = text
            raise Trouble(451, text, elsewhere=True) from None
        session = Session(wire, server)
        try:
            await session.greet(self.mails.hostname)
        except Trouble as trouble:
            session.close()
            if trouble.code < 500:
                self._down[address, stop.port] = trouble.text
            raise
        except BaseException:
            session.close()
            raise
        return session

    def _context(self, demand: Demand) -> ssl.SSLContext:
        return self.mails.trust if demand.level is Level.VERIFY else self._anyone


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    mails = tools.mails
    chance: Callable[[], float] = secrets.SystemRandom().random
    mails.resolver.cache = Remembered()
    return Email(
        tools.http.egress,
        mails,
        Routes(mails.resolver, mails.names | {mails.hostname.lower()}, mails.validates, chance),
        Sts(mails.resolver, mails.http, mails.policies, mails.sts_port),
        tools.http.resolver,
    )


def _server(stop: _Stop, address: str) -> str:
    return f"{stop.name}:{stop.port}" if stop.name == address else f"{stop.name} [{address}]:{stop.port}"


def _most_hopeful(troubles: Sequence[Trouble]) -> Trouble:
    return next((trouble for trouble in troubles if trouble.code < 500), troubles[0])


def _is_here(host: str) -> bool:
    """The host is this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return is_localhost(host)


async def _known(addresses: Sequence[str]) -> Sequence[str]:
    return addresses
