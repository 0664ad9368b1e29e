# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A provider that there is not: small enough to be all that a double can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from aiohttp import web

from mailroom.sandbox.double import Double
from mailroom.sandbox.phones import Arrival, Fate
from mailroom.sandbox.server import Sandbox


class Pigeon(Double):
    """Brings what is posted to `/pigeon/fly`, tells its customer of it, and lets codes be scanned."""

    name = "pigeon"
    knobs: ClassVar[dict[str, Any]] = {"loft": "north", "tired": False, "per_day": 5, "lost": frozenset({"x"})}

    def routes(self) -> Sequence[web.RouteDef]:
        return [web.post("/fly", self._fly)]

    async def _fly(self, request: web.Request) -> web.Response:
        said = await request.json()
        self.phones.show(
            self.name, said["to"], said["text"], receipts=(Fate.ARRIVED, Fate.READ, Fate.LOST), raw=str(said)
        )
        return web.Response(text="flown")

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        await self.call(json={"to": arrival.to, "fate": fate})
        await super().press(arrival, fate)

    def scenes(self) -> Sequence[str]:
        return ("scene1",)

    async def scan(self, scene: str, address: str, /) -> None:
        await self.call(json={"scene": scene, "address": address})


@asynccontextmanager
async def loft() -> AsyncIterator[Sandbox]:
    """A sandbox with a pigeon."""
    box = Sandbox(clock=lambda: 1_772_323_200_000)
    box.doubles = {**box.doubles, Pigeon.name: Pigeon(box.phones)}
    await box.start()
    try:
        yield box
    finally:
        await box.stop()
