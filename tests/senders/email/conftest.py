# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The sender kind under test between a name server and mail servers of the test's own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trustme

from mailroom.senders.contract import Account, Mails, Outcome, Parcel
from mailroom.senders.email.sender import Email, open_kind
from mailroom.senders.http import Http, Resolver
from tests import dns
from tests.senders.peers import LOOPBACK, Kept, free_port, tools

NOW = 1_790_000_000_000  # 2026-09-21
MAIL = b"Subject: Hello\r\n\r\nHi.\r\n.a dot\r\n"
CODE = b"X-Mailroom-Recipient: msg_1\r\n"  # what each mail is given on its way


@dataclass(slots=True)
class World:
    """All that a mail meets on its way. Mail servers listen at `port` of addresses in 127.0.0.0/8."""

    names: dns.Names
    kind: Email
    port: int
    kept: Kept
    authority: trustme.CA
    octets: bytes = MAIL

    async def send(
        self,
        to: str = "bob@out.example",
        *,
        sender: str = "amy@corp.example",
        account: Account | None = None,
        notify: tuple[str, ...] = (),
        **content: str | bool,
    ) -> Outcome:
        """Try once."""
        usual = {"mail": 1, "from": sender, "size": len(self.octets), "utf8": False, "eight_bit": False}
        usual |= {"ret": "", "envid": ""}
        parcel = Parcel("msg_1", to, usual | content, 1, NOW, {"notify": list(notify), "orcpt": ""})
        return await self.kind.send(account or Account("mail", {}, {}), parcel)

    def server(self, *names: str) -> ssl.SSLContext:
        """The TLS of a server with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*names).configure_cert(context)
        return context

    def change(self, **changes: Any) -> None:
        """Other tools."""
        self.kind = replace(self.kind, mails=replace(self.kind.mails, **changes))


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def world(authority: trustme.CA) -> AsyncIterator[World]:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with dns.serving() as names:
        http = Http(LOOPBACK, Resolver(names.resolver), trust)
        port, kept = free_port(), Kept()
        made: list[World] = []

        async def octets(_number: int) -> AsyncIterator[bytes]:
            whole = made[0].octets
            for start in range(0, len(whole), 1000):
                yield whole[start : start + 1000]

        kind = open_kind(
            tools(
                http,
                octets=octets,
                resolver=names.resolver,
                policies=kept,
                trust=trust,
                port=port,
                sts_port=free_port(),
                validates=True,
            )
        )
        assert isinstance(kind, Email)
        names.put("out.example", "MX", "10 mx1.out.example.")
        names.put("mx1.out.example", "A", "127.0.0.1")
        made.append(World(names, kind, port, kept, authority))
        yield made[0]
        await made[0].kind.close()
        await http.close()


@pytest.fixture
def mails(world: World) -> Mails:
    return world.kind.mails
