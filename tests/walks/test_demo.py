# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The demo as `mailroom serve --demo` makes it: phones ring in the sandbox, also after it was started again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailroom.core.errors import InvalidValue
from mailroom.messaging.states import State
from mailroom.notify.model import Way
from mailroom.runtime import demo
from mailroom.runtime.serve import running
from mailroom.sandbox.phones import Fate
from mailroom.sandbox.server import Sandbox
from tests import make
from tests.walks.street import Street
from tests.walks.town import Town, open_town, settings_for

DOUBLE = {Way.SMS: "sms_gateway"}


@contextlib.asynccontextmanager
async def open_demo(folder: Path) -> AsyncIterator[Town]:
    sandbox = Sandbox()
    await sandbox.start()
    try:
        async with running(settings_for("", folder)) as server:
            await demo.furnish(server.app)
            await demo.connect(server.app, sandbox, callbacks=f"http://127.0.0.1:{server.ports['http']}")
            yield Town(server, sandbox)
    finally:
        await sandbox.stop()


async def test_phones_ring_whenever_it_is_started(tmp_path: Path) -> None:
    for start in range(2):
        async with open_demo(tmp_path) as town, asyncio.timeout(60):
            for userid, phones in demo.PHONES.items():
                to = f"{userid}@{demo.DOMAIN}"
                await town.send(make.mail(to=to, message_id=f"<{userid}{start}@out.example>"), [to])
                for way, address in phones.items():
                    if way is not Way.SMS or start == 0:  # an SMS comes once a minute
                        await town.sandbox.phones.arrived(1, DOUBLE.get(way, way.value), address)
                [push] = await town.pushed(1, to=to)
                assert push.signed


async def test_a_receipt_that_is_pressed_is_heard(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as town, asyncio.timeout(30):
        await town.send(make.mail(to="alice@demo.test"), ["alice@demo.test"])
        [sms] = await town.sandbox.phones.arrived(1, "sms_gateway")
        await town.sandbox.doubles["sms_gateway"].press(sms, Fate.ARRIVED)
        [entry] = await Street(town).logged(State.DELIVERED)
        assert entry.address == sms.to


async def test_a_store_that_is_somebodys_is_left_alone(tmp_path: Path) -> None:
    async with open_town(settings_for("", tmp_path)) as town:
        with pytest.raises(InvalidValue, match="not a demo's store"):
            await demo.furnish(town.app)
