# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom notify`: how people and other systems are told of new mail."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import attempts, verb
from mailroom.core.errors import InvalidValue
from mailroom.core.ids import RecipientId
from mailroom.core.text import translation
from mailroom.messaging.states import State
from mailroom.notify import log as notify_log
from mailroom.notify import trials
from mailroom.notify.log import Wanted
from mailroom.senders.contract import Outcome, Sent

if TYPE_CHECKING:
    from mailroom.runtime.app import App
    from mailroom.storage.ports import Tx

app = typer.Typer(help="How people and other systems are told of new mail.", no_args_is_help=True)
settings = typer.Typer(help="The settings of new-mail notices.", no_args_is_help=True)
app.add_typer(settings, name="settings")

_COLUMNS = ("id", "created", "kind", "address", "state", "attempts", "next", "reason", "mail")
_DAYS = 30
_SHEET_MOST = 100_000


@settings.command("show")
def settings_show(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """Show every setting and how the senders do; secrets are not shown."""

    async def work(app: App) -> dict[str, Any]:
        return await app.store.read(lambda tx: _settings(app, tx))

    verb.one(verb.run(context, work), as_json=as_json)


def _settings(app: App, tx: Tx) -> dict[str, Any]:
    health = {f"health.{code}": f"{how.value} {why}".strip() for code, (how, why) in app.notify.health(tx).items()}
    return {**app.notify.show(tx), **health}


@settings.command("set")
def settings_set(
    context: typer.Context,
    pairs: Annotated[list[str], typer.Argument(metavar="KEY VALUE...", help='VALUE "-": read from standard input.')],
) -> None:
    """Set one, or several at once; `push_url ""` switches the push off. Others may see arguments: give secrets on
    standard input, a line each.
    """
    if len(pairs) % 2:
        raise InvalidValue(name=pairs[-1], reason="give a value for each setting")
    values = dict(zip(pairs[::2], map(_value, pairs[1::2]), strict=True))

    async def work(app: App) -> list[str]:
        await app.store.write(lambda tx: app.notify.change_all(tx, verb.operator(), values))
        return list(await app.store.read(app.notify.warnings))

    for warning in verb.run(context, work):
        typer.echo(translation(verb.language()).gettext(warning), err=True)


def _value(text: str) -> str:
    return sys.stdin.readline().rstrip("\r\n") if text == "-" else text


@app.command()
def test(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="The kind of sender, such as webhook, sms_gateway or wecom.")],
    address: Annotated[
        str, typer.Argument(help="A number, an account at the provider, a URL; else the push URL.")
    ] = "",
    as_json: verb.AsJson = False,
) -> None:
    """Send a sample at once, once, and print what the other end said."""

    async def work(app: App) -> Outcome:
        return await app.trials.send(verb.operator(), kind, address)

    outcome = verb.run(context, work)
    said = {"outcome": type(outcome).__name__, "code": outcome.code, "text": outcome.text}
    verb.one(said | {"why": trials.why(outcome).value}, as_json=as_json)
    if advice := trials.advice(kind, outcome, verb.language()):
        typer.echo(advice, err=True)
    if not isinstance(outcome, Sent):
        raise typer.Exit(1)


_Since = Annotated[datetime | None, typer.Option(help="Put in from then on (UTC).")]
_Until = Annotated[datetime | None, typer.Option(help="Put in before then (UTC).")]


@app.command()
def log(  # noqa: PLR0913 # what they are to be like, each by its name
    context: typer.Context,
    state: Annotated[list[State] | None, typer.Option(help="Only these; repeat for more.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only of these kinds of sender; repeat for more.")] = None,
    since: _Since = None,
    until: _Until = None,
    text: Annotated[str, typer.Option(help="Only with this in the address or the Message-ID.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=_SHEET_MOST)] = 50,
    csv: Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets.")] = False,
    as_json: verb.AsJson = False,
) -> None:
    """List the notices, newest first: state, attempts, when those that wait go on, and why."""
    wanted = Wanted(
        states=state or (),
        kinds=kind or (),
        since=verb.moment(since) or 0,
        until=notify_log.LATEST if until is None else verb.moment(until) or 0,
        text=text,
    )
    found = verb.read(context, lambda tx: notify_log.entries(tx, verb.operator(), wanted, limit=limit))
    if csv:
        typer.echo(notify_log.sheet(found), nl=False)
    else:
        verb.rows(_COLUMNS, [notify_log.shown(entry) for entry in found], as_json=as_json)


@app.command()
def figures(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many, up to now.")] = _DAYS,
    as_json: verb.AsJson = False,
) -> None:
    """Count the notices of each day and kind, by what has become of them."""
    found = verb.read(context, lambda tx: notify_log.figures(tx, verb.operator(), of_days=days))
    columns = ("day", "kind", *(state.value for state in State))
    verb.rows(columns, [notify_log.counted(one) for one in found], as_json=as_json)


@app.command()
def show(
    context: typer.Context,
    notice: Annotated[int, typer.Argument(metavar="ID", min=1, max=verb.LARGEST)],
    as_json: verb.AsJson = False,
) -> None:
    """Show every attempt of one notice."""
    attempts.show(context, notice, what="attempt of notice", as_json=as_json)


@app.command()
def resend(
    context: typer.Context, notice: Annotated[list[int], typer.Argument(metavar="ID...", min=1, max=verb.LARGEST)]
) -> None:
    """Send once more, from the first attempt on, notices that have failed."""

    def work(tx: Tx) -> None:
        for one in notice:
            notify_log.resend(tx, verb.operator(), RecipientId(one))

    verb.write(context, work)
