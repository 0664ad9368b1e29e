# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A whole installation for a walk: the server in this process on a store of the caller's choice, and the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from ipaddress import ip_network
from pathlib import Path

from mailroom.core.settings import Egress, Listen, Settings
from mailroom.directory import addresses, domains, members, model
from mailroom.directory.model import SYSTEM, Users
from mailroom.events import outbox
from mailroom.mailboxes import create
from mailroom.runtime.app import App
from mailroom.runtime.serve import Role, Running, running
from mailroom.sandbox.server import Sandbox
from mailroom.sandbox.webhook import Received
from mailroom.storage.ports import Tx

DOMAIN = "corp.example"
PEOPLE = ("amy", "bob", "carol")


@dataclass(frozen=True, slots=True)
class Town:
    """The server, its doubles, and what people do with them."""

    server: Running
    sandbox: Sandbox

    @property
    def app(self) -> App:
        return self.server.app

    async def push_to(self, receiver: str, **settings: str) -> None:
        """Set the push URL to a receiver of the sandbox, and other settings of notices with it."""
        values = {"push_url": self.sandbox.webhook(receiver), **settings}
        await self.app.store.write(partial(self.app.notify.change_all, by=SYSTEM, values=values))

    async def settled(self) -> None:
        """Wait until everything that has happened has had its reactions."""
        async with asyncio.timeout(30):
            with self.app.store.hints.listen(outbox.TOPIC) as ear:
                while await self.app.store.read(outbox.backlog) != (0, 0):
                    await ear.wait(0.05)

    async def send(
        self, mail: bytes, to: Sequence[str], *, sender: str = "bounce@out.example", notify: str = "FAILURE"
    ) -> None:
        """Hand a mail over by SMTP, as another mail server would. Raises `smtplib.SMTPException`."""
        await asyncio.to_thread(self._send, mail, to, sender, notify)

    def _send(self, mail: bytes, to: Sequence[str], sender: str, notify: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], local_hostname="out.example") as smtp:
            smtp.sendmail(
                sender, list(to), mail, mail_options=["SMTPUTF8", "BODY=8BITMIME"], rcpt_options=[f"NOTIFY={notify}"]
            )

    async def pushed(self, count: int, *, to: str = "") -> Sequence[Received]:
        """What has been pushed, once it is at least so much."""
        async with asyncio.timeout(30):
            return await self.sandbox.arrived(count, to=to)


def _people(tx: Tx) -> None:
    organisation_id = members.found_organisation(tx, "Corp")
    domains.add(tx, SYSTEM, organisation_id, DOMAIN, state=model.DomainState.ACTIVE)
    made = [
        create.member(tx, SYSTEM, organisation_id, userid, name=userid.capitalize(), password_hash="", role=role)
        for userid, role in zip(PEOPLE, (model.Role.ADMINISTRATOR, model.Role.MEMBER, model.Role.MEMBER), strict=True)
    ]
    create.public(
        tx, SYSTEM, organisation_id, addresses.parse_new(f"sales@{DOMAIN}"), name="Sales", users=Users(tuple(made))
    )


def settings_for(database: str, data: Path) -> Settings:
    """Settings of a server that is alone with its tests."""
    return Settings(
        data=data,
        database=database,
        hostname="mx.corp.example",
        listen=Listen(**{one.name: "" if one.name == "https" else "127.0.0.1:0" for one in fields(Listen)}),
        egress=Egress(allow=(ip_network("127.0.0.0/8"),)),
    )


@contextlib.asynccontextmanager
async def open_town(settings: Settings, *, roles: Sequence[Role] = (Role.SMTP, Role.WORKER)) -> AsyncIterator[Town]:
    """A running server with an organisation of three members and a public mailbox, and a sandbox beside it."""
    sandbox = Sandbox()
    await sandbox.start()
    try:
        async with running(settings, roles=roles) as server:
            if not await server.app.store.read(domains.every):
                await server.app.store.write(_people)
            yield Town(server, sandbox)
    finally:
        await sandbox.stop()
