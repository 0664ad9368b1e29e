# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A whole installation and a real browser to look at it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import smtplib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it has no py.typed
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from mailroom.core.secrets import Secret
from mailroom.directory import addresses, domains, members
from mailroom.directory.model import SYSTEM, DomainState, Role, Users, Verifiers
from mailroom.mailboxes import create
from mailroom.runtime.app import App
from mailroom.runtime.serve import running
from mailroom.storage.ports import Tx
from tests.senders.peers import free_port
from tests.walks.town import DOMAIN, settings_for

PASSWORD = "amy's password"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Language, width and scheme: every two of them meet, at half the price of all three.
LOOKS = (("en-GB", 390, "light"), ("zh-CN", 390, "dark"), ("en-GB", 1440, "dark"), ("zh-CN", 1440, "light"))


@dataclass(frozen=True, slots=True)
class Site:
    """A running server that a browser looks at."""

    url: str
    smtp: int
    app: App
    browser: Browser
    pictures: Path
    faults: list[str] = field(default_factory=list)

    async def send(self, mail: bytes, *to: str) -> None:
        """Hand a mail over by SMTP."""
        await asyncio.to_thread(self._send, mail, to or (f"amy@{DOMAIN}",))

    def _send(self, mail: bytes, to: tuple[str, ...]) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp, local_hostname="out.example") as smtp:
            smtp.sendmail("bounce@out.example", list(to), crlf(mail))

    @contextlib.asynccontextmanager
    async def looking(self, **how: Any) -> AsyncIterator[BrowserContext]:
        """A browser of one's own; what goes wrong in its pages is noted in `faults`."""
        context = await self.browser.new_context(base_url=self.url, accept_downloads=True, **{"locale": "en-GB", **how})
        context.set_default_timeout(15_000)
        # Playwright writes to the object of a bound method, and ours takes nothing.
        context.on("page", lambda page: self._watch(page))  # noqa: PLW0108 # see above
        try:
            yield context
        finally:
            await context.close()

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda said: self.faults.append(f"{page.url}: {said.text}") if said.type in {"error", "warning"} else None,
        )

    async def signed_in(self, context: BrowserContext) -> Page:
        """A page that shows Amy's inbox."""
        page = await context.new_page()
        await page.goto("/")
        await page.fill("#name", "amy")
        await page.fill("#password", PASSWORD)
        await page.click("form.sign-in button")
        await page.locator(".list").wait_for()
        return page

    async def picture(self, page: Page, name: str) -> None:
        """Keep what the page looks like."""
        await page.screenshot(path=self.pictures / f"{name}.png", full_page=True)

    async def fit(self, page: Page, name: str) -> None:
        """Keep what the page looks like, and see that everybody can use it, on a screen of this width."""
        await self.picture(page, name)
        found = await Axe().run(page, options={"resultTypes": ["violations"]})
        serious = [
            (one["id"], [node["html"] for node in one["nodes"]])
            for one in found.response["violations"]
            if one["impact"] in {"serious", "critical"}
        ]
        assert serious == [], name
        beside = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert beside <= 0, f"{name} is wider than the screen"


def crlf(text: bytes) -> bytes:
    """The text with the line ends that SMTP wants."""
    return b"\r\n".join(text.splitlines())


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where pictures of the screens go: TEST_PICTURES keeps them."""
    folder = Path(os.environ.get("TEST_PICTURES", tmp_path / "pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest_asyncio.fixture
async def site(sqlite_url: str, tmp_path: Path, pictures: Path, tool: Callable[[str], str]) -> AsyncIterator[Site]:
    port = free_port()  # known beforehand: it is part of the address to which providers send browsers back
    url = f"http://127.0.0.1:{port}"
    settings = settings_for(sqlite_url, tmp_path)
    settings = replace(settings, public_url=url, listen=replace(settings.listen, http=f"127.0.0.1:{port}"))
    async with running(settings) as server, async_playwright() as playwright:
        hashed = await server.app.passwords.hash(Secret(PASSWORD))
        await server.app.store.write(lambda tx: _people(tx, hashed))
        browser = await playwright.chromium.launch(executable_path=tool("chromium"), args=QUIET)
        here = Site(url, server.ports["smtp"], server.app, browser, pictures)
        yield here
        await browser.close()
        assert here.faults == []


def _people(tx: Tx, hashed: str) -> None:
    organisation_id = members.found_organisation(tx, "Corp")
    domains.add(tx, SYSTEM, organisation_id, DOMAIN, state=DomainState.ACTIVE)
    amy = create.member(
        tx, SYSTEM, organisation_id, "amy", name="Amy Zhang", password_hash=Verifiers(hashed), role=Role.ADMINISTRATOR
    )
    support = addresses.parse_new(f"support@{DOMAIN}")
    create.public(tx, SYSTEM, organisation_id, support, name="Support", users=Users((amy,)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here drives a browser."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
