# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Answers as modems give them, and what follows."""

from __future__ import annotations

import asyncio
import json
import os
import tty
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from mailroom.senders import sms_modem
from tests.senders.sms_modem.conftest import Hall

FIXTURES = {
    path.stem: json.loads(path.read_bytes())
    for path in sorted((Path(sms_modem.__path__[0]) / "fixtures").glob("*.json"))
}


@pytest.mark.parametrize("told", FIXTURES.values(), ids=FIXTURES.keys())
async def test_an_answer(hall: Hall, told: dict[str, Any]) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    replies = {b"AT+CPIN?\r": "\r\n+CPIN: READY\r\n", b"AT+CREG?\r": "\r\n+CREG: 0,1\r\n"}

    def talk() -> None:
        said = os.read(master, 4096)
        if b"AT+CMGS" in said:
            answer = "\r\n> "
        elif said.endswith(b"\x1a"):
            answer = told["answer"]
        elif said.endswith(b"\r"):
            answer = replies.get(said, "") + "\r\nOK\r\n"
        else:
            return
        os.write(master, answer.encode())

    loop = asyncio.get_running_loop()
    loop.add_reader(master, talk)
    try:
        outcome = await hall.send(account=replace(hall.account(), settings={"port": os.ttyname(slave)}))
        await hall.kind.close()
    finally:
        loop.remove_reader(master)
        os.close(slave)
        os.close(master)
    assert {"is": type(outcome).__name__, **asdict(outcome)} == {
        **(
            {"provider_id": "rcp_1", "code": "", "text": "", "told": False} if told["outcome"] == {"is": "Sent"} else {}
        ),
        **told["outcome"],
    }
