# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The command `mailroom`: each verb calls one use case. Exit 0: done; 1: refused, one line on stderr that begins with a
stable code; 2: wrong usage.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

import mailroom
from mailroom.cli import docs, domain, group, init, mailbox, member, notify, policy, queue, sandbox, serve, verb
from mailroom.core import log
from mailroom.core.errors import Refusal

app = typer.Typer(
    name="mailroom",
    help="Mailboxes, new-mail notices and unified messaging for one organisation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("sandbox")(sandbox.sandbox)
app.command("docs", hidden=True)(docs.docs)
app.add_typer(domain.app, name="domain")
app.add_typer(member.app, name="member")
app.add_typer(mailbox.app, name="mailbox")
app.add_typer(group.app, name="group")
app.add_typer(notify.app, name="notify")
app.add_typer(policy.app, name="policy")
app.add_typer(queue.app, name="queue")


def _version(*, show: bool) -> None:
    if show:
        typer.echo(mailroom.__version__)
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(envvar="MAILROOM_CONFIG", help="mailroom.toml; else the one in this folder, if any.")
    ] = None,
    version: Annotated[  # noqa: ARG001 # an eager option: its callback does it
        bool, typer.Option("--version", callback=lambda value: _version(show=value), is_eager=True)
    ] = False,
) -> None:
    log.configure(level=logging.WARNING)
    context.obj = verb.Place(config)


def main() -> None:
    """The entry point."""
    try:
        app()
    except Refusal as refusal:
        typer.echo(verb.explain(refusal), err=True)
        sys.exit(1)
