# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The command `mailroom`: each verb calls one use case. Exit 0: done; 1: refused, one line on stderr that begins with a
stable code; 2: wrong usage.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

import mailroom
from mailroom.cli import verb
from mailroom.core import log
from mailroom.core.errors import Refusal

# The modules of each: the first has its `app`, others add to that.
VERBS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("init", "serve", "sandbox", "docs", "openapi", "domain", "department", "tag")},
    "member": ("member", "life"),
    "mailbox": ("mailbox", "life", "copies"),
    "export": ("copies",),
    **{name: (name,) for name in ("bin", "group", "key", "notify", "policy", "queue", "job", "audit")},
}
# What Typer would let each verb offer; that completes nothing, since `mailroom` is the program.
_COMPLETION = ("install_completion", "show_completion")


class _Verbs(TyperGroup):
    """Imports a verb when it is asked for: to import them all takes longer than most of them work."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"commands": dict.fromkeys(VERBS)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands:
            return None
        modules = [importlib.import_module(f"mailroom.cli.{name}") for name in VERBS[cmd_name]]
        verb = get_command(modules[0].app)
        verb.name = cmd_name
        verb.params = [param for param in verb.params if param.name not in _COMPLETION]
        return verb


app = typer.Typer(
    cls=_Verbs,
    name="mailroom",
    help="Mailboxes, new-mail notices and unified messaging for one organisation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
    """The entry point. Whatever the locale says, what goes in and out is UTF-8."""
    for stream, errors in ((sys.stdin, "strict"), (sys.stdout, "replace"), (sys.stderr, "replace")):
        if isinstance(stream, TextIOWrapper):  # it may be closed
            stream.reconfigure(encoding="utf-8", errors=errors)
    try:
        app([os.fsencode(word).decode(errors="replace") for word in sys.argv[1:]])
    except Refusal as refusal:
        typer.echo(verb.explain(refusal), err=True)
        sys.exit(1)
