# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom mailbox`: personal and public mailboxes, their addresses and quotas."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.directory import access as directory_access
from mailroom.directory import addresses, members
from mailroom.mailboxes import access, create, quota, read
from mailroom.mailboxes.model import Mailbox, MailboxKind, MailboxStatus
from mailroom.storage.ports import Tx

app = typer.Typer(help="Personal and public mailboxes.", no_args_is_help=True)
alias = typer.Typer(help="Further addresses of a mailbox.", no_args_is_help=True)
app.add_typer(alias, name="alias")

_COLUMNS = ("address", "kind", "name", "status", "used", "quota")


@app.command("create-public")
def create_public(
    context: typer.Context,
    address: str,
    name: Annotated[str, typer.Option(help="What the mailbox is called.")],
    user: Annotated[list[str], typer.Option(help="A member who uses it; repeat for more.")],
    as_json: verb.AsJson = False,
) -> None:
    """Make a mailbox that several members use."""

    def work(tx: Tx) -> dict[str, Any]:
        users = [members.get(tx, userid) for userid in user]
        create.public(tx, members.organisation(tx), addresses.parse_new(address), name=name, users=users)
        return _shown(tx, access.by_address(tx, addresses.parse(address)))

    verb.one(verb.write(context, work), as_json=as_json)


def _shown(tx: Tx, mailbox: Mailbox) -> dict[str, Any]:
    return {
        "address": addresses.primary(tx, mailbox.id),
        "kind": mailbox.kind.value,
        "name": mailbox.name,
        "status": mailbox.status.value,
        "used": mailbox.used,
        "quota": mailbox.quota,
    }


@app.command("list")
def list_(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """List the mailboxes."""
    found = verb.read(context, lambda tx: [_shown(tx, mailbox) for mailbox in read.mailboxes(tx)])
    verb.rows(_COLUMNS, found, as_json=as_json)


@app.command()
def show(context: typer.Context, address: str, as_json: verb.AsJson = False) -> None:
    """Show one mailbox: aliases, users, folders."""

    def work(tx: Tx) -> dict[str, Any]:
        mailbox = access.by_address(tx, addresses.parse(address))
        users = directory_access.users(tx, mailbox.id) if mailbox.kind is MailboxKind.PUBLIC else []
        folders = [
            {"name": folder.name, "mails": folder.mails, "unseen": folder.unseen}
            for folder in read.folders(tx, mailbox.id)
        ]
        return _shown(tx, mailbox) | {
            "aliases": addresses.aliases(tx, mailbox.id),
            "users": users,
            "folders": folders if as_json else [f"{one['name']} ({one['unseen']}/{one['mails']})" for one in folders],
        }

    verb.one(verb.read(context, work), as_json=as_json)


def _change_status(context: typer.Context, address: str, status: MailboxStatus) -> None:
    verb.write(
        context,
        lambda tx: quota.change_status(tx, access.by_address(tx, addresses.parse(address)).id, status),
    )


@app.command()
def disable(context: typer.Context, address: str) -> None:
    """Take no mail and let nobody in; everything is kept."""
    _change_status(context, address, MailboxStatus.DISABLED)


@app.command()
def enable(context: typer.Context, address: str) -> None:
    """Take mail again."""
    _change_status(context, address, MailboxStatus.ACTIVE)


@app.command("quota")
def quota_(
    context: typer.Context,
    address: str,
    octets: Annotated[int, typer.Argument(help="0: no limit.", min=0, max=verb.LARGEST)],
) -> None:
    """Set how much the mailbox may hold."""
    verb.write(context, lambda tx: quota.change(tx, access.by_address(tx, addresses.parse(address)).id, octets))


@alias.command("add")
def alias_add(context: typer.Context, address: str, new: Annotated[str, typer.Argument(metavar="ALIAS")]) -> None:
    """Let the mailbox answer to one more address."""
    verb.write(
        context,
        lambda tx: create.alias(tx, access.by_address(tx, addresses.parse(address)).id, addresses.parse_new(new)),
    )


@alias.command("remove")
def alias_remove(context: typer.Context, address: str, old: Annotated[str, typer.Argument(metavar="ALIAS")]) -> None:
    """Take an address away from the mailbox; mail to it is refused from now on."""
    verb.write(
        context,
        lambda tx: addresses.release(tx, addresses.parse(old), access.by_address(tx, addresses.parse(address)).id),
    )
