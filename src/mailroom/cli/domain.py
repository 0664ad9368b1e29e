# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom domain`: the domains that mail is taken for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.core import clock
from mailroom.delivery import reports as reports_
from mailroom.directory import domains, members, proof
from mailroom.directory.domains import Look
from mailroom.directory.model import Domain
from mailroom.storage.ports import Tx

if TYPE_CHECKING:
    from mailroom.directory.dkim_keys import DkimKey
    from mailroom.directory.dns_records import DnsRecord
    from mailroom.runtime.app import App

app = typer.Typer(help="The domains that mail is taken for.", no_args_is_help=True)


@app.command()
def add(context: typer.Context, name: str, as_json: verb.AsJson = False) -> None:
    """Add a domain. It takes mail once its MX records prove it: see `check`."""

    async def work(app: App) -> Domain:
        added = await app.store.write(lambda tx: domains.add(tx, verb.operator(), members.organisation(tx), name))
        await app.dkim_keys.ensure(added.name)
        return added

    added = verb.run(context, work)
    verb.one({"name": added.name, "state": added.state.value}, as_json=as_json)


@app.command("list")
def list_(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """List the domains, and what the last look at their MX records has shown."""

    def work(tx: Tx) -> list[dict[str, Any]]:
        return [_looked(domains.look(tx, one.name)) for one in domains.every(tx)]

    verb.rows(("name", "state", "finding", "checked", "next_check"), verb.read(context, work), as_json=as_json)


def _looked(look: Look) -> dict[str, Any]:
    standing = look.standing
    return {
        "name": look.domain.name,
        "state": look.domain.state.value,
        "finding": look.finding.value if look.finding else None,
        "reason": look.reason(verb.language()),
        "mx": list(look.hosts),
        "resolver": look.resolver,
        "checked": None if look.checked_at is None else clock.iso(look.checked_at),
        "next_check": None if standing.check_at is None else clock.iso(standing.check_at),
    }


@app.command()
def show(context: typer.Context, name: str, as_json: verb.AsJson = False) -> None:
    """Show a domain: its state, what the last look has shown, and when the next one is due."""
    verb.one(_looked(verb.read(context, lambda tx: domains.look(tx, name))), as_json=as_json)


@app.command()
def records(
    context: typer.Context,
    name: str,
    check_: Annotated[bool, typer.Option("--check", help="Ask the DNS now what it has in their place.")] = False,
    as_json: verb.AsJson = False,
) -> None:
    """Print the DNS records to set; with --check also what the DNS has."""

    async def work(app: App) -> list[dict[str, Any]]:
        wanted = await app.checks.wanted(name)
        if not check_:
            return [record_shown(one) for one in wanted]
        compared = await app.checks.compare(wanted)
        return [record_shown(one.record) | {"verdict": one.verdict.value, "found": one.found} for one in compared]

    columns = ("type", "name", "value", *(("verdict", "found") if check_ else ()))
    verb.rows(columns, verb.run(context, work), as_json=as_json)


def record_shown(record: DnsRecord) -> dict[str, Any]:
    """A record to set, as it is printed."""
    return {"type": record.type, "name": record.name, "value": record.value}


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
    """Look at the domain's records now; when the MX records name this server, the domain becomes active. Until then a
    running server looks again by itself.
    """
    look = verb.run(context, lambda app: app.checks.check(verb.operator(), name))
    verb.one(_looked(look), as_json=as_json)
    if look.finding is not None and look.finding is not proof.Finding.PROVEN:
        typer.echo(f"{look.finding}: {look.reason(verb.language())}", err=True)
        raise typer.Exit(1)


@app.command()
def disable(context: typer.Context, name: str) -> None:
    """Take and send no mail for the domain; everything is kept."""
    verb.write(context, lambda tx: domains.disable(tx, verb.operator(), name))


@app.command()
def enable(context: typer.Context, name: str) -> None:
    """Let a disabled domain be proven again: a running server looks at its records at once."""
    verb.write(context, lambda tx: domains.enable(tx, verb.operator(), name))


@app.command()
def remove(context: typer.Context, name: str) -> None:
    """Forget a domain that no address uses any more."""
    verb.write(context, lambda tx: domains.remove(tx, verb.operator(), name))
