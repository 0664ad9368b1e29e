# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""IMAP beside Dovecot (mdbox): commands per CPU second, what mail programs do with large folders, idle connections.

The commands are those of a program that looks in, reads, marks, files and saves: SELECT, UID SEARCH UNSEEN, flags of
50, ENVELOPE of 20, a body, STORE twice, STATUS, APPEND (2 KiB), COPY, LIST, NOOP, CLOSE.
"""

from __future__ import annotations

import socket
import ssl
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench import load, servers
from bench.servers import PASSWORD, Server

_PEOPLE = 20
_THOUSAND = 1_000
_LARGE = 100_000
_INBOX = 100  # mails in each member's, to begin with
_AT_ONCE = 100  # mails in one APPEND
_IDLE = 200  # connections
_PROBES = 40
_MAIL = load.mail(2048)
_OURS, _PEER = "Mailroom", "Dovecot"

_ROUND = (
    b"SELECT INBOX",
    b"UID SEARCH UNSEEN",
    b"FETCH 1:50 (UID FLAGS)",
    b"FETCH 1:20 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)",
    b"FETCH 7 (BODY.PEEK[])",
    b"STORE 1:5 +FLAGS (\\Answered)",
    b"STORE 1:5 -FLAGS (\\Answered)",
    b"STATUS Trash (MESSAGES UNSEEN UIDNEXT)",
    b"APPEND Trash (\\Seen) {%d+}\r\n%b" % (len(_MAIL), _MAIL),
    b"COPY 1:2 Trash",
    b'LIST "" *',
    b"NOOP",
    b"CLOSE",
)


@dataclass(slots=True)
class Client:
    """A client that waits for each answer. Leaving the context ends the connection."""

    line: socket.socket
    commands: int = 0
    _rest: bytes = field(default=b"")

    def __enter__(self) -> Self:
        self.heard(b"* OK")
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def do(self, command: bytes) -> bytes:
        """The end of the answer to a command, which must be OK."""
        self.commands += 1
        tag = b"A%d " % self.commands
        self.line.sendall(tag + command + b"\r\n")
        return self.heard(b"\r\n" + tag)

    def heard(self, begins: bytes) -> bytes:
        """Hear until a line that begins so; the last octets of all that came. `begins` is a line end and a tag, or what
        the line itself begins with.
        """
        said = b"\r\n" + self._rest
        while True:
            at = said.rfind(begins)
            if at >= 0 and said.find(b"\r\n", at + 2) >= 0:
                break
            said = said[-512:] + self.line.recv(1 << 20)
        answer = said[at:].strip()
        if begins[:2] == b"\r\n" and not answer.partition(b" ")[2].startswith(b"OK"):
            raise SystemExit(f"bench: {answer!r}")
        self._rest = b""
        return answer

    def sign_in(self, number: int = 0) -> Client:
        """As one of the members."""
        self.do(b'LOGIN u%d "%b"' % (number, PASSWORD.encode()))
        return self

    def fill(self, folder: bytes, mails: int) -> None:
        """Append mails, many in one command where the server can."""
        literal = b" {%d+}\r\n%b" % (len(_MAIL), _MAIL)
        for start in range(0, mails, _AT_ONCE):
            self.do(b"APPEND %b%b" % (folder, literal * min(_AT_ONCE, mails - start)))


def connect(port: int) -> Client:
    """In the clear."""
    line = socket.create_connection(("127.0.0.1", port), 120)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Client(line)


def connect_tls(port: int) -> Client:
    """In TLS, whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return Client(context.wrap_socket(socket.create_connection(("127.0.0.1", port), 120)))


@dataclass(frozen=True, slots=True)
class Crowd:
    """How commands come."""

    name: str
    clients: int
    people: int = 1
    signs_in_each_round: bool = False


