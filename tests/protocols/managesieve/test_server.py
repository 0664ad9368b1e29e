# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""ManageSieve over a socket, on every engine, and by sievelib's own client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sievelib import managesieve as sievelib  # type: ignore[import-untyped]  # it has no types

from mailroom.core import ids
from mailroom.core.settings import Limits, Settings
from mailroom.delivery.sieve.grammar import EXTENSIONS, SCRIPT_MOST
from mailroom.directory import members
from mailroom.directory.logins import Logins
from mailroom.directory.model import SYSTEM, MemberStatus
from mailroom.protocols.contract import House
from mailroom.protocols.listener import Listener
from mailroom.protocols.managesieve.server import managesieve
from mailroom.storage.ports import Store
from tests import make, talk
from tests.directory.scram_client import ScramClient
from tests.stores import Watch
from tests.talk import Client

PASSWORD = "correct horse"
PLAIN = base64.b64encode(f"\0amy\0{PASSWORD}".encode()).decode()
SCRIPT = 'require ["fileinto"];\r\nif header :contains "subject" "x" {\r\n  fileinto "Junk";\r\n}\r\n'


@dataclass
class Office:
    """Amy has a password."""

    store: Store
    logins: Logins
    tls: ssl.SSLContext

    @contextlib.asynccontextmanager
    async def open(self, *, trusted: bool = True, **limits: Any) -> AsyncIterator[Listener]:
        settings = Settings(limits=Limits(**limits)) if trusted else Settings(limits=Limits(**limits), trusted=())
        absent: Any = None
        house = House(
            settings=settings,
            store=self.store,
            bodies=absent,
            letters=absent,
            logins=self.logins,
            acceptance=absent,
            submission=absent,
            tls=self.tls,
            clock=lambda: 0,
            new_id=ids.new,
        )
        listener = Listener(managesieve(house), limits=settings.limits, sweep=0.02)
        await listener.start("127.0.0.1:0")
        try:
            yield listener
        finally:
            await listener.stop(grace=0)

    @contextlib.asynccontextmanager
    async def call(self, **how: Any) -> AsyncIterator[Client]:
        """A client that has heard the greeting."""
        async with self.open(**how) as listener, talk.call(listener.port) as client:
            await heard(client)
            yield client

    @contextlib.asynccontextmanager
    async def signed_in(self, **how: Any) -> AsyncIterator[Client]:
        async with self.call(**how) as client:
            await client(f'AUTHENTICATE "PLAIN" "{PLAIN}"')
            await client.expect("OK")
            yield client


async def heard(client: Client) -> list[str]:
    """The lines up to the answer."""
    lines = [await client.reply()]
    while not lines[-1].startswith(("OK", "NO", "BYE")):
        assert len(lines) < 100
        lines.append(await client.reply())
    return lines


async def put(client: Client, name: str, script: str) -> str:
    await client.send(f'PUTSCRIPT "{name}" {{{len(script.encode())}+}}\r\n{script}\r\n'.encode())
    return await client.reply()


@pytest_asyncio.fixture
async def office(store: Store, watch: Watch, tmp_path: Path, certificate: ssl.SSLContext) -> Office:
    await make.organisation(store)
    logins = make.logins(store, tmp_path, time=watch)
    await make.set_password(logins, "amy", PASSWORD)
    return Office(store, logins, certificate)


async def test_scripts_are_kept_named_and_one_is_active(office: Office) -> None:
    async with office.signed_in() as client:
        assert (await put(client, "first", SCRIPT)).startswith("OK")
        assert (await put(client, 'a "b', "keep;")).startswith("NO")  # not a string as it should be
        await client('PUTSCRIPT "second \\"q\\"" "keep;"', 'SETACTIVE "first"', "LISTSCRIPTS")
        await client.expect("OK", "OK")
        assert sorted((await heard(client))[:-1]) == ['"first" ACTIVE', '"second \\"q\\""']
        await client('GETSCRIPT "first"')
        assert await heard(client) == [f"{{{len(SCRIPT)}}}", *SCRIPT.split("\r\n"), 'OK "done"']
        await client('SETACTIVE "second \\"q\\""', "LISTSCRIPTS")
        await client.expect("OK")
        assert sorted((await heard(client))[:-1]) == ['"first"', '"second \\"q\\"" ACTIVE']
        await client('SETACTIVE ""', "LISTSCRIPTS")
        await client.expect("OK")
        assert "ACTIVE" not in "".join(await heard(client))


