# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The rows alone, without the rest of the house: for a verb of the command line that only looks or decides."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from mailroom.core.settings import Settings
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store


@contextlib.asynccontextmanager
async def open_rows(settings: Settings) -> AsyncIterator[Store]:
    """Open the store (made and migrated if need be), and close it at the end. Raises `InvalidValue`, `Unavailable`,
    `NoSpace`.
    """
    store = open_store(settings.database_url)
    try:
        yield store
    finally:
        await store.close()
