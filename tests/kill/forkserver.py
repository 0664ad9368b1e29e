# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Starts servers fast: a process that has imported Mailroom once, and forks a child for each server that is asked for.

`python -m tests.kill.forkserver`: reads one JSON object a line, `{"settings": {name: text}, "ahead": seconds}`; writes
`began PID`, then `ready PORT` once the server listens, then `ended STATUS`. `ahead` is how far the server's clock is
ahead, so that leases of servers that died have run out without anybody waiting. The log goes to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NoReturn

import time_machine
import uvloop

from mailroom.core import clock, log, settings
from mailroom.runtime.serve import Role, running

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Fork a server for each line, one after the other."""
    for line in sys.stdin:
        order = json.loads(line)
        if not (child := os.fork()):
            _child(order["settings"], order["ahead"])
        _say(f"began {child}")
        _, status = os.waitpid(child, 0)
        _say(f"ended {os.waitstatus_to_exitcode(status)}")


def _child(variables: Mapping[str, str], ahead: float) -> NoReturn:
    log.configure(level=logging.WARNING)
    moment = dt.datetime.fromtimestamp(clock.now() / clock.SECOND + ahead, dt.UTC)
    with time_machine.travel(moment, tick=True), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(variables))
    os._exit(0)


async def _serve(variables: Mapping[str, str]) -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    async with running(settings.load(None, variables), roles=(Role.SMTP, Role.WORKER)) as server:
        _say(f"ready {server.ports['smtp']}")
        await told.wait()


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


class ForkServer:
    """The other end: asks for servers and ends them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def start(self, variables: Mapping[str, str], *, ahead: float = 0) -> Child:
        """A server that begins to start."""
        order = {"settings": dict(variables), "ahead": ahead}
        self._pipe().write(json.dumps(order).encode() + b"\n")
        return Child(self, int(await self.hear("began")))

    def _pipe(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None
        return self._process.stdin

    async def hear(self, *words: str) -> str:
        """The value of the next line, which begins with one of the words."""
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            line = (await self._process.stdout.readline()).decode().strip()
        word, _, value = line.partition(" ")
        assert word in words, f"expected {words}, heard {line!r}"
        return value if len(words) == 1 else line


class Child:
    """One server."""

    def __init__(self, parent: ForkServer, process: int) -> None:
        self._parent = parent
        self._process = process

    async def ready(self) -> int:
        """The port at which it listens."""
        return int(await self._parent.hear("ready"))

    def tell(self, number: signal.Signals) -> None:
        """Send the signal."""
        os.kill(self._process, number)

    async def ended(self) -> int:
        """Wait for the end: the exit status, or the number below zero of the signal that ended it."""
        line = await self._parent.hear("ready", "ended")
        if line.startswith("ready"):  # it came as far as that meanwhile
            return int(await self._parent.hear("ended"))
        return int(line.partition(" ")[2])

    async def end(self, number: signal.Signals) -> int:
        """Send the signal, and wait for the end."""
        self.tell(number)
        return await self.ended()


@contextlib.asynccontextmanager
async def fork_server(errors: Path) -> AsyncIterator[ForkServer]:
    """A fork server; `errors` gets its and its servers' standard error."""
    with errors.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.kill.forkserver",
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield ForkServer(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with its child, if a test left one
        await process.wait()


if __name__ == "__main__":
    main()
