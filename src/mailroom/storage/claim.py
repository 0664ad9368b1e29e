# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Durable work: rows that are due, claimed under a lease, and settled by its holder only.

A row with `next_at` is due from then on. To claim it is to move `next_at` to the lease's end: if the holder dies, the
row is simply due again, and nobody has to clean up. Every claim has a new lease id, and only with that id is a row
settled, so a holder that was too slow can do no harm once another has the row. A row without `next_at` is settled.
The same on SQLite and PostgreSQL, where claimers pass over rows that others are just claiming.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, null, select, update

from mailroom.storage.ports import Row, Tx


class Claims:
    """The durable work in one table, which has the columns of `schema._leased`. `where` narrows
    what `claim` takes; its parameters are given there.
    """

    def __init__(self, table: Table, *, columns: Sequence[str] = (), where: ColumnElement[bool] | None = None) -> None:
        c = table.c
        due = select(c.id).where(c.next_at <= bindparam("due_at"))
        if where is not None:
            due = due.where(where)
        # In a CTE, since PostgreSQL may run a subquery with LIMIT more than once and then claim too many.
        taken = due.order_by(c.next_at).limit(bindparam("most")).with_for_update(skip_locked=True).cte("taken")
        self._claim = (
            update(table)
            .where(c.id.in_(select(taken.c.id)))
            .values(
                next_at=bindparam("until"),
                previous=c.lease,
                lease=bindparam("new_lease"),
                attempts=c.attempts + 1,
            )
            .returning(c.id, c.attempts, *(c[name] for name in columns))
        )
        ours = update(table).where(
            c.id.in_(bindparam("ids", expanding=True)), c.lease == bindparam("ours"), c.next_at.is_not(None)
        )
        self._settle = ours.values(next_at=null(), lease="").returning(c.id)
        self._postpone = ours.values(next_at=bindparam("at"), lease="").returning(c.id)
        self._renew = ours.values(next_at=bindparam("at")).returning(c.id)

    def claim(self, tx: Tx, *, lease: str, until: int, limit: int, **values: Any) -> Sequence[Row]:
        """Take up to `limit` rows that are due, the longest due first; until `until` (milliseconds) the holder of
        `lease`, which must be new, has them. Their id, attempts (this one counted) and `columns`, in the order of ids.
        """
        rows = tx.all(self._claim, due_at=tx.now, until=until, new_lease=lease, most=limit, **values)
        return sorted(rows, key=lambda row: int(row[0]))

    def done(self, tx: Tx, ids: Iterable[int], *, lease: str) -> frozenset[int]:
        """Settle; those of `ids` that were the lease's. What was done for the others must not be kept."""
        return self._ours(tx.all(self._settle, ids=list(ids), ours=lease))

    def again(self, tx: Tx, row_id: int, *, lease: str, at: int) -> bool:
        """Give it back, due at `at` (milliseconds). False: it was not the lease's, and nothing changed."""
        return bool(tx.all(self._postpone, ids=[row_id], ours=lease, at=at))

    def give_up(self, tx: Tx, row_id: int, *, lease: str) -> bool:
        """Claim it no more; the row stays. False: it was not the lease's, and nothing changed."""
        return bool(self.done(tx, [row_id], lease=lease))

    def renew(self, tx: Tx, ids: Iterable[int], *, lease: str, until: int) -> frozenset[int]:
        """Hold on for longer; those of `ids` that are still the lease's."""
        return self._ours(tx.all(self._renew, ids=list(ids), ours=lease, at=until))

    @staticmethod
    def _ours(rows: Sequence[Row]) -> frozenset[int]:
        return frozenset(row[0] for row in rows)
