# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that go away in the middle: a mail without its final dot is forgotten, one with it is kept once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.town import begin, greet, settle
from tests.kill.ledger import Fate
from tests.talk import Client, call

_LARGE = 2000


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- files make no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("go", [Client.vanish, Client.half_close], ids=["reset", "closed"])
async def test_a_client_that_goes_in_the_middle_of_the_content_leaves_nothing(
    tmp_path: Path, go: Callable[[Client], None]
) -> None:
    async with settle(tmp_path / "data") as town:
        entry, octets = town.ledger.write(lines=_LARGE)
        async with call(town.port) as c:
            await greet(c)
            await begin(c, entry)
            await c.send(octets[:-10_000])
            await until(lambda: len(town.spools) == 1)
            go(c)
            await until(lambda: not town.spools)
        assert town.complaints() == []
        assert town.mails() == 0


@pytest.mark.parametrize("lines", [1, _LARGE], ids=["small", "large"])
async def test_a_client_that_goes_after_the_final_dot_has_handed_its_mail_over(tmp_path: Path, lines: int) -> None:
    async with settle(tmp_path / "data") as town:
        entry, octets = town.ledger.write(lines=lines)
        async with call(town.port) as c:
            await greet(c)
            await begin(c, entry)
            await c.send(octets + b".\r\n")
            c.half_close()
            await until(lambda: town.mails() == len(entry.to))
        entry.fate = Fate.PROMISED  # it got here, though the client has not heard of it
        assert town.complaints() == []
        await until(lambda: not town.spools)


async def test_clients_that_vanish_after_the_final_dot_leave_a_mail_once_or_not_at_all(tmp_path: Path) -> None:
    async with settle(tmp_path / "data") as town:
        for number in range(20):
            entry, octets = town.ledger.write(lines=_LARGE if number % 4 == 0 else 1)
            entry.fate = Fate.OPEN
            async with call(town.port) as c:
                await greet(c)
                await begin(c, entry)
                await c.send(octets + b".\r\n")
                c.vanish()
        await until(lambda: not town.spools)
        assert town.complaints() == []
