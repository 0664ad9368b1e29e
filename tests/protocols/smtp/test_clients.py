# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote: smtplib, swaks, Postfix's smtp-source, curl."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailroom.protocols.smtp.session import Dialect
from tests.protocols.fake import FakeAcceptance, serving, until

Tool = Callable[[str], str]


async def run(*command: str) -> str:
    """Run a client to its end; it must be content."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    return output


async def test_smtplib(acceptance: FakeAcceptance, certificate: ssl.SSLContext) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "你好", "a@y.example", "b@x, 用户@例.test"
    mail.set_content("..\n.a line with a dot\n" * 1000)

    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def send(port: int) -> dict[str, tuple[int, bytes]]:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.starttls(context=trusting)
            return client.send_message(mail, to_addrs=["b@x", "用户@例.test", "nobody@x"])

    async with serving(acceptance, tls=certificate) as port:
        refused = await asyncio.to_thread(send, port)
    assert [(who, code) for who, (code, _) in refused.items()] == [("nobody@x", 550)]
    (kept,) = acceptance.kept
    assert kept.recipients == ("b@x", "用户@例.test")
    assert kept.content.endswith(b"\r\n..\r\n.a line with a dot\r\n")
    assert b"with UTF8SMTPS id" in kept.octets


@pytest.mark.parametrize("option", ["--tls", "--pipeline"])
async def test_swaks(option: str, tool: Tool, acceptance: FakeAcceptance, certificate: ssl.SSLContext) -> None:
    async with serving(acceptance, tls=certificate) as port:
        to = f"127.0.0.1:{port}"
        await run(tool("swaks"), "--server", to, option, "--from", "a@y", "--to", "b@x,c@x", "--ehlo", "c.example")
    assert [kept.recipients for kept in acceptance.kept] == [("b@x", "c@x")]


async def test_swaks_in_lmtp(tool: Tool, acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, dialect=Dialect.LMTP) as port:
        to = f"127.0.0.1:{port}"
        await run(tool("swaks"), "--server", to, "--protocol", "LMTP", "--from", "a@y", "--to", "b@x,c@x")
    assert acceptance.kept[0].recipients == ("b@x", "c@x")


@pytest.mark.parametrize("keep", [[], ["-d"]])
async def test_smtp_source(keep: list[str], tool: Tool, acceptance: FakeAcceptance) -> None:
    # -d: many mails over each connection
    load = [*keep, "-s", "5", "-m", "100", "-l", "4096", "-f", "a@y", "-t", "b@x"]
    async with serving(acceptance) as port:
        await run(tool("smtp-source"), *load, f"127.0.0.1:{port}")
        await until(lambda: len(acceptance.kept) == 100)


async def test_curl(tool: Tool, acceptance: FakeAcceptance, tmp_path: Path) -> None:
    mail = tmp_path / "mail"
    mail.write_bytes(b"Subject: large\r\n\r\n" + b".x" * 300 + b"\r\n" * 100_000)
    async with serving(acceptance) as port:
        url = f"smtp://127.0.0.1:{port}/c.example"
        before = time.monotonic()
        await run(tool("curl"), "-sS", url, "--mail-from", "a@y", "--mail-rcpt", "b@x", "-T", str(mail))
        assert time.monotonic() - before < 60
    assert acceptance.kept[0].content == mail.read_bytes()
