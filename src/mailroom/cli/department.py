# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom department`: the parts of the organisation, named by their paths, such as `Sales/East`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.directory import departments, members
from mailroom.directory.model import Actor, Department, Member
from mailroom.storage.ports import Tx

app = typer.Typer(help="Departments, one within another.", no_args_is_help=True)
members_ = typer.Typer(help="Who is in a department.", no_args_is_help=True)
app.add_typer(members_, name="members")

_COLUMNS = ("path", "id", "members", "disabled")
Path = Annotated[str, typer.Argument(metavar="PATH", help="Such as Sales/East.")]
Userids = Annotated[list[str], typer.Argument(metavar="USERID...")]


@app.command()
def add(context: typer.Context, path: Path, as_json: verb.AsJson = False) -> None:
    """Make a department within the one that the path names before it."""

    def work(tx: Tx) -> dict[str, Any]:
        above, _, name = path.strip("/").rpartition("/")
        parent = departments.at(tx, above) if above else None
        made = departments.add(tx, verb.operator(), members.organisation(tx), name, parent=parent)
        return _shown(tx, made)

    verb.one(verb.write(context, work), as_json=as_json)


def _shown(tx: Tx, department: Department) -> dict[str, Any]:
    return {
        "path": department.path,
        "id": department.id,
        "members": departments.userids(tx, department),
        "disabled": department.is_disabled,
    }


@app.command("list")
def list_(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """List the departments."""
    found = verb.read(context, lambda tx: [_shown(tx, one) for one in departments.every(tx)])
    verb.rows(_COLUMNS, found, as_json=as_json)


@app.command()
def rename(context: typer.Context, path: Path, name: str) -> None:
    """Call the department something else, in its place."""
    verb.write(context, lambda tx: departments.rename(tx, verb.operator(), departments.at(tx, path), name))


@app.command()
def move(
    context: typer.Context,
    path: Path,
    into: Annotated[str, typer.Option(help="The path of the department to put it into; else the top.")] = "",
) -> None:
    """Put the department, with all that lies in it, somewhere else."""

    def work(tx: Tx) -> None:
        parent = departments.at(tx, into) if into else None
        departments.move(tx, verb.operator(), departments.at(tx, path), parent)

    verb.write(context, work)


@app.command()
def remove(context: typer.Context, path: Path) -> None:
    """Give up a department that nobody is in and no public mailbox is given to."""
    verb.write(context, lambda tx: departments.remove(tx, verb.operator(), departments.at(tx, path)))


@app.command()
def disable(context: typer.Context, path: Path) -> None:
    """Disable the own mailboxes of all who are in the department or below it."""
    verb.write(context, lambda tx: departments.disable(tx, verb.operator(), departments.at(tx, path)))


@app.command()
def enable(context: typer.Context, path: Path) -> None:
    """Enable the mailboxes that were disabled with the department."""
    verb.write(context, lambda tx: departments.enable(tx, verb.operator(), departments.at(tx, path)))


@members_.command("add")
def members_add(context: typer.Context, path: Path, userid: Userids) -> None:
    """Let these members be in the department too."""
    _change(context, departments.put, path, userid)


@members_.command("remove")
def members_remove(context: typer.Context, path: Path, userid: Userids) -> None:
    """Let these members be in it no more; what they used through it ends at once."""
    _change(context, departments.take, path, userid)


def _change(
    context: typer.Context,
    change: Callable[[Tx, Actor, Department, list[Member]], None],
    path: str,
    userids: list[str],
) -> None:
    def work(tx: Tx) -> None:
        change(tx, verb.operator(), departments.at(tx, path), [members.get(tx, one) for one in userids])

    verb.write(context, work)
