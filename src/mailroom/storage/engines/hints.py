# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who waits for news in this process. Every engine wakes them; how it hears of news elsewhere is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol


class _Wakes(Protocol):
    def wake(self) -> None: ...


class Ear:
    """A `ports.Listener`."""

    __slots__ = ("_heard",)

    def __init__(self) -> None:
        self._heard = asyncio.Event()

    def wake(self) -> None:
        self._heard.set()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        self._heard.clear()


class _Bell:
    """Who wants to be called at a hint."""

    __slots__ = ("wake",)

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake


class Hub:
    """A `ports.Hints`. All but `wake_from_thread` is called in one event loop."""

    def __init__(self) -> None:
        self._ears: dict[str, set[_Wakes]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def listen(self, topic: str) -> Iterator[Ear]:
        ear = Ear()
        end = self._add(topic, ear)
        try:
            yield ear
        finally:
            end()

    def call(self, topic: str, heard: Callable[[], None]) -> Callable[[], None]:
        return self._add(topic, _Bell(heard))

    def _add(self, topic: str, ear: _Wakes) -> Callable[[], None]:
        self._loop = asyncio.get_running_loop()
        ears = self._ears.setdefault(topic, set())
        ears.add(ear)

        def end() -> None:
            ears.discard(ear)
            if not ears and self._ears.get(topic) is ears:
                del self._ears[topic]

        return end

    def wake(self, topics: Iterable[str]) -> None:
        """Wake who listens to one of the topics."""
        if self._ears:
            for topic in dict.fromkeys(topics):
                for ear in tuple(self._ears.get(topic, ())):
                    ear.wake()

    def wake_all(self) -> None:
        """Something happened, and nobody knows what."""
        for ears in tuple(self._ears.values()):
            for ear in tuple(ears):
                ear.wake()

    def wake_from_thread(self, topics: Iterable[str] | None) -> None:
        """`wake`, or `wake_all` for none, from outside the event loop."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                if topics is None:
                    self._loop.call_soon_threadsafe(self.wake_all)
                else:
                    self._loop.call_soon_threadsafe(self.wake, tuple(topics))