_CROWDS = (
    Crowd("10 clients, login each round", 10, signs_in_each_round=True),
    Crowd("10 clients, persistent", 10),
    Crowd("1 client", 1),
    Crowd("20 users", _PEOPLE, people=_PEOPLE),
)
Looks = dict[str, tuple[bytes, bytes]]  # what is measured: the folder, and the command
_LOOKS: Looks = {
    "flags of 50,000 (UID FETCH 1:50000 (FLAGS))": (b"Large", b"UID FETCH 1:50000 (FLAGS)"),
    "ENVELOPE of 50": (b"Large", b"UID FETCH 60001:60050 (ENVELOPE)"),
    "ENVELOPE of 10,000": (b"Large", b"UID FETCH 60001:70000 (ENVELOPE)"),
    "SELECT of 1,000": (b"", b"SELECT Thousand"),
    "SELECT of 100,000": (b"", b"SELECT Large"),
}


def run(folder: Path, *, rounds: int, seconds: float) -> str:
    """The tables, in Markdown."""
    with (
        servers.mailroom_imap(servers.new(folder, "mailroom"), people=_PEOPLE) as ours,
        servers.dovecot_imap(servers.new(folder, "dovecot"), people=_PEOPLE) as peer,
    ):
        up = [ours, peer]
        for server in up:
            print(f"  filling {server.name}", flush=True)
            _fill(server)
        tables = [_crowds(up, rounds, seconds), _looks(up, rounds, seconds), _idle(up, rounds)]
    return "\n".join(tables)


def _fill(server: Server) -> None:
    for number in range(_PEOPLE):
        with connect(server.port) as client:
            client.sign_in(number).fill(b"INBOX", _INBOX)
            if number == 0:
                for name, mails in ((b"Thousand", _THOUSAND), (b"Large", _LARGE)):
                    client.do(b"CREATE " + name)
                    client.fill(name, mails)


def _crowds(up: Sequence[Server], rounds: int, seconds: float) -> str:
    rates: dict[tuple[str, str], list[float]] = {}
    for crowd in _CROWDS:
        for number in range(rounds + 1):  # the first warms up
            for server in up:
                rate = _rate(server, crowd, seconds)
                if number:
                    rates.setdefault((crowd.name, server.name), []).append(rate)
                    print(f"  {crowd.name:30}{server.name:10}{rate:8.0f} a CPU second", flush=True)
    rows = []
    for crowd in _CROWDS:
        ours, peer = (statistics.median(rates[crowd.name, server.name]) for server in up)
        rows.append(f"| {crowd.name} | {ours:,.0f} | {peer:,.0f} | {ours / peer:.1f} |")
    return _table(f"commands per CPU second | {_OURS} | {_PEER} | ratio", rows)


def _rate(server: Server, crowd: Crowd, seconds: float) -> float:
    before, counts = server.cpu(), [0] * crowd.clients
    deadline = time.monotonic() + seconds

    def persistent(place: int) -> None:
        with connect(server.port) as client:
            client.sign_in(place % crowd.people)
            while time.monotonic() < deadline:
                for command in _ROUND:
                    client.do(command)
            client.do(b"LOGOUT")
            counts[place] = client.commands

    def anew(place: int) -> None:
        while time.monotonic() < deadline:
            with connect(server.port) as client:
                client.sign_in(place % crowd.people)
                for command in _ROUND:
                    client.do(command)
                client.do(b"LOGOUT")
                counts[place] += client.commands

    with ThreadPoolExecutor(crowd.clients) as threads:
        list(threads.map(anew if crowd.signs_in_each_round else persistent, range(crowd.clients)))
    return sum(counts) / max(server.cpu() - before, 0.01)


