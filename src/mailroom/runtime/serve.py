# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom serve`: the app's servers and loops, all of them or some, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import ssl
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from dataclasses import dataclass

from mailroom.core import clock, ids, log
from mailroom.core.errors import InvalidValue, Refusal
from mailroom.core.settings import Settings
from mailroom.protocols import catalogue
from mailroom.protocols.contract import House
from mailroom.protocols.listener import Listener, parse_where
from mailroom.runtime import tls
from mailroom.runtime.acme import Acme
from mailroom.runtime.app import App, open_app
from mailroom.runtime.tls import Certificates
from mailroom.runtime.workers import forever

_LOG = log.get("serve")

# How long a mail that is on its way in may take to end, when the server is told to stop.
_GRACE = 10.0


class Role(enum.StrEnum):
    """What a node does; each may run on machines of its own."""

    SMTP = "smtp"
    IMAP = "imap"  # and POP3, and ManageSieve
    WEB = "web"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: the app, and the ports that it really listens at, by protocol."""

    app: App
    ports: Mapping[str, int]


@contextlib.asynccontextmanager
async def running(settings: Settings, *, roles: Collection[Role] = tuple(Role)) -> AsyncIterator[Running]:
    """Open the app and start what the roles name; on leaving, end it in the order that loses nothing. Raises
    `InvalidValue` for an address that cannot be listened at.
    """
    async with contextlib.AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_app(settings))
        ports: dict[str, int] = {}
        certificate = Certificates(settings, app.store, app.seal, tls.server_context(settings))
        await certificate.begin()
        await stack.enter_async_context(_task(forever("certificate", certificate.run)))
        if Role.WORKER in roles:
            if settings.tls.acme:
                acme = Acme(settings, app.store, app.seal, clock.now)
                await stack.enter_async_context(_task(forever("acme", acme.run)))
            for name, loop in (
                ("react", app.react.run),
                ("dispatch", app.dispatch.run),
                ("inquiries", app.inquiries.run),
                ("delays", app.delays.run),
                ("publish", app.publish.run),
                ("collect", app.collect.run),
                ("work", app.work.run),
                ("watch", app.watch.run),
                ("bin", app.bin.run),
            ):
                await stack.enter_async_context(_task(forever(name, loop)))
        if Role.WEB in roles and (settings.listen.http or settings.listen.https):
            ports.update(await stack.enter_async_context(_web(app, certificate.context)))
        ports.update(await _listen(app, certificate.context, roles, stack))
        _LOG.info("ready", **ports)
        yield Running(app, ports)


@contextlib.asynccontextmanager
async def _task(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _listen(
    app: App, context: ssl.SSLContext, roles: Collection[Role], stack: contextlib.AsyncExitStack
) -> dict[str, int]:
    settings = app.settings
    house = House(
        settings=settings,
        store=app.store,
        bodies=app.bodies,
        letters=app.letters,
        logins=app.logins,
        acceptance=app.acceptance,
        submission=app.submission,
        tls=context,
        clock=clock.now,
        new_id=ids.new,
    )
    ports: dict[str, int] = {}
    for manifest in catalogue.manifests():
        where: str = getattr(settings.listen, manifest.listen)
        if where and manifest.role in roles:
            listener = Listener(
                manifest.open(house),
                limits=settings.limits,
                proxies=settings.proxies,
                tls=house.tls if manifest.tls else None,
            )
            try:
                await listener.start(where)
            except OSError as fault:
                raise InvalidValue(name=f"listen.{manifest.listen}", reason=f"{where}: {fault.strerror}") from fault
            stack.push_async_callback(listener.stop, grace=_GRACE)
            ports[manifest.name] = listener.port
    return ports


@contextlib.asynccontextmanager
async def _web(app: App, context: ssl.SSLContext) -> AsyncIterator[dict[str, int]]:
    from mailroom.runtime.http import Server  # noqa: PLC0415 # a node without this role does not load what pages need
    from mailroom.web.api.contract import House  # noqa: PLC0415 # likewise
    from mailroom.web.http import Web, application  # noqa: PLC0415 # likewise

    stopping = asyncio.Event()
    web = Web(
        store=app.store,
        bodies=app.bodies,
        seal=app.seal,
        passwords=app.passwords,
        house=House(app.logins, app.client_passwords, app.checks, app.exports, app.linking, app.notify, app.trials),
        clock=clock.now,
        new_id=ids.new,
        settings=app.settings,
        ready=lambda: _ready(app),
        stopping=stopping,
    )
    settings, page = app.settings, application(web)
    served: list[tuple[Server, asyncio.Task[None], socket.socket]] = []
    ports: dict[str, int] = {}
    try:
        for name, where, certificate in (
            ("http", settings.listen.http, None),
            ("https", settings.listen.https, context),
        ):
            if where:
                listening = _bind(name, where)
                server = Server(page, grace=_GRACE, limits=settings.limits, proxies=settings.proxies, tls=certificate)
                served.append((server, asyncio.create_task(server.serve(sockets=[listening])), listening))
                ports[name] = listening.getsockname()[1]
        yield ports
    finally:
        stopping.set()
        for server, _, _ in served:
            server.should_exit = True
        for _, task, listening in served:
            await task
            listening.close()


def _bind(name: str, where: str) -> socket.socket:
    host, port = parse_where(where)
    listening = socket.socket(socket.AF_INET6 if host and ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host or "0.0.0.0", port))  # noqa: S104 # ":8025" asks for all addresses
    except OSError as fault:
        listening.close()
        raise InvalidValue(name=f"listen.{name}", reason=f"{where}: {fault.strerror}") from fault
    return listening


async def _ready(app: App) -> bool:
    try:
        await app.store.read(lambda tx: tx.now)
    except Refusal:
        return False
    return True
