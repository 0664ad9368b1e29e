# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A connection to a message centre: bound, kept alive, and bound again when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver

from mailroom.core import log
from mailroom.core.clock import MINUTE
from mailroom.core.errors import EgressRefused
from mailroom.core.secrets import Secret
from mailroom.senders.contract import Scope, TryLater, Why, excerpt
from mailroom.senders.egress import Denied, Egress
from mailroom.senders.sms_smpp import errors, pdu
from mailroom.senders.sms_smpp.pdu import Command, Deliver, Garbage, Pdu

_CONNECT: Final = 10.0  # seconds, for one address
_ANSWER: Final = 10.0
_FAREWELL: Final = 2.0
_FIRST_WAIT: Final = 1.0
_LAST_WAIT: Final = 60.0
_IDLE: Final = 3 * 24 * 3600.0  # no receipt comes later than that
_DELIVERIES: Final = 100  # that are being heard at once

_LOG: Final = log.get("sms_smpp")

Hear = Callable[[Deliver], Awaitable[None]]  # what it says is durable then


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """Where the message centre is, and who we are there."""

    host: str
    port: int
    tls: bool
    system_id: str
    password: Secret
    system_type: str
    window: int


@dataclass(frozen=True, slots=True)
class Way:
    """How a connection is made, and kept alive."""

    egress: Egress
    resolver: AbstractResolver | None
    trust: ssl.SSLContext
    chance: Callable[[], float]
    enquire: float = 30.0  # seconds between two looks whether the other side is still there


class Unbound(Exception):
    """There is no connection, and what follows from that."""

    def __init__(self, outcome: TryLater) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


class Link:
    """One connection, bound. A request raises `OSError` when the connection is gone; time limits are the caller's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, window: int, hear: Hear) -> None:
        self._reader = reader
        self._writer = writer
        self._hear = hear
        self._window = asyncio.Semaphore(window)
        self._sequence = 0
        self._awaited: dict[int, asyncio.Future[Pdu]] = {}
        self._deliveries = asyncio.Semaphore(_DELIVERIES)
        self._tasks: set[asyncio.Future[None]] = set()
        self._spawn(self._read())

    @classmethod
    async def open(cls, way: Way, centre: Centre, hear: Hear) -> Link:
        """Connect and bind. Raises `Unbound`."""
        link = cls(*await _connect(way, centre), centre.window, hear)
        try:
            body = pdu.bind(
                system_id=centre.system_id, password=centre.password.reveal(), system_type=centre.system_type
            )
            async with asyncio.timeout(_ANSWER):
                answer = await link.request(Command.BIND_TRANSCEIVER, body)
            if answer.status != pdu.OK:
                raise Unbound(errors.of_bind(answer.status))
            if answer.command != Command.BIND_TRANSCEIVER_RESP:
                raise Garbage("another answer than to what was asked")
        except (OSError, Garbage) as fault:
            link.close()
            raise Unbound(_unreachable(centre, "bind", fault)) from None
        except BaseException:
            link.close()
            raise
        link._spawn(link._stay(way.enquire))
        return link

    @property
    def open_still(self) -> bool:
        """It has not broken yet."""
        return not self._writer.is_closing()

    async def submit(self, body: bytes, handed: Callable[[], None]) -> Pdu:
        """Submit a message when there is room in the window; `handed` is called right before it leaves."""
        async with self._window:
            return await self.request(Command.SUBMIT_SM, body, handed)

    async def request(self, command: Command, body: bytes = b"", handed: Callable[[], None] = lambda: None) -> Pdu:
        """Ask, and return the answer, whatever it is."""
        if not self.open_still:
            raise ConnectionResetError("the connection was closed")
        self._sequence = self._sequence % 0x7FFF_FFFF + 1
        sequence = self._sequence
        answer: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
        self._awaited[sequence] = answer
        try:
            handed()
            self._writer.write(Pdu(command, 0, sequence, body).octets())
            return await answer
        finally:
            self._awaited.pop(sequence, None)

    async def ended(self) -> None:
        """Return once the connection has broken and nothing of it is left to do."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def unbind(self) -> None:
        """Take leave once all that is under way has been answered, and close."""
        if self._awaited:
            await asyncio.wait(self._awaited.values(), timeout=_ANSWER)
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_FAREWELL):
                await self.request(Command.UNBIND)
        self.close()

    def close(self) -> None:
        """Hang up. Whatever awaits an answer hears that there will be none."""
        self._writer.transport.abort()
        for answer in self._awaited.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the connection was closed before an answer"))
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            _LOG.error("a connection to a message centre failed", exc_info=fault)

    async def _read(self) -> None:
        try:
            while True:
                length, received = pdu.read_head(await self._reader.readexactly(pdu.HEAD))
                body = await self._reader.readexactly(length)
                await self._receive(Pdu(received.command, received.status, received.sequence, body))
        except (OSError, EOFError, Garbage):
            return
        finally:
            self.close()

    async def _receive(self, received: Pdu) -> None:
        if received.answers:
            answer = self._awaited.get(received.sequence)
            if answer is not None and not answer.done():
                answer.set_result(received)
            return
        match received.command:
            case Command.DELIVER_SM:
                await self._deliveries.acquire()
                self._spawn(self._deliver(received))
            case Command.ENQUIRE_LINK:
                await self._answer(received, Command.ENQUIRE_LINK_RESP)
            case Command.UNBIND:
                await self._answer(received, Command.UNBIND_RESP)
                raise EOFError
            case Command.OUTBIND | Command.ALERT_NOTIFICATION:
                return
            case _:
                await self._answer(received, Command.GENERIC_NACK, pdu.INVALID_COMMAND)

    async def _deliver(self, received: Pdu) -> None:
        status = pdu.TEMPORARY
        try:
            with contextlib.suppress(Garbage):  # to bring it again would not mend it
                await self._hear(pdu.read_deliver(received.body))
            status = pdu.OK
        finally:
            with contextlib.suppress(OSError):
                await self._answer(received, Command.DELIVER_SM_RESP, status, b"\0")
            self._deliveries.release()

    async def _answer(self, to: Pdu, command: Command, status: int = pdu.OK, body: bytes = b"") -> None:
        if self.open_still:
            self._writer.write(Pdu(command, status, to.sequence, body).octets())
            await self._writer.drain()

    async def _stay(self, seconds: float) -> None:
        """§2.8: ask every now and then; whoever does not answer has gone."""
        try:
            while True:
                await asyncio.sleep(seconds)
                async with asyncio.timeout(_ANSWER):
                    await self.request(Command.ENQUIRE_LINK)
        except OSError:
            return
        finally:
            self.close()


