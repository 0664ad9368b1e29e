# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""From a request to a call and back, in Exmail's way: HTTP 200 always, and `errcode` says what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mailroom.core.clock import SECOND
from mailroom.core.errors import Kind, NoPermission, NotFound, Refusal, WrongCredentials
from mailroom.core.secrets import Secret
from mailroom.directory import api_keys
from mailroom.directory.model import Actor
from mailroom.storage.ports import Store, Tx
from mailroom.web.api.callers import Callers
from mailroom.web.api.contract import House
from mailroom.web.bodies import octets_of, wrong
from mailroom.web.exmail.contract import Answer, Asked, Call

PREFIX: Final = "/cgi-bin/exmail"
_BODY_MOST: Final = 1024 * 1024
_SECRET_MOST: Final = 256

# Our own numbers, where Exmail's were not found (spec 3.9.1).
CODES: Final = MappingProxyType(
    {
        "address_taken": 60101,
        "domain_not_active": 60102,
        "public_mailbox_limit": 60103,
        "member_has_mailbox": 60104,
        "target_is_source": 60105,
        "target_too_small": 60106,
        "not_in_bin": 60107,
        "cannot_disable": 60108,
        "no_permission": 60109,
        # WeCom's own.
        "no_token": 41001,
        "no_corpid": 41002,
        "no_corpsecret": 41004,
        "wrong_token": 40014,
        "wrong_credentials": 40001,
        "too_many_attempts": 45009,
        "not_json": 47001,
        "not_here": 48002,
    }
)
# What is not there, by what it is.
MISSING: Final = MappingProxyType({"member": 60111, "department": 60003, "tag": 40068})
BY_KIND: Final = MappingProxyType(
    {
        Kind.INVALID: 40058,
        Kind.NOT_FOUND: 40058,
        Kind.TAKEN: 40058,
        Kind.CONFLICT: 40058,
        Kind.UNAUTHENTICATED: 40014,
        Kind.FORBIDDEN: 60109,
        Kind.LIMIT: 40058,
        Kind.TOO_LARGE: 45002,
        Kind.OVER_QUOTA: 60106,
        Kind.NO_SPACE: -1,
        Kind.UNAVAILABLE: -1,
    }
)


class NoToken(Refusal):
    """The request bears no token."""

    kind = Kind.UNAUTHENTICATED
    code = "no_token"
    sentence = "The access_token is missing."


class WrongToken(Refusal):
    """The token was never one, or has run out: get another."""

    kind = Kind.UNAUTHENTICATED
    code = "wrong_token"
    sentence = "The access_token is wrong, or has run out."


class NoCorpid(Refusal):
    """Whose token it is to be, is not said."""

    code = "no_corpid"
    sentence = "The corpid is missing."


class NoCorpsecret(Refusal):
    """The key that the token is to stand for, is not shown."""

    code = "no_corpsecret"
    sentence = "The corpsecret is missing."


class NotJson(Refusal):
    """What was sent is no JSON object."""

    code = "not_json"
    sentence = "The request is no JSON object."


class NotHere(Refusal):
    """Exmail has such a call, or such a value of a field, and we have not."""

    kind = Kind.FORBIDDEN
    code = "not_here"
    sentence = "{what} cannot be used here."


def errcode(refusal: Refusal) -> int:
    """The number of a refusal."""
    if isinstance(refusal, NotFound):
        return MISSING.get(str(refusal.about.get("what")), BY_KIND[refusal.kind])
    return CODES.get(refusal.code) or BY_KIND[refusal.kind]


def _said(refusal: Refusal) -> Answer:
    by = {"by": refusal.about["by"]} if refusal.code == "address_taken" else {}
    return {"errcode": errcode(refusal), "errmsg": str(refusal), **by}


@dataclass(frozen=True, slots=True)
class Exmail:
    """Answers calls."""

    calls: Sequence[Call]
    store: Store
    callers: Callers
    house: House

    def routes(self) -> list[Route]:
        """Where the calls are. Some clients send what is a GET as a POST, so both do."""
        methods = ["GET", "POST"]
        return [
            Route("/cgi-bin/gettoken", self.gettoken, methods=methods),
            *(Route(f"{PREFIX}/{one.path}", partial(self.call, one), methods=methods) for one in self.calls),
            Route("/cgi-bin/{rest:path}", self.nothing, methods=methods),
        ]

    async def nothing(self, request: Request) -> Response:
        """A call that we do not have."""
        return JSONResponse(_said(NotHere(what=request.url.path[:128])))

    async def gettoken(self, request: Request) -> Response:
        """A token for a key, `corpsecret`. There is one organisation here, whatever `corpid` names."""
        try:
            return JSONResponse(await self._gettoken(await _given(request), request))
        except Refusal as refusal:
            return JSONResponse(_said(refusal))

    async def _gettoken(self, given: Mapping[str, Any], request: Request) -> Answer:
        if not given.get("corpid"):
            raise NoCorpid
        secret = str(given.get("corpsecret") or "")
        if not secret:
            raise NoCorpsecret
        token = api_keys.new()
        key = Secret(secret[:_SECRET_MOST])
        try:
            await self.store.write(lambda tx: api_keys.exchange(tx, key, token=token))
        except WrongCredentials:
            await self.callers.refused(key, request)
            raise
        return _done({"access_token": token.reveal(), "expires_in": api_keys.TOKEN // SECOND})

    async def call(self, call: Call, request: Request) -> Response:
        """What came of it."""
        try:
            return JSONResponse(await self._call(call, request))
        except Refusal as refusal:
            return JSONResponse(_said(refusal))

    async def _call(self, call: Call, request: Request) -> Answer:
        given = await _given(request)
        token = Secret(str(given.get("access_token") or "")[:_SECRET_MOST])
        if not token.reveal():
            raise NoToken
        try:
            fields = call.fields.model_validate(given)
        except ValidationError as fault:
            raise wrong(fault) from fault

        def work(tx: Tx) -> tuple[Asked[Any], Answer]:
            asked = Asked(_actor(tx, token), fields)
            return asked, call.work(tx, asked)

        try:
            asked, answer = await self.store.write(work)
        except WrongToken:
            await self.callers.refused(token, request)
            raise
        if call.after is None:
            return _done(answer)
        try:
            return _done({**answer, **await call.after(self.house, asked, answer)})
        except Refusal as refusal:  # the first half is done; who asks must learn of it
            return {**answer, **_said(refusal)}


def _done(answer: Answer) -> Answer:
    return {"errcode": 0, "errmsg": "ok", **answer}


def _actor(tx: Tx, token: Secret) -> Actor:
    actor = api_keys.by_token(tx, token)
    if actor is None:
        raise WrongToken
    if not actor.governs_all and not actor.domains:
        raise NoPermission
    return actor


async def _given(request: Request) -> Mapping[str, Any]:
    """What the request says behind the question mark and in its body; the token stands there only."""
    query: dict[str, Any] = dict(request.query_params)
    octets = await octets_of(request, most=_BODY_MOST)
    if not octets.strip():
        return query
    try:
        body = json.loads(octets)
    except (ValueError, RecursionError) as fault:
        raise NotJson from fault
    if not isinstance(body, dict):
        raise NotJson
    return {**body, **query}
