# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom audit`: who did what, and whether that log is as it was written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import progress, verb
from mailroom.core import clock
from mailroom.directory import addresses
from mailroom.directory import audit as audit_
from mailroom.directory.audit import Checked, Entry
from mailroom.mailboxes import access
from mailroom.storage.ports import Tx

if TYPE_CHECKING:
    from mailroom.runtime.app import App

app = typer.Typer(help="Who did what, when, and how it was before and after.", no_args_is_help=True)

_COLUMNS = ("id", "at", "actor", "action", "subject", "before", "after")


@app.command("list")
def list_(
    context: typer.Context,
    action: Annotated[str, typer.Option(help="Of this action only, such as mailbox.backup.")] = "",
    mailbox: Annotated[str, typer.Option(help="What was done with this mailbox only.")] = "",
    before: Annotated[
        int, typer.Option(help="Those older than this entry.", min=1, max=verb.LARGEST, show_default=False)
    ] = verb.LARGEST,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: verb.AsJson = False,
) -> None:
    """List what was done, the newest first."""

    def work(tx: Tx) -> list[dict[str, Any]]:
        of = access.by_address(tx, addresses.parse(mailbox)).id if mailbox else None
        found = audit_.entries(tx, before=before, limit=limit, action=action, mailbox_id=of)
        return [_shown(entry) for entry in found]

    verb.rows(_COLUMNS, verb.read(context, work), as_json=as_json)


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": clock.iso(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "before": entry.before,
        "after": entry.after,
        "hash": entry.hash,
    }


@app.command()
def verify(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """Look whether any entry was changed or taken out. Exit 1: the first that was is named. Who keeps the last hash
    elsewhere can see later that it is still there.
    """

    async def work(app: App) -> Checked:
        checked = Checked()
        with progress.bar("audit log") as show:
            while not checked.is_whole:
                checked = await app.store.read(partial(audit_.verify, so_far=checked))
                show(checked.count, checked.count)
        return checked

    checked = verb.run(context, work)
    verb.one({"entries": checked.count, "last": checked.last, "hash": checked.hash}, as_json=as_json)
