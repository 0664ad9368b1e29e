# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""DingTalk's double, the kind that talks to it, and an account there in each of its modes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from mailroom.core.secrets import Secret
from mailroom.sandbox.doubles.dingtalk import DingTalk as Double
from mailroom.sandbox.phones import Arrival
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account, Outcome, Parcel, Question, Reported
from mailroom.senders.dingtalk.sender import DingTalk
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
SETTINGS = {"app_key": "ding-demo", "agent_id": "1001"}
SECRETS = {
    name: Secret(text)
    for name, text in {
        "app_secret": "demo-secret",
        "robot_token": "demo-robot",
        "robot_secret": "SECdemo",
        "callback_token": "demo-token",
        "aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    }.items()
}


@dataclass(slots=True)
class World:
    kind: DingTalk
    purse: Purse
    double: Double
    watch: Watch
    secrets: dict[str, Secret] = field(default_factory=lambda: dict(SECRETS))
    sent: int = 0

    def account(self, mode: str = "work") -> Account:
        where = dict.fromkeys(("base_url", "api_url", "login_url"), self.double.where)
        return Account("ding", {**SETTINGS, "mode": mode, **where}, self.secrets)

    def parcel(self, to: str = "amy", *, code: str = "", note: Note = NOTE, attempt: int = 1) -> Parcel:
        self.sent += 1
        return Parcel(code or f"rcp_{self.sent:06}", to, note.content(), attempt, self.watch())

    async def send(self, to: str = "amy", *, mode: str = "work", code: str = "", note: Note = NOTE) -> Outcome:
        return await self.kind.send(self.account(mode), self.parcel(to, code=code, note=note))

    async def ask(self, provider_id: str, to: str = "amy", *, mode: str = "work") -> list[Reported]:
        return list(await self.kind.ask(self.account(mode), [Question(provider_id, to, self.watch())]))

    def phone(self, to: str = "amy") -> list[Arrival]:
        return list(self.double.phones.at("dingtalk", to))


@pytest.fixture
async def world(http: Http) -> AsyncIterator[World]:
    watch = Watch(NOW)
    sandbox = Sandbox(clock=watch)
    await sandbox.start()
    double = sandbox.doubles["dingtalk"]
    assert isinstance(double, Double)
    purse = Purse()
    yield World(DingTalk(http, purse), purse, double, watch)
    await sandbox.stop()
