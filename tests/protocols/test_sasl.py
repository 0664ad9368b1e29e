# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in by SASL: what is offered to whom, every mechanism, and responses of any form."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailroom.core.errors import LoginBlocked, Refusal, TooManyAttempts, Unavailable, WrongCredentials
from mailroom.core.ids import new
from mailroom.core.secrets import Secret
from mailroom.directory import addresses
from mailroom.directory.logins import Bearer
from mailroom.directory.model import SYSTEM, Principal, Service
from mailroom.mailboxes import create
from mailroom.protocols.sasl import (
    BadResponse,
    Cancelled,
    Challenge,
    Done,
    Exchange,
    NotOffered,
    Sasl,
    decode,
    decode_initial,
)
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store
from tests import make
from tests.directory.scram_client import ScramClient
from tests.stores import Watch

PASSWORD = "correct horse"
PEER = "192.0.2.1"
OFFICE = (ip_network("198.51.100.0/24"), ip_network("2001:db8::/32"))
# RFC 7628 §4.1, but for names.
BEARER = b"n,a=amy@corp.example,\x01host=mail.corp.example\x01port=143\x01auth=Bearer good\x01\x01"


async def introspect(token: Secret) -> Bearer | None:
    if token.reveal() == "away":
        raise Unavailable(what="token introspection")
    return Bearer("amy", None) if token.reveal() == "good" else None


@pytest_asyncio.fixture
async def sasl(store: Store, watch: Watch, tmp_path: Path) -> Sasl:
    organisation = await make.organisation(store)
    alias = addresses.parse("amelie@corp.example")
    await store.write(lambda tx: create.alias(tx, SYSTEM, organisation.mailboxes["amy"], alias))
    logins = make.logins(store, tmp_path, time=watch)
    await make.set_password(logins, "amy", PASSWORD)
    return Sasl(replace(logins, introspect=introspect), Service.IMAP, OFFICE, new)


def exchange(sasl: Sasl, *, peer: str = PEER, secure: bool = True, final: bool = False) -> Exchange:
    return sasl.exchange(peer, secure=secure, final=final)


async def signed_in(step: Challenge | Done) -> Principal:
    assert isinstance(step, Done)
    assert step.final == b""
    assert step.principal.address == "amy@corp.example"
    return step.principal


@pytest.mark.parametrize(
    ("peer", "secure", "offered"),
    [
        (PEER, True, "SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER"),
        (PEER, False, "SCRAM-SHA-256"),
        ("198.51.100.9", False, "SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER"),
        ("::ffff:198.51.100.9", False, "SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER"),
        ("2001:db8::9", False, "SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER"),
        ("", False, "SCRAM-SHA-256"),
    ],
)
async def test_passwords_are_offered_where_nobody_hears_them(
    sasl: Sasl, peer: str, offered: str, *, secure: bool
) -> None:
    assert list(sasl.mechanisms(peer, secure=secure)) == offered.split()
    without = replace(sasl, logins=replace(sasl.logins, introspect=None))
    assert "OAUTHBEARER" not in without.mechanisms(peer, secure=secure)


