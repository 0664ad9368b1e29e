# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom mailbox backup`, `mailroom export`: the mails of a mailbox, copied into another or to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import job as job_
from mailroom.cli import mailbox, progress, verb
from mailroom.core.errors import InvalidValue, NameTaken
from mailroom.core.ids import MailboxId
from mailroom.directory import addresses
from mailroom.events.jobs import Job
from mailroom.mailboxes import access
from mailroom.mailboxes import backup as backup_
from mailroom.mailboxes import export as export_
from mailroom.mailboxes.export import Form
from mailroom.storage.ports import Tx

if TYPE_CHECKING:
    from mailroom.runtime.app import App

app = typer.Typer()


def _id(tx: Tx, address: str) -> MailboxId:
    return access.by_address(tx, addresses.parse(address)).id


@mailbox.app.command()
def backup(
    context: typer.Context,
    source: str,
    into: Annotated[str, typer.Option(help="The mailbox that takes the copies, in a folder of its own.")],
    wait: Annotated[bool, typer.Option(help="Whether to wait for the end; else a server does it.")] = True,
    as_json: verb.AsJson = False,
) -> None:
    """Copy all mails of a mailbox, but for Trash and Junk, into another one; again: what is new."""

    async def work(app: App) -> Job:
        by = verb.operator()
        job = await app.store.write(lambda tx: backup_.start(tx, by, _id(tx, source), _id(tx, into)))
        return await progress.follow(app, job.id) if wait else job

    job = verb.run(context, work)
    if wait:
        job_.ended(job, as_json=as_json)
    else:
        verb.one(job_.shown(job), as_json=as_json)


@app.command()
def export(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="MAILBOX")],
    to: Annotated[Path, typer.Option(help="FILE.zip: EML in folders; FILE.mbox: one after the other.", dir_okay=False)],
    folder: Annotated[str, typer.Option(help="This folder and those below it only.")] = "",
    as_json: verb.AsJson = False,
) -> None:
    """Write all mails of a mailbox to a file."""
    try:
        form = Form(to.suffix.lower().removeprefix("."))
    except ValueError as unknown:
        raise InvalidValue(name="to", reason="a name that ends in .zip or .mbox") from unknown
    if to.exists():
        raise NameTaken(what="file", name=str(to))

    async def work(app: App) -> dict[str, Any]:
        by = verb.operator()
        plan = await app.store.write(lambda tx: export_.begin(tx, by, _id(tx, address), folder=folder))
        with progress.bar(plan.address) as show:

            async def told(finished: int) -> None:
                show(finished, plan.mails)

            written = await app.exports.write(plan, to, form, told)
        return {"file": str(to), "mails": written.mails, "gone": written.gone, "octets": written.octets}

    verb.one(verb.run(context, work), as_json=as_json)
