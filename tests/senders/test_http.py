# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""One POST against servers that do everything but answer it properly: a value, in time, within bounds."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque

import pytest
import structlog
import trustme

from mailroom.core.clock import SECOND
from mailroom.core.secrets import Secret
from mailroom.senders.contract import Outcome, Scope, TryLater, Unknown, Why
from mailroom.senders.egress import Egress
from mailroom.senders.http import READ_LIMIT, Answer, Fault, Http, NoAnswer, Verify, fields, wordless
from tests.senders.peers import NO_ANSWERS, Names, Talk, free_port, hang, hang_up, peer, read_request, says

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_post_carries_what_was_given_and_says_who_we_are(http: Http) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        await says(OK)(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer = await http.post(f"http://127.0.0.1:{port}/a?b=c", b"body", headers={"Content-Type": "text/x"})
    server.close()
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.whole) == (200, b"ok", True)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /a?b=c HTTP/1.1"
    assert {name.lower() for name, _, _ in (line.partition(":") for line in lines[1:])} == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
    }
    assert "User-Agent: Mailroom/" in head.decode()
    assert body == b"body"


@pytest.mark.parametrize("talk", NO_ANSWERS)
async def test_no_answer_is_a_value_that_says_why(http: Http, talk: str) -> None:
    speak, fault = NO_ANSWERS[talk]
    async with peer(speak) as port:
        answer = await http.post(f"http://127.0.0.1:{port}/secret-path?token=t", b"x", headers={}, timeout=300)
    assert isinstance(answer, NoAnswer)
    assert answer.fault is fault
    assert answer.text.startswith(f"127.0.0.1:{port}: ")
    assert "secret-path" not in answer.text
    assert "token" not in answer.text
    assert not answer.fault.before_sending


async def test_nobody_listening(http: Http) -> None:
    port = free_port()
    answer = await http.post(f"http://127.0.0.1:{port}/", b"x", headers={})
    assert isinstance(answer, NoAnswer)
    assert answer.fault is Fault.CONNECT
    assert answer.fault.before_sending


async def test_a_name_that_does_not_resolve() -> None:
    client = Http(Egress(), Names(deque([[]])))
    answer = await client.post("https://nowhere.example/", b"x", headers={})
    await client.close()
    assert answer == NoAnswer(Fault.DNS, "nowhere.example:443: the name could not be resolved (Domain name not found)")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example/x",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://user@hooks.example/",
        "http://user:pass@hooks.example/",
        "http://:pass@hooks.example/",
        "http://hooks.example:99999/",
        "http://[::1/",
        f"http://{'a' * 64}.example/",
        "http://a..example/",
    ],
)
async def test_a_url_that_cannot_be_called(http: Http, url: str) -> None:
    answer = await http.post(url, b"x", headers={})
    assert isinstance(answer, NoAnswer)
    assert answer.fault in {Fault.INVALID_URL, Fault.DNS}


async def test_of_a_long_answer_only_the_beginning_is_read(http: Http) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (READ_LIMIT * 8)
    async with peer(says(endless)) as port:
        answer = await http.post(f"http://127.0.0.1:{port}/", b"x", headers={})
    assert isinstance(answer, Answer)
    assert (answer.status, len(answer.body), answer.whole) == (200, READ_LIMIT, False)


async def test_a_packed_answer_is_not_unpacked(http: Http) -> None:
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"
    async with peer(says(packed)) as port:
        answer = await http.post(f"http://127.0.0.1:{port}/", b"x", headers={})
    assert isinstance(answer, Answer)
    assert answer.body == b"nope"


@pytest.mark.parametrize("ending", [hang, hang_up])
async def test_a_status_counts_even_if_its_body_never_ends(http: Http, ending: Talk) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 202 OK\r\nContent-Length: 10\r\n\r\nab")
        await writer.drain()
        await ending(reader, writer)

    async with peer(talk) as port:
        answer = await http.post(f"http://127.0.0.1:{port}/", b"x", headers={}, timeout=300)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.whole) == (202, b"ab", False)


