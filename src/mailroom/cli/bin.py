# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom bin`: the recycle bin, where whole mailboxes wait before they are purged."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from mailroom.cli import life, verb
from mailroom.core import clock
from mailroom.core.errors import InvalidValue
from mailroom.directory import addresses, members
from mailroom.mailboxes import access, purge, reassign, recycle
from mailroom.mailboxes.model import Entry, EntryState, Source
from mailroom.storage.ports import Tx

app = typer.Typer(help="The recycle bin of the organisation.", no_args_is_help=True)

_COLUMNS = ("address", "source", "userid", "state", "entered", "purged_after")


@app.command("list")
def list_(
    context: typer.Context,
    source: Annotated[Source | None, typer.Option(help="Why it came in.")] = None,
    state: Annotated[
        list[EntryState], typer.Option(help="Where it stands; repeat for more. Without: what is still there.")
    ] = [EntryState.WAITING, EntryState.PURGING],  # noqa: B006 # Typer reads it, nobody changes it
    since: Annotated[datetime | None, typer.Option(help="Came in then or later (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Came in then or earlier (UTC).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 1_000,
    as_json: verb.AsJson = False,
) -> None:
    """List the mailboxes in the recycle bin, the last that came in first."""
    found = verb.read(
        context,
        lambda tx: recycle.entries(
            tx,
            before=verb.LARGEST,
            limit=limit,
            source=source,
            states=state,
            since=verb.moment(since) or 0,
            until=verb.moment(until) or verb.LARGEST,
        ),
    )
    verb.rows(_COLUMNS, [_shown(entry) for entry in found], as_json=as_json)


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "address": entry.address,
        "name": entry.name,
        "source": entry.source.value,
        "userid": entry.userid,
        "state": entry.state.value,
        "entered": clock.iso(entry.entered_at),
        "purged_after": clock.iso(entry.purge_at),
    }


@app.command()
def restore(
    context: typer.Context,
    address: str,
    to: Annotated[str, typer.Option(metavar="USERID", help="Whose own it becomes.")],
    as_json: verb.AsJson = False,
) -> None:
    """Give a mailbox that is in the bin to a member; the one that he had goes there."""

    def work(tx: Tx) -> dict[str, Any]:
        mailbox_id = access.by_address(tx, addresses.parse(address)).id
        return life.displaced(reassign.restore(tx, verb.operator(), mailbox_id, members.get(tx, to)))

    verb.one(verb.write(context, work), as_json=as_json)


@app.command("to-public")
def to_public(
    context: typer.Context,
    address: str,
    user: life.UserOption = [],  # noqa: B006 # Typer reads it, nobody changes it
    department: life.DepartmentOption = [],  # noqa: B006 # likewise
    tag: life.TagOption = [],  # noqa: B006 # likewise
    name: life.NameOption = "",
) -> None:
    """Make a mailbox that is in the bin a public one."""

    def work(tx: Tx) -> None:
        mailbox_id = access.by_address(tx, addresses.parse(address)).id
        recycle.waiting(tx, mailbox_id)
        reassign.to_public(tx, verb.operator(), mailbox_id, life.users(tx, user, department, tag), name=name)

    verb.write(context, work)


@app.command("purge")
def purge_(
    context: typer.Context,
    address: str,
    confirm: Annotated[str, typer.Option(metavar="ADDRESS", help="The address once more, instead of typing it.")] = "",
    as_json: verb.AsJson = False,
) -> None:
    """Delete a mailbox that is in the bin, and all its mail, for good. A running server does it."""
    entry = verb.read(context, lambda tx: recycle.waiting(tx, access.by_address(tx, addresses.parse(address)).id))
    typed = confirm or _typed(f"This deletes {entry.address} for good. Type its address to go on")
    if typed.strip().casefold() != entry.address:
        raise InvalidValue(name="confirm", reason=f"is not {entry.address}")
    job = verb.write(context, lambda tx: purge.start(tx, verb.operator(), entry.mailbox_id))
    verb.one({"job": job.id, "mails": job.total}, as_json=as_json)


def _typed(question: str) -> str:
    """What a person answers; from a program, which is not asked, a line."""
    return typer.prompt(question, err=True) if sys.stdin.isatty() else sys.stdin.readline()
