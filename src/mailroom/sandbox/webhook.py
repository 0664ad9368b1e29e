# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The double of somebody's webhook receiver: strict about what it takes, and as badly behaved as it is told to be."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from mailroom.sandbox import pushes
from mailroom.sandbox.behaviour import Behaviour, Script
from mailroom.sandbox.phones import Phones
from mailroom.sandbox.pushes import Push

KEPT: Final = 1000
_REMEMBERED: Final = 10 * KEPT


_NORMAL: Final = Behaviour()


@dataclass(frozen=True, slots=True)
class Received:
    """One request that arrived at a receiver, whatever it was answered."""

    serial: int
    at: int
    receiver: str
    headers: Mapping[str, str]
    body: bytes
    push: Push | None  # None: it was none
    problem: str  # what is wrong with it; "" nothing
    signed: bool | None  # None: no secret to check it by
    repeat: bool  # its webhook-id has been here before

    @property
    def to(self) -> str:
        """Whose phone would ring."""
        return str(self.push["to"]) if self.push else ""

    def view(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "serial": self.serial,
            "at": self.at,
            "receiver": self.receiver,
            "headers": dict(self.headers),
            "body": self.body.decode("utf-8", "replace"),
            "push": self.push,
            "problem": self.problem,
            "signed": self.signed,
            "repeat": self.repeat,
        }


@dataclass(slots=True)
class Receivers:
    """All receivers, each known by the last part of its path; they need not be made first."""

    phones: Phones  # which pushes ring on as well
    kept: deque[Received] = field(default_factory=lambda: deque(maxlen=KEPT))
    _scripts: dict[str, Script] = field(default_factory=dict)
    _secrets: dict[str, str] = field(default_factory=dict)
    _seen: dict[tuple[str, str], None] = field(default_factory=dict)  # receiver and webhook-id, oldest first
    _serial: int = 0

    def behave(self, receiver: str, *script: Behaviour) -> None:
        """Treat the next pushes so, in this order; afterwards each is taken with 200 again."""
        self._scripts[receiver] = Script(self.phones.closing, deque(script))

    def trust(self, receiver: str, secret: str) -> None:
        """From now on refuse (401) what is not signed with `secret`; "" takes everything again."""
        self._secrets[receiver] = secret

    def forget(self) -> None:
        """Drop what was received."""
        self.kept.clear()
        self._seen.clear()
        self.phones.touch()

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Write the request down, then do as told."""
        received = self._examine(request, await request.read())
        self.kept.append(received)
        self.phones.touch()
        script = self._scripts.get(received.receiver)
        behaviour = script.next() if script else None
        if script and behaviour:
            performed = await script.perform(request, behaviour)
            if performed is not None:
                return performed
        if received.signed is False:
            return web.Response(status=401, text="wrong signature")
        if received.problem:
            return web.Response(status=400, text=received.problem)
        behaviour = behaviour or _NORMAL
        return web.Response(status=behaviour.status, headers=behaviour.headers, text=behaviour.body)

    def _examine(self, request: web.Request, body: bytes) -> Received:
        name, now = request.match_info["receiver"], self.phones.clock()
        push, problem = None, ""
        try:
            push = pushes.parse(request.headers.get("Content-Type", ""), body)
        except (ValueError, TypeError, LookupError) as fault:
            problem = str(fault)
        secret = self._secrets.get(name, "")
        self._serial += 1
        return Received(
            serial=self._serial,
            at=now,
            receiver=name,
            headers=request.headers.copy(),
            body=body,
            push=push,
            problem=problem,
            signed=pushes.is_signed(secret, request.headers, body, now=now) if secret else None,
            repeat=self._is_repeat(name, request.headers.get("webhook-id", "")),
        )

    def _is_repeat(self, receiver: str, code: str) -> bool:
        if not code:
            return False
        repeat = (receiver, code) in self._seen
        self._seen[receiver, code] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return repeat
