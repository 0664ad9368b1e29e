# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Submission: mails of 4 KiB that a member hands in on 10 kept connections, to 100 mailboxes here, and to a server
elsewhere that takes and forgets them (Postfix's smtp-sink).

*Done* means filed and synced, or taken by the other server and crossed off: Mailroom's outbox and Postfix's queue are
empty again. A member of ours has signed in and may send as himself only; each mail is checked for that, counted
against his limits, and signed if its domain has keys (here it has none). Postfix takes the same mails without sign-in,
because its client is in `mynetworks`; it checks, counts and signs nothing.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from bench import servers
from bench.load import DOMAIN, Load
from bench.servers import PASSWORD, Server

_SENDER = f"u0@{DOMAIN}"
_ELSEWHERE = "elsewhere.example"
_SAID = """\
A member hands in mails on 10 kept connections; each is checked against his rights and limits. Postfix takes the same
mails from `mynetworks`, without sign-in. *Done* means filed and synced, or taken by the other server (smtp-sink) and
crossed off.
"""
_ROUTES = {"to mailboxes here": DOMAIN, "to a server elsewhere": _ELSEWHERE}


@dataclass(frozen=True, slots=True)
class Round:
    """One server under one load: mails a second that were accepted, that were done, and CPU microseconds a mail."""

    route: str
    server: str
    accepted: float
    done: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def run(folder: Path, *, rounds: int, seconds: float) -> str:
    """The table, in Markdown."""
    found: list[Round] = []
    with (
        servers.sink(folder) as sink,
        servers.mailroom(
            servers.new(folder, "mailroom"),
            listen="submission",
            environment={"MAILROOM_SMARTHOST": f"smtp://127.0.0.1:{sink}?encryption=none"},
        ) as ours,
        servers.postfix_dovecot(servers.new(folder, "mdbox"), form="mdbox") as store,
        servers.postfix_relay(servers.new(folder, "relay"), sink=sink) as relay,
    ):
        for route, domain in _ROUTES.items():
            peer = store if domain == DOMAIN else relay
            for number in range(rounds + 1):  # the first warms up
                for server in (ours, peer):
                    password = PASSWORD if server is ours else ""
                    load = Load(seconds=seconds, domain=domain, sender=_SENDER, password=password)
                    one = _measure(route, server, load)
                    if number:
                        found.append(one)
                        print(f"  {route:22} {one.server:28}{one.done:8.0f}/s {one.cpu_us:6.0f} us", flush=True)
    return f"{_SAID}\n{_table(found)}"


def _measure(route: str, server: Server, load: Load) -> Round:
    used, began = server.cpu(), time.monotonic()
    sent = load.run(server.port)
    if sent.refused:
        raise SystemExit(f"bench: {server.name} refused {sent.refused} mails")
    server.settle()
    took = time.monotonic() - began
    return Round(
        route=route,
        server=server.name,
        accepted=sent.accepted / sent.seconds,
        done=sent.accepted / took,
        cpu_us=(server.cpu() - used) / sent.accepted * 1e6,
        p50_ms=sent.p50_ms,
        p99_ms=sent.p99_ms,
    )


def _table(found: list[Round]) -> str:
    lines = [
        "| submitted | server | accepted/s | done/s | ratio | CPU us a mail | ratio | ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for route in _ROUTES:
        here = [one for one in found if one.route == route]
        ours, peer = dict.fromkeys(one.server for one in here)
        lines += [
            f"| {route} | {name} | {_median(here, name, 'accepted'):,.0f} | {_median(here, name, 'done'):,.0f} "
            f"| {_median(here, name, 'done') / _median(here, peer, 'done'):.1f} "
            f"| {_median(here, name, 'cpu_us'):,.0f} "
            f"| {_median(here, name, 'cpu_us') / _median(here, peer, 'cpu_us'):.2f} "
            f"| {_median(here, name, 'p50_ms'):.1f}, {_median(here, name, 'p99_ms'):.1f} |"
            for name in (ours, peer)
        ]
    return "\n".join(lines) + "\n"


def _median(found: list[Round], server: str, what: str) -> float:
    return statistics.median(float(getattr(one, what)) for one in found if one.server == server)
