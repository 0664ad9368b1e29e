# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom notify`: how people and other systems are told of new mail."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import attempts, verb
from mailroom.core import clock, ids
from mailroom.core.errors import InvalidValue
from mailroom.core.ids import RecipientId
from mailroom.messaging import log as messaging_log
from mailroom.messaging import send
from mailroom.messaging.model import Entry, Origin
from mailroom.messaging.states import State
from mailroom.notify import new_mail
from mailroom.notify import settings as notify_settings
from mailroom.senders.contract import Account, Outcome, Parcel, Sent

if TYPE_CHECKING:
    from mailroom.runtime.app import App

app = typer.Typer(help="How people and other systems are told of new mail.", no_args_is_help=True)
settings = typer.Typer(help="The settings of new-mail notices.", no_args_is_help=True)
app.add_typer(settings, name="settings")

_COLUMNS = ("id", "created", "kind", "address", "state", "attempts", "reason", "mail")


@settings.command("show")
def settings_show(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """Show every setting; secrets are not shown."""

    async def work(app: App) -> dict[str, str]:
        return dict(await app.store.read(app.notify.show))

    verb.one(verb.run(context, work), as_json=as_json)


@settings.command("set")
def settings_set(
    context: typer.Context, key: str, value: Annotated[str, typer.Argument(help='"-": read it from standard input.')]
) -> None:
    """Set one; `push_url ""` switches the push off. Others may see arguments: give secrets on standard input."""
    if value == "-":
        value = sys.stdin.readline().rstrip("\r\n")

    async def work(app: App) -> None:
        await app.store.write(lambda tx: app.notify.change(tx, key, value))

    verb.run(context, work)


@app.command()
def test(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="The kind of sender: webhook.")],
    address: Annotated[str, typer.Argument(help="Where to: a URL; else the push URL.")] = "",
    as_json: verb.AsJson = False,
) -> None:
    """Send a sample at once, once, and print what the other end said."""

    async def work(app: App) -> Outcome:
        sender = await app.store.read(notify_settings.push_sender)
        way = app.senders.kind(kind)
        account = app.senders.account(sender) if sender else Account("test", {}, {})
        options = dict(account.settings) | ({"url": address} if address else {})
        if not options.get("url"):
            raise InvalidValue(name="address", reason="give a URL, or set push_url first")
        way.check(options, account.secrets)
        parcel = Parcel(f"msg_{ids.new()}", address, new_mail.SAMPLE, 1, clock.now())
        return await way.send(Account("test", options, account.secrets), parcel)

    outcome = verb.run(context, work)
    verb.one({"outcome": type(outcome).__name__, "code": outcome.code, "text": outcome.text}, as_json=as_json)
    if not isinstance(outcome, Sent):
        raise typer.Exit(1)


@app.command()
def log(
    context: typer.Context,
    state: Annotated[list[State] | None, typer.Option(help="Only these; repeat for more.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: verb.AsJson = False,
) -> None:
    """List the notices, newest first: state, attempts, and why."""
    origins = [Origin.NOTICE, Origin.TEST]
    found = verb.read(
        context, lambda tx: messaging_log.entries(tx, states=state or list(State), origins=origins, limit=limit)
    )
    verb.rows(_COLUMNS, [_shown(entry) for entry in found], as_json=as_json)


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "created": clock.iso(entry.created_at),
        "kind": entry.kind,
        "sender": entry.sender,
        "address": entry.address,
        "state": entry.state.value,
        "attempts": entry.attempts,
        "next": None if entry.next_at is None else clock.iso(entry.next_at),
        "reason": entry.reason,
        "mail": entry.trace,
    }


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
    """Send notices that have failed once more, from the first attempt on."""

    def work(tx: Any) -> None:
        for one in notice:
            send.resend(tx, RecipientId(one))

    verb.write(context, work)
