# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A name server of the test's own on loopback, by UDP and TCP; it knows what the test tells it and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import dns.asyncresolver
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

_TTL = 0  # what a test changes is seen at once
_UDP_MOST = 512  # octets: longer answers are truncated, so that clients come again by TCP


@dataclass(slots=True)
class Names:
    """What the server answers. A name without records of any type does not exist."""

    records: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)  # SERVFAIL
    silent: set[str] = field(default_factory=set)  # no answer at all
    authentic: bool = False  # sets AD, as a resolver that validates DNSSEC
    asked: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        """As the setting `resolver` wants it."""
        return f"127.0.0.1:{self.port}"

    @property
    def resolver(self) -> dns.asyncresolver.Resolver:
        """A client of this server alone, with little patience."""
        chosen = dns.asyncresolver.Resolver(configure=False)
        chosen.nameservers, chosen.port = ["127.0.0.1"], self.port
        chosen.lifetime = chosen.timeout = 3.0
        return chosen

    def put(self, name: str, kind: str, *texts: str) -> None:
        """Set the records of one type at a name, as a zone file has them: `put("a.test", "MX", "10 mx.a.test.")`."""
        self.records.setdefault(name.lower().rstrip("."), {})[kind] = list(texts)

    def drop(self, name: str) -> None:
        """Forget a name."""
        self.records.pop(name.lower().rstrip("."), None)

    def reply(self, wire: bytes, *, most: int) -> bytes | None:
        """The answer to one query; none: silence."""
        query = dns.message.from_wire(wire)
        answer = dns.message.make_response(query, recursion_available=True)
        [question] = query.question
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if name in self.silent:
            return None
        if name in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer.to_wire()
        self._answer(answer, name, kind)
        if not answer.answer:  # RFC 2308 §3: for how long that there is nothing may be remembered
            answer.authority.append(dns.rrset.from_text(".", _TTL, "IN", "SOA", f"ns. root. 1 1 1 1 {_TTL}"))
        if self.authentic:
            answer.flags |= dns.flags.AD
        octets = answer.to_wire()
        if len(octets) > most:
            answer.answer.clear()
            answer.flags |= dns.flags.TC
            octets = answer.to_wire()
        return octets

    def _answer(self, answer: dns.message.Message, name: str, kind: str) -> None:
        for _ in range(8):  # aliases of aliases
            known = self.records.get(name)
            if known is None:
                if not any(other.endswith(f".{name}") for other in self.records):
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                return
            given = "CNAME" if "CNAME" in known else kind
            if not known.get(given):
                return
            answer.answer.append(dns.rrset.from_text(f"{name}.", _TTL, "IN", given, *known[given]))
            if given == kind:
                return
            name = known["CNAME"][0].lower().rstrip(".")


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        if reply := self._names.reply(data, most=_UDP_MOST):
            self._transport.sendto(reply, addr)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Names]:
    """The server, while the context lasts."""
    names = Names()

    async def by_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await reader.readexactly(2))
                if reply := names.reply(await reader.readexactly(length), most=0xFFFF):
                    writer.write(len(reply).to_bytes(2) + reply)
                    await writer.drain()
        writer.transport.abort()

    tcp = await asyncio.start_server(by_tcp, "127.0.0.1", 0)
    names.port = tcp.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(names), ("127.0.0.1", names.port))
    try:
        yield names
    finally:
        udp.close()
        tcp.close()
        # Transports close in the next turns of the loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
