# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A message centre."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.doubles.sms_smpp import SmsSmpp
from mailroom.sandbox.phones import Phones
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import NOTE, Example


@asynccontextmanager
async def _centre(*steps: Behaviour) -> AsyncIterator[int]:
    phones = Phones(lambda: 0)
    double = SmsSmpp(phones)
    await double.start("127.0.0.1")
    double.script.begin(*steps)
    try:
        yield int(double.where.rpartition(":")[2])
    finally:
        phones.close()
        await double.stop()


def _account(port: int) -> Account:
    settings = {"host": "127.0.0.1", "port": str(port), "system_id": "demo"}
    return Account("centre", settings, {"password": Secret("demo-pwd")})


def _staged(sandbox: Sandbox) -> Account:
    return _account(int(sandbox.doubles["sms_smpp"].where.rpartition(":")[2]))


EXAMPLE = Example(
    account=_account,
    content=NOTE.content(),
    address="+8613900000001",
    nonsense={"no id": partial(_centre, Behaviour(at="submit_sm", status=0))},
    body_decides=False,
    not_taken={
        f"{at} {status:#x}": partial(_centre, Behaviour(at=at, status=status))
        for at in ("bind", "submit_sm")
        for status in (0x01, 0x08, 0x0B, 0x0E, 0x58, 0xFFFFFFFF)
    }
    | {f"bind {does}": partial(_centre, Behaviour(at="bind", does=does)) for does in (Does.RESET, Does.GARBAGE)},
    no_answer={
        f"{does} {taken}": partial(_centre, Behaviour(at="submit_sm", does=does, taken=taken))
        for does in (Does.RESET, Does.GARBAGE)
        for taken in (True, False)
    },
    silence=partial(_centre, Behaviour(at="submit_sm", does=Does.HANG)),
    staged=_staged,
)
