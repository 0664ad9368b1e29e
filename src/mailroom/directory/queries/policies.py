# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What an administrator has decided."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, select

from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_policies = schema.policies
_POLICY = select(_policies.c.value).where(_policies.c.name == bindparam("name"))
_POLICIES = select(_policies.c.name, _policies.c.value)
_SET_POLICY = (
    sql.insert(_policies)
    .values(name=bindparam("name"), value=bindparam("value"))
    .on_conflict_do_update(index_elements=[_policies.c.name], set_={"value": bindparam("value")})
)


def get(tx: Tx, name: str) -> str | None:
    row = tx.first(_POLICY, name=name)
    return row[0] if row else None


def every(tx: Tx) -> Mapping[str, str]:
    return {row[0]: row[1] for row in tx.all(_POLICIES)}


def change(tx: Tx, name: str, value: str) -> None:
    tx.run(_SET_POLICY, name=name, value=value)
