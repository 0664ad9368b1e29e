# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Tries to sign in that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, case, delete, select, update

from mailroom.directory.model import Tries
from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_brakes = schema.brakes

_BRAKE_COLUMNS = (_brakes.c.key, _brakes.c.tries, _brakes.c.last_at, _brakes.c.again_at)
_BRAKES = select(*_BRAKE_COLUMNS).where(_brakes.c.key.in_(bindparam("keys", expanding=True)))
_BLOCKED = (
    select(*_BRAKE_COLUMNS)
    .where(_brakes.c.last_at >= bindparam("since"), _brakes.c.again_at > _brakes.c.last_at)
    .order_by(_brakes.c.key)
)
_COUNT_TRY = (
    sql.insert(_brakes)
    .values(key=bindparam("key"), tries=1, last_at=bindparam("now"), again_at=0)
    .on_conflict_do_update(
        index_elements=[_brakes.c.key],
        set_={
            "tries": case((_brakes.c.last_at < bindparam("stale"), 1), else_=_brakes.c.tries + 1),
            "last_at": bindparam("now"),
        },
    )
    .returning(_brakes.c.tries)
)
_HOLD_BACK = update(_brakes).where(_brakes.c.key == bindparam("which")).values(again_at=bindparam("again_at"))
_RELEASE = delete(_brakes).where(_brakes.c.key == bindparam("which"))
_FORGET_BRAKES = delete(_brakes).where(_brakes.c.last_at < bindparam("stale"))


def get(tx: Tx, keys: Sequence[str]) -> Mapping[str, Tries]:
    return {row[0]: Tries(*row) for row in tx.all(_BRAKES, keys=keys)}


def blocked(tx: Tx, *, since: int) -> Sequence[Tries]:
    return [Tries(*row) for row in tx.all(_BLOCKED, since=since)]


def count_try(tx: Tx, key: str, *, stale: int) -> int:
    """One more; how many there are, those before `stale` forgotten."""
    return int(sql.returned(tx.first(_COUNT_TRY, key=key, now=tx.now, stale=stale)))


def hold_back(tx: Tx, key: str, again_at: int) -> None:
    tx.run(_HOLD_BACK, which=key, again_at=again_at)


def release(tx: Tx, key: str) -> int:
    """1 when there was such a one, else 0."""
    return tx.run(_RELEASE, which=key)


def forget(tx: Tx, *, stale: int) -> None:
    tx.run(_FORGET_BRAKES, stale=stale)
