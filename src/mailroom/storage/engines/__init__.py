# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The engines, chosen by the scheme of a URL. Each passes the one contract test suite."""

from __future__ import annotations

import re
from pathlib import Path

from mailroom.core.clock import Clock, now
from mailroom.core.errors import InvalidValue
from mailroom.storage.engines.files import open_files
from mailroom.storage.ports import Blobs, Store

IN_MEMORY = "sqlite://:memory:"
# Not `:memory:`, which SQLite takes for no file at all: mail that was accepted would end with the process.
_FILE = re.compile(r"sqlite:///(?!\s*(?::memory:)?\s*\Z).+")


def open_store(url: str, clock: Clock = now) -> Store:
    """The store at `sqlite:///<path>` (made if need be), `postgresql://...`, or `sqlite://:memory:` for one that ends
    with the process; its schema is brought up to date. Blocks while it does. Raises `InvalidValue`, `NoSpace`,
    `Unavailable`.
    """
    if url == IN_MEMORY or _FILE.fullmatch(url):
        from mailroom.storage.engines.sqlite import open_sqlite

        return open_sqlite("" if url == IN_MEMORY else url.removeprefix("sqlite:///"), clock)
    if url.startswith(("postgresql://", "postgres://")):
        try:
            from mailroom.storage.engines.postgres import open_postgres
        except ImportError as missing:
            raise InvalidValue(name="database", reason=f"install mailroom[postgres] ({missing})") from missing
        return open_postgres(url, clock)
    raise InvalidValue(name="database", reason="must be sqlite:///<path> or postgresql://...")


def open_blobs(url: str, clock: Clock = now) -> Blobs:
    """The large bodies at `file://<path>`. Raises `InvalidValue`, `NoSpace`, `Unavailable`."""
    if url.startswith("file://"):
        return open_files(Path(url.removeprefix("file://")), clock)
    raise InvalidValue(name="blobs", reason="must be file://<path>")
