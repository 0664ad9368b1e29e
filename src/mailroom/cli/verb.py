# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How a verb runs: which store it acts on, how it prints, how it says no."""

from __future__ import annotations

import asyncio
import getpass
import json
import locale
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.cells import cell_len

from mailroom.core import clock
from mailroom.core import settings as settings_
from mailroom.core.errors import InvalidValue, Refusal
from mailroom.core.secrets import Secret
from mailroom.core.settings import DATABASE, Settings
from mailroom.core.text import sentence
from mailroom.directory.model import Actor, ActorKind
from mailroom.runtime.rows import open_rows
from mailroom.storage.ports import Store, Tx

if TYPE_CHECKING:
    from mailroom.runtime.app import App

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]

# Ids and sizes are 64 bits wide in the store.
LARGEST = (1 << 63) - 1

_HERE = Path("mailroom.toml")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the settings of this call are."""

    config: Path | None

    def settings(self) -> Settings:
        """The settings. Raises `InvalidValue`."""
        return settings_.load(self.config or (_HERE if _HERE.exists() else None))


def run(context: typer.Context, work: Callable[[App], Coroutine[Any, Any, T]]) -> T:
    """Do something with the app that the settings name, whether or not a server runs on it. Raises `InvalidValue` where
    there is no store yet: a mistyped folder must not look like an empty organisation.
    """
    return begin(_settled(context), work)


def begin(settings: Settings, work: Callable[[App], Coroutine[Any, Any, T]]) -> T:
    """The same, where a store may be made."""
    from mailroom.runtime.app import open_app  # noqa: PLC0415 # all that serves mail: longer to load than most verbs take

    async def opened() -> T:
        async with open_app(settings) as app:
            return await work(app)

    return asyncio.run(opened())


def write(context: typer.Context, work: Callable[[Tx], T]) -> T:
    """Run one transaction; its result is durable. Raises like `run`."""
    return _with_rows(context, lambda store: store.write(work))


def read(context: typer.Context, work: Callable[[Tx], T]) -> T:
    """Look into the store. Raises like `run`."""
    return _with_rows(context, lambda store: store.read(work))


def _with_rows(context: typer.Context, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    settings = _settled(context)

    async def opened() -> T:
        async with open_rows(settings) as store:
            return await work(store)

    return asyncio.run(opened())


def _settled(context: typer.Context) -> Settings:
    place: Place = context.obj
    settings = place.settings()
    if not settings.database and not (settings.data / DATABASE).exists():
        raise InvalidValue(name="data", reason=f"there is no store in {settings.data}; make one with: mailroom init")
    return settings


def operator() -> Actor:
    """Whoever runs this command, for the audit log: he may do everything, since he could open the store itself."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        name = str(os.getuid())
    return Actor(ActorKind.OPERATOR, name, governs_all=True)


def moment(time: datetime | None) -> int | None:
    """In milliseconds; a time without zone is of UTC."""
    return None if time is None else int(time.replace(tzinfo=time.tzinfo or UTC).timestamp()) * clock.SECOND


def language() -> str:
    """The language of this terminal."""
    return os.environ.get("LC_ALL") or os.environ.get("LANG") or locale.getlocale()[0] or "en"


def explain(refusal: Refusal) -> str:
    """A refusal in one line: its stable code, then the sentence in the terminal's language."""
    return f"{refusal.code}: {sentence(refusal, language())}"


def rows(columns: Sequence[str], values: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print a list: a table for people, JSON for programs."""
    if as_json:
        typer.echo(json.dumps([dict(row) for row in values], ensure_ascii=False, indent=2))
        return
    lines = [tuple(columns), *(tuple(_plain(_cell(row[column])) for column in columns) for row in values)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        # Whole, also where the terminal is narrower: it wraps, and a DKIM key can be copied out of it in one piece.
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        typer.secho("  ".join(padded).rstrip(), bold=True if number == 0 else None)


def _plain(text: str) -> str:
    """On one line, and nothing in it that a terminal obeys: strangers wrote some of it."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def one(value: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing."""
    if as_json:
        typer.echo(json.dumps(dict(value), ensure_ascii=False, indent=2))
        return
    for name, field in value.items():
        typer.echo(f"{name}: {_cell(field)}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def password(*, from_stdin: bool) -> Secret | None:
    """The password on standard input, or typed twice on a terminal; none where there is neither. Raises
    `InvalidValue`.
    """
    if from_stdin:
        try:
            return Secret(sys.stdin.readline().rstrip("\r\n"))
        except UnicodeDecodeError as fault:
            raise InvalidValue(name="password", reason="it is not in UTF-8") from fault
    if not sys.stdin.isatty():
        return None
    typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return Secret(typed)


def needed(password: Secret | None) -> Secret:
    """The password. Raises `InvalidValue` when there is none."""
    if password is None:
        raise InvalidValue(name="password", reason="give one with --password-stdin")
    return password
