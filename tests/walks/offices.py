# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Offices of different organisations, each with a server of its own, that find each other by a DNS of our own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

import trustme

from mailroom.core.settings import Egress, Listen, Settings, Tls
from mailroom.delivery.letters import written
from mailroom.delivery.posting import Addressee, Envelope
from mailroom.events import outbox
from mailroom.mailboxes import fetch, read
from mailroom.messaging import log
from mailroom.messaging.model import Entry
from mailroom.runtime.app import App
from mailroom.runtime.serve import Role, running
from mailroom.storage.ports import Tx
from tests import dns, make

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Office:
    """A server of ours with its organisation."""

    app: App
    made: make.Organisation
    domain: str
    ports: Mapping[str, int] = field(default_factory=dict)

    async def send(self, sender: str, *to: str, mail: bytes | None = None) -> None:
        """A mail of a member leaves."""
        address = f"{sender}@{self.domain}"
        octets = mail or make.mail(sender=address, to=to[0], message_id=f"<1@{self.domain}>")
        envelope = Envelope(address, tuple(Addressee(one) for one in to))
        await self.app.store.write(lambda tx: self.app.posting.post(tx, written(octets), envelope))

    async def inbox(self, name: str) -> Sequence[bytes]:
        """The mails in an inbox, the newest first."""

        def look(tx: Tx) -> Sequence[bytes]:
            folder = make.folder(tx, self.made.mailboxes[name])
            found = [one.mail.content_id for one in read.headlines(tx, folder.id, limit=100)]
            return [fetch.bodies(tx, found)[one] for one in found]

        return await self.app.store.read(look)

    async def until(self, look: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
        """What a look finds, once it is good."""
        async with asyncio.timeout(20):
            with self.app.store.hints.listen(outbox.TOPIC) as ear:
                while not good(found := await look()):
                    await ear.wait(0.05)
                return found

    async def received(self, name: str) -> bytes:
        """The newest mail, once there is one."""
        return (await self.until(partial(self.inbox, name), bool))[0]

    async def stand(self, good: Callable[[Sequence[Entry]], bool]) -> Sequence[Entry]:
        """Where mail that leaves stands, once it stands so."""
        return await self.until(self.entries, good)

    async def entries(self) -> Sequence[Entry]:
        """Where mail that leaves stands."""
        return await self.app.store.read(lambda tx: log.entries(tx, limit=100))


@dataclass(frozen=True, slots=True)
class World:
    """The names, the authority that both servers trust, and the port of all mail servers."""

    names: dns.Names
    authority: trustme.CA
    folder: Path
    port: int
    sts_port: int

    def settings(self, database: str, domain: str, address: str, *, certified: str = "") -> Settings:
        """Those of a server for a domain, with a certificate for the name `certified`."""
        data = self.folder / domain
        data.mkdir(parents=True)
        pem = data / "certificate.pem"
        self.authority.issue_cert(certified or f"mx.{domain}").private_key_and_cert_chain_pem.write_to_path(str(pem))
        where = dict.fromkeys(Listen.__dataclass_fields__, "")
        where |= {"smtp": f"{address}:{self.port}", "submission": f"{address}:0"}
        return Settings(
            data=data,
            database=database,
            hostname=f"mx.{domain}",
            listen=Listen(**where),
            egress=Egress(allow=(ip_network("127.0.0.0/8"),)),
            resolver=self.names.address,
            trusted=(),
            mx_port=self.port,
            sts_port=self.sts_port,
            tls=Tls(certificate=str(pem), key=str(pem)),
        )

    @contextlib.asynccontextmanager
    async def office(self, settings: Settings, domain: str, address: str) -> AsyncIterator[Office]:
        """A server for a domain, found by its MX record."""
        self.names.put(domain, "MX", f"10 mx.{domain}.")
        self.names.put(f"mx.{domain}", "A", address)
        async with running(settings, roles=(Role.SMTP, Role.WORKER)) as server:
            made = await make.organisation(server.app.store, people=("amy", "bob"), domain=domain)
            yield Office(server.app, made, domain, server.ports)


@contextlib.asynccontextmanager
async def there(world: World, *, certified: str = "", folder: str = "there") -> AsyncIterator[Office]:
    """out.example."""
    other = replace(world, folder=world.folder / folder)
    settings = other.settings("", "out.example", "127.0.0.2", certified=certified)
    async with other.office(settings, "out.example", "127.0.0.2") as office:
        yield office


def are(*states: str) -> Callable[[Sequence[Entry]], bool]:
    """All that leaves stands so, the newest first."""
    return lambda found: [one.state.value for one in found] == list(states)
