# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sandbox's own small server: doubles, their remote control and the page, on one port.

| path | what |
|---|---|
| `POST /webhook/<receiver>` | a webhook receiver |
| `GET /sandbox/received?to=` | what has arrived, oldest first; with `unlike=<version>` it waits for a change |
| `DELETE /sandbox/received` | forget it |
| `PUT /sandbox/faults` | `{"receiver", "script": [{"does", "status", "headers", "body", "delay", "times"}]}` |
| `PUT /sandbox/secrets` | `{"receiver", "secret"}`: refuse what is not signed with it |
| `GET /` | the page of the phones |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from mailroom.core import clock as system
from mailroom.core.clock import SECOND, Clock
from mailroom.sandbox import page
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.double import Double
from mailroom.sandbox.doubles import open_doubles
from mailroom.sandbox.phones import Phones
from mailroom.sandbox.webhook import Received, Receivers

_PATIENCE: Final = 20 * SECOND
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
        self.receivers = Receivers(self.clock)
        self.phones = Phones(self.clock)
        self.doubles = open_doubles(self.phones)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any that is free, and `url` says which. Raises `OSError` when the port is taken."""
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.add_routes(
            [
                web.post("/webhook/{receiver}", self.receivers.receive),
                web.get("/sandbox/received", self._list),
                web.delete("/sandbox/received", self._forget),
                web.put("/sandbox/faults", self._behave),
                web.put("/sandbox/secrets", self._trust),
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
        self.receivers.close()
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
            if self.receivers.closed:
                raise ConnectionError("the sandbox has been stopped")
            await self.receivers.change(self.receivers.version, patience=_PATIENCE)
        return received

    async def _list(self, request: web.Request) -> web.Response:
        if (seen := request.query.get("unlike", "")).isdecimal():
            await self.receivers.change(int(seen[:18]), patience=_PATIENCE)
        views = [received.view() for received in self.received(to=request.query.get("to", ""))]
        return web.json_response({"version": self.receivers.version, "received": views}, headers=page.HEADERS)

    async def _forget(self, _request: web.Request) -> web.Response:
        self.receivers.forget()
        return web.Response(status=204)

    async def _behave(self, request: web.Request) -> web.Response:
        asked = await _json_object(request)
        try:
            script = [Behaviour(**(step | {"does": Does(step.get("does", "answer"))})) for step in asked["script"]]
            self.receivers.behave(str(asked["receiver"]), *script)
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise web.HTTPBadRequest(text=f"not a script: {fault}") from fault
        return web.Response(status=204)

    async def _trust(self, request: web.Request) -> web.Response:
        asked = await _json_object(request)
        self.receivers.trust(str(asked.get("receiver", "")), str(asked.get("secret", "")))
        return web.Response(status=204)


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        asked = await request.json()
    except ValueError as fault:
        raise web.HTTPBadRequest(text="not JSON") from fault
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="not an object")
    return asked


async def _show_page(request: web.Request) -> web.Response:
    html = page.render(request.headers.get("Accept-Language", ""))
    return web.Response(text=html, content_type="text/html", headers=page.HEADERS | {"Vary": "Accept-Language"})


async def _show_script(_request: web.Request) -> web.Response:
    return web.Response(text=page.SCRIPT, content_type="text/javascript", headers=page.HEADERS)


async def _show_style(_request: web.Request) -> web.Response:
    return web.Response(text=page.STYLE, content_type="text/css", headers=page.HEADERS)
