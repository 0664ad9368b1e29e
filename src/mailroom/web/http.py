# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The web application, put together: routes, the guard around them, and what a refusal looks like."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from mailroom.core import log
from mailroom.core.clock import Clock
from mailroom.core.errors import Kind, Refusal
from mailroom.core.ids import NewId
from mailroom.core.settings import Settings
from mailroom.core.text import sentence
from mailroom.directory.brake import Brake
from mailroom.directory.credentials import Passwords
from mailroom.mailboxes.contents import Bodies
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from mailroom.web import callbacks, guard, refusals
from mailroom.web.api import catalogue
from mailroom.web.api.callers import Callers
from mailroom.web.api.contract import House
from mailroom.web.api.edge import Edge
from mailroom.web.auth import SignIn
from mailroom.web.callbacks import Callbacks
from mailroom.web.exmail import calls
from mailroom.web.exmail.edge import Exmail
from mailroom.web.mail.events import Events
from mailroom.web.mail.notices import Notices
from mailroom.web.mail.pages import Mail
from mailroom.web.refusals import Failed, NoSuchPage, WrongMethod
from mailroom.web.sessions import Sessions
from mailroom.web.setup import Setup
from mailroom.web.statics import Statics
from mailroom.web.words import Templates, language_of

_LOG = log.get("web")


@dataclass(frozen=True, slots=True)
class Web:
    """What the web side works with. Set `stopping` before the server is told to stop: open event streams end then, and
    a server that waits for its connections need not wait for them.
    """

    store: Store
    bodies: Bodies
    seal: Seal
    passwords: Passwords
    house: House
    clock: Clock
    new_id: NewId
    settings: Settings
    ready: Callable[[], Awaitable[bool]]
    stopping: asyncio.Event


def application(parts: Web) -> Starlette:
    """The ASGI application. It holds nothing that must not be lost."""
    statics = Statics()
    templates = Templates(statics.url)
    sessions = Sessions(parts.store, parts.settings.public_url)
    health, faults = _Health(parts.ready), _Faults(templates)
    brake = Brake(parts.store)
    sign_in = SignIn(parts.store, parts.passwords, sessions, templates, brake, parts.new_id)
    callers = Callers(sessions, brake)
    api = Edge(catalogue.OPERATIONS, parts.store, parts.seal, callers, parts.house, catalogue.document())
    exmail = Exmail(calls.CALLS, parts.store, callers, parts.house)
    return Starlette(
        routes=[
            Route("/livez", health.live),
            Route("/readyz", health.ready),
            Mount("/static", GZipMiddleware(statics)),
            *Setup(parts.store, parts.settings).routes(),
            *sign_in.routes(),
            *api.routes(),
            *exmail.routes(),
            *Callbacks(parts.store, parts.house.linking.senders, parts.house.linking.public_url, parts.clock).routes(),
            *Events(parts.store, sessions, parts.stopping).routes(),
            *Mail(parts.bodies, sessions, templates).routes(),
            *Notices(parts.house.linking, sessions, templates, parts.clock).routes(),
        ],
        middleware=[Middleware(guard.Guard, public_url=parts.settings.public_url, refuse=faults.show)],
        exception_handlers={
            Refusal: faults.refused,
            HTTPException: faults.unrouted,
            ClientDisconnect: faults.cut_short,
            Exception: faults.failed,
        },
    )


@dataclass(frozen=True, slots=True)
class _Health:
    is_ready: Callable[[], Awaitable[bool]]

    async def live(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n") if await self.is_ready() else PlainTextResponse("not ready\n", 503)


# What Starlette itself refuses.
_UNROUTED: Final = {404: NoSuchPage, 405: WrongMethod}


@dataclass(frozen=True, slots=True)
class _Faults:
    """How a refusal looks to who asked: a page to a browser, a problem document to a program."""

    templates: Templates

    async def refused(self, request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, Refusal)
        if refusal.kind is Kind.UNAUTHENTICATED and _wants_page(request):
            path = request.url.path
            return RedirectResponse(f"/sign-in?then={quote(path)}" if path != "/" else "/sign-in", 303)
        return self.show(request, refusal)

    async def unrouted(self, request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        return self.show(request, _UNROUTED.get(fault.status_code, Failed)())

    async def cut_short(self, _request: Request, _fault: Exception) -> Response:
        return Response(status_code=400)  # nobody is there to hear it

    async def failed(self, request: Request, fault: Exception) -> Response:
        _LOG.error("request failed", method=request.method, path=callbacks.shown(request.url.path), exc_info=fault)
        response = self.show(request, Failed())
        response.headers.update(guard.HEADERS)  # this answer is made outside the guard
        return response

    def show(self, request: Request, refusal: Refusal) -> Response:
        if not _accepts_html(request):
            return refusals.problem(refusal)
        return self.templates.page(
            request,
            "error.html",
            status=refusals.status(refusal),
            headers=refusals.headers(refusal),
            words=sentence(refusal, language_of(request, None)),
        )


def _accepts_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _wants_page(request: Request) -> bool:
    """Whether a person opens a page, rather than a script a part of one."""
    return request.method == "GET" and _accepts_html(request) and "hx-request" not in request.headers
