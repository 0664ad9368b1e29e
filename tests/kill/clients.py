# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The clients of the kill test: they send numbered mails until the server is gone, and note what they were told."""

from __future__ import annotations

import asyncio
import contextlib

from tests.kill.ledger import Fate, Ledger
from tests.talk import Client, call

# How often a client is gone by itself: in the middle of the content, or before it has heard the reply.
_GOES_AWAY = 0.02


async def crowd(ledger: Ledger, port: int, *, clients: int) -> None:
    """So many clients at once, until the server is gone."""
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(_send_on_and_on(ledger, port))


async def _send_on_and_on(ledger: Ledger, port: int) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            async with call(port) as c:
                await _hear(c, "220")
                await c("EHLO client.test")
                await _hear(c, "250")
                while await _send(ledger, c):
                    pass


async def _send(ledger: Ledger, c: Client) -> bool:
    """Send one mail; False when the client is gone by its own will."""
    entry, octets = ledger.write()
    for line in ("MAIL FROM:<bob@out.test>", *(f"RCPT TO:<{address}>" for address in entry.to)):
        await c(line)
        await _hear(c, "250")
    await c("DATA")
    await _hear(c, "354")
    if ledger.chance.random() < _GOES_AWAY:
        await c.send(octets[: ledger.chance.randrange(len(octets))])
        return False
    await c.send(octets)
    entry.fate = Fate.OPEN
    await c.send(b".\r\n")
    if ledger.chance.random() < _GOES_AWAY:
        return False
    reply = await _hear(c, "")
    entry.fate = Fate.PROMISED if reply.startswith("250") else Fate.REFUSED
    return True


async def _hear(c: Client, code: str) -> str:
    """The reply, which begins with the code. Raises `ConnectionError` when the server is gone."""
    reply = await c.reply()
    if not reply:
        raise ConnectionResetError
    assert reply.startswith(code), reply
    return reply
