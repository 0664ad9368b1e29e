# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Push: from the `250` to the first octet at the push URL; idle, and while 100 mails a second come."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, servers
from bench.load import DOMAIN, Load

_PROBES_A_SECOND = 20
_RATE = 100

Latency = tuple[float, float, float]  # p50, p95, p99 in milliseconds


@dataclass(slots=True)
class Receiver:
    """The push URL: when the first octet of each push came, by the mail's Message-ID. Answers 204 at once."""

    came: defaultdict[str, asyncio.Future[float]] = field(
        default_factory=lambda: defaultdict(asyncio.get_running_loop().create_future)
    )

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while first := await reader.read(1):
                at = time.perf_counter()
                head = first + await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                message_id = body.partition(b'"msgid":"')[2].partition(b'"')[0].decode()
                if not self.came[message_id].done():
                    self.came[message_id].set_result(at)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other end is gone, or the measurement has ended
        finally:
            writer.close()


def run(folder: Path, *, rounds: int, seconds: float) -> str:
    """The table, in Markdown."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/push"
        with servers.mailroom(servers.new(folder, "mailroom"), push_url=url) as ours:
            probes = round(rounds * seconds * _PROBES_A_SECOND)
            idle, busy = asyncio.run(_measure(listening, ours.port, probes))
    rows = "\n".join(
        f"| {name} | {p50:.1f} | {p95:.1f} | {p99:.1f} |"
        for name, (p50, p95, p99) in (("idle", idle), (f"{_RATE} mails a second", busy))
    )
    return f"| 250 -> first octet at the push URL | p50 ms | p95 ms | p99 ms |\n|---|---|---|---|\n{rows}\n"


async def _measure(listening: socket.socket, port: int, probes: int) -> tuple[Latency, Latency]:
    receiver = Receiver()
    async with await asyncio.start_server(receiver.hear, sock=listening):
        await _latencies(receiver, port, 20, "warm")
        idle = await _latencies(receiver, port, probes, "idle")
        other = Load(connections=5, seconds=probes / _PROBES_A_SECOND + 1, rate=_RATE)
        loading = await asyncio.create_subprocess_exec(*other.command(port), stdout=asyncio.subprocess.DEVNULL)
        busy = await _latencies(receiver, port, probes, "busy")
        await loading.wait()
    return idle, busy


async def _latencies(receiver: Receiver, port: int, probes: int, name: str) -> Latency:
    took = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    mail = load.mail(4096)

    async def say(octets: bytes) -> None:
        writer.write(octets)
        while (await reader.readline())[3:4] == b"-":
            pass

    await say(b"")
    await say(b"EHLO load.example\r\n")
    for number in range(probes):
        message_id = f"<{name}.{number}@load.example>"
        await say(b"MAIL FROM:<sender@load.example>\r\n")
        await say(b"RCPT TO:<u%d@%s>\r\n" % (number % load.MAILBOXES, DOMAIN.encode()))
        await say(b"DATA\r\n")
        await say(f"Message-ID: {message_id}\r\n".encode() + mail + b".\r\n")
        said_yes = time.perf_counter()
        took.append(max(0.0, await asyncio.wait_for(receiver.came[message_id], 30) - said_yes) * 1000)
        await asyncio.sleep(1 / _PROBES_A_SECOND)
    writer.close()
    cuts = statistics.quantiles(took, n=100)
    return statistics.median(took), cuts[94], cuts[98]
