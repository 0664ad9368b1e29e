# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A server is killed while a member hands in mail: of each mail there is everything or nothing, and everything if the
member was told so: the colleague's copy, the copy in Sent, what is on its way to others, and the count of recipients.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import signal
import socket
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from mailroom.core import settings
from mailroom.runtime.app import open_app
from tests import make
from tests.kill.conftest import variables_for
from tests.kill.forkserver import fork_server
from tests.talk import Client, call

pytestmark = pytest.mark.chaos

PASSWORD = "correct horse"
AUTH = base64.b64encode(f"\0amy\0{PASSWORD}".encode()).decode()
_LIVES_MOST = 0.1  # seconds from the first mail to the server's death
_KILLS = 8
# How often each mail is in a folder (the colleague's, Sent), and how often on its way out.
_COPIES = """
SELECT c.message_id, count(DISTINCT m.folder_id), count(DISTINCT o.message_id)
FROM contents c LEFT JOIN mails m ON m.content_id = c.id LEFT JOIN outgoing o ON o.content_id = c.id
GROUP BY c.message_id
"""


async def furnish(variables: Mapping[str, str]) -> None:
    """Amy, who sends as sales, and Bob."""
    async with open_app(settings.load(None, variables)) as app:
        await app.store.write(lambda tx: make.organise(tx, public={"sales": ["amy"]}))
        await make.set_password(app.logins, "amy", PASSWORD)


async def hand_in(c: Client, promised: list[str], begun: asyncio.Event) -> None:
    """Sign in and send mail after mail until the server is gone."""
    await c("EHLO c", f"AUTH PLAIN {AUTH}")
    await c.expect("220", "250-", "235")
    while True:
        message_id = f"<{random.getrandbits(64):x}@corp.example>"
        size = random.choice((0, 0, 200_000))
        await c("MAIL FROM:<sales@corp.example>", "RCPT TO:<bob@corp.example>", "RCPT TO:<li@out.test>", "DATA")
        await c.send(make.mail(sender="sales@corp.example", message_id=message_id, size=size) + b"\r\n.\r\n")
        begun.set()
        for code in ("250", "250", "250", "354", "250 2.0.0 accepted"):
            reply = await c.reply()
            if not reply:
                return
            assert reply.startswith(code), reply
        promised.append(message_id)


async def test_nothing_half_handed_in_remains(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = variables_for(tmp_path / "data") | {
        "MAILROOM_LISTEN__SUBMISSION": f"127.0.0.1:{port}",
        "MAILROOM_RESOLVER": "127.0.0.1:9",  # nobody elsewhere is to be found
        "MAILROOM_LIMITS__SENT_PER_HOUR": "0",
        "MAILROOM_LIMITS__SENT_PER_DAY": "0",
    }
    await furnish(variables)
    promised: list[str] = []
    async with fork_server(tmp_path / "log") as forks:
        for _ in range(_KILLS):
            server = await forks.start(variables)
            await server.ready()
            async with call(port) as c:
                begun = asyncio.Event()
                sending = asyncio.create_task(hand_in(c, promised, begun))
                async with asyncio.timeout(30):
                    await begun.wait()
                await asyncio.sleep(random.uniform(0, _LIVES_MOST))
                assert await server.end(signal.SIGKILL) == -signal.SIGKILL
                with contextlib.suppress(ConnectionError):
                    await sending
    with contextlib.closing(sqlite3.connect(tmp_path / "data/mailroom.db")) as store:
        copies = {row[0]: row[1:] for row in store.execute(_COPIES)}
        [(counted,)] = store.execute("SELECT sum(recipients) FROM sent_counts")
    assert promised
    assert set(promised) <= copies.keys()
    assert set(copies.values()) == {(2, 1)}
    assert counted == 2 * len(copies)
    assert '"error"' not in (tmp_path / "log").read_text()
