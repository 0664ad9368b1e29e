# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An acceptance in memory, and a server in front of it, for tests of what SMTP says and does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailroom.core.errors import NotFound, Refusal, RelayDenied
from mailroom.core.ids import MailboxId
from mailroom.core.settings import Limits, Network, Settings
from mailroom.delivery.judge import Client
from mailroom.delivery.posting import Addressee, Envelope, Local
from mailroom.delivery.spool import Spool
from mailroom.protocols.contract import House
from mailroom.protocols.listener import Listener
from mailroom.protocols.smtp.server import Smtp
from mailroom.protocols.smtp.session import Terms

NOW = 1_790_000_000_000


@dataclass(frozen=True)
class Kept:
    """A mail that was promised to be kept."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes

    @property
    def content(self) -> bytes:
        """What the client sent, without our trace fields."""
        lines = self.octets.split(b"\r\n")
        after = next(n for n, line in enumerate(lines) if n > 1 and not line.startswith(b"\t"))
        return b"\r\n".join(lines[after:])


@dataclass
class FakeAcceptance:
    """Takes mail for everybody at `x`; `no` holds who is refused and why, `fault` what accepting runs into. While
    `gate` is closed, accepting waits.
    """

    folder: Path
    reserve: int = 0
    no: dict[str, Refusal] = field(default_factory=dict)
    fault: Exception | None = None
    kept: list[Kept] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def spool(self) -> Spool:
        return Spool(self.folder, reserve=self.reserve)

    async def find(self, address: str, *, size: int, client: Client | None = None, sender: str = "") -> Addressee:
        self.asked.append((address, size))
        if address in self.no:
            raise self.no[address]
        domain = address.rpartition("@")[2]
        if domain not in ("x", "例.test", "postmaster"):
            raise RelayDenied(domain=domain)
        if address.startswith("nobody"):
            raise NotFound(what="mailbox", name=address)
        return Addressee(address, Local(MailboxId(len(self.asked))))

    async def accept(self, envelope: Envelope, spool: Spool) -> None:
        self.begun.set()
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        spool.finish()
        recipients = tuple(one.address for one in envelope.destinations)
        self.kept.append(Kept(envelope.sender, recipients, spool.read(0, spool.size)))

    async def accept_each(self, envelope: Envelope, spool: Spool) -> dict[Addressee, Refusal | None]:
        late = {one: self.no.get(f"late:{one.address}") for one in envelope.destinations}
        takers = tuple(one for one in envelope.destinations if late[one] is None)
        await self.accept(Envelope(envelope.sender, takers), spool)
        return late


@contextlib.asynccontextmanager
async def serving(
    acceptance: FakeAcceptance,
    *,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    idle: float = 300,
    proxies: Sequence[Network] = (),
    host: str = "127.0.0.1",
    grace: float = 0.0,
    **terms: Any,
) -> AsyncIterator[int]:
    """A server that runs; gives its port. `terms` are fields of `Terms`."""
    service = service_for(acceptance, tls=tls, idle=idle, **terms)
    listener = Listener(service, limits=limits or Limits(), proxies=proxies, sweep=0.02)
    await listener.start(f"[{host}]:0" if ":" in host else f"{host}:0")
    try:
        yield listener.port
    finally:
        await listener.stop(grace=grace)


def service_for(
    acceptance: FakeAcceptance, *, tls: ssl.SSLContext | None = None, idle: float = 300, **terms: Any
) -> Smtp:
    """The service, not listening yet."""
    numbers = itertools.count(1)
    agreed: dict[str, Any] = {
        "hostname": "mx.x",
        "mail_size": 1_000_000,
        "recipients": 100,
        "offers_tls": tls is not None,
        "penalty": 0.001,
    }
    return Smtp(
        acceptance=acceptance,
        terms=Terms(**(agreed | terms)),
        tls=tls,
        idle=idle,
        clock=lambda: NOW,
        new_id=lambda: f"trace{next(numbers)}",
    )


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 -- what it waits for may be a file or a counter, which tell nobody
            await asyncio.sleep(0.005)


def house_of(acceptance: FakeAcceptance) -> House:
    """What a protocol is given that needs nothing but the inbound verb."""
    absent: Any = None
    return House(
        settings=Settings(),
        store=absent,
        bodies=absent,
        letters=absent,
        logins=absent,
        acceptance=acceptance,
        submission=absent,
        tls=None,
        clock=lambda: NOW,
        new_id=lambda: "id",
    )