async def test_the_deadline_holds_for_all_of_it(http: Http) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for octet in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 1000:
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(0.02)  # the pace of the attack, not a wait for anything

    async with peer(drip) as port:
        began = time.monotonic()
        answer = await http.post(f"http://127.0.0.1:{port}/", b"x", headers={}, timeout=400)
    assert isinstance(answer, NoAnswer)
    assert answer.fault is Fault.TIMEOUT
    assert time.monotonic() - began < 5


async def test_nothing_is_remembered_between_posts(http: Http) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        await says(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")(
            reader, writer
        )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for _ in range(2):
        await http.post(f"http://127.0.0.1:{port}/", b"x", headers={})
    server.close()
    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()


async def test_proxies_of_the_environment_are_ignored(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    async with peer(says(OK)) as port:
        answer = await http.post(f"http://127.0.0.1:{port}/", b"x", headers={})
    assert isinstance(answer, Answer)


async def test_a_connection_is_used_again_and_opens_again_after_close(http: Http) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while True:
                await read_request(reader)
                writer.write(OK)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    for _ in range(3):
        assert isinstance(await http.post(url, b"x", headers={}), Answer)
    assert connections == 1
    await http.close()
    assert isinstance(await http.post(url, b"x", headers={}), Answer)
    assert connections == 2
    await http.close()
    await http.close()
    server.close()


@pytest.fixture(scope="module")
def untrusted() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("hooks.example").configure_cert(context)
    return context


async def test_a_certificate_that_nobody_vouches_for(http: Http, untrusted: ssl.SSLContext) -> None:
    async with peer(says(OK), tls=untrusted) as port:
        strict = await http.post(f"https://127.0.0.1:{port}/", b"x", headers={})
        lax = await http.post(f"https://127.0.0.1:{port}/", b"x", headers={}, verify=Verify.NOTHING)
    assert isinstance(strict, NoAnswer)
    assert strict.fault is Fault.TLS
    assert "certificate" in strict.text
    assert isinstance(lax, Answer)


async def test_https_to_a_server_that_does_not_speak_it(http: Http) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer = await http.post(f"https://127.0.0.1:{port}/", b"x", headers={})
    server.close()
    assert isinstance(answer, NoAnswer)
    assert answer.fault is Fault.TLS


async def test_what_is_refused_is_logged_without_the_urls_keys() -> None:
    with structlog.testing.capture_logs() as lines:
        client = Http(Egress())
        await client.post("http://10.0.0.1/hook/T0P?token=s3cret", b"x", headers={})
        await client.close()
    assert [(line["event"], line["host"]) for line in lines] == [("egress refused", "10.0.0.1:80")]
    assert "s3cret" not in str(lines)


@pytest.mark.parametrize(
    ("status", "once", "repeated"),
    [
        (200, Unknown("200", "***?"), TryLater("200", "***?", Scope.SENDER, 5 * SECOND)),
        (502, Unknown("502", "***?"), TryLater("502", "***?", Scope.SENDER, 5 * SECOND)),
        (429, *[TryLater("429", "***?", Scope.SENDER, 5 * SECOND)] * 2),
        (302, *[TryLater("302", "***?", Scope.SENDER, why=Why.ACCOUNT)] * 2),
        (403, *[TryLater("403", "***?", Scope.SENDER, why=Why.ACCOUNT)] * 2),
    ],
)
def test_who_answers_instead_of_a_provider_is_judged_by_the_status(
    status: int, once: Outcome, repeated: Outcome
) -> None:
    answer = Answer(status, {"Retry-After": "5"}, b"s3cret?")
    hide = [Secret("s3cret")]
    assert wordless(answer, now=0, hide=hide, idempotent=False) == once
    assert wordless(answer, now=0, hide=hide, idempotent=True) == repeated


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"[" * 60_000, b"{}" + b" " * READ_LIMIT])
def test_what_is_no_small_object_has_no_fields(body: bytes) -> None:
    assert fields(Answer(200, {}, body)) == {}
    assert fields(Answer(200, {}, b'{"a":1}', whole=False)) == {}
    assert fields(Answer(200, {}, b'{"a":1}')) == {"a": 1}
