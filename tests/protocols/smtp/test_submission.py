# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Members hand in mail, with programs that others wrote: msmtp, swaks, curl, smtplib; and what strangers try there."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from mailroom.core import clock, ids
from mailroom.core.ids import ContentId
from mailroom.core.secrets import Secret
from mailroom.core.settings import Limits, Network, Settings
from mailroom.directory.logins import Bearer, Logins
from mailroom.protocols.contract import House
from mailroom.protocols.listener import Listener
from mailroom.protocols.smtp.manifest import MANIFESTS
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store
from tests import make
from tests.directory.scram_client import ScramClient
from tests.protocols.smtp.test_clients import run
from tests.talk import Client, call

Tool = Callable[[str], str]
PASSWORD = "correct horse"
MAIL = make.mail(sender="Amy <amy@corp.example>", to="li@out.example")


def plain(name: str, password: str) -> str:
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


PLAIN = plain("amy@corp.example", PASSWORD)


async def introspect(token: Secret) -> Bearer | None:
    return Bearer("amy", None) if token.reveal() == "good" else None


@dataclass
class Desk:
    """A server for members: the ports with STARTTLS and in TLS."""

    store: Store
    folder: Path
    tls: ssl.SSLContext
    logins: Logins
    made: make.Organisation

    @contextlib.asynccontextmanager
    async def open(self, *, trusted: Sequence[Network] = (), **limits: int) -> AsyncIterator[dict[str, int]]:
        """Listen; gives the ports by the names of the services."""
        acceptance, submission = make.acceptance(self.store, self.folder), make.submission(self.store, self.folder)
        settings = Settings(hostname="mx.x", trusted=tuple(trusted), limits=Limits(**limits))
        house = House(
            settings=settings,
            store=self.store,
            bodies=acceptance.letters.bodies,
            letters=acceptance.letters,
            logins=self.logins,
            acceptance=acceptance,
            submission=replace(submission, limits=settings.limits),
            tls=self.tls,
            clock=clock.now,
            new_id=ids.new,
        )
        ports = {}
        async with contextlib.AsyncExitStack() as stack:
            for manifest in MANIFESTS:
                listener = Listener(manifest.open(house), limits=Limits(), tls=self.tls if manifest.tls else None)
                await listener.start("127.0.0.1:0")
                stack.push_async_callback(listener.stop, grace=0)
                ports[manifest.name] = listener.port
            yield ports

    async def sent(self) -> Sequence[bytes]:
        """What is on its way to others."""
        found = await self.store.read(lambda tx: tx.all(select(schema.outgoing.c.content_id)))
        bodies = make.acceptance(self.store, self.folder).letters.bodies
        return [await make.octets_of(bodies, ContentId(row[0])) for row in found]

    async def to(self) -> Sequence[str]:
        """Its recipients."""
        return [row[0] for row in await self.store.read(lambda tx: tx.all(select(schema.recipients.c.address)))]


@pytest_asyncio.fixture
async def desk(sqlite_url: str, tmp_path: Path, certificate: ssl.SSLContext) -> AsyncIterator[Desk]:
    store = open_store(sqlite_url)
    made = await make.organisation(store)
    logins = replace(make.logins(store, tmp_path), introspect=introspect)
    await make.set_password(logins, "amy", PASSWORD)
    yield Desk(store, tmp_path, certificate, logins, made)
    await store.close()


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.mark.parametrize("service", ["submission", "submissions"])
@pytest.mark.parametrize("method", ["plain", "login", "scram-sha-256", "oauthbearer"])
async def test_msmtp(service: str, method: str, tool: Tool, desk: Desk, tmp_path: Path) -> None:
    mail, config = tmp_path / "mail", tmp_path / "msmtprc"
    mail.write_bytes(b"Bcc: eve@out.example\n" + MAIL.replace(b"\r\n", b"\n"))
    async with desk.open() as ports:
        password = "good" if method == "oauthbearer" else f'"{PASSWORD}"'
        starttls = "on" if service == "submission" else "off"
        config.write_text(
            f"account default\nhost 127.0.0.1\nport {ports[service]}\nfrom amy@corp.example\nauth {method}\n"
            f"user amy@corp.example\npassword {password}\nremove_bcc_headers off\n"
            f"tls on\ntls_certcheck off\ntls_starttls {starttls}\n"
        )
        config.chmod(0o600)
        command = f"{tool('msmtp')} --file={config} --read-recipients < {mail}"
        await run("sh", "-c", command)
    [sent] = await desk.sent()
    assert b"Bcc" not in sent
    assert b"with ESMTPSA id " in sent
    assert b"127.0.0.1" not in sent
    assert await desk.to() == ["eve@out.example", "li@out.example"]


