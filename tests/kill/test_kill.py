# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The kill test: a real server is killed at random points under load, again and again, on the same data.

Whatever happens, a mail that got 250 is there once, with its duty to ring; and no mail is there that did not get 250,
unless the connection broke before the reply. `--kills=N` says how often; `make chaos` does it a thousand times.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from tests.kill.checker import Checker, Query, check_file, copy_of, live, reader, unfinished
from tests.kill.clients import crowd
from tests.kill.conftest import furnish, variables_for
from tests.kill.forkserver import ForkServer, fork_server
from tests.kill.ledger import Fate, Ledger
from tests.kill.receiver import Receiver, receiving

pytestmark = pytest.mark.chaos

_CLIENTS = 6
_LIVES_MOST = 0.12  # seconds from a server's first word to its death
_DIES_EARLY = 0.1  # of the servers, while they start
_AGES = 30  # seconds that each server's clock is ahead of the one before: leases run out between them
_DRAIN_AHEAD = 600
_CHECKS_MOST = 20

Reader = Callable[[], AbstractContextManager[Query]]


@dataclass
class Siege:
    """One store, its servers one after the other, and what was seen."""

    forks: ForkServer
    receiver: Receiver
    variables: Mapping[str, str]
    checker: Checker
    log: Path
    chance: random.Random
    rounds: int = 0
    complaints: list[str] = field(default_factory=list)

    async def kill_one(self) -> None:
        """A server starts, is loaded, and is killed."""
        self.rounds += 1
        server = await self.forks.start(self.variables, ahead=self.rounds * _AGES)
        if self.chance.random() < _DIES_EARLY:
            await asyncio.sleep(self.chance.uniform(0, 0.05))
            await server.end(signal.SIGKILL)
            return
        clients = asyncio.create_task(crowd(self.checker.ledger, await server.ready(), clients=_CLIENTS))
        await asyncio.sleep(self.chance.uniform(0, _LIVES_MOST))
        assert await server.end(signal.SIGKILL) == -signal.SIGKILL
        await clients

    async def drain(self, reader: Reader, *, expected: int) -> None:
        """A last server finishes what the others left, and ends when it is told to."""
        server = await self.forks.start(self.variables, ahead=self.rounds * _AGES + _DRAIN_AHEAD)
        await server.ready()
        async with asyncio.timeout(30 + expected / 50):
            with reader() as query:
                while unfinished(query):  # noqa: ASYNC110 -- another process's rows make no event
                    await asyncio.sleep(0.05)
        assert await server.end(signal.SIGTERM) == 0


@pytest_asyncio.fixture
async def siege(tmp_path: Path) -> AsyncIterator[Siege]:
    """A town besieged."""
    # Random on purpose; the seed stands in the output of a test that failed.
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    log = tmp_path / "log"
    async with receiving() as receiver, fork_server(log) as forks:
        variables = variables_for(tmp_path / "data")
        yield Siege(forks, receiver, variables, Checker(Ledger(chance), tmp_path / "data/blobs"), log, chance)


async def test_what_was_promised_is_kept_on_sqlite(siege: Siege, tmp_path: Path, kills: int) -> None:
    database = tmp_path / "data/mailroom.db"
    await furnish(siege.variables, push_url=siege.receiver.url)
    await _besiege(siege, kills, dead=lambda: copy_of(database), alive=lambda: live(database))
    with copy_of(database) as query:
        assert check_file(query) == []


async def test_what_was_promised_is_kept_on_postgresql(siege: Siege, postgres_url: str, kills: int) -> None:
    siege.variables = {**siege.variables, "MAILROOM_DATABASE": postgres_url}
    await furnish(siege.variables, push_url=siege.receiver.url)
    await _besiege(siege, max(1, kills // 4), dead=lambda: reader(postgres_url), alive=lambda: reader(postgres_url))


async def _besiege(siege: Siege, kills: int, *, dead: Reader, alive: Reader) -> None:
    ledger, checker = siege.checker.ledger, siege.checker
    for number in range(kills):
        await siege.kill_one()
        if number % max(1, kills // _CHECKS_MOST) == 0:
            with dead() as query:
                assert checker.check(query) == []
    with dead() as query:
        assert checker.check(query) == []
        expected = len(query("SELECT 1 FROM mails"))
    await siege.drain(alive, expected=expected)
    with dead() as query:
        assert checker.check(query) == []
        assert checker.check_rung(query, siege.receiver) == []
    assert '"error"' not in siege.log.read_text()
    assert ledger.count(Fate.REFUSED) == 0
    print(
        f"{kills} kills: {ledger.count(Fate.PROMISED)} mails promised, {ledger.count(Fate.OPEN)} cut off before the "
        f"reply, {ledger.count(Fate.UNSENT)} before the dot; {siege.receiver.repeats} of {expected} pushes came again"
    )
