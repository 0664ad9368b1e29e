# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mail to Postfix and back, in TLS both ways, and what Postfix says when it cannot deliver."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.conftest import NOT_HERE
from tests.walks.offices import Office, World, are

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/state
maillog_file_prefixes = {folder}
maillog_file = {folder}/log
myhostname = mx.out.example
mydestination =
inet_protocols = ipv4
inet_interfaces = loopback-only
smtp_bind_address = 127.0.0.2
mynetworks = 127.0.0.9/32
relay_domains =
virtual_alias_domains = out.example
virtual_alias_maps =
    inline:{{ {{ echo@out.example = amy@corp.example }}, {{ lost@out.example = nobody@corp.example }} }}
transport_maps = inline:{{ {{ corp.example = smtp:[127.0.0.1]:{port} }} }}
default_transport = error:5.1.2 there is nothing else in this world
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {pem}
smtp_tls_security_level = encrypt
alias_maps =
alias_database =
local_recipient_maps =
smtp_tls_session_cache_database =
smtpd_tls_session_cache_database =
"""
MASTER = """
127.0.0.2:{port} inet n - n - - smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""


def _furnished(world: World) -> Path:
    """A folder with all that Postfix needs, where it finds it when it has given up its rights."""
    folder = Path(tempfile.mkdtemp(prefix="mailroom-postfix-"))
    folder.chmod(0o755)
    for name in ("etc", "queue", "state"):
        (folder / name).mkdir()
    shutil.chown(folder / "state", "postfix")
    pem = folder / "etc" / "key.pem"
    world.authority.issue_cert("mx.out.example").private_key_and_cert_chain_pem.write_to_path(str(pem))
    for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
        (folder / "etc" / name).write_text(text.format(folder=folder, port=world.port, pem=pem))
    world.names.put("out.example", "MX", "10 mx.out.example.")
    world.names.put("mx.out.example", "A", "127.0.0.2")
    return folder


@pytest.fixture
async def postfix(tool: Callable[[str], str], world: World) -> AsyncIterator[None]:
    """Postfix for out.example, in a folder of its own."""
    if os.geteuid() != 0:
        pytest.skip(f"{NOT_HERE}the rights that Postfix needs")
    program = tool("postfix")
    folder = _furnished(world)
    check = await asyncio.create_subprocess_exec(program, "-c", str(folder / "etc"), "check")
    assert await check.wait() == 0
    master = await asyncio.create_subprocess_exec("/usr/lib/postfix/sbin/master", "-c", str(folder / "etc"), "-d")
    try:
        await _listening("127.0.0.2", world.port)
        yield
    finally:
        master.terminate()
        await master.wait()
        print((folder / "log").read_text())
        shutil.rmtree(folder)


async def _listening(host: str, port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("postfix")
async def test_there_and_back(here: Office) -> None:
    await here.send("amy", "echo@out.example")
    mail = await here.received("amy")
    # Upwards: from us to Postfix, and from Postfix to us.
    assert b"from mx.out.example (" in mail
    assert mail.count(b"with ESMTPS") == 2
    await here.stand(are("sent"))


@pytest.mark.usefixtures("postfix")
async def test_what_postfix_cannot_deliver_is_known_here(here: Office) -> None:
    await here.send("amy", "lost@out.example")
    [entry] = await here.stand(are("undelivered"))
    assert entry.reason.startswith("5.1.1 user_unknown")
    assert b"MAILER-DAEMON@mx.out.example" in await here.received("amy")


@pytest.mark.usefixtures("postfix")
async def test_what_postfix_refuses_comes_back(here: Office) -> None:
    await here.send("amy", "nobody@out.example")
    report = await here.received("amy")
    assert b"Status: 5.1.1" in report
    assert b"User unknown in virtual alias table (mx.out.example [127.0.0.2]" in report
