# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom domain`: the domains that mail is taken for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.core import clock
from mailroom.core.settings import Settings
from mailroom.delivery import reports as reports_
from mailroom.directory import domains, members, policies, proof, setup
from mailroom.directory.model import Domain, DomainState

if TYPE_CHECKING:
    from mailroom.directory.dkim_keys import DkimKey
    from mailroom.runtime.app import App

app = typer.Typer(help="The domains that mail is taken for.", no_args_is_help=True)


@app.command()
def add(context: typer.Context, name: str, as_json: verb.AsJson = False) -> None:
    """Add a domain. It takes mail once its MX records prove it: see `check`."""

    async def work(app: App) -> Domain:
        added = await app.store.write(lambda tx: domains.add(tx, members.organisation(tx), name))
        await app.dkim_keys.ensure(added.name)
        return added

    added = verb.run(context, work)
    verb.one({"name": added.name, "state": added.state.value}, as_json=as_json)


@app.command("list")
def list_(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """List the domains."""
    found = verb.read(context, domains.every)
    verb.rows(("name", "state"), [{"name": one.name, "state": one.state.value} for one in found], as_json=as_json)


@app.command()
def records(context: typer.Context, name: str, as_json: verb.AsJson = False) -> None:
    """Print the DNS records to set."""

    async def work(app: App) -> list[dict[str, str]]:
        keys = await app.dkim_keys.ensure(name)
        mode = await app.store.read(lambda tx: policies.get(tx, "mta_sts"))
        return records_of(keys[0].domain, app.settings, keys, mta_sts=mode)

    verb.rows(("type", "name", "value"), verb.run(context, work), as_json=as_json)


def records_of(name: str, settings: Settings, keys: Sequence[DkimKey], *, mta_sts: str) -> list[dict[str, str]]:
    """The records that bring a domain's mail here, tell others that we may send as it and what signs it, and how
    programs find us.
    """
    hosts = settings.mx_hosts or (settings.hostname,)
    return [
        *({"type": "MX", "name": name, "value": f"{10 * place} {host}."} for place, host in enumerate(hosts, 1)),
        {"type": "TXT", "name": name, "value": "v=spf1 mx ~all"},
        *({"type": "TXT", "name": key.name, "value": key.record} for key in keys),
        {"type": "TXT", "name": f"_dmarc.{name}", "value": f"v=DMARC1; p=none; rua=mailto:postmaster@{name}"},
        {"type": "TXT", "name": f"_mta-sts.{name}", "value": setup.sts_record(settings, mta_sts)},
        {"type": "TXT", "name": f"_smtp._tls.{name}", "value": f"v=TLSRPTv1; rua=mailto:postmaster@{name}"},
        *({"type": "SRV", "name": place, "value": value} for place, value in setup.srv_records(name, settings)),
        *(
            {"type": "CNAME", "name": f"{host}.{name}", "value": f"{setup.web_host(settings)}."}
            for host in ("autoconfig", "autodiscover", "mta-sts")
        ),
    ]


@app.command()
def dkim(
    context: typer.Context,
    name: str,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make new keys; they sign once they are published.")] = False,
    as_json: verb.AsJson = False,
) -> None:
    """Show the keys that sign the domain's mail; new ones that the DNS shows begin to sign."""

    async def work(app: App) -> Sequence[DkimKey]:
        if rotate:
            await app.dkim_keys.rotate(name)
        keys = await app.dkim_keys.ensure(name)
        await app.dkim_keys.advance(proof.resolver(app.settings.resolver), keys[0].domain)
        return await app.dkim_keys.ensure(name)

    columns = ("selector", "algorithm", "state", "name", "value")
    keys = verb.run(context, work)
    values = [(key.selector, key.algorithm, key.state.value, key.name, key.record) for key in keys]
    verb.rows(columns, [dict(zip(columns, value, strict=True)) for value in values], as_json=as_json)


@app.command()
def reports(
    context: typer.Context,
    name: str,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: verb.AsJson = False,
) -> None:
    """List what other mail servers report of mail in the domain's name (DMARC, TLS-RPT), the newest first."""
    found = verb.read(context, lambda tx: reports_.kept(tx, name, limit=limit))
    columns = ("kind", "reporter", "begins", "ends", "passed", "failed")
    verb.rows(columns, [_report(one) for one in found], as_json=as_json)


def _report(one: reports_.Kept) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "reporter": one.reporter,
        "begins": clock.iso(one.begins_at),
        "ends": clock.iso(one.ends_at),
        "passed": one.passed,
        "failed": one.failed,
        "said": one.said,
    }


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