@pytest.mark.parametrize("tls", ["--tls", "--tls-on-connect"])
@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
async def test_swaks(tls: str, method: str, tool: Tool, desk: Desk) -> None:
    async with desk.open() as ports:
        port = ports["submission" if tls == "--tls" else "submissions"]
        who = ["--auth", method, "--auth-user", "amy@corp.example", "--auth-password", PASSWORD, tls]
        mail = ["--from", "amy@corp.example", "--to", "li@out.example,bob@corp.example", "--pipeline"]
        await run(tool("swaks"), "--server", f"127.0.0.1:{port}", "--ehlo", "[192.0.2.7]", *who, *mail)
    [sent] = await desk.sent()
    assert b"192.0.2.7" not in sent.partition(b"\r\n\r\n")[0].replace(b"\r\nX-", b"")


@pytest.mark.parametrize("login", [["AUTH=PLAIN"], ["AUTH=LOGIN"], ["AUTH=OAUTHBEARER"]])
async def test_curl(login: list[str], tool: Tool, desk: Desk, tmp_path: Path) -> None:
    mail = tmp_path / "mail"
    mail.write_bytes(MAIL + b"0123456789abcdef\r\n" * 20_000)
    token = login == ["AUTH=OAUTHBEARER"]
    who = ["--user", "amy@corp.example", "--oauth2-bearer", "good"] if token else ["--user", f"amy:{PASSWORD}"]
    async with desk.open() as ports:
        url = f"smtps://127.0.0.1:{ports['submissions']}"
        envelope = [
            "--mail-from",
            "amy@corp.example",
            "--mail-rcpt",
            "li@out.example",
            "--mail-auth",
            "amy@corp.example",
        ]
        await run(tool("curl"), "-sSk", url, *who, "--login-options", *login, *envelope, "-T", str(mail))
    [sent] = await desk.sent()
    assert sent.endswith(mail.read_bytes())


@pytest.mark.parametrize("to", ["用户@例.test", "user@例.test"])
async def test_smtplib_to_somebody_whose_address_is_in_chinese(to: str, desk: Desk) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "你好", "amy@corp.example", to
    mail.set_content("你好\n", cte="8bit")

    def send(ports: dict[str, int]) -> None:
        with smtplib.SMTP("127.0.0.1", ports["submission"]) as client:
            client.starttls(context=trusting())
            client.login("amy", PASSWORD)
            client.send_message(mail)
        with smtplib.SMTP_SSL("127.0.0.1", ports["submissions"], context=trusting()) as client:
            client.login("amy@corp.example", PASSWORD)
            client.send_message(mail)

    async with desk.open() as ports:
        await asyncio.to_thread(send, ports)
    assert await desk.to() == [to, to]
    assert all(b"with UTF8SMTPSA id" in sent for sent in await desk.sent())


async def secured(c: Client) -> None:
    await c("EHLO c", "STARTTLS")
    await c.expect("220", "250-", "220 2.0.0")
    await c.start_tls()
    await c("EHLO c")
    assert "AUTH SCRAM-SHA-256 PLAIN LOGIN OAUTHBEARER" in await c.expect("250-")


async def test_chunks_and_eight_bits(desk: Desk) -> None:
    octets = MAIL + "例\r\n".encode()
    async with desk.open() as ports, call(ports["submission"]) as c:
        await secured(c)
        await c(f"AUTH PLAIN {PLAIN}", "MAIL FROM:<amy@corp.example> BODY=8BITMIME", "RCPT TO:<li@out.example>")
        await c.send(b"BDAT 10\r\n%bBDAT %d LAST\r\n%b" % (octets[:10], len(octets) - 10, octets[10:]))
        await c.expect("235 2.7.0", "250 2.1.0", "250 2.1.5", "250 2.0.0 10", "250 2.0.0 accepted")
    [sent] = await desk.sent()
    assert sent.endswith(octets)


