# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom init`: the organisation, its first administrator and its first domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailroom.cli import verb
from mailroom.cli.domain import record_shown
from mailroom.directory import addresses, credentials, domains, members
from mailroom.directory.model import Role, Verifiers
from mailroom.directory.names import canonical_domain
from mailroom.mailboxes import create
from mailroom.storage.ports import Tx

if TYPE_CHECKING:
    from mailroom.runtime.app import App

app = typer.Typer()


@app.command()
def init(
    context: typer.Context,
    domain: Annotated[str, typer.Option(prompt="Your mail domain (such as corp.example)", help="The first domain.")],
    admin: Annotated[str, typer.Option(help="User name of the first administrator.")] = "admin",
    organisation: Annotated[str, typer.Option(help="The organisation's name; else the domain.")] = "",
    password_stdin: verb.PasswordStdin = False,
    as_json: verb.AsJson = False,
) -> None:
    """Make the organisation, its first administrator and its first domain; print the DNS records to set."""
    password = verb.needed(verb.password(from_stdin=password_stdin))
    # Asked before there is a store: who is refused leaves nothing behind.
    name = canonical_domain(domain)
    members.ask_userid(admin)
    addresses.parse_new(f"{admin}@{name}")
    credentials.ask(password)

    async def work(app: App) -> list[dict[str, str]]:
        hashed = await app.logins.hash(admin, password)
        await app.store.write(
            lambda tx: found(tx, organisation=organisation or name, domain=name, admin=admin, password_hash=hashed)
        )
        return [record_shown(one) for one in await app.checks.wanted(name)]

    place: verb.Place = context.obj
    settings = place.settings()
    records = verb.begin(settings, work)
    verb.rows(("type", "name", "value"), records, as_json=as_json)
    if not as_json:
        if "." not in (settings.mx_hosts or (settings.hostname,))[0]:
            typer.echo(
                f"\nNo other server can find {settings.hostname}: first set hostname to this machine's full name."
            )
        typer.echo(f"\nThe first administrator signs in as {admin} at {settings.public_url}/")
        typer.echo(f"\nSet these DNS records, then: mailroom domain check {domain}\nStart the server: mailroom serve")


def found(tx: Tx, *, organisation: str, domain: str, admin: str, password_hash: Verifiers) -> None:
    """The use case: all of it or nothing."""
    organisation_id = members.found_organisation(tx, organisation)
    domains.add(tx, verb.operator(), organisation_id, domain)
    creator = create.member(
        tx, verb.operator(), organisation_id, admin, name=admin, password_hash=password_hash, role=Role.ADMINISTRATOR
    )
    members.mark_creator(tx, creator)
