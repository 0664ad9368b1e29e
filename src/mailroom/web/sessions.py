# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who asks: every page reads and writes through here, so none can forget to look at the session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from mailroom.core.clock import SECOND
from mailroom.core.secrets import Secret
from mailroom.directory import credentials
from mailroom.directory.model import Member
from mailroom.storage.ports import Store, Tx
from mailroom.web.refusals import NotSignedIn

T = TypeVar("T")

_KEY_MOST = 256


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions as a browser holds them: a token in a cookie that no script and no other site can use."""

    store: Store
    public_url: str

    @property
    def _is_https(self) -> bool:
        return self.public_url.startswith("https:")

    @property
    def cookie(self) -> str:
        """The cookie's name. With `__Host-` no sibling domain can plant one (RFC 6265bis §4.1.3)."""
        return "__Host-mailroom" if self._is_https else "mailroom"

    def token(self, request: Request) -> Secret | None:
        """What the browser holds, whether or not it is worth anything."""
        held = request.cookies.get(self.cookie)
        return Secret(held) if held else None

    async def read(self, request: Request, work: Callable[[Tx, Member], T]) -> T:
        """Look, as the member whose session it is. Raises `NotSignedIn`."""
        token = self.token(request)
        return await self.store.read(lambda tx: work(tx, _actor(tx, token)))

    async def write(self, request: Request, work: Callable[[Tx, Member], T]) -> T:
        """Change, as the member whose session it is. Raises `NotSignedIn`."""
        token = self.token(request)
        return await self.store.write(lambda tx: work(tx, _actor(tx, token)))

    def hand_out(self, response: Response, token: Secret) -> None:
        """Give the browser its token."""
        response.set_cookie(
            self.cookie,
            token.reveal(),
            max_age=credentials.SESSION // SECOND,
            path="/",
            secure=self._is_https,
            httponly=True,
            samesite="lax",
        )

    def take_back(self, response: Response) -> None:
        """Let the browser forget its token."""
        response.delete_cookie(self.cookie, path="/", secure=self._is_https, httponly=True, samesite="lax")


def _actor(tx: Tx, token: Secret | None) -> Member:
    member = None if token is None else credentials.session_member(tx, token)
    if member is None:
        raise NotSignedIn
    return member


def bearer(request: Request) -> Secret | None:
    """The key that the request bears (RFC 6750 §2.1)."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return Secret(key.strip()[:_KEY_MOST]) if scheme.lower() == "bearer" else None
