# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a protocol folder brings, and what it is given: the port between `mailroom serve` and a mail protocol.

A folder has a `manifest.py` with `MANIFESTS`; the catalogue finds it, the listener opens the door for it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mailroom.core.clock import Clock
from mailroom.core.errors import Refusal
from mailroom.core.ids import NewId
from mailroom.core.settings import Settings
from mailroom.delivery.judge import Client
from mailroom.delivery.letters import Letters
from mailroom.delivery.posting import Addressee, Envelope
from mailroom.delivery.spool import Spool
from mailroom.directory.logins import Logins
from mailroom.directory.model import Principal
from mailroom.mailboxes.contents import Bodies
from mailroom.storage.ports import Store


class Accepts(Protocol):
    """The inbound verb as protocols see it: `delivery.accept.Acceptance`."""

    def spool(self) -> Spool:
        """A place for a mail on its way in."""

    async def find(self, address: str, *, size: int, client: Client | None = None, sender: str = "") -> Addressee: ...

    async def accept(self, envelope: Envelope, spool: Spool) -> None: ...

    async def accept_each(self, envelope: Envelope, spool: Spool) -> Mapping[Addressee, Refusal | None]: ...


class Submits(Protocol):
    """The outbound verb as protocols see it: `delivery.submit.Submission`."""

    def spool(self) -> Spool:
        """A place for a mail on its way out."""

    async def sender(self, principal: Principal, address: str) -> None: ...

    async def recipient(
        self, principal: Principal, address: str, *, size: int, sender: str, before: int
    ) -> Addressee: ...

    async def submit(self, principal: Principal, envelope: Envelope, spool: Spool) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What every protocol is given to work with."""

    settings: Settings
    store: Store
    bodies: Bodies
    letters: Letters
    logins: Logins
    acceptance: Accepts
    submission: Submits
    tls: ssl.SSLContext | None
    clock: Clock
    new_id: NewId


@dataclass(frozen=True, slots=True)
class Peer:
    """The client's address, as the socket or a trusted proxy tells it."""

    host: str
    port: int = 0


class Conversation(asyncio.Protocol):
    """One connection. It calls its `left` with itself, once, when the client is gone and nothing is
    being done for it any more.
    """

    def check(self, now: float) -> None:
        """Part from a client that is too slow; called about every second with the loop's time."""

    @property
    def is_over(self) -> bool:
        """Whether all is said, and only the client's goodbye is missing: in TLS that may take long."""
        return False

    def leave(self) -> None:
        """Part from the client as soon as it is between two mails."""

    def abort(self) -> None:
        """Cut the connection."""


class Service(Protocol):
    """One protocol, ready to talk."""

    @property
    def busy(self) -> bytes:
        """The line for a client that comes when there are too many."""

    def converse(self, peer: Peer, *, left: Callable[[Conversation], None]) -> Conversation:
        """A conversation for one new connection."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One service that a folder offers: `listen` is its key under the settings' `listen.`, `role` what a node must do
    to offer it (`mailroom serve --only`), `tls` whether it is in TLS from the first octet.
    """

    name: str
    listen: str
    what: str
    open: Callable[[House], Service]
    role: str
    tls: bool = False
