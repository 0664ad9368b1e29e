# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sandbox's own small server: doubles, their remote control and the page, on one port.

| path | what |
|---|---|
| `POST /webhook/<receiver>` | a webhook receiver |
| `/<double>/...` | a provider's own interface |
| `/sandbox/...` | the remote control |
| `GET /` | the page of the phones |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from mailroom.core import clock as system
from mailroom.core.clock import Clock
from mailroom.sandbox import page
from mailroom.sandbox.double import Double
from mailroom.sandbox.doubles import open_doubles
from mailroom.sandbox.phones import Phones
from mailroom.sandbox.remote import PATIENCE, Remote
from mailroom.sandbox.webhook import Received, Receivers

_BODY_LIMIT: Final = 1024 * 1024


@dataclass(slots=True)
class Sandbox:
    """The sandbox, for whoever wants it in their process. One run: start, use, stop."""

    clock: Clock = system.now
    receivers: Receivers = field(init=False)
    phones: Phones = field(init=False)
    doubles: Mapping[str, Double] = field(init=False)
    url: str = field(default="", init=False)  # without a slash at its end; "" until started
    _runner: web.AppRunner | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.phones = Phones(self.clock)
        self.receivers = Receivers(self.phones)
        self.doubles = open_doubles(self.phones)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any that is free, and `url` says which. Raises `OSError` when the port is taken."""
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.add_routes(
            [
                web.post("/webhook/{receiver}", self.receivers.receive),
                *Remote(self.phones, self.receivers, self.doubles).routes(),
                web.get("/", _show_page),
                web.get("/phones.js", _show_script),
                web.get("/phones.css", _show_style),
            ]
        )
        for double in self.doubles.values():
            app.add_routes(
                web.route(one.method, f"/{double.name}{one.path}", double.scripted(one.handler), **one.kwargs)
                for one in double.routes()
            )
        # A receiver that hangs is let go as soon as its caller has left.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{bound}"
        for double in self.doubles.values():
            double.where = f"{self.url}/{double.name}"
            await double.start(host)

    async def stop(self) -> None:
        """Stop listening and let go of every caller."""
        self.phones.close()
        for double in self.doubles.values():
            await double.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    def webhook(self, receiver: str) -> str:
        """The URL of a receiver."""
        return f"{self.url}/webhook/{receiver}"

    def received(self, *, to: str = "") -> Sequence[Received]:
        """What has arrived, oldest first: all of it, or what is for one address."""
        return [received for received in self.receivers.kept if to in {"", received.to}]

    async def arrived(self, count: int, *, to: str = "") -> Sequence[Received]:
        """Wait until at least `count` have arrived. Put a timeout around it. Raises `ConnectionError` when stopped."""
        while len(received := self.received(to=to)) < count:
            if self.phones.closing.is_set():
                raise ConnectionError("the sandbox has been stopped")
            await self.phones.change(self.phones.version, patience=PATIENCE)
        return received


async def _show_page(request: web.Request) -> web.Response:
    html = page.render(request.headers.get("Accept-Language", ""))
    return web.Response(text=html, content_type="text/html", headers=page.HEADERS | {"Vary": "Accept-Language"})


async def _show_script(_request: web.Request) -> web.Response:
    return web.Response(text=page.SCRIPT, content_type="text/javascript", headers=page.HEADERS)


async def _show_style(_request: web.Request) -> web.Response:
    return web.Response(text=page.STYLE, content_type="text/css", headers=page.HEADERS)