@dataclass(slots=True)
class Keeper:
    """Keeps one account's connection, from its first message on."""

    way: Way
    centre: Centre
    hear: Hear
    before: Keeper | None = None  # whose connection ends first: some centres want but one of a customer
    _link: Link | None = None
    _trouble: TryLater | None = None  # while we wait before we try again
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _used: float = 0.0

    async def link(self) -> Link:
        """The connection, as soon as there is one. Raises `Unbound` while there is no hope of it."""
        self._used = asyncio.get_running_loop().time()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._keep())
        while self._link is None or not self._link.open_still:
            if self._trouble is not None:
                raise Unbound(self._trouble)
            self._news.clear()
            await self._news.wait()
        return self._link

    async def close(self) -> None:
        """Unbind, and leave it at that."""
        if self.before is not None:
            await self.before.close()
        if self._link is not None and self._link.open_still:
            await self._link.unbind()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        if self.before is not None:
            await self.before.close()
            self.before = None
        clock = asyncio.get_running_loop().time
        wait = _FIRST_WAIT
        while clock() - self._used < _IDLE:
            began = clock()
            try:
                await self._serve()
            except Unbound as unbound:
                if unbound.outcome.why is Why.ACCOUNT:
                    wait = _LAST_WAIT
                self._show(None, unbound.outcome)
            wait = _FIRST_WAIT if clock() - began > _LAST_WAIT else wait
            await asyncio.sleep(wait * (0.5 + self.way.chance()))
            wait = min(2 * wait, _LAST_WAIT)
            self._show(None, None)

    async def _serve(self) -> None:
        link = await Link.open(self.way, self.centre, self.hear)
        self._show(link, None)
        try:
            await link.ended()
        finally:
            link.close()
            self._show(None, None)

    def _show(self, link: Link | None, trouble: TryLater | None) -> None:
        self._link, self._trouble = link, trouble
        self._news.set()


async def _connect(way: Way, centre: Centre) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Raises `Unbound`."""
    trouble = TryLater("dns", f"{centre.host} cannot be looked up", Scope.SENDER)
    for address in await _addresses(way, centre.host):
        try:
            async with asyncio.timeout(_CONNECT):
                return await _connect_to(way, centre, address)
        except Denied:
            text = str(EgressRefused(host=f"{centre.host}:{centre.port}"))
            trouble = TryLater("egress", excerpt(text), Scope.SENDER, MINUTE, Why.ACCOUNT)
        except ssl.SSLError as fault:
            text = f"no trustworthy TLS with {centre.host}:{centre.port} ({fault.reason or fault})"
            trouble = TryLater("tls", excerpt(text), Scope.SENDER, MINUTE, Why.ACCOUNT)
        except OSError as fault:
            trouble = _unreachable(centre, "connect", fault)
    raise Unbound(trouble)


async def _connect_to(way: Way, centre: Centre, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = way.egress.open_socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, centre.port)))
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (address, centre.port))
        tls, name = (way.trust, centre.host) if centre.tls else (None, None)
        return await asyncio.open_connection(sock=connection, ssl=tls, server_hostname=name, limit=pdu.PDU_MOST)
    except BaseException:
        connection.close()
        raise


async def _addresses(way: Way, host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host.strip("[]")))]
    except ValueError:
        resolver = way.resolver or ThreadedResolver()
    try:
        found = await resolver.resolve(host, 0, socket.AF_UNSPEC)
    except (OSError, ValueError):
        return []
    return list(dict.fromkeys(one["host"] for one in found))


def _unreachable(centre: Centre, code: str, fault: Exception) -> TryLater:
    number = fault.errno if isinstance(fault, OSError) else None
    why = os.strerror(number) if number else "no answer in time" if isinstance(fault, TimeoutError) else str(fault)
    return TryLater(code, excerpt(f"{centre.host}:{centre.port} does not answer ({why})"), Scope.SENDER)
