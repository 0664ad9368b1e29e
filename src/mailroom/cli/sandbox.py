# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom sandbox`: the doubles of the providers, alone."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from mailroom.core.errors import InvalidValue
from mailroom.protocols.listener import parse_where
from mailroom.sandbox.server import Sandbox

app = typer.Typer()


@app.command()
def sandbox(
    listen: Annotated[str, typer.Option(help="host:port")] = "127.0.0.1:8026",
) -> None:
    """Run local doubles of the providers, and a page that shows what would have arrived."""

    async def work() -> None:
        box = Sandbox()
        host, port = parse_where(listen)
        try:
            await box.start(host or "127.0.0.1", port)
        except OSError as fault:
            raise InvalidValue(name="listen", reason=f"{listen}: {fault.strerror}") from fault
        typer.echo(f"The sandbox is at {box.url}")
        try:
            await asyncio.Event().wait()
        finally:
            await box.stop()

    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
