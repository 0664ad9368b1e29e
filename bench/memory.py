# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of the server, idle, under load, and while a mail of 50 MB comes; and the rate of large mails.

Memory is PSS, but for the large mail, whose peak only the kernel sees: there it is the highest RSS of the process.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench import load, machine, servers
from bench.load import DOMAIN, Load
from bench.servers import Server

_MB = 1_000_000
_LARGE = 50 * _MB
_CHUNK = 1 << 20
_MEBIBYTES = 10


def run(folder: Path, *, rounds: int, seconds: float) -> str:
    """The table, in Markdown."""
    began = time.monotonic()
    with (
        servers.mailroom(servers.new(folder, "mailroom"), roles="smtp,web,worker") as ours,
        servers.postfix_dovecot(servers.new(folder, "mdbox"), form="mdbox") as peer,
    ):
        print(f"  both up in {time.monotonic() - began:.1f} s", flush=True)
        idle, peer_idle = ours.pss(), peer.pss()
        busy, peer_busy = (_under_load(server, seconds) for server in (ours, peer))
        by_data, by_bdat = (_peak(ours, send) for send in (_send_data, _send_bdat))
        rates = _large_rates([ours, peer], rounds)
    share = rates[ours.name] / rates[peer.name]
    return f"""\
| | Mailroom, every role | Postfix -> Dovecot mdbox |
|---|---|---|
| idle, MB | {idle / _MB:.0f} | {peer_idle / _MB:.0f} |
| after a load on 50 connections, MB | {busy / _MB:.0f} | {peer_busy / _MB:.0f} |
| a mail of 50 MB by DATA: peak before, after, MB | {by_data[0] / _MB:.0f}, {by_data[1] / _MB:.0f} | |
| a mail of 50 MB by BDAT: peak before, after, MB | {by_bdat[0] / _MB:.0f}, {by_bdat[1] / _MB:.0f} | |
| mails of {_MEBIBYTES} MiB delivered, MB/s | {rates[ours.name]:.0f} ({share:.2f}) | {rates[peer.name]:.0f} |
"""


def _under_load(server: Server, seconds: float) -> int:
    Load(connections=50, seconds=seconds).run(server.port)
    used = server.pss()
    server.settle()
    return used


def _peak(server: Server, send: Callable[[int, bytes], None]) -> tuple[int, int]:
    """The highest RSS that the process has now, and while it takes a large mail."""
    (process,) = server.processes
    clear = Path(f"/proc/{process}/clear_refs")
    clear.write_text("5")  # the peak begins anew (proc(5))
    before = machine.peak_rss(process)
    send(server.port, load.mail(_LARGE))
    return before, machine.peak_rss(process)


def _send_data(port: int, mail: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as line:
        _say(line, b"", b"220")
        _envelope(line)
        _say(line, b"DATA\r\n", b"354")
        _say(line, mail + b".\r\n", b"250")


def _send_bdat(port: int, mail: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as line:
        _say(line, b"", b"220")
        _envelope(line)
        for start in range(0, len(mail), _CHUNK):
            chunk = mail[start : start + _CHUNK]
            last = b" LAST" if start + _CHUNK >= len(mail) else b""
            _say(line, b"BDAT %d%s\r\n" % (len(chunk), last) + chunk, b"250")


def _envelope(line: socket.socket) -> None:
    _say(line, b"EHLO load.example\r\n", b"250")
    _say(line, b"MAIL FROM:<sender@load.example>\r\n", b"250")
    _say(line, b"RCPT TO:<u0@%s>\r\n" % DOMAIN.encode(), b"250")


def _say(line: socket.socket, octets: bytes, code: bytes) -> None:
    line.sendall(octets)
    reply = b""
    while not (reply.endswith(b"\r\n") and reply.splitlines()[-1][3:4] == b" "):
        reply += line.recv(4096)
    if not reply.startswith(code):
        raise SystemExit(f"bench: expected {code!r}, heard {reply!r}")


def _large_rates(up: list[Server], rounds: int) -> dict[str, float]:
    size = _MEBIBYTES << 20
    some = Load(connections=2, seconds=60, mails=10, size=size)
    rates: dict[str, list[float]] = {server.name: [] for server in up}
    for _ in range(max(3, rounds)):
        for server in up:
            began = time.monotonic()
            sent = some.run(server.port)
            server.settle()
            rates[server.name].append(sent.accepted * size / _MB / (time.monotonic() - began))
            print(f"  {server.name:28}{rates[server.name][-1]:6.0f} MB/s", flush=True)
    return {name: statistics.median(each) for name, each in rates.items()}
