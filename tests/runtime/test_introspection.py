# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Asking another service whom a token stands for, against a double on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from mailroom.core.clock import SECOND
from mailroom.core.errors import Unavailable
from mailroom.core.secrets import Secret
from mailroom.core.settings import Oauth
from mailroom.directory.logins import Bearer
from mailroom.runtime.introspection import Introspection
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http
from tests.senders.peers import LOOPBACK, NO_ANSWERS, free_port, peer, read_request, says


@pytest_asyncio.fixture
async def http() -> AsyncIterator[Http]:
    made = Http(LOOPBACK)
    yield made
    await made.close()


def answer(said: Any, *, status: str = "200 OK") -> bytes:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


async def ask(http: Http, said: Any, *, status: str = "200 OK", **settings: str) -> Bearer | None:
    async with peer(says(answer(said, status=status))) as port:
        oauth = Oauth(introspection=f"http://127.0.0.1:{port}/introspect", **settings)
        return await Introspection(http, oauth)(Secret("t"))


@pytest.mark.parametrize(
    ("said", "bearer"),
    [
        ({"active": True, "username": "amy", "exp": 1_419_356_238}, Bearer("amy", 1_419_356_238 * SECOND)),
        ({"active": True, "username": "amy@corp.example"}, Bearer("amy@corp.example", None)),
        ({"active": False}, None),
        ({"active": False, "username": "amy"}, None),
        ({"active": "true", "username": "amy"}, None),
        ({"active": True}, None),
        ({"active": True, "username": ""}, None),
        ({"active": True, "username": ["amy"]}, None),
        ({"username": "amy"}, None),
    ],
)
async def test_an_answer_names_who_the_token_stands_for(http: Http, said: Any, bearer: Bearer | None) -> None:
    assert await ask(http, said) == bearer


async def test_the_field_that_names_the_user_is_a_setting(http: Http) -> None:
    assert await ask(http, {"active": True, "username": "x", "email": "amy@a"}, user="email") == Bearer("amy@a", None)


@pytest.mark.parametrize(
    ("said", "is_for_mail"),
    [
        ({"aud": "mail", "scope": "imap smtp other"}, True),
        ({"aud": ["web", "mail"], "scope": "smtp imap"}, True),
        ({"aud": "mail", "scope": "imap"}, False),
        ({"aud": "mail", "scope": "imaps smtps"}, False),
        ({"aud": "mail", "scope": ["imap", "smtp"]}, False),
        ({"aud": "webmail", "scope": "imap smtp"}, False),
        ({"aud": {"mail": 1}, "scope": "imap smtp"}, False),
        ({"scope": "imap smtp"}, False),
        ({"aud": "mail"}, False),
    ],
)
async def test_a_token_must_be_for_mail_where_the_settings_say_how(
    http: Http, said: dict[str, Any], *, is_for_mail: bool
) -> None:
    about = {"active": True, "username": "amy"} | said
    assert await ask(http, about, audience="mail", scope="imap smtp") == (Bearer("amy", None) if is_for_mail else None)
    assert await ask(http, about) == Bearer("amy", None)


@pytest.mark.parametrize(
    "said",
    [
        *[b"", b"no json", b"[]", b"null", b"\xff", b"[" * 60_000],
        *[b'{"active": true, "username": "a", "exp": %b}' % one for one in (b'"x"', b"1e999", b"NaN", b"[]")],
    ],
)
async def test_what_cannot_be_read_is_no_answer(http: Http, said: bytes) -> None:
    with pytest.raises(Unavailable):
        await ask(http, said)


@pytest.mark.parametrize("status", ["401 Unauthorized", "500 Oops", "302 Found", "204 No Content"])
async def test_another_status_is_no_answer(http: Http, status: str) -> None:
    with pytest.raises(Unavailable):
        await ask(http, {"active": True, "username": "amy"}, status=status)


async def test_a_service_that_is_away_is_no_answer(http: Http) -> None:
    with pytest.raises(Unavailable):
        await Introspection(http, Oauth(introspection=f"http://127.0.0.1:{free_port()}/"))(Secret("t"))
    talk, _ = NO_ANSWERS["goodbye"]
    async with peer(talk) as port:
        with pytest.raises(Unavailable):
            await Introspection(http, Oauth(introspection=f"http://127.0.0.1:{port}/"))(Secret("t"))


async def test_a_private_network_is_asked_only_if_it_is_allowed() -> None:
    http = Http(Egress(()))
    try:
        async with peer(says(answer({"active": True, "username": "amy"}))) as port:
            with pytest.raises(Unavailable):
                await Introspection(http, Oauth(introspection=f"http://127.0.0.1:{port}/"))(Secret("t"))
    finally:
        await http.close()


async def test_the_question_is_rfc_7662_s(http: Http) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        await says(answer({"active": False}))(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/introspect"
    oauth = Oauth(introspection=url, client_id="mail room", client_secret="s:é")
    assert await Introspection(http, oauth)(Secret("mF_9.B5f-4.1JqM&x")) is None
    server.close()
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert body == b"token=mF_9.B5f-4.1JqM%26x&token_type_hint=access_token"
    assert b"\r\nAuthorization: Basic bWFpbCtyb29tOnMlM0ElQzMlQTk=\r\n" in head
    assert b"\r\nContent-Type: application/x-www-form-urlencoded\r\n" in head
