# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The pure parts of sending: replies, dots, mechanisms, and a short memory."""

from __future__ import annotations

import base64
import hashlib
import hmac
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.secrets import Secret
from mailroom.senders.email import auth
from mailroom.senders.email.lapsing import Lapsing
from mailroom.senders.email.replies import Garbage, Reply, capabilities, read_line, xtext
from mailroom.senders.email.stuffing import Stuffer

PENCIL = Secret("pencil")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"250 ok\r\n", (250, True, "ok")),
        (b"250-ok\n", (250, False, "ok")),
        (b"354\r\n", (354, True, "")),
        (b"550 caf\xe9\r\n", (550, True, "caf\ufffd")),
    ],
)
def test_lines_are_read(line: bytes, expected: tuple[int, bool, str]) -> None:
    assert read_line(line) == expected


@pytest.mark.parametrize("line", [b"\r\n", b"25\r\n", b"150 x\r\n", b"600 x\r\n", b"HTTP/1.1 200\r\n"])
def test_what_is_no_reply_is_garbage(line: bytes) -> None:
    with pytest.raises(Garbage):
        read_line(line)


def test_a_status_that_each_line_repeats_is_said_once() -> None:
    reply = Reply(550, ("5.7.1 Your mail", "5.7.1 is not", "5.7.1 wanted"))
    assert reply.text == "5.7.1 Your mail is not wanted"
    assert Reply(550, ("go", "away")).text == "go away"
    assert Reply(250, ()).text == ""


def test_capabilities_are_read_as_they_are_written_in_the_wild() -> None:
    reply = Reply(250, ("mx hello", "size 1000", "AUTH PLAIN LOGIN", "AUTH=PLAIN XOAUTH2", " 8bitmime ", ""))
    assert capabilities(reply) == {
        "SIZE": "1000",
        "AUTH": "PLAIN LOGIN PLAIN XOAUTH2",
        "8BITMIME": "",
        "": "",
    }


def test_xtext_is_that_of_the_standard() -> None:
    assert xtext("a+b=c d@e.example") == "a+2Bb+3Dc+20d@e.example"
    assert xtext("ü") == "+C3+BC"


def stuffed(octets: bytes, cuts: list[int]) -> bytes:
    stuffer = Stuffer()
    edges = [0, *sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]
    pieces = [octets[start:end] for start, end in pairwise(edges)]
    return b"".join(map(stuffer.feed, pieces)) + stuffer.end()


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"."])).map(b"".join), st.lists(st.integers(0)))
def test_a_mail_ends_where_it_ends_and_arrives_as_lines(octets: bytes, cuts: list[int]) -> None:
    sent = stuffed(octets, cuts)
    assert sent == stuffed(octets, [])
    assert sent.endswith(b"\r\n.\r\n") or sent == b".\r\n"
    body = sent[: -len(b".\r\n")]
    assert b"\r\n.\r\n" not in b"\r\n" + body
    assert body.count(b"\r") == body.count(b"\n") == body.count(b"\r\n")
    lines = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if not lines[-1]:
        lines.pop()
    assert [line.removeprefix(b".") if line[:2] == b".." else line for line in body.split(b"\r\n")[:-1]] == lines


class Server:
    """The other side of SCRAM (RFC 5802)."""

    def __init__(self, digest: str, password: str) -> None:
        self.digest = digest
        self.salted = hashlib.pbkdf2_hmac(digest, password.encode(), b"salt", 4096)

    def first(self, said: bytes) -> bytes:
        self.bare = said.removeprefix(b"n,,")
        nonce = said.rpartition(b"r=")[2]
        self.said = b"r=" + nonce + b"SRV,s=" + base64.b64encode(b"salt") + b",i=4096"
        return self.said

    def last(self, said: bytes) -> bytes:
        final, _, proof = said.partition(b",p=")
        signed = b",".join((self.bare, self.said, final))
        key = hmac.digest(self.salted, b"Client Key", self.digest)
        signature = hmac.digest(hashlib.new(self.digest, key).digest(), signed, self.digest)
        assert base64.b64decode(proof) == bytes(a ^ b for a, b in zip(key, signature, strict=True))
        server_key = hmac.digest(self.salted, b"Server Key", self.digest)
        return b"v=" + base64.b64encode(hmac.digest(server_key, signed, self.digest))


@pytest.mark.parametrize(("mechanism", "digest"), [("SCRAM-SHA-256", "sha256"), ("SCRAM-SHA-1", "sha1")])
def test_scram_proves_both_sides(mechanism: str, digest: str) -> None:
    chosen = auth.choose(["PLAIN", mechanism], "a=m,y", PENCIL, nonce="abc")
    assert chosen is not None
    name, exchange = chosen
    assert name == mechanism
    server = Server(digest, "pencil")
    first = next(exchange)
    assert first == b"n,,n=a=3Dm=2Cy,r=abc"
    last = server.last(auth.answer(exchange, server.first(first)))
    assert auth.answer(exchange, last) == b""
    with pytest.raises(auth.Mistrust):
        auth.answer(exchange, b"more?")


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"r=abcX",
        b"r=abc,s=c2FsdA==,i=4096",  # the server adds nothing to the nonce
        b"r=xyzabc,s=c2FsdA==,i=4096",  # ... or has another one
        b"r=abcX,s=!,i=4096",
        b"r=abcX,s=c2FsdA==,i=999999999999",
        b"r=abcX,s=c2FsdA==,i=0",
        b"\xff",
    ],
)
def test_a_server_that_does_not_keep_to_scram_is_not_trusted(first: bytes) -> None:
    chosen = auth.choose(["SCRAM-SHA-256"], "amy", PENCIL, nonce="abc")
    assert chosen is not None
    next(chosen[1])
    with pytest.raises(auth.Mistrust):
        auth.answer(chosen[1], first)


def test_a_server_that_does_not_know_the_password_is_not_trusted() -> None:
    chosen = auth.choose(["SCRAM-SHA-256"], "amy", PENCIL, nonce="abc")
    assert chosen is not None
    exchange = chosen[1]
    next(exchange)
    auth.answer(exchange, b"r=abcX,s=c2FsdA==,i=4096")
    with pytest.raises(auth.Mistrust):
        auth.answer(exchange, b"v=AAAA")


def test_without_a_common_mechanism_there_is_none() -> None:
    assert auth.choose(["GSSAPI"], "amy", PENCIL, nonce="abc") is None


async def test_a_short_memory_forgets() -> None:
    memory = Lapsing[str, int](0.0)
    memory["a"] = 1
    while "a" in memory:
        pass
    assert memory.get("a") is None
    long = Lapsing[int, int](100.0)
    for number in range(10_001):
        long[number] = number
    assert long.get(0) is None
    assert long.get(10_000) == 10_000
