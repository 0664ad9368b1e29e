# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who calls: a program that bears a key, or a person whose browser has a session. Looked at in the transaction of what
is asked for, so that a key or a session that has just been ended does nothing any more.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from mailroom.core import log
from mailroom.core.errors import Refusal
from mailroom.core.secrets import Secret
from mailroom.directory import api_keys, credentials, rights
from mailroom.directory.brake import Brake
from mailroom.directory.model import Actor
from mailroom.storage.ports import Tx
from mailroom.web.refusals import NotSignedIn, WrongKey
from mailroom.web.sessions import Sessions, bearer

_LOG = log.get("web")

Caller = Callable[[Tx], Actor]


@dataclass(frozen=True, slots=True)
class Callers:
    """Tells who calls. A key goes before a session."""

    sessions: Sessions
    brake: Brake

    def of(self, request: Request) -> Caller:
        """Who calls, to be asked in a transaction; there it raises `WrongKey`, `NotSignedIn`. Raises `NotSignedIn` for
        neither key nor session.
        """
        key, token = bearer(request), self.sessions.token(request)
        if key is not None:
            return lambda tx: _by_key(tx, key)
        if token is not None:
            return lambda tx: _by_session(tx, token)
        raise NotSignedIn

    async def answered(self, request: Request) -> None:
        """Write down, once an hour, that the key is in use; what was asked for is done, whatever comes of this."""
        key = bearer(request)
        with contextlib.suppress(Refusal):
            if key is not None and await self.brake.store.read(lambda tx: api_keys.is_use_old(tx, key)):
                await self.brake.store.write(lambda tx: api_keys.used(tx, key))

    async def refused(self, key: Secret, request: Request) -> None:
        """Have who came with a wrong key wait before the next: longer each time, by key and by network. Raises
        `TooManyAttempts`. Right keys are never made to wait: none of them can be guessed.
        """
        peer = request.client.host if request.client else ""
        _LOG.warning("key refused", peer=peer)
        name = "key:" + hashlib.sha256(key.reveal().encode(errors="replace")).hexdigest()[:16]
        async with self.brake.trying(name, peer) as attempt:
            await attempt.failed()


def _by_key(tx: Tx, key: Secret) -> Actor:
    actor = api_keys.verify(tx, key)
    if actor is None:
        raise WrongKey
    return actor


def _by_session(tx: Tx, token: Secret) -> Actor:
    member = credentials.session_member(tx, token)
    if member is None:
        raise NotSignedIn
    return rights.of(tx, member)
