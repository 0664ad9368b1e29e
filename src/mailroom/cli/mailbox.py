# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom mailbox`: personal and public mailboxes, their addresses and quotas."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.core import clock
from mailroom.core.errors import InvalidValue
from mailroom.core.ids import ClientPasswordId
from mailroom.delivery import rules
from mailroom.delivery.rules import AutoReply, Forwarding
from mailroom.directory import access as directory_access
from mailroom.directory import addresses, clients, departments, members, tags
from mailroom.directory import users as users_
from mailroom.directory.model import ClientPassword, Service, Users
from mailroom.mailboxes import access, create, public, quota, read, rename
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
_DISABLED = frozenset({MailboxStatus.DISABLED, MailboxStatus.DEPARTMENT_DISABLED})
_SENT_MOST = 10_000
_PASSWORD_COLUMNS = ("id", "remark", "services", "created", "last_used", "last_used_from")


@app.command("create-public")
def create_public(
    context: typer.Context,
    address: str,
    name: Annotated[str, typer.Option(help="What the mailbox is called.")],
    user: Annotated[list[str] | None, typer.Option(help="A member who uses it; repeat for more.")] = None,
    department: Annotated[list[str] | None, typer.Option(help="A department whose members use it, by path.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag whose bearers use it.")] = None,
    as_json: verb.AsJson = False,
) -> None:
    """Make a mailbox that several members use."""

    def work(tx: Tx) -> dict[str, Any]:
        new, users = addresses.parse_new(address), _users(tx, user, department, tag)
        made = create.public(tx, verb.operator(), members.organisation(tx), new, name=name, users=users)
        return _shown(tx, read.mailbox(tx, made))

    verb.one(verb.write(context, work), as_json=as_json)


def _users(tx: Tx, user: list[str] | None, department: list[str] | None, tag: list[str] | None) -> Users:
    return Users(
        tuple(members.get(tx, one) for one in user or ()),
        tuple(departments.at(tx, one) for one in department or ()),
        tuple(tags.by_name(tx, one) for one in tag or ()),
    )


@app.command("create")
def create_(
    context: typer.Context,
    address: str,
    owner: Annotated[str, typer.Option(help="The userid of a member who has none.")],
    as_json: verb.AsJson = False,
) -> None:
    """Make a member's own mailbox, where he was left without one."""

    def work(tx: Tx) -> dict[str, Any]:
        made = create.personal(tx, verb.operator(), members.get(tx, owner), addresses.parse_new(address))
        return _shown(tx, read.mailbox(tx, made))

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
def list_(
    context: typer.Context,
    disabled: Annotated[
        bool, typer.Option("--disabled", help="Only those that are, by themselves or with a department.")
    ] = False,
    as_json: verb.AsJson = False,
) -> None:
    """List the mailboxes."""
    wanted = _DISABLED if disabled else frozenset(MailboxStatus)
    found = verb.read(context, lambda tx: [_shown(tx, one) for one in read.mailboxes(tx) if one.status in wanted])
    verb.rows(_COLUMNS, found, as_json=as_json)


@app.command()
def show(context: typer.Context, address: str, as_json: verb.AsJson = False) -> None:
    """Show one mailbox: its addresses, whom it is given to and who uses it, folders (unseen mails/all)."""

    def work(tx: Tx) -> dict[str, Any]:
        mailbox = access.by_address(tx, addresses.parse(address))
        folders = [
            {"name": folder.name, "mails": folder.mails, "unseen": folder.unseen}
            for folder in read.folders(tx, mailbox.id)
        ]
        return _shown(tx, mailbox) | {
            "aliases": addresses.aliases(tx, mailbox.id),
            "former": addresses.former(tx, mailbox.id),
            **_given(users_.of(tx, mailbox.id)),
            "users": directory_access.users(tx, mailbox.id) if mailbox.kind is MailboxKind.PUBLIC else [],
            "folders": folders if as_json else [f"{one['name']} ({one['unseen']}/{one['mails']})" for one in folders],
        }

    verb.one(verb.read(context, work), as_json=as_json)


def _given(users: Users) -> dict[str, Any]:
    return {
        "members": [one.userid for one in users.members],
        "departments": [one.path for one in users.departments],
        "tags": [one.name for one in users.tags],
    }


