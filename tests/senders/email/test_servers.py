# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Servers that others wrote take our mail, and dialogues recorded with them have the outcome that they should."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

import mailroom.senders.email
from mailroom.senders.contract import Sent
from tests import provision
from tests.senders.email.conftest import CODE, World

FIXTURES = sorted((Path(mailroom.senders.email.__path__[0]) / "fixtures").glob("*.json"))


@contextlib.asynccontextmanager
async def replayed(said: list[str], port: int) -> AsyncIterator[list[str]]:
    """A server that says what was recorded, a reply to each command, and what it hears."""
    heard: list[str] = []
    talking: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            for reply in said:
                writer.write(reply.replace("\n", "\r\n").encode() + b"\r\n")
                await writer.drain()
                line = await reader.readline()
                while line and reply.startswith("354") and line != b".\r\n":
                    line = await reader.readline()
                heard.append(line.decode().rstrip())
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    try:
        yield heard
    finally:
        server.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


@pytest.mark.parametrize("fixture", FIXTURES, ids=[path.stem for path in FIXTURES])
async def test_each_recorded_dialogue_has_its_outcome(world: World, fixture: Path) -> None:
    recorded: dict[str, Any] = json.loads(fixture.read_text())  # noqa: ASYNC240 # a small file
    async with replayed(recorded["server"], world.port):
        outcome = await world.send()
    said = {"is": type(outcome).__name__, **asdict(outcome)}
    assert {key: said[key] for key in recorded["outcome"]} == recorded["outcome"]


class Sink:
    def __init__(self) -> None:
        self.mails: list[Envelope] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 # aiosmtpd's name
        self.mails.append(envelope)
        return "250 2.0.0 taken"


async def test_aiosmtpd_takes_our_mail(world: World) -> None:
    sink = Sink()
    context = world.server("mx1.out.example")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(sink, hostname="double", enable_SMTPUTF8=True, tls_context=context), "127.0.0.1", world.port
    )
    try:
        outcomes = await asyncio.gather(*(world.send(f"u{number}@out.example") for number in range(30)))
    finally:
        await world.kind.close()
        server.close()
        await server.wait_closed()
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert sorted(mail.rcpt_tos[0] for mail in sink.mails) == sorted(f"u{number}@out.example" for number in range(30))
    assert {mail.content for mail in sink.mails} == {CODE + world.octets}


async def test_postfix_sink_takes_our_mail(world: World) -> None:
    sink = provision.which("smtp-sink")
    assert sink, "see the closing lines: it comes with Debian's postfix"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(sink, *user, "-c", f"127.0.0.1:{world.port}", "100")
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
                    writer.close()
                    break
        outcomes = await asyncio.gather(*(world.send(f"u{number}@out.example") for number in range(50)))
    finally:
        process.kill()
        await process.wait()
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
