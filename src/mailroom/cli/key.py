# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom key`: what programs show to the REST interfaces."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailroom.cli import verb
from mailroom.core import clock
from mailroom.core.ids import ApiKeyId
from mailroom.directory import api_keys, domains, members
from mailroom.directory.model import ApiKey
from mailroom.storage.ports import Tx

app = typer.Typer(help="Keys of programs for the REST interfaces.", no_args_is_help=True)

_COLUMNS = ("id", "name", "domains", "created", "last_used", "revoked")


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the program is called, in the audit log too.")],
    domain: Annotated[
        list[str] | None, typer.Option(help="A domain that it administers; repeat for more. Else everything.")
    ] = None,
    as_json: verb.AsJson = False,
) -> None:
    """Make a key. It is shown here and never again."""
    key = api_keys.new()

    def work(tx: Tx) -> dict[str, Any]:
        limits = [domains.get(tx, one) for one in domain or ()]
        return _shown(tx, api_keys.add(tx, verb.operator(), members.organisation(tx), name, key=key, domains=limits))

    verb.one({"key": key.reveal()} | verb.write(context, work), as_json=as_json)


def _shown(tx: Tx, key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "domains": None if key.governs_all else [one.name for one in domains.every(tx) if one.id in key.domains],
        "created": clock.iso(key.created_at),
        "last_used": None if key.last_used_at is None else clock.iso(key.last_used_at),
        "revoked": None if key.revoked_at is None else clock.iso(key.revoked_at),
    }


@app.command("list")
def list_(context: typer.Context, as_json: verb.AsJson = False) -> None:
    """List the keys. No domains: the whole organisation. Their last use is exact to the hour."""
    found = verb.read(context, lambda tx: [_shown(tx, one) for one in api_keys.every(tx)])
    verb.rows(_COLUMNS, found, as_json=as_json)


@app.command()
def revoke(
    context: typer.Context, which: Annotated[int, typer.Argument(metavar="ID", min=1, max=verb.LARGEST)]
) -> None:
    """Let nobody in with the key any more."""
    verb.write(context, lambda tx: api_keys.revoke(tx, verb.operator(), ApiKeyId(which)))