@pytest.mark.parametrize(
    "mechanism", ["PLAIN", "LOGIN", "OAUTHBEARER", "GSSAPI", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", ""]
)
async def test_what_is_not_offered_is_not_done(sasl: Sasl, mechanism: str) -> None:
    with pytest.raises(NotOffered):
        await exchange(sasl, secure=False).begin(mechanism)


async def test_a_password_in_a_command_is_taken_where_plain_is(sasl: Sasl) -> None:
    assert (await sasl.by_password("amy", Secret(PASSWORD), peer=PEER, secure=True)).member is not None
    with pytest.raises(LoginBlocked):
        await sasl.by_password("amy", Secret(PASSWORD), peer=PEER, secure=False)


@pytest.mark.parametrize("authzid", ["", "amy", "amy@corp.example", "Amelie@corp.example"])
async def test_plain_lets_in_as_oneself(sasl: Sasl, authzid: str) -> None:  # RFC 4616 §2
    response = f"{authzid}\0amy\0{PASSWORD}".encode()
    await signed_in(await exchange(sasl).begin("PLAIN", response))
    one = exchange(sasl)
    assert await one.begin("plain") == Challenge(b"")
    await signed_in(await one.respond(response))


@pytest.mark.parametrize("authzid", ["bob", "bob@corp.example", "nobody", "admin"])
async def test_nobody_acts_for_another(sasl: Sasl, authzid: str) -> None:
    with pytest.raises(WrongCredentials):
        await exchange(sasl).begin("PLAIN", f"{authzid}\0amy\0{PASSWORD}".encode())
    client = ScramClient("amy", PASSWORD, header=f"n,a={authzid},")
    one = exchange(sasl)
    offer = await one.begin("SCRAM-SHA-256", client.first())
    assert isinstance(offer, Challenge)
    with pytest.raises(WrongCredentials):
        await one.respond(client.final(offer.octets))


@pytest.mark.parametrize("response", [b"", b"amy", b"\0amy", b"\0\0x", b"\0amy\0x\0y", b"\0\xff\0x", b"x" * 20_000])
async def test_plain_of_the_wrong_form(sasl: Sasl, response: bytes) -> None:
    with pytest.raises(BadResponse):
        await exchange(sasl).begin("PLAIN", response)


async def test_login_asks_twice(sasl: Sasl) -> None:
    one = exchange(sasl)
    assert await one.begin("LOGIN") == Challenge(b"Username:")
    assert await one.respond(b"amy") == Challenge(b"Password:")
    await signed_in(await one.respond(PASSWORD.encode()))
    other = exchange(sasl)
    assert await other.begin("LOGIN", b"amy") == Challenge(b"Password:")
    with pytest.raises(WrongCredentials):
        await other.respond(b"wrong")


@pytest.mark.parametrize("header", ["n,,", "y,,", "n,a=amy@corp.example,"])
async def test_scram_proves_both_sides(sasl: Sasl, header: str) -> None:
    client = ScramClient("amy", PASSWORD, header=header)
    one = exchange(sasl, secure=False)
    assert await one.begin("SCRAM-SHA-256") == Challenge(b"")
    offer = await one.respond(client.first())
    assert isinstance(offer, Challenge)
    last = await one.respond(client.final(offer.octets))
    assert isinstance(last, Challenge)
    assert client.is_server(last.octets)
    await signed_in(await one.respond(b""))


async def test_scram_s_last_word_goes_with_the_success_where_there_is_room(sasl: Sasl) -> None:
    client = ScramClient("amy", PASSWORD)
    one = exchange(sasl, final=True)
    offer = await one.begin("SCRAM-SHA-256", client.first())
    assert isinstance(offer, Challenge)
    done = await one.respond(client.final(offer.octets))
    assert isinstance(done, Done)
    assert client.is_server(done.final)


async def test_scram_offers_each_exchange_a_nonce_of_its_own(sasl: Sasl) -> None:
    offers = [await exchange(sasl).begin("SCRAM-SHA-256", ScramClient("amy", "").first()) for _ in range(2)]
    assert offers[0] != offers[1]


@pytest.mark.parametrize("response", [b"", b"p=tls-exporter,,n=amy,r=x", b"n,,n=amy", b"\xff"])
async def test_scram_of_the_wrong_form(sasl: Sasl, response: bytes) -> None:
    with pytest.raises(BadResponse):
        await exchange(sasl).begin("SCRAM-SHA-256", response)
    one = exchange(sasl)
    await one.begin("SCRAM-SHA-256", b"n,,n=amy,r=x")
    with pytest.raises(BadResponse):
        await one.respond(response)


@pytest.mark.parametrize(
    "response",
    [
        BEARER,
        b"n,,\x01auth=Bearer good\x01\x01",
        b"n,,\x01auth=bearer  good\x01\x01",
        b"n,a=Amelie@corp.example,\x01auth=Bearer good\x01host=x\x01\x01",
    ],
)
async def test_a_token_lets_in(sasl: Sasl, response: bytes) -> None:
    await signed_in(await exchange(sasl).begin("OAUTHBEARER", response))


@pytest.mark.parametrize("response", [BEARER.replace(b"good", b"bad"), BEARER.replace(b"amy@", b"bob@")])
async def test_a_wrong_token_hears_why_and_fails_at_the_next_word(sasl: Sasl, response: bytes) -> None:
    one = exchange(sasl)
    assert await one.begin("OAUTHBEARER", response) == Challenge(b'{"status": "invalid_token"}')
    with pytest.raises(WrongCredentials):
        await one.respond(b"\x01")  # RFC 7628 §3.2.3


async def test_a_token_that_cannot_be_asked_about_is_not_wrong(sasl: Sasl) -> None:
    with pytest.raises(Unavailable):
        await exchange(sasl).begin("OAUTHBEARER", BEARER.replace(b"good", b"away"))


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\x01",
        b"n,,\x01\x01",
        b"n,,\x01auth=Basic good\x01\x01",
        b"n,,\x01auth=Bearer good\x01",
        b"p=x,,\x01auth=Bearer good\x01\x01",
        b"n,a=\xff,\x01auth=Bearer good\x01\x01",
        b"n,,auth=Bearer good\x01\x01",
    ],
)
async def test_a_token_of_the_wrong_form(sasl: Sasl, response: bytes) -> None:
    with pytest.raises(BadResponse):
        await exchange(sasl).begin("OAUTHBEARER", response)


