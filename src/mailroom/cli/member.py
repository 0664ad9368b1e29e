# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom member`: the persons with a login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.core import clock
from mailroom.core.ids import MailboxId
from mailroom.directory import access, addresses, brake, departments, domains, members, rights, tags
from mailroom.directory.model import Member, MemberStatus, Role, Verifiers
from mailroom.mailboxes import create, leave, read
from mailroom.storage.ports import Tx

if TYPE_CHECKING:
    from mailroom.runtime.app import App

app = typer.Typer(help="The persons with a login.", no_args_is_help=True)

_COLUMNS = ("userid", "name", "status", "role", "mailbox", "mailbox_status")


@app.command()
def add(
    context: typer.Context,
    userid: str,
    name: Annotated[str, typer.Option(help="The person's name.")],
    mailbox: Annotated[
        str, typer.Option(help="Its address; else the userid at the first domain, with a digit if need be.")
    ] = "",
    role: Annotated[Role, typer.Option(help="What the member may do.")] = Role.MEMBER,
    password_stdin: verb.PasswordStdin = False,
    as_json: verb.AsJson = False,
) -> None:
    """Add a member, with a personal mailbox. Without a password nobody can sign in yet."""
    password = verb.password(from_stdin=password_stdin)

    def added(tx: Tx, hashed: Verifiers) -> Member:
        organisation = members.organisation(tx)
        return create.member(
            tx, verb.operator(), organisation, userid, name=name, password_hash=hashed, role=role, address=mailbox
        )

    async def work(app: App) -> dict[str, Any]:
        hashed = Verifiers() if password is None else await app.logins.hash(userid, password)
        return await app.store.write(lambda tx: _shown(tx, added(tx, hashed)))

    verb.one(verb.run(context, work), as_json=as_json)


def _shown(tx: Tx, member: Member) -> dict[str, Any]:
    own: MailboxId | None = access.own_mailbox(tx, member.id)
    return {
        "userid": member.userid,
        "name": member.name,
        "status": member.status.value,
        "role": member.role.value,
        "mailbox": None if own is None else addresses.primary(tx, own),
        "mailbox_status": None if own is None else read.mailbox(tx, own).status.value,
    }


@app.command("list")
def list_(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """List the members."""
    found = verb.read(context, lambda tx: [_shown(tx, member) for member in members.every(tx)])
    verb.rows(_COLUMNS, found, as_json=as_json)


@app.command()
def show(context: typer.Context, userid: str, as_json: verb.AsJson = False) -> None:
    """Show one member: what he administers, where he belongs, and the mailboxes that he may use."""

    def work(tx: Tx) -> dict[str, Any]:
        member = members.get(tx, userid)
        usable = [addresses.primary(tx, mailbox_id) for mailbox_id in access.mailboxes_of(tx, member.id)]
        return _shown(tx, member) | {
            "domains": [one.name for one in rights.domains(tx, member)],
            "departments": [one.path for one in departments.of(tx, member.id)],
            "tags": [one.name for one in tags.of(tx, member.id)],
            "uses": usable,
        }

    verb.one(verb.read(context, work), as_json=as_json)


@app.command()
def disable(context: typer.Context, userid: str) -> None:
    """Keep the member out; open sessions end at once. The mailbox still takes mail."""
    verb.write(context, lambda tx: members.change_status(tx, verb.operator(), userid, MemberStatus.DISABLED))


@app.command()
def enable(context: typer.Context, userid: str) -> None:
    """Let the member in again."""
    verb.write(context, lambda tx: members.change_status(tx, verb.operator(), userid, MemberStatus.ACTIVE))


@app.command()
def rename(context: typer.Context, userid: str, name: str) -> None:
    """Call the member something else; userid and addresses stay."""
    verb.write(context, lambda tx: members.rename(tx, verb.operator(), userid, name))


@app.command()
def role(
    context: typer.Context,
    userid: str,
    role: Role,
    domain: Annotated[
        list[str] | None, typer.Option(help="With `member`: a domain that he administers; repeat for more.")
    ] = None,
) -> None:
    """Say what the member administers from now on: everything, some domains, or nothing."""

    def work(tx: Tx) -> None:
        his = [domains.get(tx, one) for one in domain or ()]
        members.change_role(tx, verb.operator(), userid, role, domains=his)

    verb.write(context, work)


@app.command()
def remove(context: typer.Context, userid: str, as_json: verb.AsJson = False) -> None:
    """Let the member be none any more; his mailbox goes to the recycle bin. All that he has open ends at once."""
    entry = verb.write(context, lambda tx: leave.member(tx, verb.operator(), userid))
    verb.one(
        {"mailbox": entry.address if entry else None, "purge": clock.iso(entry.purge_at) if entry else None},
        as_json=as_json,
    )


@app.command()
def password(context: typer.Context, userid: str, password_stdin: verb.PasswordStdin = False) -> None:
    """Set a new password; open sessions end."""
    new = verb.needed(verb.password(from_stdin=password_stdin))

    async def work(app: App) -> None:
        hashed = await app.logins.hash(userid, new)
        await app.store.write(
            lambda tx: members.change_password(tx, verb.operator(), members.get(tx, userid).id, hashed)
        )

    verb.run(context, work)


@app.command()
def blocked(
    context: typer.Context,
    unblock: Annotated[str, typer.Option(metavar="KEY", help="Forget what has failed under this key.")] = "",
    as_json: verb.AsJson = False,
) -> None:
    """Show which user names and networks were made to wait within the hour, because of wrong passwords."""
    if unblock:
        verb.write(context, lambda tx: brake.unblock(tx, unblock))
        return
    found = [
        {
            "key": one.key,
            "failures": one.tries,
            "last": clock.iso(one.last_at),
            "until": clock.iso(one.again_at),
        }
        for one in verb.read(context, brake.blocked)
    ]
    verb.rows(("key", "failures", "last", "until"), found, as_json=as_json)
