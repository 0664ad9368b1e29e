# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom queue`: mail on its way to others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import attempts, verb
from mailroom.core import clock
from mailroom.core.ids import RecipientId
from mailroom.delivery import outgoing
from mailroom.messaging import log as messaging_log
from mailroom.messaging.model import Entry, Origin
from mailroom.messaging.states import State

if TYPE_CHECKING:
    from mailroom.runtime.app import App

app = typer.Typer(help="Mail on its way to others.", no_args_is_help=True)

_COLUMNS = ("id", "created", "recipient", "state", "attempts", "next", "reason")
_Ids = Annotated[list[int], typer.Argument(metavar="ID...", min=1, max=verb.LARGEST)]


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[list[State] | None, typer.Option(help="Those in this state; repeat for more.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: verb.AsJson = False,
) -> None:
    """List the recipients that wait, newest first: when they are tried next, and why they were not reached."""
    states = state or [State.QUEUED]
    found = verb.read(context, lambda tx: messaging_log.entries(tx, states=states, origins=[Origin.MAIL], limit=limit))
    verb.rows(_COLUMNS, [_shown(entry) for entry in found], as_json=as_json)


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "created": clock.iso(entry.created_at),
        "recipient": entry.address,
        "domain": entry.address.rpartition("@")[2],
        "state": entry.state.value,
        "attempts": entry.attempts,
        "next": None if entry.next_at is None else clock.iso(entry.next_at),
        "reason": entry.reason,
        "mail": entry.trace,
        "message": entry.msgid,
        "answer": entry.provider_id,
    }


@app.command()
def show(
    context: typer.Context,
    recipient: Annotated[int, typer.Argument(metavar="ID", min=1, max=verb.LARGEST)],
    as_json: verb.AsJson = False,
) -> None:
    """Show every attempt to reach one recipient."""
    attempts.show(context, recipient, what="attempt for recipient", as_json=as_json)


@app.command()
def retry(context: typer.Context, recipient: _Ids) -> None:
    """Try recipients now. If the way out was disabled, it is used again."""

    async def work(app: App) -> None:
        for one in recipient:
            await app.store.write(partial(outgoing.retry, recipient_id=RecipientId(one)))

    verb.run(context, work)


@app.command()
def cancel(context: typer.Context, recipient: _Ids) -> None:
    """Give recipients up. Who sent the mail is told that it was not delivered."""

    async def work(app: App) -> None:
        for one in recipient:
            await app.store.write(partial(outgoing.cancel, recipient_id=RecipientId(one)))

    verb.run(context, work)
