# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Feishu's double, the kind that talks to it, and an account there in each of its modes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from mailroom.core.secrets import Secret
from mailroom.sandbox.doubles.feishu import Feishu as Double
from mailroom.sandbox.phones import Arrival
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account, Outcome, Parcel
from mailroom.senders.feishu.sender import Feishu
from mailroom.senders.http import Http
from mailroom.senders.note import Note
from tests.senders.peers import Purse
from tests.stores import Watch

NOW = 1_795_161_600_000
NOTE = Note(
    text="New mail from Bob Li: Report",
    title="Report",
    rows=(("From", "Bob Li"), ("Subject", "Report")),
    url="https://mail.corp.example/mail/inbox/7",
    at=NOW,
)
SETTINGS = {"app_id": "cli_demo"}
SECRETS = {
    name: Secret(text)
    for name, text in {
        "app_secret": "demo-secret",
        "robot_token": "demo-bot",
        "robot_secret": "SECdemo",
        "encrypt_key": "demo-encrypt-key",
        "verification_token": "demo-token",
    }.items()
}


@dataclass(slots=True)
class World:
    kind: Feishu
    purse: Purse
    double: Double
    watch: Watch
    secrets: dict[str, Secret] = field(default_factory=lambda: dict(SECRETS))
    sent: int = 0

    def account(self, mode: str = "app") -> Account:
        where = dict.fromkeys(("base_url", "login_url"), self.double.where)
        return Account("feishu", {**SETTINGS, "mode": mode, **where}, self.secrets)

    def parcel(self, to: str = "ou_amy", *, code: str = "", note: Note = NOTE) -> Parcel:
        self.sent += 1
        return Parcel(code or f"rcp_{self.sent:06}", to, note.content(), 1, self.watch())

    async def send(self, to: str = "ou_amy", *, mode: str = "app", code: str = "", note: Note = NOTE) -> Outcome:
        return await self.kind.send(self.account(mode), self.parcel(to, code=code, note=note))

    def phone(self, to: str = "ou_amy") -> list[Arrival]:
        return list(self.double.phones.at("feishu", to))


@pytest.fixture
async def world(http: Http) -> AsyncIterator[World]:
    watch = Watch(NOW)
    sandbox = Sandbox(clock=watch)
    await sandbox.start()
    double = sandbox.doubles["feishu"]
    assert isinstance(double, Double)
    purse = Purse()
    yield World(Feishu(http, purse), purse, double, watch)
    await sandbox.stop()
