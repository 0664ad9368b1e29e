# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An office with the web side open: people with passwords, a way to hand mail in, and browsers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import dns.asyncresolver
import httpx2
import pytest_asyncio
from argon2 import PasswordHasher
from starlette.applications import Starlette

from mailroom.core import ids
from mailroom.core.secrets import Secret
from mailroom.core.settings import Settings
from mailroom.delivery.accept import Acceptance
from mailroom.directory import members
from mailroom.directory.clients import ClientPasswords
from mailroom.directory.credentials import Passwords
from mailroom.directory.dkim_keys import DkimKeys
from mailroom.directory.domain_checks import DomainChecks
from mailroom.directory.model import SYSTEM, Verifiers
from mailroom.mailboxes.export import Exports
from mailroom.messaging.senders import Senders
from mailroom.notify.linking import Linking
from mailroom.notify.settings import NotifySettings
from mailroom.notify.trials import Trials
from mailroom.senders.contract import SenderKind
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from mailroom.web.api.contract import House
from mailroom.web.http import Web, application
from tests import make
from tests.stores import Watch

ORIGIN = "http://mail.corp.example"
PASSWORDS = {"amy": "amy's password", "bob": "bob's password"}


@dataclass(frozen=True)
class Office:
    """The application over a real store, and what people do with it."""

    store: Store
    acceptance: Acceptance
    organisation: make.Organisation
    web: Web
    watch: Watch

    @functools.cached_property
    def app(self) -> Starlette:
        """One for all browsers: each application compiles its templates anew."""
        return application(self.web)

    def browser(self, *, language: str = "en", origin: str = ORIGIN, peer: str = "192.0.2.7") -> httpx2.AsyncClient:
        """A browser with no cookies yet."""
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(self.app, client=(peer, 50000)),
            base_url=origin,
            headers={"Accept": "text/html", "Accept-Language": language, "Origin": origin},
        )

    async def signed_in(self, userid: str, *, language: str = "en") -> httpx2.AsyncClient:
        """A browser with a session."""
        browser = self.browser(language=language)
        answer = await browser.post("/sign-in", data={"name": userid, "password": PASSWORDS[userid]})
        assert answer.status_code == 303, answer.text
        return browser

    async def deliver(self, octets: bytes, *to: str) -> None:
        """Hand a mail in."""
        await make.delivered(self.acceptance, octets, *(to or ("amy@corp.example",)))

    async def inbox(self, name: str) -> str:
        """The path of a mailbox's inbox."""
        mailbox_id = self.organisation.mailboxes[name]
        folder = await self.store.read(lambda tx: make.folder(tx, mailbox_id))
        return f"/mail/{folder.id}"


def paths(page: str, pattern: str) -> list[str]:
    """The links of a page that match."""
    return re.findall(rf'href="({pattern})"', page)


@contextlib.asynccontextmanager
async def open_office(
    url: str, watch: Watch, tmp_path: Path, kinds: Mapping[str, SenderKind] = MappingProxyType({})
) -> AsyncIterator[Office]:
    """The application over the database at a URL, with these ways out."""
    store = open_store(url, watch)
    passwords = Passwords(_hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))  # quick, and weak
    organisation = await make.organisation(store, public={"support": ["amy"]})
    for userid, password in PASSWORDS.items():
        kept = Verifiers(await passwords.hash(Secret(password)))
        member_id = organisation.members[userid].id
        await store.write(lambda tx, who=member_id, kept=kept: members.change_password(tx, SYSTEM, who, kept))  # type: ignore[misc] # a lambda with defaults
    acceptance = make.acceptance(store, tmp_path)
    seal, settings = Seal.open(tmp_path / "secret.key"), Settings(public_url=ORIGIN)
    checks = DomainChecks(store, DkimKeys(store, seal), dns.asyncresolver.Resolver(configure=False), settings)
    exports = Exports(store, acceptance.letters.bodies, tmp_path, 0)
    senders = Senders(kinds, seal)
    linking = Linking(store, senders, seal, ORIGIN, watch, ids.new)
    notify, trials = NotifySettings(senders), Trials(store, senders, watch, ids.new)
    logins, client_passwords = make.logins(store, tmp_path), ClientPasswords(store, passwords, seal)
    web = Web(
        store=store,
        bodies=acceptance.letters.bodies,
        seal=seal,
        passwords=passwords,
        house=House(logins, client_passwords, checks, exports, linking, notify, trials),
        clock=watch,
        new_id=ids.new,
        settings=settings,
        ready=lambda: asyncio.sleep(0, result=True),
        stopping=asyncio.Event(),
    )
    yield Office(store, acceptance, organisation, web, watch)
    await store.close()


@pytest_asyncio.fixture
async def office(sqlite_url: str, watch: Watch, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(sqlite_url, watch, tmp_path) as opened:
        yield opened
