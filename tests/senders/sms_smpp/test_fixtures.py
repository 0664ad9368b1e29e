# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Answers as message centres give them, and what follows."""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mailroom.senders import sms_smpp
from tests.senders.sms_smpp.conftest import Hall

FIXTURES = {
    path.stem: json.loads(path.read_bytes())
    for path in sorted((Path(sms_smpp.__path__[0]) / "fixtures").glob("*.json"))
}


@pytest.mark.parametrize("told", FIXTURES.values(), ids=FIXTURES.keys())
async def test_an_answer(hall: Hall, told: dict[str, Any]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers: list[dict[str, Any]] = [{"command": "80000009", "status": 0, "body": ""}, told["answer"]]
        for answer in answers:
            length, _, _, sequence = struct.unpack(">4I", await reader.readexactly(16))
            await reader.readexactly(length - 16)
            body = bytes.fromhex(answer["body"])
            writer.write(
                struct.pack(">4I", 16 + len(body), int(answer["command"], 16), answer["status"], sequence) + body
            )
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        outcome = await hall.send(account=hall.account(where=f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        await hall.kind.close()
    assert {"is": type(outcome).__name__, **asdict(outcome)} == told["outcome"]
