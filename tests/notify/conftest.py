# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The organisation with phones, on every engine in turn."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from mailroom.storage.ports import Store
from tests.notify import phones
from tests.notify.phones import Bureau
from tests.stores import Watch


@pytest_asyncio.fixture
async def bureau(store: Store, watch: Watch, tmp_path: Path) -> Bureau:
    return await phones.bureau(store, watch, tmp_path)


@pytest.fixture
def shanghai() -> Iterator[None]:
    """The server stands in Shanghai, eight hours ahead of UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Shanghai"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()
