# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The door: listens for one service, counts who is in, turns away who is too many, and closes without cutting anyone
off in the middle of a mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import Counter
from collections.abc import Sequence
from typing import Final, cast

from mailroom.core import log
from mailroom.core.errors import InvalidValue
from mailroom.core.settings import Limits, Network
from mailroom.protocols import proxy, secure
from mailroom.protocols.contract import Conversation, Peer, Service

_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96
_BACKLOG = 1024
_GOODBYE = 0.5  # seconds
_PROXY_PATIENCE = 5.0  # seconds in which a proxy must have told for whom it calls

_log = log.get("listener")


def parse_where(where: str) -> tuple[str | None, int]:
    """Host and port of `host:port`, `[::1]:port`, or `:port` for all addresses (None). Raises `InvalidValue`."""
    host, colon, port = where.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise InvalidValue(name="listen", reason=f"{where!r} is not host:port")
    return host.strip("[]") or None, int(port)


class Listener:
    """Listens for one service. `limits` bounds the connections in all and per address (per /64 in IPv6); `proxies` are
    the networks whose connections must begin with a PROXY header, and are counted by the address that it tells. With
    `tls` every connection is in TLS from its first octet (after that header).
    """

    def __init__(
        self,
        service: Service,
        *,
        limits: Limits,
        proxies: Sequence[Network] = (),
        tls: ssl.SSLContext | None = None,
        sweep: float = 1.0,
    ) -> None:
        self._service: Final = service
        self._limits: Final = limits
        self._proxies: Final = tuple(proxies)
        self._tls: Final = tls
        self._interval: Final = sweep
        self._servers: list[asyncio.Server] = []
        self._sweeping: asyncio.TimerHandle | None = None
        self._inside: dict[Conversation, str | bytes] = {}  # and by what each is counted
        self._per_address: Counter[str | bytes] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    async def start(self, where: str, *, bound: Sequence[socket.socket] = ()) -> None:
        """Listen at `host:port`, or on sockets that are bound already. Raises `OSError`, `InvalidValue`."""
        loop = asyncio.get_running_loop()
        for one in bound:
            self._servers.append(await loop.create_server(self._door, sock=one, backlog=_BACKLOG))
        if not bound:
            host, port = parse_where(where)
            self._servers.append(await loop.create_server(self._door, host, port, backlog=_BACKLOG))
        self._sweep()

    @property
    def port(self) -> int:
        """The port that is listened at, also when 0 was asked for."""
        return cast("int", self._servers[0].sockets[0].getsockname()[1])

    async def stop(self, *, grace: float) -> None:
        """Take no new connections, let each mail under way come to its end for up to `grace` seconds, then cut.
        Nobody's goodbye is waited for. On return nothing is being done for any client.
        """
        for server in self._servers:
            server.close()
        for one in tuple(self._inside):
            one.leave()
        try:
            async with asyncio.timeout(grace):
                await self._see_off()
        except TimeoutError:
            for one in tuple(self._inside):
                one.abort()
            await self._empty.wait()
        if self._sweeping is not None:
            self._sweeping.cancel()

    async def _see_off(self) -> None:
        """Wait until all are gone, and cut those who have nothing more to hear, after a moment for their goodbye."""
        over: set[Conversation] = set()
        while self._inside:
            for one in over:
                if one in self._inside:
                    one.abort()
            over = {one for one in self._inside if one.is_over}
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), _GOODBYE)

    def trusts(self, host: str) -> bool:
        """Whether connections from here begin with a PROXY header."""
        return bool(self._proxies) and any(ipaddress.ip_address(host) in network for network in self._proxies)

    def admit(self, transport: asyncio.Transport, peer: Peer, octets: bytes = b"") -> None:
        """Begin a conversation with a client who has sent these octets already, or turn him away when there are too
        many.
        """
        key = _counted_as(peer.host)
        if len(self._inside) >= self._limits.connections:
            self._turn_away(transport, peer, "too many connections")
            return
        if self._per_address[key] >= self._limits.connections_per_address:
            self._turn_away(transport, peer, "too many connections from this address")
            return
        self._per_address[key] += 1
        self._empty.clear()
        if self._tls is None:
            self._begin(transport, peer, key, octets)
            return
        handshake = _Handshake(transport, peer, self._tls, self)
        self._inside[handshake] = key
        handshake.begin(octets)

    def _begin(self, transport: asyncio.Transport, peer: Peer, key: str | bytes, octets: bytes) -> None:
        conversation = self._service.converse(peer, left=self.gone)
        self._inside[conversation] = key
        transport.set_protocol(conversation)
        conversation.connection_made(transport)
        if octets:
            conversation.data_received(octets)

    def secured(self, handshake: Conversation, transport: asyncio.Transport, peer: Peer, octets: bytes) -> None:
        """The client's TLS is up: his conversation takes the place of the handshake."""
        self._begin(transport, peer, self._inside.pop(handshake), octets)

    def _turn_away(self, transport: asyncio.Transport, peer: Peer, reason: str) -> None:
        _log.info("connection refused", peer=peer.host, reason=reason)
        if self._tls is None:
            transport.write(self._service.busy)
        transport.close()

    def gone(self, conversation: Conversation) -> None:
        """The client has left."""
        key = self._inside.pop(conversation)
        self._per_address[key] -= 1
        if not self._per_address[key]:
            del self._per_address[key]
        if not self._inside:
            self._empty.set()

    def _door(self) -> asyncio.Protocol:
        return _Door(self)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for one in tuple(self._inside):
            one.check(now)
        self._sweeping = loop.call_later(self._interval, self._sweep)


