# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Thunderbird under Xvfb beside a server of its own: signs in by IMAP over TLS, opens the inbox and a public mailbox,
and has its picture taken: `python -m tests.e2e.thunderbird [docs/pictures/thunderbird.png]`.

Not in the gate: Debian's thunderbird, xvfb and libnss3-tools are larger than all else that tests need.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme

from mailroom.core.settings import Listen, Settings, Tls
from mailroom.runtime import demo
from mailroom.runtime.serve import running
from tests import make

PATIENCE = 60.0
DISPLAY = ":77"
OURS = "MailServices.accounts.allServers.find(one => one.type == 'imap')"
WITH = "const {MailServices} = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');"
WINDOW = "const pane = Services.wm.getMostRecentWindow('mail:3pane');"


class Marionette:
    """Thunderbird's remote control: a length, a colon, and JSON."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0

    async def __call__(self, command: str, **parameters: Any) -> Any:
        self._number += 1
        said = json.dumps([0, self._number, command, parameters]).encode()
        self._writer.write(b"%d:%b" % (len(said), said))
        _, _, fault, result = await self.heard()
        assert fault is None, fault
        return result

    async def heard(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            length = await self._reader.readuntil(b":")
            return json.loads(await self._reader.readexactly(int(length[:-1])))

    async def script(self, text: str) -> Any:
        """Run a script inside; what it returns."""
        return (await self("WebDriver:ExecuteScript", script=text, args=[]))["value"]

    async def until(self, text: str) -> None:
        """Wait until the expression is true inside."""
        async with asyncio.timeout(PATIENCE):
            while not await self.script(f"{WITH}{WINDOW} return Boolean({text})"):  # noqa: ASYNC110 # it tells nobody
                await asyncio.sleep(0.2)


def preferences(ports: dict[str, int]) -> dict[str, Any]:
    """One account, no first-run pages, and no way to anything but the loopback."""
    user = "alice@demo.test"
    return {
        "mail.provider.suppress_dialog_on_startup": True,
        "mail.spotlight.firstRunDone": True,
        "mailnews.start_page.enabled": False,
        "mail.shell.checkDefaultClient": False,
        "mail.rights.version": 1,
        "app.donation.eoy.version.viewed": 999,
        "app.update.enabled": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "toolkit.telemetry.enabled": False,
        "network.proxy.type": 1,
        **{f"network.proxy.{one}": "127.0.0.1" for one in ("http", "ssl")},
        **{f"network.proxy.{one}_port": 9 for one in ("http", "ssl")},
        "network.proxy.no_proxies_on": "",
        "mail.accountmanager.accounts": "account1,account2",
        "mail.accountmanager.defaultaccount": "account1",
        "mail.accountmanager.localfoldersserver": "server2",
        "mail.account.account1.identities": "id1",
        "mail.account.account1.server": "server1",
        "mail.account.account2.server": "server2",
        "mail.identity.id1.fullName": "Alice",
        "mail.identity.id1.useremail": user,
        "mail.identity.id1.smtpServer": "smtp1",
        "mail.server.server1.type": "imap",
        "mail.server.server1.hostname": "localhost",
        "mail.server.server1.port": ports["imaps"],
        "mail.server.server1.socketType": 3,
        "mail.server.server1.authMethod": 3,
        "mail.server.server1.userName": user,
        "mail.server.server1.name": user,
        "mail.server.server1.login_at_startup": False,
        "mail.server.server2.type": "none",
        "mail.server.server2.hostname": "Local Folders",
        "mail.server.server2.userName": "nobody",
        "mail.server.server2.name": "Local Folders",
        "mail.smtpservers": "smtp1",
        "mail.smtpserver.smtp1.hostname": "localhost",
        "mail.smtpserver.smtp1.port": ports["submissions"],
        "mail.smtpserver.smtp1.try_ssl": 3,
        "mail.smtpserver.smtp1.authMethod": 3,
        "mail.smtpserver.smtp1.username": user,
    }


@contextlib.contextmanager
def thunderbird(folder: Path, ports: dict[str, int]) -> Iterator[None]:
    """Xvfb, and Thunderbird in it under a profile that trusts our authority."""
    profile = folder / "profile"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences(ports).items()]
    (profile / "user.js").write_text("".join(lines))
    store = f"sql:{profile}"
    subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True, stdin=subprocess.DEVNULL)
    authority = ["-t", "C,,", "-n", "authority", "-i", str(folder / "authority.pem")]
    subprocess.run(["certutil", "-A", "-d", store, *authority], check=True, stdin=subprocess.DEVNULL)
    environment = os.environ | {"DISPLAY": DISPLAY, "HOME": str(folder)}
    commands = (
        ["Xvfb", DISPLAY, "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
        ["thunderbird", "--no-remote", "--profile", str(profile), "-marionette", "-remote-allow-system-access"],
    )
    with contextlib.ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


async def control() -> Marionette:
    """Its remote control, once it answers."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", 2828, limit=1 << 26)
                remote = Marionette(reader, writer)
                await remote.heard()
                return remote
            await asyncio.sleep(0.2)


