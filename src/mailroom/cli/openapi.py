# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom openapi`: the description of the REST interface."""

from __future__ import annotations

import json

import typer

app = typer.Typer()


@app.command()
def openapi() -> None:
    """Print the description of the REST interface (OpenAPI 3.1), as JSON."""
    from mailroom.web.api import catalogue  # noqa: PLC0415 # only this verb needs what describes shapes

    typer.echo(json.dumps(catalogue.document(), ensure_ascii=False, indent=2))
