# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever holders do, die or come late with: one holder at a time, none but it settles, and nothing is lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import bindparam, insert, select

from mailroom.storage import schema
from mailroom.storage.claim import Claims
from mailroom.storage.engines import IN_MEMORY, open_store
from mailroom.storage.ports import Row, Work
from tests.stores import Watch

_facts = schema.facts
CLAIMS = Claims(_facts)
ADD = insert(_facts).values(kind="", payload="", created_at=0, next_at=bindparam("at")).returning(_facts.c.id)
ALL = select(_facts.c.id, _facts.c.attempts, _facts.c.next_at, _facts.c.lease).order_by(_facts.c.id)


@dataclass
class Expected:
    """A row as it must be."""

    attempts: int
    next_at: int | None
    lease: str = ""

    def is_of(self, lease: str) -> bool:
        return self.lease == lease and self.next_at is not None


class Durable(RuleBasedStateMachine):
    """The table, beside a model of it; holders remember what they claimed for ever, also when it is theirs no more."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.watch = Watch()
        self.rows: dict[int, Expected] = {}
        self.held: list[tuple[str, int]] = []  # every lease ever given, and its row

    @initialize()
    def open(self) -> None:
        self.store = self.runner.run(self._open())

    async def _open(self) -> Any:
        return open_store(IN_MEMORY, self.watch)

    def write(self, work: Work[Any]) -> Any:
        return self.runner.run(self.store.write(work))

    @rule(delay=st.integers(0, 20))
    def add(self, delay: int) -> None:
        at = self.watch.now + delay
        [row] = self.write(lambda tx: tx.all(ADD, at=at))
        self.rows[row[0]] = Expected(0, at)

    @rule(time=st.integers(1, 30))
    def time_passes(self, time: int) -> None:
        self.watch.now += time

    @rule(limit=st.integers(1, 4), time=st.integers(1, 20))
    def claim(self, limit: int, time: int) -> None:
        lease, until = f"lease-{len(self.held)}-{self.watch.now}", self.watch.now + time
        due = {n: row for n, row in self.rows.items() if row.next_at is not None and row.next_at <= self.watch.now}

        claimed: list[Row] = self.write(lambda tx: CLAIMS.claim(tx, lease=lease, until=until, limit=limit))

        taken = [row[0] for row in claimed]
        assert len(taken) == min(limit, len(due))
        waiting = [row.next_at for n, row in due.items() if n not in taken]
        for row_id, attempts in claimed:
            row = due[row_id]  # else it was not due: another holds it, or it is settled
            assert row.next_at is not None
            assert all(other is None or row.next_at <= other for other in waiting), "the longest due goes first"
            row.attempts, row.next_at, row.lease = row.attempts + 1, until, lease
            assert attempts == row.attempts
            self.held.append((lease, row_id))

    def _holder(self, choice: int) -> tuple[str, int, Expected, bool]:
        lease, row_id = self.held[choice % len(self.held)] if self.held else ("nobody", 0)
        row = self.rows.get(row_id, Expected(0, None))
        return lease, row_id, row, row.is_of(lease)

    @rule(choice=st.integers(0, 1000))
    def done(self, choice: int) -> None:
        lease, row_id, row, ours = self._holder(choice)
        assert self.write(lambda tx: CLAIMS.done(tx, [row_id], lease=lease)) == ({row_id} if ours else set())
        if ours:
            row.next_at, row.lease = None, ""

    @rule(choice=st.integers(0, 1000))
    def give_up(self, choice: int) -> None:
        lease, row_id, row, ours = self._holder(choice)
        assert self.write(lambda tx: CLAIMS.give_up(tx, row_id, lease=lease)) is ours
        if ours:
            row.next_at, row.lease = None, ""

    @rule(choice=st.integers(0, 1000), delay=st.integers(0, 20))
    def again(self, choice: int, delay: int) -> None:
        lease, row_id, row, ours = self._holder(choice)
        at = self.watch.now + delay
        assert self.write(lambda tx: CLAIMS.again(tx, row_id, lease=lease, at=at)) is ours
        if ours:
            row.next_at, row.lease = at, ""

    @rule(choice=st.integers(0, 1000), time=st.integers(1, 20))
    def renew(self, choice: int, time: int) -> None:
        lease, row_id, row, ours = self._holder(choice)
        until = self.watch.now + time
        renewed = self.write(lambda tx: CLAIMS.renew(tx, [row_id], lease=lease, until=until))
        assert renewed == ({row_id} if ours else set())
        if ours:
            row.next_at = until

    @invariant()
    def the_table_is_as_expected(self) -> None:
        rows = self.runner.run(self.store.read(lambda tx: tx.all(ALL)))
        assert rows == [(n, row.attempts, row.next_at, row.lease) for n, row in sorted(self.rows.items())]

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()


TestDurable = Durable.TestCase
TestDurable.settings = settings(max_examples=60, stateful_step_count=30)
