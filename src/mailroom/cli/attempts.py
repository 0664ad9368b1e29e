# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Every attempt to reach one recipient: shown alike for notices and for mail on its way."""

from __future__ import annotations

import typer

from mailroom.cli import verb
from mailroom.core import clock
from mailroom.core.errors import NotFound
from mailroom.core.ids import RecipientId
from mailroom.messaging import log as messaging_log


def show(context: typer.Context, recipient: int, *, what: str, as_json: bool) -> None:
    """Print them, the first one first. Raises `NotFound`, which calls them `what`."""
    found = verb.read(context, lambda tx: messaging_log.attempts(tx, RecipientId(recipient)))
    if not found:
        raise NotFound(what=what, name=str(recipient))
    values = [
        {
            "attempt": one.number,
            "began": clock.iso(one.began_at),
            "ms": one.took,
            "outcome": one.outcome,
            "code": one.code,
            "text": one.detail,
        }
        for one in found
    ]
    verb.rows(tuple(values[0]), values, as_json=as_json)
