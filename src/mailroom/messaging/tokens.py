# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The providers' access tokens, sealed, kept between restarts and shared by all nodes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from mailroom.core.clock import DAY, MINUTE, SECOND, Clock
from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.messaging import queries
from mailroom.messaging.queries.tokens import HeldToken
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
        """Whether it will do. One that had not long to go when it was fetched is all that there is."""
        least = 0 if now - self.fetched_at < _LEAST_APART else EARLY
        return self.expires_at - least > now and self.text != stale


@dataclass(frozen=True, slots=True)
class _Failure:
    answer: Refused | TryLater


@dataclass(frozen=True, slots=True)
class SharedTokens:
    """See `senders.contract.Tokens`."""

    store: Store
    seal: Seal
    clock: Clock
    _known: dict[str, _Known] = field(default_factory=dict)
    _failed: dict[str, _Failure] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def get(self, key: str, fetch: Fetch, *, stale: Secret | None = None) -> Secret | Refused | TryLater:
        """See `Tokens.get`."""
        known = self._known.get(key)
        if known is not None and known.is_good(self.clock(), stale):
            return known.text
        before = self._failed.get(key)
        async with self._locks.setdefault(key, asyncio.Lock()):
            failed = self._failed.get(key)
            if failed is not None and failed is not before:  # while we waited: it holds for us too
                return failed.answer
            return await self._shared(key, fetch, stale)

    async def _shared(self, key: str, fetch: Fetch, stale: Secret | None) -> Secret | Refused | TryLater:
        """The token that is kept; fetched anew, by one process at a time, if that will not do."""
        while True:
            held, ours = await self.store.write(lambda tx: _begin(tx, key))
            known = self._known[key] = self._open(held)
            if ours or known.is_good(self.clock(), stale):
                break
            await asyncio.sleep(_LOOK)
        answer: Secret | Refused | TryLater
        if known.is_good(self.clock(), stale):
            answer = known.text
        elif known.text == stale and self.clock() - known.fetched_at < _LEAST_APART:
            answer = TryLater("token", "a new token was refused", Scope.SENDER, after=_LEAST_APART)
        else:
            return await self._fetched(key, fetch)
        if ours:
            await self.store.write(lambda tx: queries.tokens.leave(tx, key))
        return answer

    async def _fetched(self, key: str, fetch: Fetch) -> Secret | Refused | TryLater:
        got = await fetch()
        if not isinstance(got, Token):
            self._failed[key] = _Failure(got)
            await self.store.write(lambda tx: queries.tokens.leave(tx, key))
            return got
        now, sealed = self.clock(), self.seal.seal(got.text.reveal())
        await self.store.write(
            lambda tx: queries.tokens.keep(tx, key, sealed, fetched_at=now, expires_at=now + got.lasts)
        )
        self._known[key] = _Known(got.text, now + got.lasts, now)
        return got.text

    def _open(self, held: HeldToken) -> _Known:
        text = Secret("")
        if held.sealed is not None:
            with contextlib.suppress(InvalidValue):  # sealed with a key that is no longer ours
                text = self.seal.unseal(held.sealed)
        return _Known(text, held.expires_at if text.reveal() else 0, held.fetched_at)


def forget(tx: Tx) -> None:
    """Forget the tokens that have ended long ago: of accounts whose secret has changed, and which nobody uses."""
    queries.tokens.forget(tx, before=tx.now - DAY)


def _begin(tx: Tx, key: str) -> tuple[HeldToken, bool]:
    return queries.tokens.begin(tx, key, until=tx.now + _FETCHING)
