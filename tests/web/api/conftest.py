# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A server with an organisation, and programs that talk to it over a real connection, on every engine in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest_asyncio

from mailroom.core import ids
from mailroom.core.secrets import Secret
from mailroom.directory import api_keys, credentials
from mailroom.directory.model import SYSTEM
from mailroom.events import jobs
from mailroom.runtime.app import App
from mailroom.runtime.serve import Role, Running, running
from mailroom.storage.ports import Tx
from tests import dns, make
from tests.dns import Names
from tests.walks.town import settings_for


@dataclass(frozen=True)
class Site:
    """The server, who is in the organisation, and programs."""

    server: Running
    made: make.Organisation
    names: Names
    clients: list[httpx2.AsyncClient] = field(default_factory=list)

    @property
    def app(self) -> App:
        return self.server.app

    def client(self, **headers: str) -> httpx2.AsyncClient:
        """A program that shows nothing yet."""
        base = f"http://127.0.0.1:{self.server.ports['http']}"
        made = httpx2.AsyncClient(base_url=base, headers=headers, timeout=30, trust_env=False)
        self.clients.append(made)
        return made

    async def key(self, name: str = "crm", *domains: Any) -> str:
        """A key for a program."""
        key = api_keys.new()

        def work(tx: Tx) -> None:
            api_keys.add(tx, SYSTEM, self.made.id, name, key=key, domains=domains)

        await self.app.store.write(work)
        return key.reveal()

    async def program(self, name: str = "crm", *domains: Any) -> httpx2.AsyncClient:
        """A program with a key of its own."""
        return self.client(authorization=f"Bearer {await self.key(name, *domains)}")

    async def page(self, userid: str) -> httpx2.AsyncClient:
        """What a page of ours sends in a member's session."""
        token = Secret(ids.new())
        who = self.made.members[userid].id
        await self.app.store.write(lambda tx: credentials.open_session(tx, who, token))
        return self.client(cookie=f"mailroom={token.reveal()}", **{"sec-fetch-site": "same-origin"})

    async def done(self, program: httpx2.AsyncClient, location: str) -> Any:
        """The job, once it has ended."""
        async with asyncio.timeout(30):
            with self.app.store.hints.listen(jobs.TOPIC) as ear:
                while not (job := (await program.get(location)).json())["ended"]:
                    await ear.wait(0.05)
                return job


@pytest_asyncio.fixture
async def site(store_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with dns.serving() as names:
        settings = replace(settings_for(store_url, tmp_path), resolver=names.address)
        async with running(settings, roles=(Role.WEB, Role.WORKER, Role.SMTP)) as server:
            made = await make.organisation(server.app.store, public={"support": ["amy"]})
            opened = Site(server, made, names)
            yield opened
            for client in opened.clients:
                await client.aclose()
