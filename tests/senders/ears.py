# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where a double calls its customer, in tests of one sender kind: all that is heard, as the kind understands it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from mailroom.core.clock import Clock
from mailroom.senders.contract import Account, Call, Forged, Heard, Hears


@dataclass(slots=True)
class Ears:
    """One account's callbacks."""

    kind: Hears
    account: Account
    clock: Clock
    url: str = ""
    heard: list[Heard | Forged] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    deaf: bool = False  # answers 503

    async def listen(self, request: web.Request) -> web.Response:
        if self.deaf:
            return web.Response(status=503)
        call = Call(
            method=request.method,
            rest=request.match_info["rest"],
            query=request.query,
            headers=request.headers,
            body=await request.read(),
            now=self.clock(),
            url=str(request.url),
        )
        self.calls.append(call)
        heard = self.kind.hear(self.account, call)
        self.heard.append(heard)
        if isinstance(heard, Forged):
            return web.Response(status=403, text=heard.text)
        headers = {"Content-Type": heard.reply.media_type}
        return web.Response(status=heard.reply.status, body=heard.reply.body, headers=headers)


@asynccontextmanager
async def listening(kind: Hears, account: Account, clock: Clock) -> AsyncIterator[Ears]:
    """Ears on a port of their own."""
    ears = Ears(kind, account, clock)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", ears.listen)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    ears.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield ears
    finally:
        await runner.cleanup()
