# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Notices on phones: from the `250` to the first octet at the provider, idle and while 100 mails a second come; and how
many of them a node sends to a provider that answers at once, or after 50 ms.

The provider is one of WeChat's shape, which has no pace of its own. Every member hears of every mail, but of no more
than one in ten seconds: so each probe goes to a member of its own, and the other load makes ten notices a second.
"""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
import statistics
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, servers
from bench.load import DOMAIN, Load
from bench.servers import Server
from mailroom.directory import addresses, members
from mailroom.directory.model import SYSTEM, Role
from mailroom.mailboxes import create
from mailroom.notify import linking, preferences
from mailroom.notify.model import Way
from mailroom.runtime.app import App
from mailroom.storage.ports import Tx

_PROBES_A_SECOND = 20
_RATE = 100
_A_MAIL = 100  # recipients
_MAILS = 10
_DELAYS = (0, 50)  # milliseconds

Latency = tuple[float, float, float]  # p50, p95, p99 in milliseconds


@dataclass(slots=True)
class Provider:
    """When the first octet of each notice came, by its openid. Answers after `delay` milliseconds."""

    delay: int = 0
    came: dict[str, float] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while first := await reader.read(1):
                at = time.perf_counter()
                head = first + await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                if b"/cgi-bin/stable_token" in head:
                    said = {"access_token": "token", "expires_in": 7200}
                else:
                    self.came.setdefault(body["touser"], at)
                    self._news.set()
                    await asyncio.sleep(self.delay / 1000)
                    said = {"errcode": 0, "errmsg": "ok", "msgid": len(self.came)}
                answer = json.dumps(said).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other end is gone, or the measurement has ended
        finally:
            writer.close()

    async def arrived(self, openids: Sequence[str]) -> Sequence[float]:
        """When each of these came, once all of them have."""
        async with asyncio.timeout(60):
            while not all(one in self.came for one in openids):
                self._news.clear()
                await self._news.wait()
        return [self.came[one] for one in openids]


def run(folder: Path, *, rounds: int, seconds: float) -> str:
    """The tables, in Markdown."""
    probes = round(rounds * seconds * _PROBES_A_SECOND)
    idle, busy = _latencies(servers.new(folder, "latency"), probes)
    rows = "\n".join(
        f"| {name} | {p50:.1f} | {p95:.1f} | {p99:.1f} |"
        for name, (p50, p95, p99) in (("idle", idle), (f"{_RATE} mails a second", busy))
    )
    said = f"| 250 -> first octet at the provider | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|\n{rows}\n"
    rates = "\n".join(_rate(servers.new(folder, f"after-{delay}"), delay, rounds) for delay in _DELAYS)
    return (
        f"{said}\n| a provider that answers after | notices/s | CPU us a notice |\n|---|---|---|\n{rates}\n\n"
        "CPU: of the server, beyond what the same mails take that nobody hears of.\n"
    )


def _latencies(folder: Path, probes: int) -> tuple[Latency, Latency]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        people = [*(f"u{number}" for number in range(load.MAILBOXES)), *_people(2 * probes + 20)]
        with _server(folder, listening, people) as ours:
            return asyncio.run(_measure(listening, ours.port, probes))


def _rate(folder: Path, delay: int, rounds: int) -> str:
    each = _A_MAIL * _MAILS
    hearing, deaf = _people(each * (rounds + 1)), [f"q{number}" for number in range(each)]
    with socket.create_server(("127.0.0.1", 0)) as listening, _server(folder, listening, hearing, deaf) as ours:
        groups = [hearing[at : at + each] for at in range(0, len(hearing), each)]
        rates, used = asyncio.run(_flood(listening, ours, delay, groups, deaf))
    return f"| {delay} ms | {statistics.median(rates):.0f} | {statistics.median(used) * 1e6:.0f} |"


def _people(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def _server(
    folder: Path, listening: socket.socket, hearing: Sequence[str], deaf: Sequence[str] = ()
) -> AbstractContextManager[Server]:
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"

    def furnish(app: App, tx: Tx) -> None:
        account = {"app_id": "wx", "app_secret": "s", "callback_token": "t", "template_id": "t", "base_url": url}
        values = {f"service_account.{name}": value for name, value in account.items()}
        app.notify.change_all(tx, SYSTEM, values | {"enabled": "yes", "wechat_mode": "service_account"})
        organisation_id = members.get(tx, "u0").organisation_id
        for userid in (*hearing, *deaf):
            if not userid.startswith("u"):
                made = members.add(tx, organisation_id, userid, name=userid, password_hash="", role=Role.MEMBER)
                create.personal(tx, SYSTEM, made, addresses.parse_new(f"{userid}@{DOMAIN}"))
        for userid in hearing:
            member = members.get(tx, userid)
            linking.vouch(tx, member, Way.WECHAT, userid)
            [own] = preferences.of(tx, member)
            preferences.change(tx, member, own.mailbox_id, on={Way.WECHAT: True}, only_from=(), quiet=None)

    return servers.mailroom(folder, furnish=furnish)


async def _measure(listening: socket.socket, port: int, probes: int) -> tuple[Latency, Latency]:
    provider, people = Provider(), _people(2 * probes + 20)
    async with await asyncio.start_server(provider.hear, sock=listening):
        await _probe(provider, port, people[:20])
        idle = await _probe(provider, port, people[20 : 20 + probes])
        other = Load(connections=5, seconds=probes / _PROBES_A_SECOND + 1, rate=_RATE)
        loading = await asyncio.create_subprocess_exec(*other.command(port), stdout=asyncio.subprocess.DEVNULL)
        busy = await _probe(provider, port, people[20 + probes :])
        await loading.wait()
    return idle, busy


async def _probe(provider: Provider, port: int, people: Sequence[str]) -> Latency:
    took = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    mail = load.mail(4096)

    async def say(octets: bytes) -> None:
        writer.write(octets)
        while (await reader.readline())[3:4] == b"-":
            pass

    await say(b"")
    await say(b"EHLO load.example\r\n")
    for userid in people:
        await say(b"MAIL FROM:<sender@load.example>\r\n")
        await say(f"RCPT TO:<{userid}@{DOMAIN}>\r\n".encode())
        await say(b"DATA\r\n")
        await say(f"Message-ID: <{userid}@load.example>\r\n".encode() + mail + b".\r\n")
        said_yes = time.perf_counter()
        [came] = await provider.arrived([userid])
        took.append(max(0.0, came - said_yes) * 1000)
        await asyncio.sleep(1 / _PROBES_A_SECOND)
    writer.close()
    cuts = statistics.quantiles(took, n=100)
    return statistics.median(took), cuts[94], cuts[98]


async def _flood(
    listening: socket.socket, ours: Server, delay: int, groups: Sequence[Sequence[str]], deaf: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Notices a second, and seconds of CPU that each takes, in every round but the first, which warms up."""
    provider = Provider(delay)
    rates, used = [], []
    async with await asyncio.start_server(provider.hear, sock=listening):
        for people in groups:
            before = ours.cpu()
            await asyncio.to_thread(_send, ours.port, deaf)
            await asyncio.sleep(1)  # for what follows a mail that nobody hears of
            between = ours.cpu()
            await asyncio.to_thread(_send, ours.port, people)
            came = sorted(await provider.arrived(people))
            await asyncio.sleep(1)
            rates.append((len(people) - 1) / (came[-1] - came[0]))
            used.append((ours.cpu() - between - (between - before)) / len(people))
            print(f"  {delay:2} ms{rates[-1]:8.0f}/s {used[-1] * 1e6:6.0f} us", flush=True)
    return rates[1:], used[1:]


def _send(port: int, people: Sequence[str]) -> None:
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        for at in range(0, len(people), _A_MAIL):
            to = [f"{userid}@{DOMAIN}" for userid in people[at : at + _A_MAIL]]
            smtp.sendmail("sender@load.example", to, load.mail(4096))
