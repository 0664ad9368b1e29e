# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom domain`: the domains that mail is taken for."""

from __future__ import annotations

import typer

from mailroom.cli import verb
from mailroom.core.settings import Settings
from mailroom.directory import domains, members, proof
from mailroom.directory.model import DomainState
from mailroom.runtime.app import App

app = typer.Typer(help="The domains that mail is taken for.", no_args_is_help=True)


@app.command()
def add(context: typer.Context, name: str, as_json: verb.AsJson = False) -> None:
    """Add a domain. It takes mail once its MX records prove it: see `check`."""
    added = verb.write(context, lambda tx: domains.add(tx, members.organisation(tx), name))
    verb.one({"name": added.name, "state": added.state.value}, as_json=as_json)


@app.command("list")
def list_(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """List the domains."""
    found = verb.read(context, domains.every)
    verb.rows(("name", "state"), [{"name": one.name, "state": one.state.value} for one in found], as_json=as_json)


@app.command()
def records(context: typer.Context, name: str, as_json: verb.AsJson = False) -> None:
    """Print the DNS records to set."""
    place: verb.Place = context.obj
    domain = verb.read(context, lambda tx: domains.get(tx, name))
    verb.rows(("type", "name", "value"), records_of(domain.name, place.settings()), as_json=as_json)


def records_of(name: str, settings: Settings) -> list[dict[str, str]]:
    """The records that bring a domain's mail here, and tell others that we may send as it."""
    hosts = settings.mx_hosts or (settings.hostname,)
    return [
        *({"type": "MX", "name": name, "value": f"{10 * place} {host}."} for place, host in enumerate(hosts, 1)),
        {"type": "TXT", "name": name, "value": "v=spf1 mx ~all"},
    ]


@app.command()
def check(context: typer.Context, name: str, as_json: verb.AsJson = False) -> None:
    """Look at the domain's MX records; when they name this server, the domain becomes active."""

    async def work(app: App) -> tuple[proof.Proof, DomainState]:
        domain = await app.store.read(lambda tx: domains.get(tx, name))
        settings = app.settings
        found = await proof.look(
            proof.resolver(settings.resolver), domain.name, ours=settings.mx_hosts or (settings.hostname,)
        )
        changed = await app.store.write(
            lambda tx: domains.change_state(tx, name, proof.next_state(domains.get(tx, name).state, found))
        )
        return found, changed.state

    found, state = verb.run(context, work)
    verb.one(
        {"name": name, "state": state.value, "finding": found.finding.value, "reason": found.reason, "mx": found.hosts},
        as_json=as_json,
    )
    if found.finding is not proof.Finding.PROVEN:
        typer.echo(f"{found.finding}: {found.reason}", err=True)
        raise typer.Exit(1)


@app.command()
def disable(context: typer.Context, name: str) -> None:
    """Take and send no mail for the domain; everything is kept. `check` brings an enabled domain back."""
    verb.write(context, lambda tx: domains.change_state(tx, name, DomainState.DISABLED))


@app.command()
def enable(context: typer.Context, name: str) -> None:
    """Let a disabled domain be proven again: it takes mail after the next good `check`."""
    verb.write(context, lambda tx: domains.enable(tx, name))


@app.command()
def remove(context: typer.Context, name: str) -> None:
    """Forget a domain that no address uses any more."""
    verb.write(context, lambda tx: domains.remove(tx, name))
