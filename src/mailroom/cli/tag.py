# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom tag`: labels that members bear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.directory import members, tags
from mailroom.directory.model import Actor, Member, Tag
from mailroom.storage.ports import Tx

app = typer.Typer(help="Tags that members bear.", no_args_is_help=True)
members_ = typer.Typer(help="Who bears a tag.", no_args_is_help=True)
app.add_typer(members_, name="members")

_COLUMNS = ("name", "id", "members")
Userids = Annotated[list[str], typer.Argument(metavar="USERID...")]


@app.command()
def add(context: typer.Context, name: str, as_json: verb.AsJson = False) -> None:
    """Make a tag."""

    def work(tx: Tx) -> dict[str, Any]:
        return _shown(tx, tags.add(tx, verb.operator(), members.organisation(tx), name))

    verb.one(verb.write(context, work), as_json=as_json)


def _shown(tx: Tx, tag: Tag) -> dict[str, Any]:
    return {"name": tag.name, "id": tag.id, "members": tags.userids(tx, tag)}


@app.command("list")
def list_(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """List the tags."""
    found = verb.read(context, lambda tx: [_shown(tx, one) for one in tags.every(tx)])
    verb.rows(_COLUMNS, found, as_json=as_json)


@app.command()
def rename(context: typer.Context, name: str, new: str) -> None:
    """Call the tag something else."""
    verb.write(context, lambda tx: tags.rename(tx, verb.operator(), tags.by_name(tx, name), new))


@app.command()
def remove(context: typer.Context, name: str) -> None:
    """Give up a tag that no public mailbox is given to."""
    verb.write(context, lambda tx: tags.remove(tx, verb.operator(), tags.by_name(tx, name)))


@members_.command("add")
def members_add(context: typer.Context, name: str, userid: Userids) -> None:
    """Let these members bear the tag too."""
    _change(context, tags.put, name, userid)


@members_.command("remove")
def members_remove(context: typer.Context, name: str, userid: Userids) -> None:
    """Let these members bear it no more; what they used through it ends at once."""
    _change(context, tags.take, name, userid)


def _change(
    context: typer.Context, change: Callable[[Tx, Actor, Tag, list[Member]], None], name: str, userids: list[str]
) -> None:
    def work(tx: Tx) -> None:
        change(tx, verb.operator(), tags.by_name(tx, name), [members.get(tx, one) for one in userids])

    verb.write(context, work)
