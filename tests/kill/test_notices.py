# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A server is killed while it sends notices, between taking one up and writing down what became of it: nobody is told
the same twice, by SMS not even at the price of not being told; and whoever can be told twice without noticing is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import smtplib
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from mailroom.core import settings
from mailroom.directory import members
from mailroom.directory.model import SYSTEM
from mailroom.notify import linking, preferences
from mailroom.notify.model import Way
from mailroom.runtime import demo
from mailroom.runtime.app import App, open_app
from mailroom.sandbox.behaviour import Behaviour
from mailroom.sandbox.server import Sandbox
from mailroom.storage.ports import Tx
from tests import make
from tests.kill.conftest import variables_for
from tests.kill.forkserver import fork_server

pytestmark = pytest.mark.chaos

_KILLS = 12
_AGES = 120  # seconds that each server's clock is ahead of the one before: leases and rests run out between them
_SLOW = 60  # milliseconds that a provider takes to answer
_PHONES = {"amy": "1", "bob": "2", "carol": "3"}
_STATES = """
SELECT s.kind, r.state, count(*) FROM recipients r JOIN senders s ON s.id = r.sender_id GROUP BY s.kind, r.state
"""


async def furnish(variables: Mapping[str, str], sandbox: Sandbox) -> None:
    """Three members, each with a phone for SMS and one for WeChat."""
    async with open_app(settings.load(None, variables)) as app:
        await app.store.write(lambda tx: _make(app, tx, sandbox))


def _make(app: App, tx: Tx, sandbox: Sandbox) -> None:
    make.organise(tx, people=tuple(_PHONES))
    chosen = {"enabled": "yes", "mobile_transport": "sms_gateway", "wechat_mode": "service_account"}
    texts = {"content_sms": "{subject}", "service_account.fields": "thing1={fromname} thing2={subject} time3={date}"}
    limits = {"max_per_day": "0", "sms_gateway.rate": "100"}
    app.notify.change_all(tx, SYSTEM, {**demo.accounts(sandbox, "http://127.0.0.1:9"), **chosen, **texts, **limits})
    for userid, number in _PHONES.items():
        member = members.get(tx, userid)
        linking.vouch(tx, member, Way.SMS, f"+861390000000{number}")
        linking.vouch(tx, member, Way.WECHAT, f"oNumber{number}")
        [own] = preferences.of(tx, member)
        on = {Way.SMS: True, Way.WECHAT: True}
        preferences.change(tx, member, own.mailbox_id, on=on, only_from=(), quiet=None)


def hand_in(port: int, name: str, promised: dict[str, str]) -> None:
    """A mail to each member, until the server is gone."""
    with contextlib.suppress(smtplib.SMTPException, OSError), smtplib.SMTP("127.0.0.1", port) as smtp:
        for userid in _PHONES:
            mail = make.mail(subject=f"{name} {userid}", message_id=f"<{name}.{userid}@out.example>")
            smtp.sendmail("bob@out.example", [f"{userid}@corp.example"], mail)
            promised[userid] = f"{name} {userid}"


async def test_nobody_is_told_twice_and_none_is_forgotten(tmp_path: Path) -> None:
    variables = variables_for(tmp_path / "data")
    promised: dict[str, str] = {}  # the last mail of each member
    sandbox = Sandbox()
    await sandbox.start()
    try:
        await furnish(variables, sandbox)
        for name in ("sms_gateway", "wechat"):
            sandbox.doubles[name].script.begin(Behaviour(delay=_SLOW, times=0))
        async with fork_server(tmp_path / "log") as forks:
            for number in range(_KILLS):
                server = await forks.start(variables, ahead=number * _AGES)
                handing = asyncio.to_thread(hand_in, await server.ready(), f"mail {number}", promised)
                sending = asyncio.create_task(handing)
                await asyncio.sleep(random.uniform(0.02, 0.3))
                assert await server.end(signal.SIGKILL) == -signal.SIGKILL
                await sending
            server = await forks.start(variables, ahead=_KILLS * _AGES)
            await asyncio.to_thread(hand_in, await server.ready(), "last mail", promised)
            states = await _finished(tmp_path / "data/mailroom.db")
            assert await server.end(signal.SIGTERM) == 0
    finally:
        await sandbox.stop()
    told = {name: Counter((one.to, one.text) for one in sandbox.phones.at(name)) for name in ("sms_gateway", "wechat")}
    sms, wechat = told["sms_gateway"], told["wechat"]
    assert [one for each in (sms, wechat) for one, count in each.items() if count > 1] == []
    for last in promised.values():
        assert all(any(last in text for _, text in each) for each in (sms, wechat))
    assert {state for kind, state in states if kind == "wechat"} == {"sent"}
    unknown = states.pop(("sms_gateway", "unknown"), 0)
    assert {state for kind, state in states if kind == "sms_gateway"} == {"sent"}
    assert states["sms_gateway", "sent"] <= sms.total() <= states["sms_gateway", "sent"] + unknown
    assert '"error"' not in (tmp_path / "log").read_text()


async def _finished(database: Path) -> dict[tuple[str, str], int]:
    """How many notices are in which state, once none waits."""
    async with asyncio.timeout(90):
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
            while True:
                states = {(kind, state): count for kind, state, count in store.execute(_STATES)}
                waits = store.execute("SELECT count(*) FROM facts").fetchone()[0]
                if not waits and not any(state == "queued" for _, state in states):
                    return states
                await asyncio.sleep(0.05)
