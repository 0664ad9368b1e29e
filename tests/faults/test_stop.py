# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A server that is told to stop: the mail on its way in comes to its end, nobody new is let in, and it ends well."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.town import Town, begin, greet
from tests.kill.conftest import furnish, variables_for
from tests.kill.forkserver import Child, fork_server
from tests.kill.ledger import Fate, Ledger
from tests.kill.receiver import receiving
from tests.talk import call


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Town, Child]]:
    """A server in a process of its own."""
    variables = variables_for(tmp_path / "data")
    async with receiving() as receiver, fork_server(tmp_path / "log") as forks:
        await furnish(variables, push_url=receiver.url)
        server = await forks.start(variables)
        yield Town(await server.ready(), tmp_path / "data", Ledger(random.Random(1))), server


async def _refused(port: int) -> bool:
    try:
        async with call(port):
            return False
    except ConnectionRefusedError:
        return True


@pytest.mark.parametrize("lines", [1, 2000], ids=["small", "large"])
async def test_a_mail_on_its_way_in_comes_to_its_end(served: tuple[Town, Child], lines: int) -> None:
    town, server = served
    entry, octets = town.ledger.write(lines=lines)
    async with call(town.port) as c, call(town.port) as idle:
        await greet(idle)
        await greet(c)
        await begin(c, entry)
        await c.send(octets[: len(octets) // 2])
        server.tell(signal.SIGTERM)
        await idle.expect("421")
        assert await _refused(town.port)
        await c.send(octets[len(octets) // 2 :] + b".\r\n")
        await c.expect("250")
        entry.fate = Fate.PROMISED
        await c.expect("421")
    assert await server.ended() == 0
    assert town.complaints() == []


async def test_an_idle_server_ends_at_once(served: tuple[Town, Child]) -> None:
    town, server = served
    async with asyncio.timeout(5):
        assert await server.end(signal.SIGTERM) == 0
    assert town.complaints() == []
