# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The servers that are measured, each a tree of processes of its own over a fresh folder of the same disk: ours and its
peers. They listen on the loopback only and are ended by the process id that they were started with.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import grp
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import trustme
from sqlalchemy import text

from bench import machine
from bench.load import DOMAIN, MAILBOXES
from mailroom.core.secrets import Secret
from mailroom.core.settings import DATABASE, Egress, Listen, Settings
from mailroom.directory import addresses, domains, members
from mailroom.directory.model import SYSTEM, DomainState, Role, Verifiers
from mailroom.mailboxes import create
from mailroom.runtime.app import App, open_app
from mailroom.storage.ports import Tx

_PEERS = Path(__file__).parent / "peers"
_PATIENCE = 30.0
PASSWORD = "a password of the bench"
_LOOPBACK = "127.0.0.0/8"


def nothing() -> None:
    """What is accepted is delivered."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. `settle` returns when all that it accepted is delivered."""

    name: str
    port: int  # where it takes the mail that is measured
    processes: tuple[int, ...]
    settle: Callable[[], None] = nothing
    delivered: Callable[[], int] | None = None  # how many mails are in the mailboxes, asked of the store itself
    tls_port: int = 0  # the same service in TLS, if it has one

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
    folder: Path,
    *,
    roles: str = "smtp,worker",
    listen: str = "smtp",
    push_url: str = "",
    environment: Mapping[str, str] | None = None,
    people: int = 1,
    furnish: Callable[[App, Tx], None] | None = None,
) -> Iterator[Server]:
    """`mailroom serve` as a user starts it, with the limits on one client lifted: there is only one. It listens for
    `listen` and, with that role, for pages. The first so many `people` have the password `PASSWORD`; `furnish` makes
    what else there is to be.
    """
    settings = Settings(data=folder / "data", egress=Egress(allow=(ip_network(_LOOPBACK),)))
    asyncio.run(_furnish(settings, push_url, people, furnish))
    port = machine.free_port()
    variables = {
        "MAILROOM_DATA": str(settings.data),
        "MAILROOM_HOSTNAME": "mailroom.bench.example",
        **{f"MAILROOM_LISTEN__{one.name.upper()}": "" for one in dataclasses.fields(Listen)},
        f"MAILROOM_LISTEN__{listen.upper()}": f"127.0.0.1:{port}",
        "MAILROOM_LISTEN__HTTP": f"127.0.0.1:{machine.free_port()}",
        "MAILROOM_LIMITS__SENT_PER_HOUR": "0",
        "MAILROOM_LIMITS__SENT_PER_DAY": "0",
        "MAILROOM_LIMITS__MAIL_SIZE": str(100 << 20),
        "MAILROOM_LIMITS__CONNECTIONS_PER_ADDRESS": "1000",
        "MAILROOM_EGRESS__ALLOW": _LOOPBACK,
    }
    command = [str(Path(sys.executable).with_name("mailroom")), "serve", "--only", roles]
    with _process(command, folder / "mailroom.log", variables | dict(environment or {})) as process:
        _await_port(port, process)
        yield Server(
            "Mailroom",
            port,
            (process.pid,),
            settle=(lambda: _await_sent(settings.data / DATABASE)) if listen == "submission" else nothing,
            delivered=lambda: asyncio.run(_count(settings)),
        )


async def _furnish(
    settings: Settings, push_url: str, people: int = 1, furnish: Callable[[App, Tx], None] | None = None
) -> None:
    async with open_app(settings) as app:
        await app.store.write(lambda tx: _make(app, tx, push_url))
        if furnish is not None:
            await app.store.write(partial(furnish, app))
        for userid in (f"u{number}" for number in range(people)):
            kept = await app.logins.hash(userid, Secret(PASSWORD))
            await app.store.write(partial(_change_password, userid=userid, kept=kept))


def _change_password(tx: Tx, userid: str, kept: Verifiers) -> None:
    members.change_password(tx, SYSTEM, members.get(tx, userid).id, kept)


