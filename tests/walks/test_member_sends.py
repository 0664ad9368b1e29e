# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""From a member's mail program to a colleague, who is rung, and to the world, by way of a smarthost; on every store."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from mailroom.directory import addresses, dkim_keys
from mailroom.mailboxes import access, fetch, read
from mailroom.mailboxes.model import FolderRole
from mailroom.storage.ports import Tx
from tests import make
from tests.senders.smtp_double import Double, serving
from tests.walks.town import Town, open_town, settings_for

PASSWORD = "correct horse"
MAIL = make.mail(
    sender="Sales <sales@corp.example>",
    to="li@out.example",
    message_id="<7@corp.example>",
    more=["Date: Mon, 21 Sep 2026 14:13:20 +0000", "Bcc: bob@corp.example"],
)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[Double]:
    """Everybody elsewhere."""
    async with serving(Double()) as double:
        yield double


@pytest_asyncio.fixture
async def town(store_url: str, tmp_path: Path, world: Double) -> AsyncIterator[Town]:
    smarthost = f"smtp://127.0.0.1:{world.port}?encryption=none"
    async with open_town(
        replace(settings_for(store_url, tmp_path), smarthost=smarthost, resolver="127.0.0.1:9")
    ) as opened:
        app = opened.app
        await make.set_password(app.logins, "amy", PASSWORD)
        for key in await app.dkim_keys.ensure("corp.example"):
            await app.store.write(partial(dkim_keys.activate, key=key))
        yield opened


def hand_in(ports: dict[str, int], service: str) -> dict[str, tuple[int, bytes]]:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with contextlib.ExitStack() as stack:
        if service == "submissions":
            client: smtplib.SMTP = stack.enter_context(smtplib.SMTP_SSL("127.0.0.1", ports[service], context=trusting))
        else:
            client = stack.enter_context(smtplib.SMTP("127.0.0.1", ports[service]))
            client.starttls(context=trusting)
        client.login("amy@corp.example", PASSWORD)
        options = ["RET=HDRS", "ENVID=q1"]
        to = ["li@out.example", "bob@corp.example"]
        return client.sendmail("sales@corp.example", to, MAIL, options, ["NOTIFY=SUCCESS,FAILURE"])


@pytest.mark.parametrize("service", ["submission", "submissions"])
async def test_a_member_writes_as_the_public_mailbox(town: Town, world: Double, service: str) -> None:
    await town.push_to("crm")
    assert await asyncio.to_thread(hand_in, dict(town.server.ports), service) == {}
    # The world has it, signed, and is asked to tell of its end.
    [sent] = await world.taken(1)
    assert sent.mail.startswith("MAIL FROM:<sales@corp.example>")
    assert " RET=HDRS ENVID=q1" in sent.mail
    assert [one.split(" ")[:2] for one in sent.rcpt] == [["RCPT", "TO:<li@out.example>"]]
    assert "NOTIFY=FAILURE,SUCCESS" in sent.rcpt[0]
    assert sent.octets.count(b"DKIM-Signature: ") == 2
    assert b"Bcc" not in sent.octets
    assert b"127.0.0.1" not in sent.octets
    # The colleague is rung, and so is the public mailbox: that it was delivered.
    received = await town.pushed(2)
    assert sorted(one.to for one in received) == ["bob@corp.example", "sales@corp.example"]

    def look(tx: Tx) -> tuple[bytes, bytes]:
        mailbox = access.by_address(tx, addresses.parse("sales@corp.example"))
        folders = [make.folder(tx, mailbox.id, role) for role in (FolderRole.SENT, FolderRole.INBOX)]
        found = [read.headlines(tx, folder.id, limit=9) for folder in folders]
        [copy], [report] = found
        bodies = fetch.bodies(tx, [copy.mail.content_id, report.mail.content_id])
        return bodies[copy.mail.content_id], bodies[report.mail.content_id]

    copy, report = await town.app.store.read(look)
    assert copy.endswith(MAIL)
    assert b"Final-Recipient: rfc822;bob@corp.example\r\nAction: delivered\r\n" in report