def _looks(up: Sequence[Server], rounds: int, seconds: float) -> str:
    took: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for name, (folder, command) in _LOOKS.items():
        for number in range(rounds + 1):  # the first warms up: Dovecot makes its cache
            for server in up:
                look = _look(server, folder, command, seconds / 2)
                if number:
                    took.setdefault((name, server.name), []).append(look)
                    print(f"  {name:45}{server.name:10}{look[0]:8.2f} ms{look[1]:8.2f} CPU ms", flush=True)
    rows = []
    for name in _LOOKS:
        ours, peer = (_medians(took[name, server.name]) for server in up)
        cells = (f"{ours[0]:.2f}", f"{peer[0]:.2f}", f"{ours[0] / peer[0]:.2f}", f"{ours[1]:.2f}", f"{peer[1]:.2f}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return _table(f"one client | {_OURS}, ms | {_PEER}, ms | ratio | {_OURS}, CPU ms | {_PEER}, CPU ms", rows)


def _look(server: Server, folder: bytes, command: bytes, seconds: float) -> tuple[float, float]:
    """Milliseconds of one command, and those of the server's CPU: with all of a new connection when it opens a folder,
    which the second time would cost next to nothing.
    """
    took: list[float] = []
    before, deadline = server.cpu(), time.monotonic() + seconds
    while time.monotonic() < deadline or len(took) < 3:
        with connect(server.port) as client:
            client.sign_in()
            if folder:
                client.do(b"SELECT " + folder)
            for _ in range(20 if folder else 1):
                began = time.perf_counter()
                client.do(command)
                took.append(time.perf_counter() - began)
                if time.monotonic() > deadline:
                    break
            client.do(b"LOGOUT")
    used = server.cpu() - before
    return statistics.median(took) * 1000, used / len(took) * 1000


def _medians(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def _idle(up: Sequence[Server], rounds: int) -> str:
    # First: so many processes of Dovecot's have more inotify instances than a user may, and fall back to polling.
    delays = {server.name: _delays(server, max(3, _PROBES * rounds // 5)) for server in up}
    memory = {server.name: _idle_memory(server) for server in up}
    ours, peer = memory[up[0].name], memory[up[1].name]
    rows = [f"| {_IDLE} idle TLS connections, KiB each | {ours:,.0f} | {peer:,.0f} | {ours / peer:.2f} |"]
    for place, name in enumerate(("median", "95th percentile", "longest")):
        one, other = delays[up[0].name][place], delays[up[1].name][place]
        rows.append(f"| OK to APPEND -> EXISTS at who idles, ms, {name} | {one:.1f} | {other:.1f} | |")
    return _table(f"waiting | {_OURS} | {_PEER} | ratio", rows)


def _idle_memory(server: Server) -> float:
    """KiB of memory that one more connection takes which has signed in, opened INBOX and idles."""
    warm = [_idler(connect_tls(server.tls_port), number) for number in range(_PEOPLE)]
    before = server.pss()
    idlers = [_idler(connect_tls(server.tls_port), number % _PEOPLE) for number in range(_IDLE)]
    time.sleep(1)  # what comes after the answer
    after = server.pss()
    for client in (*warm, *idlers):
        client.line.close()
    print(f"  {server.name:10}{(after - before) / _IDLE / 1024:8.0f} KiB a connection", flush=True)
    return (after - before) / _IDLE / 1024


def _idler(client: Client, number: int = 0) -> Client:
    client.__enter__()
    client.sign_in(number).do(b"SELECT INBOX")
    client.line.sendall(b"B IDLE\r\n")
    client.heard(b"+ ")
    return client


def _delays(server: Server, probes: int) -> tuple[float, float, float]:
    """Milliseconds from the OK to an APPEND until another client, which idles, hears of the mail."""
    took = []
    with connect(server.port) as writer, ThreadPoolExecutor(1) as thread:
        writer.sign_in(1)
        idler = _idler(connect(server.port), 1)
        for _ in range(probes):
            heard = thread.submit(_when_heard, idler)
            writer.fill(b"INBOX", 1)
            said_yes = time.perf_counter()
            took.append(max(0.0, heard.result(30) - said_yes) * 1000)
        idler.line.close()
    print(f"  {server.name:10}{statistics.median(took):8.1f} ms to EXISTS", flush=True)
    return statistics.median(took), sorted(took)[int(len(took) * 0.95)], max(took)


def _when_heard(idler: Client) -> float:
    while b"EXISTS" not in idler.line.recv(4096):
        pass
    return time.perf_counter()


def _table(head: str, rows: Sequence[str]) -> str:
    line = "|---" * (head.count("|") + 1)
    return "\n".join([f"| {head} |", f"{line}|", *rows, ""])
