# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A post office: an organisation with mail, and POP3 to fetch it by."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest_asyncio

from mailroom.core import ids
from mailroom.core.secrets import Secret
from mailroom.core.settings import Limits, Network, Settings
from mailroom.delivery.accept import Acceptance
from mailroom.directory.clients import ClientPasswords
from mailroom.directory.logins import Bearer, Logins
from mailroom.directory.model import SYSTEM, Service
from mailroom.mailboxes import fetch
from mailroom.protocols.contract import House
from mailroom.protocols.listener import Listener
from mailroom.protocols.pop3.server import pop3
from mailroom.storage.ports import Store
from tests import make, talk
from tests.make import Organisation
from tests.stores import Watch
from tests.talk import Client

PASSWORD = "correct horse"


@dataclass
class Office:
    """Amy has a password; her inbox is empty."""

    store: Store
    logins: Logins
    acceptance: Acceptance
    organisation: Organisation
    tls: ssl.SSLContext | None = None

    async def deliver(self, *mails: bytes, to: str = "amy@corp.example") -> None:
        for mail in mails:
            await make.delivered(self.acceptance, mail, to)

    async def client_password(self, name: str, *services: Service) -> str:
        made = ClientPasswords(self.store, self.logins.passwords, self.logins.seal)
        _, shown = await made.create(
            SYSTEM, self.organisation.mailboxes[name], remark="x", services=services or tuple(Service)
        )
        return shown.reveal()

    def vouch_for(self, **tokens: str) -> None:
        """Let these tokens stand for members, by userid."""

        async def introspect(token: Secret) -> Bearer | None:
            return next((Bearer(userid, None) for userid, known in tokens.items() if known == token.reveal()), None)

        self.logins = replace(self.logins, introspect=introspect)

    async def sizes(self, name: str = "amy") -> list[int]:
        """Of the mails in the inbox now."""
        mailbox_id = self.organisation.mailboxes[name]
        kept = await self.store.read(lambda tx: fetch.snapshot(tx, mailbox_id))
        return [size for _, size, _ in kept.mails]

    def house(self, *, trusted: Sequence[Network] | None = None, **limits: Any) -> House:
        settings = Settings(limits=Limits(**limits))
        if trusted is not None:
            settings = Settings(limits=Limits(**limits), trusted=tuple(trusted))
        absent: Any = None
        return House(
            settings=settings,
            store=self.store,
            bodies=self.acceptance.letters.bodies,
            letters=self.acceptance.letters,
            logins=self.logins,
            acceptance=absent,
            submission=absent,
            tls=self.tls,
            clock=lambda: 0,
            new_id=ids.new,
        )

    async def listen(self, *, implicit: bool = False, **house: Any) -> Listener:
        """POP3, until it is stopped."""
        made = self.house(**house)
        listener = Listener(pop3(made), limits=made.settings.limits, tls=self.tls if implicit else None, sweep=0.02)
        await listener.start("127.0.0.1:0")
        return listener

    @contextlib.asynccontextmanager
    async def open(self, **house: Any) -> AsyncIterator[int]:
        """POP3 while the context lasts; its port."""
        listener = await self.listen(**house)
        try:
            yield listener.port
        finally:
            await listener.stop(grace=0)

    @contextlib.asynccontextmanager
    async def call(self, **house: Any) -> AsyncIterator[Client]:
        """A client that has heard the greeting."""
        async with self.open(**house) as port, talk.call(port) as client:
            await client.expect("+OK")
            yield client

    @contextlib.asynccontextmanager
    async def signed_in(self, name: str = "amy", password: str = PASSWORD, **house: Any) -> AsyncIterator[Client]:
        """A client that sees the inbox."""
        async with self.call(**house) as client:
            await client(f"USER {name}", f"PASS {password}")
            await client.expect("+OK", "+OK")
            yield client


@pytest_asyncio.fixture
async def office(store: Store, watch: Watch, tmp_path: Path, certificate: ssl.SSLContext) -> Office:
    organisation = await make.organisation(store, public={"sales": ["amy"]})
    logins = make.logins(store, tmp_path, time=watch)
    await make.set_password(logins, "amy", PASSWORD)
    return Office(store, logins, make.acceptance(store, tmp_path), organisation, certificate)
