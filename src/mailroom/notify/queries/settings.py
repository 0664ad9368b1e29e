# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What administrators have set."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, delete, select

from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_settings = schema.notify_settings

_EVERY = select(_settings.c.name, _settings.c.value)
_ADD = sql.insert(_settings).values(name=bindparam("name"), value=bindparam("value"))
_SET = _ADD.on_conflict_do_update(index_elements=[_settings.c.name], set_={"value": _ADD.excluded.value})
_UNSET = delete(_settings).where(_settings.c.name == bindparam("which"))


def every(tx: Tx) -> Mapping[str, str]:
    """What differs from its default, by name."""
    return {row[0]: row[1] for row in tx.all(_EVERY)}


def change(tx: Tx, name: str, value: str) -> None:
    tx.run(_SET, name=name, value=value)


def unset(tx: Tx, name: str) -> None:
    tx.run(_UNSET, which=name)
