# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every request and every answer: where an unsafe request may come from, and what a browser may do with
what we send.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailroom.core.errors import Refusal
from mailroom.web import callbacks
from mailroom.web.refusals import CrossSite
from mailroom.web.sessions import bearer

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# A response that needs less or more says so itself; the mail's frame does.
HEADERS: Final = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
            "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)


class Guard:
    """Refuses what another site makes a browser send, and puts `HEADERS` on every answer that lacks them.

    Browsers say where a request comes from (Sec-Fetch-Site, older ones Origin). One that says neither is no browser, so
    no site can have made it do anything. Nor can one make a browser show a key, to which no session is added: it would
    have to ask us first (CORS), and we do not answer.
    """

    def __init__(self, app: ASGIApp, *, public_url: str, refuse: Callable[[Request, Refusal], Response]) -> None:
        self._app: Final = app
        self._public: Final = urlsplit(public_url)
        self._refuse: Final = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope, receive)
        if request.method in _SAFE or _shows_a_key(request) or self._is_ours(request):
            await self._app(scope, receive, send_guarded)
        else:
            await self._refuse(request, CrossSite())(scope, receive, send_guarded)

    def _is_ours(self, request: Request) -> bool:
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        origin = request.headers.get("origin")
        if origin is None:
            return True
        said = urlsplit(origin)
        return said[:2] == self._public[:2] or (said.netloc != "" and said.netloc == request.headers.get("host"))


def _shows_a_key(request: Request) -> bool:
    """Whether it is for an interface that looks at no session where there is a key, or at none at all."""
    path = request.url.path
    return path.startswith(("/cgi-bin/", callbacks.PREFIX)) or (
        path.startswith("/api/") and bearer(request) is not None
    )