LOGIN = """
const done = arguments[arguments.length - 1];
const made = origin => {
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init(origin, null, origin, "alice@demo.test", "demo-alice", "", "");
  return login;
};
(async () => {
  for (const origin of ["imap://localhost", "smtp://localhost"]) await Services.logins.addLoginAsync(made(origin));
  return true;
})().then(done);
"""

MAILS = (
    ("alice@demo.test", "Lunch on Friday?", "Carol Chen <carol@out.example>", "The new place at the corner, at noon?"),
    (
        "alice@demo.test",
        "Quarterly figures",
        "Bob Li <bob@out.example>",
        "Up by a fifth. See you on Monday.",
    ),
    ("support@demo.test", "Order 4711", "A customer <c@out.example>", "When will it come?"),
    (
        "alice@demo.test",
        "欢迎使用 Mailroom",
        "Mailroom <hello@out.example>",
        "您的邮箱已经可以使用。",
    ),
)


async def walk(folder: Path) -> bytes:
    """Sign in, look at the inbox and the public mailbox, read a mail, take the picture."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    both = folder / "both.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(both)
    anywhere = "127.0.0.1:0"
    settings = Settings(
        data=folder / "data",
        tls=Tls(certificate=str(both), key=str(both)),
        listen=Listen(smtp="", submission="", submissions=anywhere, imap="", imaps=anywhere, pop3s="", http=""),
    )
    async with running(settings) as server:
        app = server.app
        await demo.furnish(app)
        for number, (to, subject, sender, body) in enumerate(MAILS):
            octets = make.mail(
                to=to,
                subject=subject,
                sender=sender,
                message_id=f"<{number}@out.example>",
                more=[f"Date: Sat, 21 Nov 2026 09:1{number}:00 +0800", "Content-Type: text/plain; charset=utf-8"],
                body=body + "\r\n",
            )
            await make.delivered(app.acceptance, octets, to)
        with thunderbird(folder, dict(server.ports)):
            return await look(await control())


FOLDERS = f"{OURS}.rootFolder.descendants"
INBOX = f"{FOLDERS}.find(one => one.URI.endsWith('localhost/INBOX'))"
SHARED = f"{FOLDERS}.find(one => /Shared.*INBOX$/.test(one.URI))"
ABOUT = "pane.document.getElementById('tabmail').currentAbout3Pane"
READING = f"{ABOUT}.messageBrowser.contentWindow"


async def look(remote: Marionette) -> bytes:
    """The walk inside; a picture of its end."""
    await remote("WebDriver:NewSession", capabilities={})
    await remote("Marionette:SetContext", value="chrome")
    assert (await remote("WebDriver:ExecuteAsyncScript", script=LOGIN, args=[]))["value"]
    await remote.until("pane?.document.getElementById('tabmail')?.currentAbout3Pane?.threadTree")
    await remote.script(f"{WITH}{WINDOW} {ABOUT}.displayFolder({INBOX})")  # connects, and looks for folders
    await remote.until(SHARED)
    for folder, mails in ((SHARED, 1), (INBOX, 3)):
        await remote.script(f"{WITH}{WINDOW} {ABOUT}.displayFolder({folder})")
        await remote.until(f"{folder}.getTotalMessages(false) == {mails}")
    await remote.until(f"{ABOUT}.threadTree.view?.rowCount == 3")
    await remote.script(f"{WITH}{WINDOW} {ABOUT}.threadTree.selectedIndex = 0")
    await remote.until(f"{READING}.document.getElementById('expandedsubjectBox').textContent.includes('欢迎')")
    await remote.until(f"{READING}.msgLoaded")
    taken = await remote("WebDriver:TakeScreenshot", full=True)
    return base64.b64decode(taken["value"])


def main(picture: Path) -> None:
    """Take the picture."""
    with tempfile.TemporaryDirectory() as scratch:
        taken = asyncio.run(walk(Path(scratch)))
    picture.write_bytes(taken)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures/thunderbird.png"))
