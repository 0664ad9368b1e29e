# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""LOGIN, AUTHENTICATE, STARTTLS: who comes in, by which way, and what is never said in the clear."""

from __future__ import annotations

import base64
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from mailroom.core.settings import Settings
from mailroom.storage.ports import Store
from tests.directory.scram_client import ScramClient
from tests.protocols.imap.room import PASSWORD, Client, room, service, serving

NOBODY_IS_TRUSTED = Settings(trusted=())


def plain(name: str, password: str = PASSWORD) -> str:
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


async def test_login(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        answer = await c(f'LOGIN amy@corp.example "{PASSWORD}"')
        assert answer.status == "OK"
        assert b"IDLE" in answer.text
        assert b"AUTH=" not in answer.text
        assert (await c(f'LOGIN amy "{PASSWORD}"')).status == "BAD"


async def test_a_name_and_a_password_as_literals_and_unquoted(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.send(b"a LOGIN {3}\r\n")
        await c.expect(r"\+ .*")
        await c.send(b"amy {%d}\r\n" % len(PASSWORD))
        await c.expect(r"\+ .*")
        await c.send(PASSWORD.encode() + b"\r\n")
        await c.expect(r"a OK .*")


async def test_a_wrong_password_looks_like_a_wrong_name(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        amy, nobody = await c("LOGIN amy wrong"), await c("LOGIN nobody wrong")
        assert amy.status == "NO"
        assert amy.code == "AUTHENTICATIONFAILED"
        assert (amy.lines, amy.text) == (nobody.lines, nobody.text)


async def test_who_fails_too_often_is_sent_away(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, failures_most=3) as place, place.call() as c:
        for number in range(2):
            assert (await c(f"LOGIN amy wrong{number}")).status == "NO"
        await c.say("LOGIN amy wrong3")
        await c.expect(r"t3 NO .*")
        await c.expect(r"\* BYE too many failures.*")
        await c.expect_end()


async def test_authenticate_plain_in_two_steps(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.send(b"a AUTHENTICATE PLAIN\r\n")
        await c.expect(r"\+ ")
        await c.send(plain("amy").encode() + b"\r\n")
        await c.expect(r"a OK \[CAPABILITY .*")


async def test_authenticate_plain_in_one(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.ok(f"AUTHENTICATE PLAIN {plain('bob')}")
        await c.ok("SELECT INBOX")


async def test_what_is_sent_ahead_of_the_challenge_is_heard(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.send(f"a AUTHENTICATE PLAIN\r\n{plain('amy')}\r\nb SELECT INBOX\r\n".encode())
        await c.expect(r"\+ ")
        await c.expect(r"a OK .*")
        assert (await c.answer(b"b")).status == "OK"


async def test_authenticate_scram(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        client = ScramClient("amy", PASSWORD)
        await c.send(b"a AUTHENTICATE SCRAM-SHA-256\r\n")
        await c.expect(r"\+ ")
        await send_encoded(c, client.first())
        await send_encoded(c, client.final(await challenge(c)))
        assert client.is_server(await challenge(c))
        await c.send(b"\r\n")
        await c.expect(r"a OK .*")


async def challenge(c: Client) -> bytes:
    return base64.b64decode((await c.expect(r"\+ .+")).removeprefix(b"+ "))


async def send_encoded(c: Client, octets: bytes) -> None:
    await c.send(base64.b64encode(octets) + b"\r\n")


@pytest.mark.parametrize("response", [b"*", b"not base64", b"AAAA", b""])
async def test_a_response_that_is_none_is_bad(response: bytes, store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.send(b"a AUTHENTICATE PLAIN\r\n")
        await c.expect(r"\+ ")
        await c.send(response + b"\r\n")
        await c.expect(r"a BAD .*")
        await c.login("amy")


async def test_an_endless_response_ends_the_connection(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.send(b"a AUTHENTICATE PLAIN\r\n")
        await c.expect(r"\+ ")
        await c.send(b"A" * 50_000)
        await c.expect(r"\* BYE .*")
        await c.expect_end()


async def test_unknown_mechanisms_are_refused(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        assert (await c("AUTHENTICATE CRAM-MD5")).status == "NO"


async def test_outside_tls_passwords_are_for_trusted_networks(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, settings=NOBODY_IS_TRUSTED) as place, place.call() as c:
        [offered] = await c.ok("CAPABILITY")
        assert b"LOGINDISABLED" in offered
        assert b"AUTH=PLAIN" not in offered
        assert b"AUTH=SCRAM-SHA-256" in offered
        for words in (f'LOGIN amy "{PASSWORD}"', f"AUTHENTICATE PLAIN {plain('amy')}"):
            answer = await c(words)
            assert (answer.status, answer.code) == ("NO", "PRIVACYREQUIRED")


async def test_start_tls(store: Store, tmp_path: Path, certificate: ssl.SSLContext) -> None:
    async with room(store, tmp_path, tls=certificate, settings=NOBODY_IS_TRUSTED) as place, place.call() as c:
        [offered] = await c.ok("CAPABILITY")
        assert b"STARTTLS" in offered
        await c.ok("STARTTLS")
        await c.start_tls()
        [offered] = await c.ok("CAPABILITY")
        assert b"STARTTLS" not in offered
        assert b"LOGINDISABLED" not in offered
        assert (await c("STARTTLS")).status == "BAD"
        await c.login("amy")


async def test_what_came_before_the_handshake_is_thrown_away(
    store: Store, tmp_path: Path, certificate: ssl.SSLContext
) -> None:
    async with room(store, tmp_path, tls=certificate) as place, place.call() as c:
        await c.send(f'a STARTTLS\r\nb LOGIN amy "{PASSWORD}"\r\nc CREATE evil\r\n'.encode())
        await c.expect("a OK .*")
        await c.start_tls()
        assert (await c("SELECT INBOX")).text == b"not now"
        await c.login("amy")
        assert (await c("SELECT evil")).status == "NO"


async def test_tls_from_the_first_octet(store: Store, tmp_path: Path, certificate: ssl.SSLContext) -> None:
    async with room(store, tmp_path, settings=NOBODY_IS_TRUSTED) as place:
        secure = replace(service(store, tmp_path, settings=NOBODY_IS_TRUSTED), tls=certificate)
        async with serving(secure, tls=certificate) as port, replace(place, port=port).call(tls=True) as c:
            [offered] = await c.ok("CAPABILITY")
            assert b"STARTTLS" not in offered
            await c.login("amy")


async def test_a_silent_stranger_is_sent_away(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, silence_of_strangers=0.1) as place, place.call() as c:
        await c.expect(r"\* BYE .*")
        await c.expect_end()


async def test_so_is_one_who_talks_and_does_not_sign_in(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, silence_of_strangers=0.3) as place, place.call() as c:
        while (await c.say("NOOP")) and not (await c.line()).startswith(b"* BYE"):
            pass
        await c.expect_end()


async def test_one_who_is_silent_in_the_middle_of_it_is_cut_off(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, silence_of_strangers=0.1) as place, place.call() as c:
        await c.send(b"a AUTHENTICATE PLAIN\r\n")
        await c.expect(r"\+ ")
        await c.expect_end()


async def test_a_silent_member_is_sent_away_later(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, silence_of_strangers=0.1, silence=0.4) as place, place.open() as c:
        await c.expect(r"\* BYE .*")
        await c.expect_end()