def _await_sent(database: Path) -> None:
    """Wait until every mail to others has left the outbox."""
    deadline = time.monotonic() + _PATIENCE
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        while store.execute("SELECT 1 FROM recipients WHERE next_at IS NOT NULL LIMIT 1").fetchone():
            if time.monotonic() > deadline:
                raise SystemExit("bench: Mailroom's outbox does not empty")
            time.sleep(0.002)


def _make(app: App, tx: Tx, push_url: str) -> None:
    organisation_id = members.found_organisation(tx, "Bench")
    domains.add(tx, SYSTEM, organisation_id, DOMAIN, state=DomainState.ACTIVE)
    for number in range(MAILBOXES):
        userid = f"u{number}"
        owner = members.add(tx, organisation_id, userid, name=userid, password_hash="", role=Role.MEMBER)
        create.personal(tx, SYSTEM, owner, addresses.parse_new(f"{userid}@{DOMAIN}"))
    if push_url:
        app.notify.change_all(tx, SYSTEM, {"push_url": push_url})


async def _count(settings: Settings) -> int:
    async with open_app(settings) as app:
        (row,) = await app.store.read(lambda tx: tx.all(text("SELECT count(*) FROM mails")))
        return int(row[0])


@contextlib.contextmanager
def mailroom_imap(folder: Path, *, people: int) -> Iterator[Server]:
    """The same as an IMAP server, in the clear and in TLS with the certificate that it makes itself."""
    tls_port = machine.free_port()
    environment = {"MAILROOM_LISTEN__IMAPS": f"127.0.0.1:{tls_port}"}
    with mailroom(folder, roles="imap", listen="imap", environment=environment, people=people) as server:
        yield dataclasses.replace(server, tls_port=tls_port)


@contextlib.contextmanager
def dovecot_imap(folder: Path, *, people: int) -> Iterator[Server]:
    """Dovecot as an IMAP server over mdbox, for members with the same password."""
    port, tls_port = machine.free_port(), machine.free_port()
    folder.chmod(0o755)
    home = folder / "home"
    home.mkdir()
    shutil.chown(home, "mail", "mail")
    issued = trustme.CA().issue_cert("mailroom.bench.example")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
    scheme = ["doveadm", "pw", "-s", "SHA512-CRYPT", "-p", PASSWORD]
    kept = subprocess.run(scheme, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    (folder / "passwords").write_text("".join(f"u{number}:{kept}\n" for number in range(people)))
    (folder / "dovecot.conf").write_text(_fill("dovecot-imap.conf", folder=folder, port=port, tls_port=tls_port))
    dovecot = ["/usr/sbin/dovecot", "-F", "-c", str(folder / "dovecot.conf")]
    with _process(dovecot, folder / "dovecot.out") as process:
        _await_port(port, process)
        yield Server("Dovecot", port, (process.pid,), tls_port=tls_port)


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
def postfix_relay(folder: Path, *, sink: int) -> Iterator[Server]:
    """Postfix that hands all mail on to a server at the port `sink`."""
    port = machine.free_port()
    folder.chmod(0o755)
    with _postfix(folder, port, relayhost=f"[127.0.0.1]:{sink}") as master:
        _await_port(port, master)
        yield Server("Postfix", port, (master.pid,), lambda: _await_empty(folder / "queue"))


@contextlib.contextmanager
def sink(folder: Path) -> Iterator[int]:
    """Postfix's smtp-sink, which takes every mail and forgets it; its port."""
    port = machine.free_port()
    with _process(["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"], folder / "sink.log") as process:
        _await_port(port, process)
        yield port


@contextlib.contextmanager
def _postfix(folder: Path, port: int, *, relayhost: str = "") -> Iterator[subprocess.Popen[bytes]]:
    etc = folder / "etc"
    for name in (etc, folder / "queue", folder / "state"):
        name.mkdir()
    shutil.chown(folder / "state", "postfix")
    (folder / "mailboxes").write_text("".join(f"u{number}@{DOMAIN} x\n" for number in range(MAILBOXES)))
    (etc / "main.cf").write_text(_fill("postfix-main.cf", folder=folder) + f"relayhost = {relayhost}\n")
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
            if probe.recv(3) in {b"220", b"* O"}:
                return
        time.sleep(0.02)
    raise SystemExit(f"bench: {process.args!r} does not answer")
