# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What Alembic runs for each of its commands: it finds here the connection to work on."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import BigInteger

from mailroom.storage.schema import metadata


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    return "_NUMBER" if kind == "type" and isinstance(item, BigInteger) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=_render,
    transactional_ddl=True,  # both databases undo DDL, and our dialect begins transactions itself
)
with context.begin_transaction():
    context.run_migrations()
