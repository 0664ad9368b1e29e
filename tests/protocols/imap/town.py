# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A whole server with IMAP for programs that are not asynchronous: it runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mailroom.core.settings import Listen, Settings
from mailroom.directory import addresses, domains, members
from mailroom.directory.model import SYSTEM, DomainState, Role
from mailroom.mailboxes import create
from mailroom.runtime import serve
from mailroom.runtime.app import App
from mailroom.storage.ports import Tx
from tests import make
from tests.protocols.imap.talk import Talk

PASSWORD = "correct horse"
DOMAIN = "corp.example"
_PATIENCE = 30.0

T = TypeVar("T")


@dataclass(frozen=True)
class Town:
    """A server on loopback whose people come one by one."""

    app: App
    port: int
    _loop: asyncio.AbstractEventLoop
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Something asynchronous, done where the server runs."""

        async def done() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(_PATIENCE)

    def member(self) -> str:
        """The name of somebody new with an empty mailbox, who has `PASSWORD`."""
        name = f"member{next(self._numbers)}"
        self.do(lambda: self.app.store.write(lambda tx: _add(tx, name)))
        self.do(lambda: make.set_password(self.app.logins, name, PASSWORD))
        return name

    @contextlib.contextmanager
    def talk(self, name: str, folder: str = "INBOX") -> Iterator[Talk]:
        """A client that has signed in and opened a folder."""
        with Talk(self.port) as talk:
            talk.ok(f'LOGIN {name} "{PASSWORD}"'.encode())
            talk.ok(f'SELECT "{folder}"'.encode())
            yield talk


def _add(tx: Tx, userid: str) -> None:
    organisation_id = domains.every(tx)[0].organisation_id
    member = members.add(tx, organisation_id, userid, name=userid, password_hash="", role=Role.MEMBER)
    create.personal(tx, SYSTEM, member, addresses.parse_new(f"{userid}@{DOMAIN}"))


def _found(tx: Tx) -> None:
    organisation_id = members.found_organisation(tx, "Corp")
    domains.add(tx, SYSTEM, organisation_id, DOMAIN, state=DomainState.ACTIVE)


@contextlib.contextmanager
def open_town(folder: Path) -> Iterator[Town]:
    """The server, as long as the context lasts."""
    nowhere = dict.fromkeys(Listen.__dataclass_fields__, "")
    settings = Settings(
        data=folder / "data",
        hostname="mx.corp.example",
        listen=Listen(**nowhere | {"imap": "127.0.0.1:0"}),
    )
    started = threading.Event()
    towns: list[Town] = []
    faults: list[BaseException] = []
    loop = asyncio.new_event_loop()
    end = asyncio.Event()

    async def run() -> None:
        async with serve.running(settings, roles=(serve.Role.IMAP,)) as server:
            await server.app.store.write(_found)
            towns.append(Town(server.app, server.ports["imap"], loop))
            started.set()
            await end.wait()

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(run())
        except BaseException as fault:  # noqa: BLE001  # is raised where it is waited for
            faults.append(fault)
        finally:
            started.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert started.wait(_PATIENCE)
        if faults:
            raise faults[0]
        yield towns[0]
    finally:
        if towns:
            loop.call_soon_threadsafe(end.set)
        thread.join(_PATIENCE)
    if faults:
        raise faults[0]
