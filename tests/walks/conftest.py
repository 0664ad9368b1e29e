# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A town for each walk, on every store in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.walks.town import Town, open_town, settings_for


@pytest_asyncio.fixture
async def town(store_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_town(settings_for(store_url, tmp_path)) as opened:
        yield opened
