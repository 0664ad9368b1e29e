# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The real rspamd on loopback, without rules and without a resolver: its protocol is what we speak."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest_asyncio

from mailroom.delivery.checks import scanners
from mailroom.delivery.checks.scanners import Advice, Opinion
from mailroom.delivery.spool import SMALL, Spool
from mailroom.runtime.scanning import OwnServices
from tests import make

# What every spam filter takes for spam, so that it can be tested.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
CONFIG = """\
options {{ pidfile = "{folder}/pid"; filters = ""; hs_cache_dir = "{folder}"; dns {{ nameserver = ["127.0.0.1:9"]; }}
  control_socket = "{folder}/control mode=0600"; url_tld = "{folder}/domains"; }}
logging {{ type = "console"; level = "error"; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; mime = true; }}
"""


@pytest_asyncio.fixture
async def rspamd(tool: Callable[[str], str]) -> AsyncIterator[str]:
    program = tool("rspamd")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="mailroom-rspamd-") as folder:  # its socket needs a short path
        Path(folder, "domains").write_text("example\n")  # noqa: ASYNC240 # its own list of thousands takes ten seconds
        config = Path(folder, "rspamd.conf")
        config.write_text(CONFIG.format(folder=folder, port=port))  # noqa: ASYNC240 # a test may wait for its disk
        as_root = ["--insecure"] if os.geteuid() == 0 else []
        server = await asyncio.create_subprocess_exec(program, "--no-fork", "--config", str(config), *as_root)
        try:
            await listening(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            await server.wait()


async def listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.1)
            else:
                writer.transport.abort()
                return


async def test_its_opinion_is_understood(rspamd: str, tmp_path: Path) -> None:
    services = OwnServices()

    async def opinion(octets: bytes) -> Opinion | None:
        with Spool(tmp_path) as spool:
            spool.write(octets)
            spool.finish()
            about = {"IP": "192.0.2.1", "Helo": "out.example", "From": "bob@out.example", "Rcpt": "amy@corp.example"}
            return await scanners.rspamd(services.post, rspamd, spool, about=about)

    try:
        for octets in (make.mail(), make.mail(size=SMALL * 3)):
            said = await opinion(octets)
            assert said == Opinion(Advice.ACCEPT, "it looks like spam", b"X-Spam-Score: 0.00\r\n")
        spam = await opinion(make.mail(body=f"{GTUBE}\r\n"))
        assert spam is not None
        assert spam.advice is Advice.REFUSE
    finally:
        await services.close()
