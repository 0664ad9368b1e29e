# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sandbox's remote control: what has arrived, what its senders are told of that, and how badly doubles behave.

| path | what |
|---|---|
| `GET /sandbox/received?to=` | the pushes so far, oldest first; with `unlike=<version>` it waits for a change |
| `DELETE /sandbox/received` | forget them |
| `GET /sandbox/phones` | everything that the page shows, likewise with `unlike` |
| `DELETE /sandbox/phones` | wipe all phones |
| `POST /sandbox/phones/<serial>/<fate>` | let the provider report that a message has `arrived`, was `read`, or `lost` |
| `PUT /sandbox/faults` | `{"receiver", "script": [{"does", "status", "headers", "body", "delay", "times"}]}` |
| `PUT /sandbox/secrets` | `{"receiver", "secret"}`: refuse what is not signed with it |
| `GET /sandbox/doubles/<name>` | where a double is, whom it calls, its knobs and its script |
| `PUT /sandbox/doubles/<name>` | `{"callback", "knobs", "script"}`, each of them if it is to change |
| `DELETE /sandbox/doubles/<name>` | as new, but for whom it calls |
| `POST /sandbox/doubles/<name>/scan` | `{"scene", "address"}`: somebody scans a code |
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web

from mailroom.core.clock import SECOND
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.double import Double
from mailroom.sandbox.page import HEADERS
from mailroom.sandbox.phones import Fate, Phones
from mailroom.sandbox.webhook import Receivers

PATIENCE: Final = 20 * SECOND


@dataclass(frozen=True, slots=True)
class Remote:
    """Whoever has the sandbox's port has this."""

    phones: Phones
    receivers: Receivers
    doubles: Mapping[str, Double]

    def routes(self) -> Sequence[web.RouteDef]:
        """Everything below `/sandbox/`."""
        return [
            web.get("/sandbox/received", self._list),
            web.delete("/sandbox/received", self._forget),
            web.get("/sandbox/phones", self._show),
            web.delete("/sandbox/phones", self._wipe),
            web.post("/sandbox/phones/{serial}/{fate}", self._press),
            web.put("/sandbox/faults", self._behave),
            web.put("/sandbox/secrets", self._trust),
            web.get("/sandbox/doubles/{name}", self._double),
            web.put("/sandbox/doubles/{name}", self._change),
            web.delete("/sandbox/doubles/{name}", self._reset),
            web.post("/sandbox/doubles/{name}/scan", self._scan),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        await self._news(request)
        to = request.query.get("to", "")
        views = [one.view() for one in self.receivers.kept if to in {"", one.to}]
        return _json({"version": self.phones.version, "received": views})

    async def _forget(self, _request: web.Request) -> web.Response:
        self.receivers.forget()
        return web.Response(status=204)

    async def _show(self, request: web.Request) -> web.Response:
        await self._news(request)
        return _json(
            {
                "version": self.phones.version,
                "phones": [one.view() for one in self.phones.kept],
                "received": [one.view() for one in self.receivers.kept],
                "doubles": [one.view() for one in self.doubles.values()],
            }
        )

    async def _wipe(self, _request: web.Request) -> web.Response:
        self.phones.forget()
        return web.Response(status=204)

    async def _press(self, request: web.Request) -> web.Response:
        serial, fate = request.match_info["serial"], request.match_info["fate"]
        arrival = next((one for one in self.phones.kept if str(one.serial) == serial), None)
        if arrival is None or fate not in arrival.receipts:
            raise web.HTTPNotFound(text="no such message, or not to be told of it")
        return await _told(self.doubles[arrival.provider].press(arrival, Fate(fate)))

    async def _behave(self, request: web.Request) -> web.Response:
        asked = await _json_object(request)
        if "receiver" not in asked:
            raise web.HTTPBadRequest(text="whose script?")
        self.receivers.behave(str(asked["receiver"]), *_script(asked.get("script")))
        return web.Response(status=204)

    async def _trust(self, request: web.Request) -> web.Response:
        asked = await _json_object(request)
        self.receivers.trust(str(asked.get("receiver", "")), str(asked.get("secret", "")))
        return web.Response(status=204)

    async def _double(self, request: web.Request) -> web.Response:
        return _json(self._named(request).view())

    async def _change(self, request: web.Request) -> web.Response:
        double, asked = self._named(request), await _json_object(request)
        steps = _script(asked["script"]) if "script" in asked else None
        try:
            double.turn(**{name: _like(double.knobs[name], one) for name, one in asked.get("knobs", {}).items()})
        except (KeyError, TypeError, AttributeError) as fault:
            raise web.HTTPBadRequest(text=f"no such knob, or not for it: {fault}") from fault
        if steps is not None:
            double.script.begin(*steps)
        if "callback" in asked:
            double.callback = str(asked["callback"]).rstrip("/")
        self.phones.touch()
        return web.Response(status=204)

    async def _reset(self, request: web.Request) -> web.Response:
        self._named(request).reset()
        self.phones.touch()
        return web.Response(status=204)

    async def _scan(self, request: web.Request) -> web.Response:
        double, asked = self._named(request), await _json_object(request)
        scene, address = str(asked.get("scene", "")), str(asked.get("address", ""))
        if scene not in double.scenes():
            raise web.HTTPNotFound(text="there is no such code")
        answer = await _told(double.scan(scene, address))
        self.phones.touch()
        return answer

    def _named(self, request: web.Request) -> Double:
        try:
            return self.doubles[request.match_info["name"]]
        except KeyError:
            raise web.HTTPNotFound(text="there is no such double") from None

    async def _news(self, request: web.Request) -> None:
        if (seen := request.query.get("unlike", "")).isdecimal():
            await self.phones.change(int(seen[:18]), patience=PATIENCE)


async def _told(telling: Awaitable[None]) -> web.Response:
    try:
        await telling
    except (aiohttp.ClientError, TimeoutError) as fault:
        raise web.HTTPBadGateway(text=f"the customer did not answer: {fault}") from fault
    return web.Response(status=204)


def _like(default: Any, value: Any) -> Any:
    """What JSON says, in the type that the knob has."""
    shape = type(default)
    if isinstance(value, list) and shape in {tuple, set, frozenset}:
        return shape(value)
    if default is not None and type(value) is not shape:
        raise TypeError(f"{value!r} is no {shape.__name__}")
    return value


def _script(steps: Any) -> Sequence[Behaviour]:
    try:
        return [Behaviour(**(step | {"does": Does(step.get("does", "answer"))})) for step in steps]
    except (TypeError, ValueError, AttributeError) as fault:
        raise web.HTTPBadRequest(text=f"not a script: {fault}") from fault


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        asked = await request.json()
    except ValueError as fault:
        raise web.HTTPBadRequest(text="not JSON") from fault
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="not an object")
    return asked


def _json(said: Mapping[str, Any]) -> web.Response:
    return web.json_response(said, headers=HEADERS)
