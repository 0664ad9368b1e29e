# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mail in: mails of 4 KiB to 100 mailboxes, delivered and durable, a second; beside Postfix -> Dovecot and aiosmtpd.

All servers are up; each is loaded in turn, and round again, so that what the machine does meanwhile hits all alike.
*Delivered* means in the mailbox and synced: for Postfix, when its queue is empty again.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import machine, servers
from bench.load import Load, Mode
from bench.servers import Server

YARDSTICK = "Postfix -> Dovecot mdbox"


@dataclass(frozen=True, slots=True)
class Round:
    """One server under one load: mails a second, CPU microseconds a mail (the server's, the load's), the time from a
    mail's last octet to its 250, and the memory right after.
    """

    server: str
    mode: Mode
    connections: int
    rate: float
    cpu_us: float
    load_us: float
    p50_ms: float
    p99_ms: float
    pss: int


def run(folder: Path, *, rounds: int, seconds: float, connections: tuple[int, ...] = (1, 10, 50)) -> str:
    """The table, in Markdown."""
    before = machine.sync_ms(folder)
    done: list[Round] = []
    accepted: dict[str, int] = {}
    with _servers(folder) as up:
        for mode in Mode:
            for count in connections:
                load = Load(connections=count, mode=mode, seconds=seconds)
                for server in up:
                    accepted[server.name] = accepted.get(server.name, 0) + _warm(server, load)
                for _ in range(rounds):
                    for server in up:
                        one, mails = _measure(server, load)
                        done.append(one)
                        accepted[server.name] += mails
                        print(f"  {mode:5}{count:3}  {one.server:28}{one.rate:8.0f}/s {one.cpu_us:6.0f} us", flush=True)
        lost = [
            f"{server.name}: {accepted[server.name]} accepted, {there} in the mailboxes"
            for server in up
            if server.delivered is not None and (there := server.delivered()) != accepted[server.name]
        ]
    if lost:
        raise SystemExit(f"bench: mails are missing: {lost}")
    after = machine.sync_ms(folder)
    return f"{_table(done)}\n\nSync of 4 KiB: {before:.2f} ms before, {after:.2f} ms after.\n"


@contextlib.contextmanager
def _servers(folder: Path) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        up = [
            stack.enter_context(servers.mailroom(servers.new(folder, "mailroom"))),
            stack.enter_context(servers.postfix_dovecot(servers.new(folder, "mdbox"), form="mdbox")),
            stack.enter_context(servers.postfix_dovecot(servers.new(folder, "maildir"), form="maildir")),
            stack.enter_context(servers.aiosmtpd(servers.new(folder, "aiosmtpd"))),
        ]
        yield up


def _warm(server: Server, load: Load) -> int:
    sent = Load(connections=load.connections, mode=load.mode, seconds=load.seconds / 2).run(server.port)
    server.settle()
    return sent.accepted


def _measure(server: Server, load: Load) -> tuple[Round, int]:
    used = server.cpu()
    began = time.monotonic()
    sent = load.run(server.port)
    server.settle()
    took = max(time.monotonic() - began, sent.seconds) if server.settle is not servers.nothing else sent.seconds
    used = server.cpu() - used
    one = Round(
        server=server.name,
        mode=load.mode,
        connections=load.connections,
        rate=sent.accepted / took,
        cpu_us=used / sent.accepted * 1e6,
        load_us=sent.cpu / sent.accepted * 1e6,
        p50_ms=sent.p50_ms,
        p99_ms=sent.p99_ms,
        pss=server.pss(),
    )
    return one, sent.accepted


def _table(done: list[Round]) -> str:
    lines = [
        "| connections | mails each | server | delivered/s | ratio | CPU us a mail | ratio | ms | load us | MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for mode in Mode:
        for count in sorted({one.connections for one in done}):
            here = [one for one in done if (one.mode, one.connections) == (mode, count)]
            names = list(dict.fromkeys(one.server for one in here))
            rates = {name: _median(here, name, "rate") for name in names}
            costs = {name: _median(here, name, "cpu_us") for name in names}
            lines += [
                f"| {count} | {'one' if mode is Mode.NEW else 'many'} | {name} | {rates[name]:,.0f} "
                f"| {rates[name] / rates[YARDSTICK]:.1f} | {costs[name]:,.0f} | {costs[name] / costs[YARDSTICK]:.2f} "
                f"| {_median(here, name, 'p50_ms'):.1f}, {_median(here, name, 'p99_ms'):.1f} "
                f"| {_median(here, name, 'load_us'):.0f} | {_median(here, name, 'pss') / 1e6:.0f} |"
                for name in names
            ]
    return "\n".join(lines)


def _median(done: list[Round], server: str, what: str) -> float:
    return statistics.median(float(getattr(one, what)) for one in done if one.server == server)
