# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A modem, of which the place is the name of its line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.doubles.sms_modem import SmsModem
from mailroom.sandbox.phones import Phones
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import NOTE, Example


@asynccontextmanager
async def _modem(*steps: Behaviour, **knobs: Any) -> AsyncIterator[str]:
    phones = Phones(lambda: 0)
    double = SmsModem(phones)
    await double.start("")
    double.turn(pin="4711", **knobs)
    double.script.begin(*steps)
    try:
        yield Path(double.where).name
    finally:
        phones.close()
        await double.stop()


def _account(name: object) -> Account:
    return Account("modem", {"port": f"/dev/shm/{name}"}, {"pin": Secret("4711")})


def _staged(sandbox: Sandbox) -> Account:
    return _account(Path(sandbox.doubles["sms_modem"].where).name)


EXAMPLE = Example(
    account=_account,
    content=NOTE.content(),
    address="+8613900000001",
    nonsense={"noise": partial(_modem, news=("x" * 3000, "RING", "+CREG: 0", "+CMTI: 1"))},
    body_decides=False,
    not_taken={
        f"{at} {status}": partial(_modem, Behaviour(at=at, status=status))
        for at in ("AT+CPIN=", "AT+CREG?", "AT+CMGF", "AT+CMGS", "PDU")
        for status in (16, 28, 304, 500, 9999)
    }
    | {"another PIN": partial(_modem, sim="SIM PUK"), "no network": partial(_modem, network=2)},
    no_answer={
        f"pulled out {taken}": partial(_modem, Behaviour(at="PDU", does=Does.RESET, taken=taken))
        for taken in (True, False)
    },
    silence=partial(_modem, hung=True),
    nowhere=lambda: "nowhere",
    staged=_staged,
)
