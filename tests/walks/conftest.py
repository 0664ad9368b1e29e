# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A town for each walk, with or without phones, or offices in a world, on every store in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from mailroom.runtime.serve import Role
from tests import dns
from tests.senders.peers import free_port
from tests.walks.offices import Office, World
from tests.walks.street import Street
from tests.walks.town import Town, open_town, settings_for


@pytest_asyncio.fixture
async def town(store_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_town(settings_for(store_url, tmp_path)) as opened:
        yield opened


@pytest_asyncio.fixture
async def street(store_url: str, tmp_path: Path) -> AsyncIterator[Street]:
    roles = (Role.SMTP, Role.WORKER, Role.WEB)
    async with open_town(settings_for(store_url, tmp_path), roles=roles) as opened:
        street = Street(opened)
        await street.open()
        yield street


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    authority = trustme.CA()
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    async with dns.serving() as names:
        yield World(names, authority, tmp_path, free_port(), free_port())


@pytest.fixture
async def here(world: World, store_url: str) -> AsyncIterator[Office]:
    """corp.example, on every engine."""
    settings = world.settings(store_url, "corp.example", "127.0.0.1")
    async with world.office(settings, "corp.example", "127.0.0.1") as office:
        yield office
