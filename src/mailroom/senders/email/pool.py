# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Conversations that are kept open for the next mail, and not too many with one server."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from mailroom.senders.email.session import Session

CONNECTIONS: Final = 20  # at once with one server
MAILS: Final = 100  # over one connection
IDLE: Final = 30.0  # seconds


@dataclass(slots=True)
class _Place:
    """All that concerns one server."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))
    idle: list[tuple[Session, asyncio.TimerHandle]] = field(default_factory=list)
    users: int = 0


@dataclass(slots=True)
class Pool:
    """Sessions by key: the server, and all that makes one session as good as another."""

    _places: defaultdict[Hashable, _Place] = field(default_factory=lambda: defaultdict(_Place))

    @contextlib.asynccontextmanager
    async def session(self, key: Hashable, connect: Callable[[], Awaitable[Session]]) -> AsyncIterator[Session]:
        """A session for one mail: one that is idle, or a new one. It is kept if it is still fit afterwards."""
        place = self._places[key]
        place.users += 1
        try:
            async with place.free:
                session = self._idle(place) or await connect()
                try:
                    yield session
                finally:
                    self._keep(key, place, session)
        finally:
            place.users -= 1
            self._forget(key)

    def _idle(self, place: _Place) -> Session | None:
        while place.idle:
            session, timer = place.idle.pop()
            timer.cancel()
            if session.fit:
                return session
            session.close()
        return None

    def _keep(self, key: Hashable, place: _Place, session: Session) -> None:
        if session.mails >= MAILS or not session.fit:
            session.close()
            return
        timer = asyncio.get_running_loop().call_later(IDLE, self._expire, key, session)
        place.idle.append((session, timer))

    def _expire(self, key: Hashable, session: Session) -> None:
        place = self._places[key]
        place.idle = [one for one in place.idle if one[0] is not session]
        session.close()
        self._forget(key)

    def _forget(self, key: Hashable) -> None:
        if not self._places[key].users and not self._places[key].idle:
            del self._places[key]

    def close(self) -> None:
        """End all conversations that are idle."""
        for place in self._places.values():
            for session, timer in place.idle:
                timer.cancel()
                session.close()
            place.idle.clear()
