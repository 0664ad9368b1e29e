# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom mailbox`: personal and public mailboxes, their addresses and quotas."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.core import clock
from mailroom.core.errors import InvalidValue
from mailroom.core.ids import ClientPasswordId
from mailroom.delivery import rules
from mailroom.delivery.rules import AutoReply, Forwarding
from mailroom.directory import access as directory_access
from mailroom.directory import addresses, clients, members
from mailroom.directory.model import ClientPassword, Service
from mailroom.mailboxes import access, create, quota, read
from mailroom.mailboxes.model import Mailbox, MailboxKind, MailboxStatus
from mailroom.storage.ports import Tx

if TYPE_CHECKING:
    from mailroom.runtime.app import App

app = typer.Typer(help="Personal and public mailboxes.", no_args_is_help=True)
alias = typer.Typer(help="Further addresses of a mailbox.", no_args_is_help=True)
app.add_typer(alias, name="alias")
password = typer.Typer(help="Passwords of a mailbox for mail programs.", no_args_is_help=True)
app.add_typer(password, name="password")

_COLUMNS = ("address", "kind", "name", "status", "used", "quota")
_PASSWORD_COLUMNS = ("id", "remark", "services", "created", "last_used", "last_used_from")


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
    """Show one mailbox: aliases, users, folders (unseen mails/all)."""

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


@app.command()
def forward(
    context: typer.Context,
    address: str,
    to: Annotated[list[str], typer.Option(help="An address to send mail on to; repeat for more.")] = [],  # noqa: B006 # Typer reads it, nobody changes it
    copy: Annotated[bool, typer.Option(help="Whether a copy stays.")] = True,
    off: Annotated[bool, typer.Option("--off", help="Send on no more.")] = False,
    as_json: verb.AsJson = False,
) -> None:
    """Send what arrives on to others, or show where it goes."""
    if not (copy or to or off):
        raise InvalidValue(name="to", reason="--no-copy goes with --to")

    def work(tx: Tx) -> dict[str, Any]:
        mailbox_id = access.by_address(tx, addresses.parse(address)).id
        if to or off:
            rules.forward(tx, mailbox_id, Forwarding(() if off else tuple(to), keeps=copy))
        forwarding = rules.get(tx, mailbox_id).forwarding
        return {"to": list(forwarding.to), "copy": forwarding.keeps}

    verb.one(verb.write(context, work), as_json=as_json)


@app.command("auto-reply")
def auto_reply(
    context: typer.Context,
    address: str,
    text: Annotated[str, typer.Option(help="What to reply.")] = "",
    subject: Annotated[str, typer.Option(help="Its subject; else one about the mail's.")] = "",
    from_: Annotated[datetime | None, typer.Option("--from", help="When to begin (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="When to end (UTC).")] = None,
    off: Annotated[bool, typer.Option("--off", help="Reply no more.")] = False,
    as_json: verb.AsJson = False,
) -> None:
    """Reply by itself to who writes to the mailbox, once a week each; or show the reply."""
    if (subject or from_ or until) and not (text or off):
        raise InvalidValue(name="text", reason="--subject, --from and --until go with --text")

    def work(tx: Tx) -> dict[str, Any]:
        mailbox_id = access.by_address(tx, addresses.parse(address)).id
        if text or off:
            reply = AutoReply(text, subject, begins_at=_moment(from_), ends_at=_moment(until))
            rules.reply(tx, mailbox_id, None if off else reply)
        auto = rules.get(tx, mailbox_id).reply
        return {
            "text": auto.text if auto else None,
            "subject": auto.subject if auto else None,
            "from": clock.iso(auto.begins_at) if auto and auto.begins_at is not None else None,
            "until": clock.iso(auto.ends_at) if auto and auto.ends_at is not None else None,
        }

    verb.one(verb.write(context, work), as_json=as_json)


def _moment(time: datetime | None) -> int | None:
    """In milliseconds; a time without zone is of UTC."""
    return None if time is None else int(time.replace(tzinfo=time.tzinfo or UTC).timestamp()) * clock.SECOND


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


@password.command("add")
def password_add(
    context: typer.Context,
    address: str,
    remark: Annotated[str, typer.Option(help="What it is for, such as the device.")],
    service: Annotated[
        list[Service] | None, typer.Option(help="What it opens; repeat for more. Else everything.")
    ] = None,
    as_json: verb.AsJson = False,
) -> None:
    """Make a password for a mail program. It is shown here and never again."""

    async def work(app: App) -> dict[str, Any]:
        mailbox = await app.store.read(lambda tx: access.by_address(tx, addresses.parse(address)))
        made, shown = await app.client_passwords.create(mailbox.id, remark=remark, services=tuple(service or Service))
        return {"password": shown.reveal()} | _password_shown(made)

    verb.one(verb.run(context, work), as_json=as_json)


def _password_shown(password: ClientPassword) -> dict[str, Any]:
    return {
        "id": password.id,
        "remark": password.remark,
        "services": sorted(password.services),
        "created": clock.iso(password.created_at),
        "last_used": None if password.last_used_at is None else clock.iso(password.last_used_at),
        "last_used_from": password.last_used_from,
    }


@password.command("list")
def password_list(context: typer.Context, address: str, as_json: verb.AsJson = False) -> None:
    """List the passwords for mail programs. Their last use is exact to the hour."""

    def work(tx: Tx) -> list[dict[str, Any]]:
        mailbox = access.by_address(tx, addresses.parse(address))
        return [_password_shown(one) for one in clients.of(tx, mailbox.id)]

    verb.rows(_PASSWORD_COLUMNS, verb.read(context, work), as_json=as_json)


@password.command("revoke")
def password_revoke(
    context: typer.Context,
    address: str,
    which: Annotated[int, typer.Argument(metavar="ID", min=1, max=verb.LARGEST)],
) -> None:
    """Let nobody in with it any more; what is open by it ends."""

    def work(tx: Tx) -> None:
        mailbox = access.by_address(tx, addresses.parse(address))
        clients.revoke(tx, mailbox.id, ClientPasswordId(which))

    verb.write(context, work)
