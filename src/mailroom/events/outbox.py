# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The facts that wait for their reactions.

`emit` writes in the caller's transaction. The react loop claims facts under a lease and, in the transaction of each
reaction, notes that this reaction to this fact is done: however often the loop dies, a reaction counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, insert, select

from mailroom.core.ids import FactId
from mailroom.events import facts
from mailroom.events.facts import Fact
from mailroom.storage import schema, sql
from mailroom.storage.claim import Claims
from mailroom.storage.ports import Tx

TOPIC = "facts"

_facts = schema.facts
_reactions = schema.reactions
_claims = Claims(_facts, columns=("kind", "payload"))

_EMIT = insert(_facts).values(
    kind=bindparam("kind"), payload=bindparam("payload"), created_at=bindparam("now"), next_at=bindparam("now")
)
_HOLD = select(_facts.c.id).where(_facts.c.id == bindparam("fact_id"), _facts.c.lease == bindparam("lease"))
_HOLD = _HOLD.with_for_update()
_NOTE = insert(_reactions).values(fact_id=bindparam("fact_id"), name=bindparam("name"))
_NOTED = select(_reactions.c.name).where(_reactions.c.fact_id == bindparam("fact_id"))
_FORGET_NOTES = delete(_reactions).where(_reactions.c.fact_id.in_(bindparam("fact_ids", expanding=True)))
_FORGET = delete(_facts).where(
    _facts.c.id.in_(bindparam("fact_ids", expanding=True)), _facts.c.lease == bindparam("lease")
)
_FRESH = select(func.count()).select_from(_facts).where(_facts.c.attempts == 0)
_FAILING = select(func.count()).select_from(_facts).where(_facts.c.attempts > 0)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A fact that the holder of the lease is to see through, as it lies in its row."""

    id: FactId
    attempts: int
    kind: str
    payload: str

    @property
    def fact(self) -> Fact:
        """The fact itself. Raises `KeyError`, `TypeError`, `ValueError` for one that a later release has written."""
        return facts.from_json(self.kind, self.payload)


class LeaseLost(Exception):
    """Another worker holds the fact by now; what this transaction did must not count."""


def emit(tx: Tx, fact: Fact) -> None:
    """Note that it happened. Durable, and seen by the react loop, when the caller's transaction is."""
    tx.run(_EMIT, kind=type(fact).__name__, payload=facts.to_json(fact), now=tx.now)
    tx.hint(TOPIC)


def claim(tx: Tx, *, lease: str, until: int, limit: int) -> Sequence[Claimed]:
    """Take up to `limit` facts that are due, oldest first; they are ours until `until` (milliseconds)."""
    return [
        Claimed(FactId(row[0]), row[1], row[2], row[3])
        for row in _claims.claim(tx, lease=lease, until=until, limit=limit)
    ]


def reacted(tx: Tx, fact_id: FactId) -> frozenset[str]:
    """The names of the reactions that are done."""
    return frozenset(row[0] for row in tx.all(_NOTED, fact_id=fact_id))


def note(tx: Tx, fact_id: FactId, reaction: str, *, lease: str) -> None:
    """This reaction is done, if and only if this transaction commits. Raises `LeaseLost`."""
    if tx.first(_HOLD, fact_id=fact_id, lease=lease) is None:
        raise LeaseLost
    tx.run(_NOTE, fact_id=fact_id, name=reaction)


def settle(tx: Tx, *fact_ids: FactId, lease: str) -> None:
    """Every reaction is done: these facts have served. Raises `LeaseLost`."""
    if fact_ids:
        tx.run(_FORGET_NOTES, fact_ids=fact_ids)
        if tx.run(_FORGET, fact_ids=fact_ids, lease=lease) < len(fact_ids):
            raise LeaseLost


def again(tx: Tx, fact_id: FactId, *, lease: str, at: int) -> None:
    """A reaction failed; the fact is due again at `at`."""
    _claims.again(tx, fact_id, lease=lease, at=at)


def backlog(tx: Tx) -> tuple[int, int]:
    """How many facts wait for their first reaction, and how many for one that has failed before."""
    return int(sql.returned(tx.first(_FRESH))), int(sql.returned(tx.first(_FAILING)))
