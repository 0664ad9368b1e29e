# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How badly a double behaves: as it is told to, for the next requests or from here on."""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from aiohttp import web

from mailroom.core.clock import SECOND

_DRIP: Final = 0.05  # seconds between two octets


class Does(enum.StrEnum):
    """What is done with a request once it has been read."""

    ANSWER = "answer"
    HANG = "hang"  # says nothing until the other side leaves
    DRIP = "drip"  # answers one octet at a time, without end
    GARBAGE = "garbage"  # answers in no protocol
    RESET = "reset"  # breaks the connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the next requests are treated: `times` of them, or all from here on when 0."""

    does: Does = Does.ANSWER
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    delay: int = 0  # milliseconds before anything is done
    times: int = 1
    at: str = ""  # only requests whose path holds this
    taken: bool = False  # a double of a provider does its work first, and misbehaves only then

    @property
    def is_late(self) -> bool:
        """Nothing but slow: a provider's double then answers as it would have."""
        return bool(self.delay) and self == Behaviour(delay=self.delay, times=self.times, at=self.at, taken=self.taken)


@dataclass(slots=True)
class Script:
    """What is to come, in its order; after that everything is as it should be."""

    closing: asyncio.Event
    steps: deque[Behaviour] = field(default_factory=deque)

    def begin(self, *steps: Behaviour) -> None:
        """Forget what was to come, and do this."""
        self.steps = deque(steps)

    def next(self, path: str = "") -> Behaviour | None:
        """What is to be done with this request; none: nothing out of the ordinary."""
        if not self.steps or self.steps[0].at not in path:
            return None
        behaviour = self.steps[0]
        if behaviour.times == 1:
            self.steps.popleft()
        elif behaviour.times:
            self.steps[0] = replace(behaviour, times=behaviour.times - 1)
        return behaviour

    async def perform(self, request: web.Request, behaviour: Behaviour) -> web.StreamResponse | None:
        """Misbehave; none where only an answer is wanted, after the delay."""
        if behaviour.delay:
            await self._pause(behaviour.delay / SECOND)
        match behaviour.does:
            case Does.HANG:
                await self.closing.wait()
                return web.Response()
            case Does.DRIP:
                return await self._drip(request)
            case Does.GARBAGE | Does.RESET as bad:
                _spoil(request, bad)
                return web.Response()
            case Does.ANSWER:
                return None

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        while not self.closing.is_set():
            await response.write(b".")
            await self._pause(_DRIP)
        return response

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return


def _spoil(request: web.Request, bad: Does) -> None:
    transport = request.transport
    assert transport is not None, "a caller who leaves takes its handler along"
    if bad is Does.GARBAGE:
        transport.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        transport.close()
    else:
        transport.abort()
