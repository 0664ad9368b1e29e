# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A short memory: what is put in is forgotten after a while, and the oldest when there is too much."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MOST: Final = 10_000


class Lapsing(Generic[K, V]):
    """Values by key, each for so many seconds of the event loop's time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: dict[K, tuple[float, V]] = {}

    def __setitem__(self, key: K, value: V) -> None:
        self._values.pop(key, None)
        if len(self._values) >= _MOST:
            del self._values[next(iter(self._values))]
        self._values[key] = (asyncio.get_running_loop().time() + self._seconds, value)

    def __contains__(self, key: K) -> bool:
        return self._fresh(key) is not None

    def get(self, key: K) -> V | None:
        """The value, while it is remembered."""
        found = self._fresh(key)
        return found[1] if found else None

    def _fresh(self, key: K) -> tuple[float, V] | None:
        found = self._values.get(key)
        if found is not None and found[0] < asyncio.get_running_loop().time():
            del self._values[key]
            return None
        return found