async def test_the_server_proves_itself_too(desk: Desk) -> None:
    scram = ScramClient("amy", PASSWORD)
    async with desk.open() as ports, call(ports["submission"]) as c:
        await secured(c)
        await c(f"AUTH SCRAM-SHA-256 {base64.b64encode(scram.first()).decode()}")
        said = base64.b64decode((await c.expect("334"))[4:])
        await c(base64.b64encode(scram.final(said)).decode())
        assert scram.is_server(base64.b64decode((await c.expect("334"))[4:]))
        await c("")
        await c.expect("235 2.7.0")


async def test_outside_tls_a_password_is_not_looked_at(desk: Desk) -> None:
    async with desk.open() as ports, call(ports["submission"]) as c:
        await c(
            "EHLO c",
            f"AUTH PLAIN {plain('amy', 'wrong')}",
            "AUTH LOGIN",
            base64.b64encode(b"amy").decode(),
            "MAIL FROM:<a@y>",
        )
        await c.expect("220")
        assert "AUTH" not in await c.expect("250-")
        await c.expect("538 5.7.11", "538 5.7.11", "500 5.5.1", "530 5.7.0")
    assert await desk.store.read(lambda tx: tx.all(select(schema.brakes))) == []


async def test_a_trusted_network_may_do_without(desk: Desk) -> None:
    async with desk.open(trusted=Settings().trusted) as ports, call(ports["submission"]) as c:
        await c("EHLO c", f"AUTH PLAIN {PLAIN}", "MAIL FROM:<amy@corp.example>", "RCPT TO:<li@out.example>", "DATA")
        await c.send(MAIL + b".\r\n")
        await c.expect("220", "250-", "235", "250", "250", "354", "250 2.0.0 accepted")
        await c("EHLO c", "STARTTLS")
        assert "AUTH" not in await c.expect("250-")
        await c.expect("220")
        await c.start_tls()
        await c("EHLO c", "MAIL FROM:<amy@corp.example>")
        await c.expect("250-", "530 5.7.0")
    [sent] = await desk.sent()
    assert b"with ESMTPA id " in sent


async def test_who_guesses_waits_longer_and_longer(desk: Desk) -> None:
    said: list[str] = []
    async with desk.open() as ports:
        for number in range(6):
            async with call(ports["submission"]) as c:
                await secured(c)
                await c(*[f"AUTH PLAIN {plain('amy', f'{number}{n}')}" for n in range(4)])
                said += [(await c.reply())[:9] for _ in range(4)]
                if "454 4.7.0" in said:
                    break
    assert set(said) == {"535 5.7.8", "454 4.7.0"}


async def test_strangers_bring_no_mail_here_nor_sign_in_next_door(desk: Desk) -> None:
    async with desk.open(trusted=Settings().trusted) as ports:
        async with call(ports["submission"]) as c:
            await c("EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<amy@corp.example>", "DATA")
            await c.expect("220", "250-", "530 5.7.0", "503", "503")
        async with call(ports["smtp"]) as c:
            await c("EHLO c", f"AUTH PLAIN {PLAIN}", "MAIL FROM:<a@y>", "RCPT TO:<li@out.example>")
            await c.expect("220", "250-", "502 5.5.1", "250 2.1.0", "550 5.7.1 relaying denied")


async def test_each_refusal_has_its_answer(desk: Desk) -> None:
    async with desk.open(trusted=Settings().trusted, sent_per_hour=1) as ports, call(ports["submission"]) as c:
        await c("EHLO c", f"AUTH PLAIN {PLAIN}", "MAIL FROM:<bob@corp.example>", "MAIL FROM:<amy@corp.example>")
        await c.expect("220", "250-", "235", "550 5.7.1 you may not send as this address", "250 2.1.0")
        await c(
            "RCPT TO:<nobody@corp.example>",
            "RCPT TO:<li@[192.0.2.1]>",
            "RCPT TO:<bob@corp.example>",
            "RCPT TO:<l@out.example>",
        )
        await c.expect("550 5.1.1", "553 5.1.3", "250 2.1.5", "450 4.7.1 sending limit reached")
        await c("DATA", "Subject: no From", "", ".")
        await c.expect("354", "550 5.6.0")
        await c("MAIL FROM:<amy@corp.example>", "RCPT TO:<bob@corp.example>", "DATA", "From: bob@corp.example", "", ".")
        await c.expect("250", "250", "354", "550 5.7.1 you may not send as this address")
        await c("MAIL FROM:<amy@corp.example>", "RCPT TO:<bob@corp.example>", "DATA", "From: amy@corp.example", "", ".")
        await c.expect("250", "250", "354", "250 2.0.0 accepted")