async def test_an_exchange_ends_with_its_refusal(sasl: Sasl) -> None:
    one = exchange(sasl)
    with pytest.raises(WrongCredentials):
        await one.begin("PLAIN", b"\0amy\0wrong")
    with pytest.raises(BadResponse):
        await one.respond(f"\0amy\0{PASSWORD}".encode())


async def test_guessing_by_scram_is_slowed_down_as_by_plain(sasl: Sasl) -> None:
    for number in range(5):
        with pytest.raises(WrongCredentials):
            await exchange(sasl).begin("PLAIN", f"\0amy\0guess {number}".encode())
    with pytest.raises(TooManyAttempts):
        await exchange(sasl).begin("SCRAM-SHA-256", ScramClient("amy", PASSWORD).first())


def test_responses_on_a_line_are_base64() -> None:
    assert decode(b"AGEAYg==") == b"\0a\0b"
    assert decode(b"") == b""
    assert (decode_initial(None), decode_initial(b"="), decode_initial(b"YQ==")) == (None, b"", b"a")
    for line in (b"=", b"a", b"a b=", b"YQ=", b"YQ==YQ==", b"\xff", b"**"):
        with pytest.raises(BadResponse):
            decode(line)
    with pytest.raises(Cancelled):
        decode(b"*")
    with pytest.raises(BadResponse):
        decode_initial(b"*")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.sampled_from(["PLAIN", "LOGIN", "SCRAM-SHA-256", "OAUTHBEARER"]),
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([BEARER, b"\0amy\0x", b"n,,n=amy,r=x", b"amy"]))),
)
def test_any_responses_end_in_a_refusal(
    sqlite_url: str, tmp_path: Path, mechanism: str, responses: list[bytes]
) -> None:
    async def play() -> None:
        store = open_store(sqlite_url, Watch())
        try:
            one = exchange(Sasl(make.logins(store, tmp_path), Service.SMTP, OFFICE, new))
            assert isinstance(await one.begin(mechanism), Challenge)
            for response in responses:
                assert isinstance(await one.respond(response), Challenge)
        except (BadResponse, NotOffered, Refusal):
            pass
        finally:
            await store.close()

    asyncio.run(play())
