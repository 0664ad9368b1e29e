# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A message centre, the kind that is bound to it, and an ear for its receipts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from mailroom.core.secrets import Secret
from mailroom.sandbox.doubles.sms_smpp import SmsSmpp as Double
from mailroom.sandbox.phones import Arrival, Phones
from mailroom.senders.contract import Account, Event, Outcome, Parcel, Reported
from mailroom.senders.http import Http
from mailroom.senders.note import Note
from mailroom.senders.sms_smpp.sender import SmsSmpp, open_kind
from tests.senders.peers import tools

NOW = 1_772_323_200_000  # 2026-03-01 00:00:00 UTC
PHONE = "+8613900000001"


@dataclass(slots=True)
class Hall:
    """All that a test of message centres needs."""

    double: Double
    phones: Phones
    kind: SmsSmpp = field(init=False)
    heard: list[tuple[str, Event]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    deaf: int = 0  # receipts that cannot be written down

    def account(self, *, password: str = "demo-pwd", where: str = "", **settings: str) -> Account:
        host, _, port = (where or self.double.where).rpartition(":")
        given = {"host": host, "port": port, "system_id": "demo", **settings}
        return Account("centre", given, {"password": Secret(password)})

    async def send(
        self, text: str = "Hello", *, to: str = PHONE, account: Account | None = None, code: str = "rcp_1"
    ) -> Outcome:
        parcel = Parcel(code, to, Note(text=text).content(), 1, NOW)
        async with asyncio.timeout(60):
            return await self.kind.send(account or self.account(), parcel)

    def hurry(self, timeout: int) -> None:
        """With less patience; what is open stays open."""
        self.kind = replace(self.kind, manifest=replace(self.kind.manifest, timeout=timeout))

    async def hear(self, code: str, events: Sequence[Event]) -> None:
        if self.deaf:
            self.deaf -= 1
            raise OSError("the disk is full")
        self.heard += [(code, event) for event in events]
        self.news.set()

    async def told(self, count: int = 1) -> list[Reported]:
        async with asyncio.timeout(20):
            while len(self.heard) < count:
                self.news.clear()
                await self.news.wait()
        return [event for _, event in self.heard if isinstance(event, Reported)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  # what a double counts makes no event
                await asyncio.sleep(0.01)

    @property
    def shown(self) -> Sequence[Arrival]:
        return self.phones.at("sms_smpp")


@pytest.fixture
async def hall(http: Http) -> AsyncIterator[Hall]:
    phones = Phones(lambda: NOW)
    double = Double(phones)
    await double.start("127.0.0.1")
    hall = Hall(double, phones)
    kind = open_kind(replace(tools(http), report=hall.hear))
    assert isinstance(kind, SmsSmpp)
    hall.kind = kind
    yield hall
    await hall.kind.close()
    phones.close()
    await double.stop()
