# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A certificate from Pebble, the ACME server that is made for tests: it asks our web server for the answer, as the real
ones do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest_asyncio
import trustme

from mailroom.core import clock
from mailroom.core.settings import Listen, Settings, Tls
from mailroom.directory import certificates
from mailroom.runtime.acme import Acme
from mailroom.runtime.serve import Role, Running, running
from mailroom.runtime.tls import Certificates
from tests.senders.peers import free_port

NAME = "mail.corp.example"
PATIENCE = 20.0


async def answers(port: int) -> None:
    """Wait until something listens there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


@contextlib.asynccontextmanager
async def pebble(folder: Path, *, ask_at: int) -> AsyncIterator[str]:
    """Pebble and a DNS server in which every name is 127.0.0.1; gives the URL of its directory."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    port, names = free_port(), free_port()
    config = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": "",
        "certificate": str(folder / "cert.pem"),
        "privateKey": str(folder / "key.pem"),
        "httpPort": ask_at,
        "tlsPort": 1,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    dns = ["pebble-challtestsrv", "-dns01", f"127.0.0.1:{names}", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]
    off = [f"-{one}=" for one in ("http01", "https01", "tlsalpn01", "management")]
    acme = ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{names}"]
    environment = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "5"}
    with contextlib.ExitStack() as stack:
        for command in ([*dns, *off], acme):
            stack.callback(end, start(command, environment))
        await answers(port)
        yield f"https://127.0.0.1:{port}/dir"


@pytest_asyncio.fixture
async def town(tmp_path: Path, tool: Callable[[str], str]) -> AsyncIterator[tuple[Running, Acme]]:
    """A server with its web side up, and who gets its certificate."""
    tool("pebble")
    port = free_port()
    settings = Settings(
        data=tmp_path / "data",
        hostname=NAME,
        listen=Listen(smtp="", http=f"127.0.0.1:{port}", submission="", submissions="", imap="", imaps="", pop3s=""),
    )
    async with running(settings, roles=[Role.WEB]) as server, pebble(tmp_path, ask_at=port) as url:
        asked = replace(settings, tls=Tls(acme=url, acme_contact=f"postmaster@{NAME}", names=("mta-sts.corp.example",)))
        app = server.app
        yield server, Acme(asked, app.store, app.seal, clock.now, trust=str(tmp_path / "authority.pem"))


async def test_it_is_got_kept_shown_and_renewed_in_time(town: tuple[Running, Acme]) -> None:
    server, acme = town
    store, seal = server.app.store, server.app.seal
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown = Certificates(acme.settings, store, seal, context)
    await shown.begin()  # self-signed so far

    assert await acme.once()
    first = await store.read(lambda tx: certificates.get(tx, seal, NAME))
    assert first is not None
    assert first.chain.count("BEGIN CERTIFICATE") > 1
    assert first.key.reveal().startswith("-----BEGIN PRIVATE KEY")
    assert await shown.look()
    assert not await shown.look()  # nothing new

    assert not await acme.once()  # not due yet
    late = replace(acme, clock=lambda: first.expires_at - clock.DAY)
    assert await late.once()
    second = await store.read(lambda tx: certificates.get(tx, seal, NAME))
    assert second is not None
    assert second.chain != first.chain
    assert await shown.look()

    # Another set of names is another certificate, whatever the time.
    fewer = replace(acme, settings=replace(acme.settings, tls=replace(acme.settings.tls, names=())))
    assert await fewer.once()


async def test_one_node_at_a_time(town: tuple[Running, Acme]) -> None:
    server, acme = town
    assert await server.app.store.write(lambda tx: certificates.begin_renewal(tx, NAME))
    assert not await acme.once()
    assert await server.app.store.read(lambda tx: certificates.get(tx, server.app.seal, NAME)) is None


async def test_what_goes_wrong_leaves_the_old_one(town: tuple[Running, Acme]) -> None:
    server, acme = town
    nobody = replace(acme, settings=replace(acme.settings, tls=Tls(acme=f"https://127.0.0.1:{free_port()}/dir")))
    assert not await nobody.once()
    assert await server.app.store.read(lambda tx: certificates.get(tx, server.app.seal, NAME)) is None
