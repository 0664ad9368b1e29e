# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom group`: mailing groups, their members, and who may write to them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.directory import addresses, groups, members
from mailroom.directory.groups import Lists
from mailroom.directory.model import Allow, Group
from mailroom.storage.ports import Tx

app = typer.Typer(help="Mailing groups: one address, many members.", no_args_is_help=True)
members_ = typer.Typer(help="Who gets the mail: addresses of mailboxes, groups, anybody.", no_args_is_help=True)
app.add_typer(members_, name="members")

_COLUMNS = ("address", "name", "allow")

Allowed = Annotated[Allow, typer.Option(help="Who may send to the group.")]
Senders = Annotated[
    list[str], typer.Option("--sender", help="With `custom`: an address that may send; repeat for more.")
]
Members = Annotated[list[str], typer.Argument(metavar="MEMBER...", help="Addresses.")]


@app.command()
def add(
    context: typer.Context,
    address: str,
    name: Annotated[str, typer.Option(help="What the group is called.")],
    member: Annotated[list[str], typer.Option(help="Address of a member; repeat for more.")],
    allow: Allowed = Allow.ORGANISATION,
    sender: Senders = [],  # noqa: B006 # Typer reads it, nobody changes it
    as_json: verb.AsJson = False,
) -> None:
    """Make a mailing group."""

    def work(tx: Tx) -> dict[str, Any]:
        organisation = members.organisation(tx)
        new = addresses.parse_new(address)
        group = groups.create(
            tx, verb.operator(), organisation, new, name=name, members=member, allow=allow, senders=sender
        )
        return _row(group)

    verb.one(verb.write(context, work), as_json=as_json)


def _row(group: Group) -> dict[str, Any]:
    return {"address": group.address, "name": group.name, "allow": group.allow.value}


def _at(tx: Tx, address: str) -> Group:
    return groups.get(tx, addresses.parse(address))


@app.command("list")
def list_(
    context: typer.Context,
    search: Annotated[str, typer.Option(help="Only those with this in their address or name.")] = "",
    as_json: verb.AsJson = False,
) -> None:
    """List the groups."""
    found = verb.read(context, lambda tx: [_row(group) for group in groups.search(tx, search)])
    verb.rows(_COLUMNS, found, as_json=as_json)


@app.command()
def show(context: typer.Context, address: str, as_json: verb.AsJson = False) -> None:
    """Show one group: its members, and who may send to it."""

    def work(tx: Tx) -> tuple[Group, Lists]:
        group = _at(tx, address)
        return group, groups.lists(tx, group.id)

    group, lists = verb.read(context, work)
    verb.one(_row(group) | {"members": list(lists.members), "senders": list(lists.senders)}, as_json=as_json)


@app.command()
def rename(context: typer.Context, address: str, name: str) -> None:
    """Call the group something else; its address stays."""
    verb.write(context, lambda tx: groups.rename(tx, verb.operator(), _at(tx, address), name))


@app.command()
def allow(
    context: typer.Context,
    address: str,
    whom: Annotated[Allow, typer.Argument(help="Who may send to the group.")],
    sender: Senders = [],  # noqa: B006 # Typer reads it, nobody changes it
) -> None:
    """Decide who may send to the group."""
    verb.write(context, lambda tx: groups.allow(tx, verb.operator(), _at(tx, address), whom, senders=sender))


@app.command()
def remove(context: typer.Context, address: str) -> None:
    """Give the group and its address up."""
    verb.write(context, lambda tx: groups.delete(tx, verb.operator(), _at(tx, address)))


@members_.command("add")
def members_add(context: typer.Context, address: str, member: Members) -> None:
    """Let these addresses be members too."""
    verb.write(context, lambda tx: groups.add(tx, verb.operator(), _at(tx, address), member))


@members_.command("remove")
def members_remove(context: typer.Context, address: str, member: Members) -> None:
    """Let these addresses be members no more."""

    def work(tx: Tx) -> None:
        group = _at(tx, address)
        for one in member:
            groups.remove(tx, verb.operator(), group, one)

    verb.write(context, work)
