# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A modem on a pseudo terminal, the kind that sends through it, and an ear for its receipts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from mailroom.core.secrets import Secret
from mailroom.sandbox.doubles.sms_modem import SmsModem as Double
from mailroom.sandbox.phones import Arrival, Phones
from mailroom.senders.contract import Account, Event, Outcome, Parcel
from mailroom.senders.http import Http
from mailroom.senders.note import Note
from mailroom.senders.sms_modem.sender import SmsModem
from tests.senders.peers import tools

NOW = 1_772_323_200_000  # 2026-03-01 00:00:00 UTC
PHONE = "+8613900000001"


@dataclass(slots=True)
class Hall:
    """All that a test of modems needs."""

    kind: SmsModem
    phones: Phones
    plugged: tuple[Double, ...]
    used: int = 1  # of them, by the account
    heard: list[tuple[str, Event]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def double(self) -> Double:
        return self.plugged[0]

    def account(self, *, pin: str = "", **settings: str) -> Account:
        port = ",".join(one.where for one in self.plugged[: self.used])
        return Account("modem", {"port": port, **settings}, {"pin": Secret(pin)} if pin else {})

    async def send(
        self,
        text: str = "Hello",
        *,
        to: str = PHONE,
        account: Account | None = None,
        code: str = "rcp_1",
        now: int = NOW,
    ) -> Outcome:
        parcel = Parcel(code, to, Note(text=text).content(), 1, now)
        async with asyncio.timeout(60):
            return await self.kind.send(account or self.account(), parcel)

    async def hear(self, code: str, events: Sequence[Event]) -> None:
        self.heard += [(code, event) for event in events]
        self.news.set()

    async def told(self, count: int = 1) -> Sequence[Event]:
        async with asyncio.timeout(20):
            while len(self.heard) < count:
                self.news.clear()
                await self.news.wait()
        return [event for _, event in self.heard]

    @property
    def shown(self) -> Sequence[Arrival]:
        return self.phones.at("sms_modem")


@pytest.fixture
async def hall(http: Http) -> AsyncIterator[Hall]:
    phones = Phones(lambda: NOW)
    doubles = (Double(phones), Double(phones))
    for double in doubles:
        await double.start("127.0.0.1")
    given = tools(http)
    hall = Hall(SmsModem(given), phones, doubles)
    hall.kind = replace(hall.kind, tools=replace(given, report=hall.hear))
    yield hall
    await hall.kind.close()
    phones.close()
    for double in doubles:
        await double.stop()
