# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The servers that are measured, each a tree of processes of its own over a fresh folder of the same disk: ours and its
peers. They listen on the loopback only and are ended by the process id that they were started with.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from sqlalchemy import text

from bench import machine
from bench.load import DOMAIN, MAILBOXES
from mailroom.core.settings import Egress, Settings
from mailroom.directory import addresses, domains, members
from mailroom.directory.model import DomainState, Role
from mailroom.mailboxes import create
from mailroom.runtime.app import App, open_app
from mailroom.storage.ports import Tx

_PEERS = Path(__file__).parent / "peers"
_PATIENCE = 30.0
_LOOPBACK = "127.0.0.0/8"


def nothing() -> None:
    """What is accepted is delivered."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. `settle` returns when all that it accepted is delivered."""

    name: str
    port: int
    processes: tuple[int, ...]
    settle: Callable[[], None] = nothing
    delivered: Callable[[], int] | None = None  # how many mails are in the mailboxes, asked of the store itself

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return sum(machine.cpu(process) for process in self.processes)

    def pss(self) -> int:
        """Octets of memory."""
        return sum(machine.pss(process) for process in self.processes)


def new(folder: Path, name: str) -> Path:
    """A new folder for one server."""
    made = folder / name
    made.mkdir(mode=0o755)
    return made


@contextlib.contextmanager
def mailroom(
    folder: Path, *, roles: str = "smtp,worker", push_url: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """`mailroom serve` as a user starts it, with the limits on one client lifted: there is only one."""
    settings = Settings(data=folder / "data", egress=Egress(allow=(ip_network(_LOOPBACK),)))
    asyncio.run(_furnish(settings, push_url))
    port = machine.free_port()
    variables = {
        "MAILROOM_DATA": str(settings.data),
        "MAILROOM_HOSTNAME": "mailroom.bench.example",
        "MAILROOM_LISTEN__SMTP": f"127.0.0.1:{port}",
        "MAILROOM_LISTEN__HTTP": f"127.0.0.1:{machine.free_port()}",
        "MAILROOM_LIMITS__MAIL_SIZE": str(100 << 20),
        "MAILROOM_LIMITS__CONNECTIONS_PER_ADDRESS": "1000",
        "MAILROOM_EGRESS__ALLOW": _LOOPBACK,
    }
    command = [str(Path(sys.executable).with_name("mailroom")), "serve", "--only", roles]
    with _process(command, folder / "mailroom.log", variables | dict(environment or {})) as process:
        _await_port(port, process)
        yield Server("Mailroom", port, (process.pid,), delivered=lambda: asyncio.run(_count(settings)))


async def _furnish(settings: Settings, push_url: str) -> None:
    async with open_app(settings) as app:
        await app.store.write(lambda tx: _make(app, tx, push_url))


def _make(app: App, tx: Tx, push_url: str) -> None:
    organisation_id = members.found_organisation(tx, "Bench")
    domains.add(tx, organisation_id, DOMAIN, state=DomainState.ACTIVE)
    for number in range(MAILBOXES):
        userid = f"u{number}"
        owner = members.add(tx, organisation_id, userid, name=userid, password_hash="", role=Role.MEMBER)
        create.personal(tx, owner, addresses.parse_new(f"{userid}@{DOMAIN}"))
    if push_url:
        app.notify.change(tx, "push_url", push_url)


async def _count(settings: Settings) -> int:
    async with open_app(settings) as app:
        (row,) = await app.store.read(lambda tx: tx.all(text("SELECT count(*) FROM mails")))
        return int(row[0])


@contextlib.contextmanager
def aiosmtpd(folder: Path) -> Iterator[Server]:
    """aiosmtpd, which stores nothing."""
    port = machine.free_port()
    command = [sys.executable, str(_PEERS / "aiosmtpd_sink.py"), str(port)]
    with _process(command, folder / "aiosmtpd.log") as process:
        _await_port(port, process)
        yield Server("aiosmtpd, nothing stored", port, (process.pid,))


@contextlib.contextmanager
def postfix_dovecot(folder: Path, *, form: str) -> Iterator[Server]:
    """Postfix -> Dovecot by LMTP; `form` is mdbox or maildir. Debian's packages, and root, are needed."""
    missing = [name for name in ("postfix", "dovecot") if not shutil.which(name, path="/usr/sbin:/usr/bin")]
    if missing or os.geteuid() != 0:
        raise SystemExit("bench: as root: apt-get install --no-install-recommends postfix dovecot-lmtpd dovecot-imapd")
    port = machine.free_port()
    folder.chmod(0o755)
    home = folder / "home"
    home.mkdir()
    os.chown(home, pwd.getpwnam("mail").pw_uid, grp.getgrnam("mail").gr_gid)
    (folder / "dovecot.conf").write_text(_fill("dovecot.conf", folder=folder, format=form))
    dovecot = ["/usr/sbin/dovecot", "-F", "-c", str(folder / "dovecot.conf")]
    with _process(dovecot, folder / "dovecot.out") as store, _postfix(folder, port) as master:
        _await_port(port, master)

        def delivered() -> int:
            said = _doveadm(folder, "mailbox", "status", "-A", "-t", "messages", "INBOX")
            return sum(int(word.partition("=")[2]) for word in said.split() if word.startswith("messages="))

        name = {"mdbox": "Postfix -> Dovecot mdbox", "maildir": "Postfix -> Dovecot Maildir"}[form]
        yield Server(name, port, (store.pid, master.pid), lambda: _await_empty(folder / "queue"), delivered)


@contextlib.contextmanager
def _postfix(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    etc = folder / "etc"
    for name in (etc, folder / "queue", folder / "state"):
        name.mkdir()
    shutil.chown(folder / "state", "postfix")
    (folder / "mailboxes").write_text("".join(f"u{number}@{DOMAIN} x\n" for number in range(MAILBOXES)))
    (etc / "main.cf").write_text(_fill("postfix-main.cf", folder=folder))
    (etc / "master.cf").write_text(_fill("postfix-master.cf", port=port))
    subprocess.run(["postfix", "-c", str(etc), "check"], check=True, stdout=subprocess.DEVNULL)
    master = ["/usr/lib/postfix/sbin/master", "-c", str(etc), "-d"]
    with _process(master, folder / "postfix.out") as process:
        yield process


def _fill(template: str, **values: object) -> str:
    return (_PEERS / template).read_text().format(**values)


def _doveadm(folder: Path, *arguments: str) -> str:
    users = "".join(f"u{number}\n" for number in range(MAILBOXES))
    listed = folder / "users"
    listed.write_text(users)
    arguments = tuple(argument if argument != "-A" else f"-F{listed}" for argument in arguments)
    command = ["doveadm", "-c", str(folder / "dovecot.conf"), "-f", "flow", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _await_empty(queue: Path) -> None:
    """Wait until every mail has left the queue: Dovecot has taken it, and synced it."""
    deadline = time.monotonic() + _PATIENCE
    while any(_has_files(queue / name) for name in ("maildrop", "incoming", "active")):
        if time.monotonic() > deadline:
            raise SystemExit("bench: Postfix's queue does not empty")
        time.sleep(0.002)


def _has_files(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.is_file() for entry in entries)


@contextlib.contextmanager
def _process(
    command: Sequence[str], output: Path, variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | dict(variables or {}), stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            for each in reversed(machine.tree(process.pid)):
                os.kill(each, signal.SIGKILL)
            process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
            if probe.recv(3) == b"220":
                return
        time.sleep(0.02)
    raise SystemExit(f"bench: {process.args!r} does not answer")
