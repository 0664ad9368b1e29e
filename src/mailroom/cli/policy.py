# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom policy`: what the administrator decides for the whole installation."""

from __future__ import annotations

import typer

from mailroom.cli import verb
from mailroom.directory import policies

app = typer.Typer(help="What holds for the whole installation.", no_args_is_help=True)


@app.command()
def show(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """Show every policy."""
    verb.one(verb.read(context, policies.shown), as_json=as_json)


@app.command("set")
def set_(context: typer.Context, name: str, value: str) -> None:
    """Decide one; it counts from the next mail on. docs/reference/policies.md says what each of them means."""
    verb.write(context, lambda tx: policies.change(tx, verb.operator(), name, value))
