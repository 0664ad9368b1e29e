# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom serve`: run the server."""

from __future__ import annotations

import asyncio
import gc
import resource
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Annotated

import typer

try:
    import uvloop
except ImportError:  # not on Windows
    _LOOP: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    _LOOP = uvloop.new_event_loop

from mailroom.cli import verb
from mailroom.core import log
from mailroom.core.errors import InvalidValue
from mailroom.core.settings import Settings
from mailroom.core.text import translation
from mailroom.directory import domains
from mailroom.protocols.listener import parse_where
from mailroom.runtime import demo
from mailroom.runtime.serve import Role, Running, running
from mailroom.sandbox.server import Sandbox

app = typer.Typer()


@app.command()
def serve(
    context: typer.Context,
    only: Annotated[str, typer.Option(help="Roles of this node, joined by commas: smtp,web,worker.")] = "",
    demo_: Annotated[bool, typer.Option("--demo", help="With demo data and local doubles of the providers.")] = False,
    sandbox: Annotated[str, typer.Option(help="Where the demo's doubles listen.")] = demo.SANDBOX,
) -> None:
    """Run the server until it is told to stop."""
    log.configure()
    _raise_descriptors()
    place: verb.Place = context.obj
    settings = place.settings()
    roles = _roles(only)
    if demo_:
        settings = demo.settings_for(settings)
    with asyncio.Runner(loop_factory=_LOOP) as runner:
        runner.run(_serve(settings, roles, sandbox=sandbox if demo_ else ""))


def _raise_descriptors() -> None:
    """Use as many descriptors as the system grants: each connection takes one, and the default is often 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _roles(only: str) -> tuple[Role, ...]:
    try:
        return tuple(Role(name.strip()) for name in only.split(",") if name.strip()) or tuple(Role)
    except ValueError as fault:
        raise InvalidValue(name="only", reason=f"roles are: {', '.join(Role)}") from fault


async def _serve(settings: Settings, roles: tuple[Role, ...], *, sandbox: str) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with AsyncExitStack() as stack:
        box = Sandbox()
        if sandbox:
            host, port = parse_where(sandbox)
            try:
                await box.start(host or "127.0.0.1", port)
            except OSError as fault:
                raise InvalidValue(name="sandbox", reason=f"{sandbox}: {fault.strerror}") from fault
            stack.push_async_callback(box.stop)
        server = await stack.enter_async_context(running(settings, roles=roles))
        if sandbox:
            await demo.furnish(server.app)
            await demo.connect(server.app, box, callbacks=f"http://127.0.0.1:{server.ports.get('http', 0)}")
        typer.echo(_welcome(server, box) if sandbox else await _ready(server))
        sys.stdout.flush()
        gc.freeze()  # what start-up made is here to stay: the collector need not look at it again
        await told.wait()


async def _ready(server: Running) -> str:
    if not await server.app.store.read(domains.every):
        return "Mailroom is ready, but there is no organisation yet: run mailroom init."
    listening = ", ".join(f"{name} {port}" for name, port in server.ports.items())
    return f"Mailroom is ready ({listening})."


_FIRST_MAIL = """\
import email.message, json, smtplib, time, urllib.request
mail = email.message.EmailMessage()
mail["From"], mail["To"], mail["Subject"] = "Visitor <visitor@example.org>", "alice@demo.test", "你好 Hello"
mail.set_content("The first mail.")
with smtplib.SMTP("127.0.0.1", {smtp}) as smtp:
    smtp.send_message(mail)
pushed = []
while not pushed:
    time.sleep(0.1)
    pushed = json.load(urllib.request.urlopen("{sandbox}/sandbox/received?to=alice@demo.test"))["received"]
print(pushed[-1]["body"])
"""

_WELCOME = """\
Mailroom is ready.

  webmail   http://127.0.0.1:{http}/   sign in as alice, password demo-alice (or bob, carol, admin)
  sandbox   {sandbox}/   what would have arrived on people's phones
  SMTP      127.0.0.1:{smtp}
  programs  IMAP 127.0.0.1:{imap}, submission {submission}; in TLS {imaps} and {submissions}, POP3 {pop3s}

Send the first mail, and see it pushed (paste this into another terminal):

{command} - <<'END'
{script}END

Stop with Ctrl-C. The data stays in {data}."""


def _welcome(server: Running, box: Sandbox) -> str:
    names = ("smtp", "http", "imap", "imaps", "submission", "submissions", "pop3s")
    ports = {name: server.ports.get(name, 0) for name in names} | {"sandbox": box.url}
    return (
        translation(verb.language())
        .gettext(_WELCOME)
        .format(
            command=shlex.quote(sys.executable),
            script=_FIRST_MAIL.format(**ports),
            data=server.app.settings.data,
            **ports,
        )
    )
