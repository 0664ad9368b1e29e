# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What has arrived on people's phones, whichever provider brought it there."""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from mailroom.core.clock import SECOND, Clock

KEPT: Final = 1000
_PATIENCE: Final = 20 * SECOND


class Fate(enum.StrEnum):
    """What has become of a message, as far as its sender has been told."""

    SENT = "sent"
    ARRIVED = "arrived"
    READ = "read"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One message on one phone, as its receiver sees it."""

    serial: int
    at: int
    provider: str  # the double's name
    to: str  # whose phone: a number, an openid, a userid, the name of a group's robot
    text: str
    title: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    url: str = ""
    raw: str = ""  # as it came
    id: str = ""  # the provider's own
    fate: Fate = Fate.SENT
    receipts: tuple[Fate, ...] = ()  # those that the provider can tell its sender

    def view(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self)


@dataclass(slots=True)
class Phones:
    """All phones; they need not be made first."""

    clock: Clock
    kept: deque[Arrival] = field(default_factory=lambda: deque(maxlen=KEPT))
    version: int = 0  # grows with every change
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    _serial: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, provider: str, to: str, text: str, **more: Any) -> Arrival:
        """Let a message arrive; `more` are fields of `Arrival`."""
        self._serial += 1
        arrival = Arrival(serial=self._serial, at=self.clock(), provider=provider, to=to, text=text, **more)
        self.kept.append(arrival)
        self.touch()
        return arrival

    def settle(self, serial: int, fate: Fate) -> Arrival | None:
        """Note what its sender was told of a message."""
        for index, one in enumerate(self.kept):
            if one.serial == serial:
                self.kept[index] = replace(one, fate=fate)
                self.touch()
                return self.kept[index]
        return None

    def at(self, provider: str, to: str = "") -> Sequence[Arrival]:
        """What a provider has brought, oldest first: all of it, or what is for one phone."""
        return [one for one in self.kept if one.provider == provider and to in {"", one.to}]

    async def arrived(self, count: int, provider: str, to: str = "") -> Sequence[Arrival]:
        """Wait until at least `count` have arrived. Put a timeout around it. Raises `ConnectionError` at the end."""
        while len(found := self.at(provider, to)) < count:
            if self.closing.is_set():
                raise ConnectionError("the sandbox has been stopped")
            await self.change(self.version, patience=_PATIENCE)
        return found

    async def change(self, version: int, *, patience: int) -> None:
        """Return when something is no longer as it was at `version`, after `patience` milliseconds, or at the end."""
        if self.version == version and not self.closing.is_set():
            try:
                await asyncio.wait_for(self._changed.wait(), patience / SECOND)
            except TimeoutError:
                return

    def forget(self) -> None:
        """Wipe all phones."""
        self.kept.clear()
        self.touch()

    def touch(self) -> None:
        """Something has changed."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Let go of everyone who is kept waiting."""
        self.closing.set()
        self._changed.set()
