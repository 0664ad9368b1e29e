# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The push URL of the kill test: remembers which pushes came, and under which `webhook-id`."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(slots=True)
class Receiver:
    """Counts pushes: by (mail's Message-ID, mailbox's address), how often under each `webhook-id`."""

    url: str = ""
    heard: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hear(self, request: web.Request) -> web.Response:
        """Take a push."""
        push = await request.json()
        self.heard.setdefault((push["msgid"], push["to"]), Counter())[request.headers["webhook-id"]] += 1
        async with self._came:
            self._came.notify_all()
        return web.Response()

    async def has_heard(self, count: int) -> None:
        """Wait until so many mails have rung."""
        async with asyncio.timeout(30), self._came:
            await self._came.wait_for(lambda: len(self.heard) >= count)

    @property
    def repeats(self) -> int:
        """How many pushes came again under the same `webhook-id`."""
        return sum(ids.total() - len(ids) for ids in self.heard.values())


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/push", receiver.hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        receiver.url = f"http://127.0.0.1:{port}/push"
        yield receiver
    finally:
        await runner.cleanup()