async def test_scripts_are_renamed_and_deleted(office: Office) -> None:
    async with office.signed_in() as client:
        for name in ("a", "b"):
            await put(client, name, "keep;")
        await client('SETACTIVE "a"', 'RENAMESCRIPT "a" "b"', 'RENAMESCRIPT "x" "y"', 'RENAMESCRIPT "a" "c"')
        await client.expect("OK", "NO (ALREADYEXISTS)", "NO (NONEXISTENT)", "OK")
        await client('DELETESCRIPT "c"', 'DELETESCRIPT "b"', 'DELETESCRIPT "b"', "LISTSCRIPTS")
        await client.expect("NO (ACTIVE)", "OK", "NO (NONEXISTENT)")
        assert (await heard(client))[:-1] == ['"c" ACTIVE']
        await client('GETSCRIPT "b"', 'SETACTIVE "b"')
        await client.expect("NO (NONEXISTENT)", "NO (NONEXISTENT)")


async def test_a_script_with_a_fault_is_refused_with_a_reason(office: Office) -> None:
    async with office.signed_in() as client:
        await client('CHECKSCRIPT "keep;"', 'CHECKSCRIPT "frobnicate;"', 'PUTSCRIPT "x" "if {"', "LISTSCRIPTS")
        await client.expect("OK", "NO", "NO", "OK")


async def test_what_is_too_large_is_refused(office: Office) -> None:
    async with office.signed_in() as client:
        await client(f'HAVESPACE "x" {SCRIPT_MOST + 1}', 'HAVESPACE "x" 100')
        await client.expect("NO (QUOTA/MAXSIZE)", "OK")
        assert (await put(client, "x", "#" * (SCRIPT_MOST + 1))).startswith("NO (QUOTA/MAXSIZE)")
        await client('PUTSCRIPT "x" {2000000+}')
        await client.expect("BYE (QUOTA/MAXSIZE)")
        await client.expect_end()


async def test_scripts_are_their_owner_s(office: Office) -> None:
    await make.set_password(office.logins, "bob", PASSWORD)
    async with office.signed_in() as client:
        await put(client, "mine", "keep;")
        bob = base64.b64encode(f"\0bob\0{PASSWORD}".encode()).decode()
        await client("UNAUTHENTICATE", "LISTSCRIPTS", f'AUTHENTICATE "PLAIN" "{bob}"', "LISTSCRIPTS")
        await client.expect("OK", "NO", "OK", "OK")


async def test_a_member_who_is_out_is_out_at_once(office: Office) -> None:
    async with office.signed_in() as client:
        await office.store.write(lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED))
        await client("LISTSCRIPTS")
        await client.expect("BYE")
        await client.expect_end()


async def test_every_mechanism(office: Office) -> None:
    def b64(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    async with office.call() as client:
        for first, *more in (
            [f'AUTHENTICATE "PLAIN" {{{len(PLAIN)}+}}', PLAIN],
            ['AUTHENTICATE "PLAIN"', f'"{PLAIN}"'],
            ['AUTHENTICATE "LOGIN"', f'"{b64("amy")}"', f'"{b64(PASSWORD)}"'],
        ):
            await client(first)
            for line in more:
                if not first.endswith("+}"):
                    await client.expect('"')
                await client(line)
            await client.expect("OK")
            await client("UNAUTHENTICATE")
            await client.expect("OK")


async def test_scram_s_last_word_comes_with_the_ok(office: Office) -> None:
    scram = ScramClient("amy", PASSWORD)
    async with office.call(trusted=False) as client:
        await client(f'AUTHENTICATE "SCRAM-SHA-256" "{base64.b64encode(scram.first()).decode()}"')
        offer = base64.b64decode((await client.reply()).strip('"'))
        await client(f'"{base64.b64encode(scram.final(offer)).decode()}"')
        answer = await client.expect('OK (SASL "')
        assert scram.is_server(base64.b64decode(answer.split('"')[1]))


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (['AUTHENTICATE "GSSAPI"'], 'NO "no such'),
        (['AUTHENTICATE "PLAIN"', '"*"'], 'NO "cancelled'),
        (['AUTHENTICATE "PLAIN"', "NOOP"], 'NO "that'),
        (['AUTHENTICATE "PLAIN" "@"'], 'NO "that'),
        (['AUTHENTICATE "PLAIN" ""'], 'NO "that'),
        ([f'AUTHENTICATE "PLAIN" "{base64.b64encode(b"xxamyxwrong".replace(b"x", bytes(1))).decode()}"'], "NO "),
        (['AUTHENTICATE "PLAIN" {20000+}'], "BYE"),
    ],
)
async def test_signing_in_gone_wrong(office: Office, lines: list[str], answer: str) -> None:
    async with office.call() as client:
        for line in lines[:-1]:
            await client(line)
            await client.expect('""')
        await client(lines[-1])
        assert (await client.reply()).startswith(answer)