@app.command()
def users(  # noqa: PLR0913 # options, three to add and three to remove
    context: typer.Context,
    address: str,
    add_user: Annotated[list[str] | None, typer.Option(help="A member who uses it too; repeat for more.")] = None,
    add_department: Annotated[list[str] | None, typer.Option(help="A department, by path.")] = None,
    add_tag: Annotated[list[str] | None, typer.Option(help="A tag.")] = None,
    remove_user: Annotated[list[str] | None, typer.Option(help="A member who was named and is no more.")] = None,
    remove_department: Annotated[list[str] | None, typer.Option(help="A department, by path.")] = None,
    remove_tag: Annotated[list[str] | None, typer.Option(help="A tag.")] = None,
    as_json: verb.AsJson = False,
) -> None:
    """Say whom a public mailbox is given to. Who is removed loses it at once, with what he has open."""

    def work(tx: Tx) -> tuple[Users, int]:
        mailbox_id = access.by_address(tx, addresses.parse(address)).id
        more = _users(tx, add_user, add_department, add_tag)
        fewer = _users(tx, remove_user, remove_department, remove_tag)
        return (
            users_.change(tx, verb.operator(), mailbox_id, add=more, remove=fewer),
            len(clients.of(tx, mailbox_id)) if fewer else 0,
        )

    given, passwords = verb.write(context, work)
    verb.one(_given(given), as_json=as_json)
    if passwords:
        typer.echo(
            f"Whoever knows one of its {passwords} client passwords still gets in: mailroom mailbox password list",
            err=True,
        )


@app.command("name")
def name_(context: typer.Context, address: str, name: str) -> None:
    """Call a public mailbox something else; its address stays."""
    verb.write(
        context,
        lambda tx: public.rename(tx, verb.operator(), access.by_address(tx, addresses.parse(address)).id, name),
    )


@app.command()
def sent(
    context: typer.Context,
    address: str,
    limit: Annotated[int, typer.Option(help="The latest so many.", min=1, max=_SENT_MOST)] = 50,
    as_json: verb.AsJson = False,
) -> None:
    """Show who sent what from a public mailbox, as far as it still lies in Sent; the newest first."""

    def work(tx: Tx) -> list[dict[str, Any]]:
        mailbox = access.by_address(tx, addresses.parse(address))
        return [
            {"at": clock.iso(one.at), "by": one.userid or None, "to": one.recipients, "subject": one.subject}
            for one in public.sent(tx, mailbox.id, limit=limit)
        ]

    verb.rows(("at", "by", "to", "subject"), verb.read(context, work), as_json=as_json)


def _change_status(context: typer.Context, address: str, status: MailboxStatus) -> None:
    verb.write(
        context,
        lambda tx: quota.change_status(tx, verb.operator(), access.by_address(tx, addresses.parse(address)).id, status),
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
    verb.write(
        context,
        lambda tx: quota.change(tx, verb.operator(), access.by_address(tx, addresses.parse(address)).id, octets),
    )


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
            reply = AutoReply(text, subject, begins_at=verb.moment(from_), ends_at=verb.moment(until))
            rules.reply(tx, mailbox_id, None if off else reply)
        auto = rules.get(tx, mailbox_id).reply
        return {
            "text": auto.text if auto else None,
            "subject": auto.subject if auto else None,
            "from": clock.iso(auto.begins_at) if auto and auto.begins_at is not None else None,
            "until": clock.iso(auto.ends_at) if auto and auto.ends_at is not None else None,
        }

    verb.one(verb.write(context, work), as_json=as_json)


@alias.command("add")
def alias_add(context: typer.Context, address: str, new: Annotated[str, typer.Argument(metavar="ALIAS")]) -> None:
    """Let the mailbox answer to one more address."""
    verb.write(
        context,
        lambda tx: create.alias(
            tx, verb.operator(), access.by_address(tx, addresses.parse(address)).id, addresses.parse_new(new)
        ),
    )


@alias.command("remove")
def alias_remove(context: typer.Context, address: str, old: Annotated[str, typer.Argument(metavar="ALIAS")]) -> None:
    """Take an alias or a former address away from the mailbox; mail to it is refused from now on."""
    verb.write(
        context,
        lambda tx: rename.forget(
            tx, verb.operator(), access.by_address(tx, addresses.parse(address)).id, addresses.parse(old)
        ),
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
        made, shown = await app.client_passwords.create(
            verb.operator(), mailbox.id, remark=remark, services=tuple(service or Service)
        )
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
        clients.revoke(tx, verb.operator(), mailbox.id, ClientPasswordId(which))

    verb.write(context, work)