class _Door(asyncio.Protocol):
    """A connection until we know whose it is; then its conversation takes over the transport."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._told = b""
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        peer = Peer(name[0], name[1]) if isinstance(name, tuple) else Peer("")
        if peer.host and self._listener.trusts(peer.host):
            self._transport, self._peer = plain, peer
            self._patience = asyncio.get_running_loop().call_later(_PROXY_PATIENCE, plain.abort)
        else:
            self._listener.admit(plain, peer)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:  # turned away, and still talking
            return
        self._told += data
        try:
            told = proxy.read(self._told)
        except proxy.Malformed:
            _log.warning("no PROXY header", peer=self._peer.host)
            self._transport.abort()
            return
        if told is not None:
            self._hand_over(self._transport, told)

    def _hand_over(self, transport: asyncio.Transport, told: proxy.Told) -> None:
        self._transport = None
        self.connection_lost(None)
        peer = Peer(told.host, told.port) if told.host else self._peer
        self._listener.admit(transport, peer, self._told[told.length :])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()


class _Handshake(Conversation):
    """A connection until it is in TLS. What comes with the end of the handshake waits for the conversation."""

    def __init__(self, transport: asyncio.Transport, peer: Peer, tls: ssl.SSLContext, listener: Listener) -> None:
        self._transport = transport
        self._peer = peer
        self._tls = tls
        self._listener = listener
        self._octets = b""

    def begin(self, octets: bytes) -> None:
        """Shake hands; `octets` are the beginning of the client's part."""
        self._octets = octets
        self._transport.set_protocol(self)  # uvloop reads on until the handshake has begun
        self._task = asyncio.get_running_loop().create_task(self._shake())

    async def _shake(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            handshake = loop.create_task(secure.start_tls(self._transport, self, self._tls))
            # By the next turn it has taken the transport over, and it reads in the turn after: in that one, first.
            await asyncio.sleep(0)
            if self._octets:
                octets, self._octets = self._octets, b""
                loop.call_soon(self._feed, octets)
            transport = await handshake
        except OSError as fault:
            _log.info("no TLS", peer=self._peer.host, reason=str(fault))
            self._transport.abort()
            self._listener.gone(self)
        else:
            self._listener.secured(self, transport, self._peer, self._octets)

    def _feed(self, octets: bytes) -> None:
        taker = cast("asyncio.BufferedProtocol", self._transport.get_protocol())
        while octets:
            room = memoryview(taker.get_buffer(len(octets)))
            share = octets[: len(room)]
            room[: len(share)] = share
            taker.buffer_updated(len(share))
            octets = octets[len(share) :]

    def data_received(self, data: bytes) -> None:
        self._octets += data

    def leave(self) -> None:
        self._transport.abort()

    def abort(self) -> None:
        self._transport.abort()


def _counted_as(host: str) -> str | bytes:
    if ":" not in host:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    # One IPv6 customer has a /64 and can take any address of it; an IPv4 address on a socket for both is mapped.
    return packed if packed.startswith(_MAPPED) else packed[:8]