async def test_passwords_are_taken_in_tls_only_but_from_trusted_networks(office: Office) -> None:
    async with office.call(trusted=False) as client:
        await client(f'AUTHENTICATE "PLAIN" "{PLAIN}"')
        await client.expect("NO (ENCRYPT-NEEDED)")
        await client("STARTTLS", "LISTSCRIPTS")  # what came along with it was not said in TLS
        await client.expect("OK")
        await client.start_tls()
        again = await heard(client)
        assert '"STARTTLS"' not in again
        assert any(line.startswith('"SASL"') and "PLAIN" in line for line in again)
        await client(f'AUTHENTICATE "PLAIN" "{PLAIN}"', "STARTTLS")
        await client.expect("OK", "NO")


async def test_a_literal_is_never_read_as_commands(office: Office) -> None:
    async with office.signed_in() as client:
        for before in (
            "nonsense",
            'PUTSCRIPT "a',
            "NOOP ( ",
            'SETACTIVE "a" "b" "c" "d" "e"',
            "LISTSCRIPTS {3+}\r\nabc",
        ):
            await client.send(f"{before} {{8+}}\r\nLOGOUT\r\n\r\nNOOP\r\n".encode())
            await client.expect("NO", "OK")


async def test_endless_lines_end_the_connection(office: Office) -> None:
    async with office.signed_in() as client:
        await client("x" * 50_000)
        await client.expect("BYE")
        await client.expect_end()


async def test_rubbish_ends_the_connection(office: Office) -> None:
    async with office.call() as client:
        await client.send(b"\0\xff\r\n" * 100)
        assert b"BYE" in await client.rest()


async def test_who_says_nothing_is_sent_away(office: Office) -> None:
    async with office.open(idle=0) as listener, talk.call(listener.port) as client:
        assert (await client.rest()).endswith(b'BYE "too slow"\r\n')


async def test_a_literal_that_never_comes_does_not_hold_the_connection(office: Office) -> None:
    async with office.call(idle=1) as client:
        await client('AUTHENTICATE "PLAIN" {500+}', "abc")
        await client.expect('BYE "too slow"')


async def test_a_server_that_goes_says_so(office: Office) -> None:
    async with office.open() as listener, talk.call(listener.port) as client:
        await heard(client)
        await listener.stop(grace=5)
        await client.expect("BYE (TRYLATER)")


async def test_sievelib_s_own_client(office: Office) -> None:
    def use(port: int) -> tuple[Any, ...]:
        client = sievelib.Client("127.0.0.1", port)
        with warnings.catch_warnings(action="ignore"):  # it warns that loopback is not in TLS
            assert client.connect("amy", PASSWORD, authmech="PLAIN")
        assert client.havespace("main", 100)
        assert client.putscript("main", SCRIPT)
        assert client.putscript("other", "keep;")
        assert client.setactive("main")
        assert client.renamescript("other", "another")
        assert not client.deletescript("main")
        assert not client.putscript("bad", "nonsense")
        assert client.checkscript("keep;")
        listed, got = client.listscripts(), client.getscript("main")
        assert client.deletescript("another")
        known = client.get_sieve_capabilities()
        client.logout()
        client.sock.close()
        client.sock = None
        return listed, got, known

    async with office.open() as listener:
        listed, got, known = await asyncio.to_thread(use, listener.port)
    assert listed == ("main", ["another"])
    assert got.split() == SCRIPT.split()
    assert set(known) == set(EXTENSIONS)


async def test_sievelib_s_client_signs_in_by_login(office: Office) -> None:
    def use(port: int) -> bool:
        client = sievelib.Client("127.0.0.1", port)
        with warnings.catch_warnings(action="ignore"):
            signed_in: bool = client.connect("amy", PASSWORD, authmech="LOGIN")
        client.logout()
        client.sock.close()
        client.sock = None
        return signed_in

    async with office.open() as listener:
        assert await asyncio.to_thread(use, listener.port)
