# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The house, put together from the settings: what every verb of the command line and every server works with."""

from __future__ import annotations

import contextlib
import errno
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from mailroom.core import clock, ids
from mailroom.core.errors import InvalidValue, NoSpace
from mailroom.core.settings import Settings
from mailroom.delivery.accept import Acceptance
from mailroom.delivery.letters import Letters
from mailroom.directory.credentials import Passwords
from mailroom.directory.logins import Logins
from mailroom.mailboxes.contents import Bodies
from mailroom.messaging import senders as senders_
from mailroom.messaging.dispatch import Dispatch
from mailroom.messaging.senders import Senders
from mailroom.notify.alarms import Alarms
from mailroom.notify.settings import NotifySettings
from mailroom.runtime import reactions
from mailroom.runtime.workers import Collect, React
from mailroom.senders.catalogue import open_kinds
from mailroom.senders.contract import Tools
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http
from mailroom.storage.engines import open_blobs, open_store
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal


@dataclass(frozen=True, slots=True)
class App:
    """Engines and use cases. It holds nothing that must not be lost."""

    settings: Settings
    store: Store
    bodies: Bodies
    passwords: Passwords
    logins: Logins
    senders: Senders
    notify: NotifySettings
    letters: Letters
    acceptance: Acceptance
    dispatch: Dispatch
    react: React
    collect: Collect


@contextlib.asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Open the store (made and migrated if need be), and close it at the end. Raises `InvalidValue`, `Unavailable`,
    `NoSpace`.
    """
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        spools = settings.data / "incoming"
        spools.mkdir(mode=0o700, exist_ok=True)
    except OSError as fault:
        if fault.errno == errno.ENOSPC:
            raise NoSpace from fault
        raise InvalidValue(name="data", reason=str(fault)) from fault
    blobs = open_blobs(settings.blobs_url)
    store = open_store(settings.database_url)
    http = Http(Egress(settings.egress.allow))
    try:
        seal = _open_seal(settings.data / "secret.key", sealed=await store.read(senders_.count))
        senders = Senders(open_kinds(Tools(http)), seal)
        passwords = Passwords()
        bodies = Bodies(store, blobs)
        letters = Letters(bodies, spools, settings.hostname, ids.new, settings.limits.disk_reserve)
        yield App(
            settings=settings,
            store=store,
            bodies=bodies,
            passwords=passwords,
            logins=Logins(store, passwords),
            senders=senders,
            notify=NotifySettings(senders),
            letters=letters,
            acceptance=Acceptance(store, letters),
            dispatch=Dispatch(store, senders, clock.now, ids.new, random.random),
            react=React(store, reactions.table(alarms=Alarms(settings.hostname)), ids.new),
            collect=Collect(store, bodies, spools, clock.now),
        )
    finally:
        await http.close()
        await store.close()


def _open_seal(path: Path, *, sealed: int) -> Seal:
    # A key that is made anew would open none of the secrets that are there.
    if sealed and not path.exists():
        raise InvalidValue(name=str(path), reason="is missing; without it the senders' secrets cannot be read")
    return Seal.open(path)
