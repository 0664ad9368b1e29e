# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The providers' access tokens, sealed, kept between restarts and shared by all nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from mailroom.core.clock import MINUTE, SECOND, Clock
from mailroom.core.secrets import Secret
from mailroom.messaging import queries
from mailroom.messaging.queries import HeldToken
from mailroom.senders.contract import Refused, Scope, Token, TryLater
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal

# So long before its end a token is fetched anew: what is sent with it has to arrive.
EARLY: Final = 5 * MINUTE
# How long one process may take to fetch; then another does.
_FETCHING: Final = 15 * SECOND
# Providers block who fetches too often.
_LEAST_APART: Final = 30 * SECOND
_LOOK: Final = 0.1  # seconds, while another process fetches

Fetch = Callable[[], Awaitable[Token | Refused | TryLater]]


@dataclass(frozen=True, slots=True)
class _Known:
    text: Secret
    expires_at: int
    fetched_at: int

    def is_good(self, now: int, stale: Secret | None) -> bool:
        return self.expires_at - EARLY > now and self.text != stale


@dataclass(frozen=True, slots=True)
class SharedTokens:
    """See `senders.contract.Tokens`."""

    store: Store
    seal: Seal
    clock: Clock
    _known: dict[str, _Known] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def get(self, key: str, fetch: Fetch, *, stale: Secret | None = None) -> Secret | Refused | TryLater:
        """See `Tokens.get`."""
        known = self._known.get(key)
        if known is not None and known.is_good(self.clock(), stale):
            return known.text
        async with self._locks.setdefault(key, asyncio.Lock()):
            return await self._fetched(key, fetch, stale)

    async def _fetched(self, key: str, fetch: Fetch, stale: Secret | None) -> Secret | Refused | TryLater:
        while True:
            held, ours = await self.store.write(lambda tx: _begin(tx, key))
            known = self._known[key] = self._open(held)
            if known.is_good(self.clock(), stale):
                if ours:
                    await self.store.write(lambda tx: queries.leave_token(tx, key))
                return known.text
            if ours:
                break
            await asyncio.sleep(_LOOK)
        if stale is not None and stale == known.text and self.clock() - known.fetched_at < _LEAST_APART:
            await self.store.write(lambda tx: queries.leave_token(tx, key))
            return TryLater("token", "a new token was refused", Scope.SENDER, after=_LEAST_APART)
        got = await fetch()
        if not isinstance(got, Token):
            await self.store.write(lambda tx: queries.leave_token(tx, key))
            return got
        sealed = self.seal.seal(got.text.reveal())
        await self.store.write(lambda tx: queries.keep_token(tx, key, sealed, expires_at=tx.now + got.lasts))
        self._known[key] = _Known(got.text, self.clock() + got.lasts, self.clock())
        return got.text

    def _open(self, held: HeldToken) -> _Known:
        text = Secret("") if held.sealed is None else self.seal.unseal(held.sealed)
        return _Known(text, held.expires_at, held.fetched_at)


def _begin(tx: Tx, key: str) -> tuple[HeldToken, bool]:
    return queries.begin_token(tx, key, until=tx.now + _FETCHING)
