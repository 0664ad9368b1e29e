# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""From a request to an operation and back: parse, run it in one transaction with the look at who calls, serialise."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from mailroom.core.errors import InvalidValue, NotFound, Refusal
from mailroom.core.secrets import Secret
from mailroom.directory.model import Actor
from mailroom.storage import repeats
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal
from mailroom.web import refusals
from mailroom.web.api.callers import Callers
from mailroom.web.api.contract import PREFIX, Asked, Handed, House, Operation, Rehearsed, Shape, Sheet
from mailroom.web.bodies import octets_of, wrong
from mailroom.web.refusals import KeyReused, WrongKey, WrongMediaType
from mailroom.web.sessions import bearer

S = TypeVar("S", bound=Shape)

BODY_MOST: Final = 1024 * 1024
_Question = tuple[Asked[Any], repeats.Request | None]
_KEY: Final = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program is told: JSON, or a file, or nothing."""

    status: int
    location: str
    body: bytes
    file: Handed | Sheet | None = None

    def response(self) -> Response:
        """As HTTP has it."""
        if isinstance(self.file, Sheet):
            named = f"attachment; filename={self.file.name}"
            return Response(self.file.text, media_type="text/csv", headers={"Content-Disposition": named})
        if self.file is not None:
            return FileResponse(self.file.path, filename=self.file.name, media_type="application/octet-stream")
        headers = {"Location": self.location} if self.location else None
        media_type = "application/json" if self.body else None
        return Response(self.body, status_code=self.status, headers=headers, media_type=media_type)

    def sealed(self, seal: Seal) -> bytes:
        """To be kept."""
        return seal.seal(json.dumps([self.status, self.location, self.body.decode()]))

    @staticmethod
    def unsealed(seal: Seal, kept: bytes) -> Answer:
        """As it was kept."""
        status, location, body = json.loads(seal.unseal(kept).reveal())
        return Answer(status, location, body.encode())


@dataclass(frozen=True, slots=True)
class Edge:
    """Answers requests."""

    operations: Sequence[Operation]
    store: Store
    seal: Seal
    callers: Callers
    house: House
    description: Mapping[str, Any]

    def routes(self) -> list[Route]:
        """Where the operations are, and their description."""
        return [
            Route("/api/openapi.json", self.describe),
            *(
                Route(f"{PREFIX}{one.path}", partial(self.answer, one), methods=[one.method], name=one.name)
                for one in self.operations
            ),
        ]

    async def describe(self, _request: Request) -> Response:
        """The description, for whoever asks: it tells nothing of this installation."""
        return JSONResponse(self.description)

    async def answer(self, operation: Operation, request: Request) -> Response:
        """What came of it; a refusal is a problem document."""
        try:
            try:
                answer = await self._answer(operation, request)
                await self.callers.answered(request)
                return answer.response()
            except WrongKey:
                await self.callers.refused(bearer(request) or Secret(""), request)
                raise
        except Refusal as refusal:
            return refusals.problem(refusal)

    async def _answer(self, operation: Operation, request: Request) -> Answer:
        caller = self.callers.of(request)
        path, query = _names(request), _query(operation.query, request)
        octets = await octets_of(request, most=BODY_MOST)
        body = _body(operation.body, octets, request)
        key = _key(request) if operation.method == "POST" else ""
        said = self._digest(f"{request.method} {request.url.path}?{request.url.query}\n".encode() + octets)

        def ask(tx: Tx) -> _Question:
            asked = Asked(caller(tx), path, query, body)
            return asked, repeats.Request(self._whose(asked.by, request), key, said) if key else None

        prepared = None
        if operation.prepare is not None:
            asked, kept = await self.store.read(lambda tx: self._earlier(tx, *ask(tx)))
            if kept is not None:
                return kept
            prepared = await operation.prepare(self.house, asked)

        def work(tx: Tx) -> Answer:
            asked, repeat = ask(tx)
            return self._once(tx, operation, replace(asked, prepared=prepared), repeat)

        try:
            return await (self.store.read(work) if operation.method == "GET" else self.store.write(work))
        except Rehearsed as rehearsed:
            return Answer(200, "", rehearsed.answer.model_dump_json().encode())

    def _whose(self, by: Actor, request: Request) -> str:
        """Who asks, apart from whoever had the same name before."""
        if by.member is not None:
            return f"member:{by.member.id}"
        shown = bearer(request) or Secret("")
        return f"key:{self._digest(shown.reveal().encode(errors='replace'))}"

    def _digest(self, octets: bytes) -> str:
        return hmac.digest(self.seal.derive("repeats"), octets, "sha256").hex()

    def _earlier(self, tx: Tx, asked: Asked[Any], repeat: repeats.Request | None) -> tuple[Asked[Any], Answer | None]:
        kept = None if repeat is None else _told(repeats.earlier, tx, repeat)
        return asked, Answer.unsealed(self.seal, kept) if kept else None

    def _once(self, tx: Tx, operation: Operation, asked: Asked[Any], repeat: repeats.Request | None) -> Answer:
        if repeat is None:
            return _run(tx, operation, asked)
        kept = _told(repeats.begin, tx, repeat)
        if kept is not None:
            return Answer.unsealed(self.seal, kept)
        answer = _run(tx, operation, asked)
        repeats.keep(tx, repeat, answer.sealed(self.seal))
        return answer


def _told(look: Callable[[Tx, repeats.Request], bytes | None], tx: Tx, repeat: repeats.Request) -> bytes | None:
    try:
        return look(tx, repeat)
    except repeats.OtherRequest as fault:
        raise KeyReused from fault


def _run(tx: Tx, operation: Operation, asked: Asked[Any]) -> Answer:
    given = operation.work(tx, asked)
    if given is None:
        return Answer(204, "", b"")
    if isinstance(given, Handed | Sheet):
        return Answer(200, "", b"", given)
    assert isinstance(given, Shape)
    named = {name: quote(str(value), safe="@") for name, value in [*asked.path.items(), *given]}
    location = f"{PREFIX}{operation.location.format_map(named)}" if operation.location else ""
    return Answer(operation.status, location, given.model_dump_json().encode())


def _names(request: Request) -> Mapping[str, str]:
    for name, text in request.path_params.items():
        if not text.isprintable():  # nothing of ours is called that, and PostgreSQL takes no NUL
            raise NotFound(what=name, name="")
    return request.path_params


def _query(shape: type[S], request: Request) -> S:
    given = dict(request.query_params)
    for name in given:
        if name not in shape.model_fields:
            raise InvalidValue(name=name[:64], reason="there is no such parameter")
    try:
        return shape.model_validate(given)
    except ValidationError as fault:
        raise wrong(fault) from fault


def _body(shape: type[Shape] | None, octets: bytes, request: Request) -> Shape | None:
    if shape is None:
        if octets.strip() not in {b"", b"{}"}:
            raise InvalidValue(name="body", reason="there is none in this request")
        return None
    # Also because a form on a page of another site can send anything but this.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongMediaType
    try:
        return shape.model_validate_json(octets)
    except ValidationError as fault:
        raise wrong(fault) from fault


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if key and not _KEY.fullmatch(key):
        raise InvalidValue(name="Idempotency-Key", reason="1 to 255 printable ASCII characters")
    return key
