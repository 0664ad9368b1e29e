# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote: poplib, curl, fetchmail, mpop."""

from __future__ import annotations

import asyncio
import poplib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tests import make
from tests.protocols.pop3.conftest import PASSWORD, Office

Tool = Callable[[str], str]

SMALL = make.mail(subject="Small", body=".\r\n..dots\r\n.\r\n")
LARGE = make.mail(subject="Large", size=1_500_000) + b"\r\n"


async def run(*command: str, accept: tuple[int, ...] = (0,)) -> bytes:
    """Run a client to its end; it must be content."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode in accept, out[-2000:].decode() + err[-2000:].decode()
    return out


@pytest.fixture
def authority(office: Office, tmp_path: Path) -> Path:
    """A file with who certifies the server, for clients that insist."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", common_name="localhost").configure_cert(context)
    office.tls = context
    file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(file)
    return file


async def test_poplib(office: Office, authority: Path) -> None:
    await office.deliver(SMALL, LARGE)

    def fetch(port: int) -> list[bytes]:
        client = poplib.POP3("localhost", port)
        assert "STLS" in client.capa()
        client.stls(ssl.create_default_context(cafile=str(authority)))
        client.user("amy")
        client.pass_(PASSWORD)
        count, size = client.stat()
        assert [int(line.split()[0]) for line in client.list()[1]] == [1, 2]
        mails = [b"\r\n".join(client.retr(number)[1]) for number in range(1, count + 1)]
        assert sum(map(len, mails)) in range(size - 4, size + 1)  # it does not give the last line's end
        assert b"Subject: Large" in client.top(2, 0)[1]
        client.dele(1)
        client.rset()
        client.dele(2)
        client.quit()
        return mails

    async with office.open(trusted=[]) as port:
        first, second = await asyncio.to_thread(fetch, port)
    assert (first + b"\r\n").endswith(SMALL)
    assert (second + b"\r\n").endswith(LARGE)
    assert len(await office.sizes()) == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("implicit", [False, True])
async def test_curl(office: Office, authority: Path, tool: Tool, mechanism: str, *, implicit: bool) -> None:
    await office.deliver(SMALL, LARGE)
    async with office.open(implicit=implicit, trusted=[]) as port:
        scheme = "pop3s" if implicit else "pop3"
        options = ["-sS", "--cacert", str(authority), "--ssl-reqd", "--login-options", f"AUTH={mechanism}"]
        out = await run(tool("curl"), *options, "-u", f"amy:{PASSWORD}", f"{scheme}://localhost:{port}/1")
        listed = await run(tool("curl"), *options, "-u", f"amy:{PASSWORD}", f"{scheme}://localhost:{port}/")
    assert out.endswith(SMALL)
    assert listed == b"".join(b"%d %d\r\n" % pair for pair in enumerate(await office.sizes(), 1))


async def test_fetchmail(office: Office, authority: Path, tool: Tool, tmp_path: Path) -> None:
    await office.deliver(SMALL, LARGE)
    settings, taken = tmp_path / "fetchmailrc", tmp_path / "taken"
    async with office.open(trusted=[]) as port:
        settings.write_text(
            f"poll localhost protocol pop3 port {port} uidl\n"
            f'user "amy" password "{PASSWORD}" sslproto "auto" sslcertck sslcertfile "{authority}"\n'
            f"fetchall no keep mda \"tee -a '{taken}'\"\n"
        )
        settings.chmod(0o600)
        options = [
            "--fetchmailrc",
            str(settings),
            "--idfile",
            str(tmp_path / "ids"),
            "--pidfile",
            str(tmp_path / "pid"),
        ]
        await run(tool("fetchmail"), *options, "--nodetach", "--nosyslog")
    octets = taken.read_bytes().replace(b"\r\n", b"\n")
    assert b"\n..dots\n.\n" in octets
    assert LARGE.replace(b"\r\n", b"\n") in octets
    assert await office.sizes() == []


@pytest.mark.parametrize("mechanism", ["user", "plain", "login", "scram-sha-256", "oauthbearer"])
async def test_mpop(office: Office, authority: Path, tool: Tool, tmp_path: Path, mechanism: str) -> None:
    secret = "a-token" if mechanism == "oauthbearer" else PASSWORD
    office.vouch_for(amy="a-token")
    await office.deliver(SMALL, LARGE)
    folder, settings = tmp_path / "taken", tmp_path / "mpoprc"
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    async with office.open(trusted=[]) as port:
        settings.write_text(
            f"account default\nhost localhost\nport {port}\ntls on\ntls_starttls on\ntls_trust_file {authority}\n"
            f"auth {mechanism}\nuser amy\npasswordeval printf '{secret}'\ndelivery maildir {folder}\n"
            f"uidls_file {tmp_path / 'uidls'}\nkeep on\nreceived_header off\n"
        )
        settings.chmod(0o600)
        await run(tool("mpop"), "--file", str(settings))
        await office.deliver(make.mail(subject="Third"))
        await run(tool("mpop"), "--file", str(settings))  # only what is new, by UIDL
    taken = sorted(file.read_bytes() for file in (folder / "new").iterdir())
    assert len(taken) == 3
    assert sorted(len(mail.replace(b"\n", b"\r\n")) for mail in taken) == sorted(await office.sizes())
