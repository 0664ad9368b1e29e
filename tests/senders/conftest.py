# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The client under test, allowed to reach this machine, and the sandbox that it reaches."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mailroom.sandbox.server import Sandbox
from mailroom.senders.http import Http
from tests.senders.peers import LOOPBACK


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http(LOOPBACK)
    yield client
    await client.close()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    box = Sandbox(clock=lambda: 1_772_323_200_000)  # 2026-03-01 00:00:00 UTC
    await box.start()
    yield box
    await box.stop()
