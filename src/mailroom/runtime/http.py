# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""uvicorn in our own loop: the signals and the log are ours, and so are the bounds on what a stranger may hold open."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from mailroom.core import log
from mailroom.core.settings import Limits, Network
from mailroom.directory.brake import client_key

_HEAD_MOST: Final = 64 * 1024  # octets of a request's line and fields
_PIECE: Final = 16 * 1024  # the parser asks for that bound between pieces only
_GOODBYE: Final = 0.5  # seconds
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 10\r\n\r\n"

_LOG = log.get("http")


class Server(uvicorn.Server):
    """Serves one application until `should_exit`, then lets requests end for `grace` seconds. `limits` bounds the
    connections in all and per address (per /64 in IPv6). Who calls from `proxies` tells in X-Forwarded-For for whom,
    and brings as many connections as there are. A whole head must come within `patience` seconds. With `tls` it is
    HTTPS.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        grace: float,
        limits: Limits,
        proxies: Sequence[Network] = (),
        patience: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        door = _Door(limits, proxies, patience)

        def protocol(**given: Any) -> asyncio.Protocol:
            return _Connection(door, **given)

        super().__init__(
            uvicorn.Config(
                application,
                # uvicorn calls whatever makes a protocol.
                http=cast("type[asyncio.Protocol]", protocol),
                ws="none",
                proxy_headers=bool(proxies),
                forwarded_allow_ips=[str(network) for network in proxies],
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=int(grace),
            )
        )
        self.config.load()
        self.config.ssl = tls  # uvicorn makes one from files only, and ours changes while it is served

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to who runs the loop."""
        yield


class _Door:
    """Counts who is in."""

    def __init__(self, limits: Limits, proxies: Sequence[Network], patience: float) -> None:
        self.limits: Final = limits
        self.patience: Final = patience
        self._proxies: Final = tuple(proxies)
        self._inside: Final[dict[_Connection, str]] = {}
        self._per_client: Final[Counter[str]] = Counter()

    def admit(self, connection: _Connection, host: str) -> bool:
        """Whether there is room for one more; it is counted then."""
        key = client_key(host)
        if len(self._inside) >= self.limits.http_connections:
            _LOG.info("connection refused", peer=host, reason="too many connections")
            return False
        if self._per_client[key] >= self.limits.http_connections_per_address and not self._is_proxy(host):
            _LOG.info("connection refused", peer=host, reason="too many connections from this address")
            return False
        self._inside[connection] = key
        self._per_client[key] += 1
        return True

    def leave(self, connection: _Connection) -> None:
        """One is gone; who was never admitted too."""
        key = self._inside.pop(connection, None)
        if key is not None:
            self._per_client[key] -= 1
            if not self._per_client[key]:
                del self._per_client[key]

    def _is_proxy(self, host: str) -> bool:
        return bool(host and self._proxies) and any(ipaddress.ip_address(host) in network for network in self._proxies)


class _Parser(h11.Connection):
    """Reads requests that say how long they are. A server may ask for that (RFC 9112 §6.3), and then there are neither
    chunks of one octet nor trailers without end.
    """

    refused = HTTPStatus.BAD_REQUEST

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request) and any(name == b"transfer-encoding" for name, _ in event.headers):
            self.refused = HTTPStatus.LENGTH_REQUIRED
            raise h11.RemoteProtocolError("chunked request")
        return event


class _Connection(H11Protocol):
    """One connection. Its clock runs while we wait for the client: first for a head, then for the body."""

    def __init__(self, door: _Door, **given: Any) -> None:
        super().__init__(**given)
        self.conn: _Parser = _Parser(h11.SERVER, _HEAD_MOST)
        self._door: Final = door
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own signature
        super().connection_made(transport)
        if self._door.admit(self, self.client[0] if self.client else ""):
            self._wait(self._door.patience)
        else:
            transport.write(_BUSY)
            transport.close()

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + _PIECE])

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.conn.their_state in {h11.DONE, h11.MUST_CLOSE}:
            self._stop_clock()
        elif self.cycle is not before:
            self._wait(self._door.limits.idle)

    def send_400_response(self, msg: str) -> None:
        """Tell the client, unless it is being told something else already, and the application that it is gone."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        status = self.conn.refused
        fields = [("Connection", "close"), ("Content-Length", "0")]
        for event in (
            h11.Response(status_code=status, headers=fields, reason=status.phrase.encode()),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        self._wait(self._door.patience)
        super().on_response_complete()

    def shutdown(self) -> None:
        """Close between two requests, and do not wait for the goodbye that TLS asks of the client."""
        super().shutdown()
        if self.transport.is_closing() and not self.flow.write_paused:
            self._stop_clock()
            self._clock = self.loop.call_later(_GOODBYE, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.leave(self)
        self._stop_clock()
        super().connection_lost(exc)

    def _wait(self, seconds: float) -> None:
        self._stop_clock()
        if not self.transport.is_closing():
            self._clock = self.loop.call_later(seconds, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
