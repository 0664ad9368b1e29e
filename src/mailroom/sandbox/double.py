# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What all doubles of providers have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Final

import aiohttp
from aiohttp import web

from mailroom.core.clock import SECOND, Clock
from mailroom.sandbox.behaviour import Script
from mailroom.sandbox.phones import Arrival, Fate, Phones

_CALL_TIMEOUT: Final = 5 * SECOND

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Double:
    """One provider. HTTP ones live below `/<name>/` on the sandbox's port; others listen, or open a line, of their own.

    `knobs` are what can be set of it from outside, each with its default: limits, who there is, what it drops.
    """

    name: ClassVar[str]
    knobs: ClassVar[dict[str, Any]] = {}

    def __init__(self, phones: Phones) -> None:
        self.phones: Final = phones
        self.script: Final = Script(phones.closing)
        self.set: dict[str, Any] = dict(self.knobs)
        self.callback: str = ""  # where it tells its customer what became of messages; "" nowhere
        self.where: str = ""  # what a sender's settings name: a URL without a slash at its end, host:port, a device

    @property
    def clock(self) -> Clock:
        """The sandbox's time."""
        return self.phones.clock

    def routes(self) -> Sequence[web.RouteDef]:
        """Its HTTP interface, paths beginning with `/`; each handler is run under the script."""
        return ()

    async def start(self, host: str) -> None:
        """Listen, if it does so by itself; then `where` says at what."""

    async def stop(self) -> None:
        """End what `start` began."""

    def turn(self, **knobs: Any) -> None:
        """Set knobs. Raises `KeyError` for one that it does not have."""
        for name, value in knobs.items():
            if name not in self.knobs:
                raise KeyError(name)
            self.set[name] = value

    def view(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "name": self.name,
            "where": self.where,
            "callback": self.callback,
            "knobs": {name: list(one) if isinstance(one, set | frozenset) else one for name, one in self.set.items()},
            "script": [asdict(step) for step in self.script.steps],
            "scenes": list(self.scenes()),
            "scripted": bool(self.routes()),
        }

    def scenes(self) -> Sequence[str]:
        """The codes that somebody might scan, the newest last."""
        return ()

    async def scan(self, scene: str, address: str, /) -> None:
        """Somebody scans one of them: tell the customer, as this provider would. Raises `LookupError` where there are
        none.
        """
        raise LookupError(f"nobody can scan {scene} as {address}")

    def reset(self) -> None:
        """As new, but for what lies on the phones."""
        self.set = dict(self.knobs)
        self.script.begin()

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        """Tell the customer what became of a message, as this provider would, and note it."""
        self.phones.settle(arrival.serial, fate)

    async def call(self, *, method: str = "POST", path: str = "", **request: Any) -> tuple[int, bytes]:
        """Call the customer back; what he answered. Raises `aiohttp.ClientError`, `TimeoutError`."""
        timeout = aiohttp.ClientTimeout(total=_CALL_TIMEOUT / SECOND)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.callback + path, allow_redirects=False, **request) as answer,
        ):
            return answer.status, await answer.read()

    def scripted(self, handler: Handler) -> Handler:
        """The handler under the script."""

        async def run(request: web.Request) -> web.StreamResponse:
            behaviour = self.script.next(request.path)
            if behaviour is None:
                return await handler(request)
            answer = await handler(request) if behaviour.taken else None
            performed = await self.script.perform(request, behaviour)
            if performed is not None:
                return performed
            if behaviour.is_late:
                return answer or await handler(request)
            return web.Response(status=behaviour.status, headers=behaviour.headers, text=behaviour.body)

        return run
