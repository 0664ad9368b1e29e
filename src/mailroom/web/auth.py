# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in and out, and the choice of a language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from mailroom.core import log
from mailroom.core.errors import Refusal, TooLarge, TooManyAttempts, Unavailable, WrongCredentials
from mailroom.core.ids import NewId
from mailroom.core.secrets import Secret
from mailroom.core.text import LANGUAGES, sentence
from mailroom.directory import access, credentials
from mailroom.directory.brake import Brake
from mailroom.directory.credentials import Passwords
from mailroom.directory.model import Member
from mailroom.mailboxes.model import topic
from mailroom.storage.ports import Store, Tx
from mailroom.web import refusals
from mailroom.web.refusals import NotSignedIn
from mailroom.web.sessions import Sessions
from mailroom.web.words import LANGUAGE_COOKIE, Templates, language_of

_LOG = log.get("web")

_FORM_MOST: Final = 16 * 1024
_NAME_MOST: Final = 320  # as long as an address may be (RFC 5321 §4.5.3.1)
_PASSWORD_MOST: Final = 1024
_YEAR: Final = 365 * 24 * 3600
# A path of ours. A second slash, or a backslash that browsers read as one, would begin a host name.
_OWN_PATH: Final = re.compile(r"/(?![/\\])[!-~]*")


def own_path(text: str) -> str:
    """`text` if it leads to a page of ours, else the first page: nobody is sent elsewhere from here."""
    return text if _OWN_PATH.fullmatch(text) else "/"


async def form(request: Request) -> dict[str, str]:
    """The fields of a small form, the last of each name. Raises `TooLarge`."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_MOST:
            raise TooLarge(what="form", limit=_FORM_MOST)
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[-1] for name, values in fields.items()}


@dataclass(frozen=True, slots=True)
class SignIn:
    """The pages before and after all others."""

    store: Store
    passwords: Passwords
    sessions: Sessions
    templates: Templates
    brake: Brake
    new_id: NewId

    def routes(self) -> list[Route]:
        """Where the pages are."""
        return [
            Route("/sign-in", self.ask),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
            Route("/language", self.change_language, methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        """The form; who is signed in already goes on."""
        then = own_path(request.query_params.get("then", "/"))
        try:
            await self.sessions.read(request, lambda _tx, actor: actor)
        except NotSignedIn:
            return self._form(request, then=then)
        return RedirectResponse(then, 303)

    async def sign_in(self, request: Request) -> Response:
        """Open a session under a new token, whatever token the browser came with: none can be planted beforehand."""
        said = await form(request)
        name, then = said.get("name", "").strip()[:_NAME_MOST], own_path(said.get("then", "/"))
        try:
            member = await self._verify(request, name, Secret(said.get("password", "")[:_PASSWORD_MOST]))
        except (WrongCredentials, TooManyAttempts, Unavailable) as refusal:
            return self._form(request, then=then, name=name, refusal=refusal)
        old, new = self.sessions.token(request), Secret(self.new_id())
        await self.store.write(lambda tx: _change_session(tx, member, old, new))
        _LOG.info("signed in", userid=member.userid, peer=_peer(request))
        response = RedirectResponse(then, 303)
        self.sessions.hand_out(response, new)
        return response

    async def _verify(self, request: Request, name: str, password: Secret) -> Member:
        peer = _peer(request)
        async with self.brake.trying(name, peer) as attempt:
            member = await credentials.sign_in(self.store, self.passwords, name=name, password=password)
            if member is None:
                _LOG.warning("sign-in refused", name=name[:64], peer=peer)
                await attempt.failed()
                raise WrongCredentials
            await attempt.succeeded()
            return member

    def _form(self, request: Request, *, then: str, name: str = "", refusal: Refusal | None = None) -> Response:
        return self.templates.page(
            request,
            "sign-in.html",
            status=refusals.status(refusal) if refusal else 200,
            headers=refusals.headers(refusal) if refusal else None,
            then=then,
            name=name,
            fault=sentence(refusal, language_of(request, None)) if refusal else "",
        )

    async def sign_out(self, request: Request) -> Response:
        """End the session here and on the server."""
        token = self.sessions.token(request)
        if token is not None:
            await self.store.write(lambda tx: _end_session(tx, token))
        response = RedirectResponse("/sign-in", 303)
        self.sessions.take_back(response)
        return response

    async def change_language(self, request: Request) -> Response:
        """Speak another language to this browser from now on."""
        said = await form(request)
        response = RedirectResponse(own_path(said.get("then", "/")), 303)
        if said.get("language") in LANGUAGES:
            response.set_cookie(
                LANGUAGE_COOKIE, said["language"], max_age=_YEAR, path="/", httponly=True, samesite="lax"
            )
        return response


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def _end_session(tx: Tx, token: Secret) -> None:
    member = credentials.session_member(tx, token)
    credentials.close_session(tx, token)
    if member is not None:
        for mailbox_id in access.mailboxes_of(tx, member.id):
            tx.hint(topic(mailbox_id))  # pages that still listen look at their session


def _change_session(tx: Tx, member: Member, old: Secret | None, new: Secret) -> None:
    if old is not None:
        credentials.close_session(tx, old)
    credentials.open_session(tx, member.id, new)
