# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A lane's thread lives on whatever goes wrong: who waits for one that has ended would wait for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from mailroom.core import clock
from mailroom.core.errors import Unavailable
from mailroom.storage import schema
from mailroom.storage.engines.hints import Hub
from mailroom.storage.engines.lane import Lane, Lanes
from mailroom.storage.engines.sqlite import _Writer, connect

COUNT = select(func.count()).select_from(schema.blobs)


@pytest.fixture
def writer(sqlite_url: str) -> Callable[[], _Writer]:
    path = sqlite_url.removeprefix("sqlite:///")
    return lambda: _Writer(connect(path), clock.now, threading.Event(), Hub())


async def test_a_lane_that_looks_lives_on_without_a_first_connection(writer: Callable[[], _Writer]) -> None:
    faults: list[Exception] = [OSError("too many open files"), Unavailable(what="database")]

    def connected() -> _Writer:
        if faults:
            raise faults.pop()
        return writer()

    lanes = Lanes()
    lanes.add(Lane(lanes, connected, name="test", most=1, look=_Writer.look, pause=0.01))
    async with asyncio.timeout(10):
        while faults:  # noqa: ASYNC110  # the lane looks by itself
            await asyncio.sleep(0.01)
        assert await lanes.run(lambda tx: tx.first(COUNT)) == (0,)
        await lanes.close()


async def test_a_lane_lives_on_when_its_look_fails(writer: Callable[[], _Writer]) -> None:
    looked = threading.Semaphore(0)

    def look(_connection: _Writer) -> None:
        looked.release()
        raise ZeroDivisionError

    lanes = Lanes()
    lanes.add(Lane(lanes, writer, name="test", most=1, look=look, pause=0.01))
    for _ in range(3):
        assert await asyncio.to_thread(looked.acquire, timeout=10)
    async with asyncio.timeout(10):
        assert await lanes.run(lambda tx: tx.first(COUNT)) == (0,)
        await lanes.close()
