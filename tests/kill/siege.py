# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Servers that do long work and are killed at it, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.kill.checker import Query
from tests.kill.conftest import variables_for
from tests.kill.forkserver import ForkServer, fork_server

Reader = Callable[[], AbstractContextManager[Query]]

_AGES = 90  # seconds that each server's clock is ahead of the one before: leases run out between them


@dataclass
class Siege:
    """One installation, and how many servers it has had."""

    forks: ForkServer
    variables: Mapping[str, str]
    data: Path
    log: Path
    chance: random.Random
    rounds: int = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, folder: Path) -> AsyncIterator[Self]:
        """A siege in that folder, by a seed that stands in the output of a test that failed."""
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        async with fork_server(folder / "log") as forks:
            variables = {**variables_for(folder / "data"), "MAILROOM_LIMITS__DISK_RESERVE": "0"}
            yield cls(forks, variables, folder / "data", folder / "log", random.Random(seed))

    async def kill_one(self, *, lives_most: float, dies_early: float = 0) -> None:
        """A server starts, works for up to so many seconds, and is killed; of all, that share while they start."""
        self.rounds += 1
        server = await self.forks.start(self.variables, ahead=self.rounds * _AGES)
        if self.chance.random() < dies_early:
            await asyncio.sleep(self.chance.uniform(0, 0.05))
            await server.end(signal.SIGKILL)
            return
        await server.ready()
        await asyncio.sleep(self.chance.uniform(0, lives_most))
        assert await server.end(signal.SIGKILL) == -signal.SIGKILL

    async def drain(self, reader: Reader) -> None:
        """A last server finishes what the others left, and ends when it is told to."""
        self.rounds += 1
        server = await self.forks.start(self.variables, ahead=self.rounds * _AGES)
        await server.ready()
        async with asyncio.timeout(90):
            with reader() as query:
                while query("SELECT id FROM jobs WHERE state IN ('queued', 'running')"):  # noqa: ASYNC110 -- another process's rows make no event
                    await asyncio.sleep(0.1)
        assert await server.end(signal.SIGTERM) == 0
