# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A server that runs in the test's process on a folder of its own, and a ledger of what clients were told.

What a fault left behind is judged by the kill test's checker: what was promised is there, and nothing else is.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from mailroom.core import settings
from mailroom.runtime.serve import Role, running
from tests.kill.checker import Checker, check_file, live
from tests.kill.conftest import furnish, variables_for
from tests.kill.ledger import Entry, Fate, Ledger
from tests.kill.receiver import receiving
from tests.talk import Client


@dataclass
class Town:
    """A server and what was sent to it."""

    port: int
    data: Path
    ledger: Ledger

    @property
    def spools(self) -> list[Path]:
        """What lies in the folder of mails on their way in."""
        return list((self.data / "incoming").iterdir())

    def complaints(self) -> list[str]:
        """What the store says that contradicts what the clients were told."""
        with live(self.data / "mailroom.db") as query:
            return Checker(self.ledger, self.data / "blobs").check(query) + check_file(query)

    def mails(self) -> int:
        """How many mails there are."""
        with live(self.data / "mailroom.db") as query:
            return len(query("SELECT 1 FROM mails"))


async def greet(c: Client) -> None:
    """Say hello."""
    await c.expect("220")
    await c("EHLO client.test")
    await c.expect("250")


async def begin(c: Client, entry: Entry) -> None:
    """As far as the go-ahead for content."""
    await c("MAIL FROM:<bob@out.test>", *(f"RCPT TO:<{to}>" for to in entry.to), "DATA")
    await c.expect("250", *["250"] * len(entry.to), "354")


async def send(town: Town, c: Client, *, lines: int = 1) -> str:
    """Send a mail of about so many lines; the reply to its last dot."""
    entry, octets = town.ledger.write(lines=lines)
    await begin(c, entry)
    await c.send(octets + b".\r\n")
    reply = await c.reply()
    entry.fate = Fate.PROMISED if reply.startswith("250") else Fate.REFUSED
    return reply


@contextlib.asynccontextmanager
async def settle(data: Path, *, reserve: int = 0) -> AsyncIterator[Town]:
    """A town on that folder, whose disk must keep `reserve` octets free."""
    async with receiving() as receiver:
        variables = {**variables_for(data), "MAILROOM_LIMITS__DISK_RESERVE": str(reserve)}
        await furnish(variables, push_url=receiver.url)
        async with running(settings.load(None, variables), roles=(Role.SMTP, Role.WORKER)) as server:
            yield Town(server.ports["smtp"], data, Ledger(random.Random(1)))
