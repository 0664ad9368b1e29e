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
_FORGET_NOTES = delete(_reactions).where(_reactions.c.fact_id == bindparam("fact_id"))
_FORGET = delete(_facts).where(_facts.c.id == bindparam("fact_id"), _facts.c.lease == bindparam("lease"))
_STUCK = select(func.count()).select_from(_facts).where(_facts.c.next_at.is_(None))
_WAITING = select(func.count()).select_from(_facts).where(_facts.c.next_at.is_not(None))


@dataclass(frozen=True, slots=True)
class Claimed:
    """A fact that the holder of the lease is to see through."""

    id: FactId
    attempts: int
    fact: Fact


class LeaseLost(Exception):
    """Another worker holds the fact by now; what this transaction did must not count."""


def emit(tx: Tx, fact: Fact) -> None:
    """Note that it happened. Durable, and seen by the react loop, when the caller's transaction is."""
    tx.run(_EMIT, kind=type(fact).__name__, payload=facts.to_json(fact), now=tx.now)
    tx.hint(TOPIC)


def claim(tx: Tx, *, lease: str, until: int, limit: int) -> Sequence[Claimed]:
    """Take up to `limit` facts that are due, oldest first; they are ours until `until` (milliseconds)."""
    return [
        Claimed(FactId(row[0]), row[1], facts.from_json(row[2], row[3]))
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


def settle(tx: Tx, fact_id: FactId, *, lease: str) -> None:
    """Every reaction is done: the fact has served. Raises `LeaseLost`."""
    tx.run(_FORGET_NOTES, fact_id=fact_id)
    if not tx.run(_FORGET, fact_id=fact_id, lease=lease):
        raise LeaseLost


def again(tx: Tx, fact_id: FactId, *, lease: str, at: int) -> None:
    """A reaction failed; the fact is due again at `at`."""
    _claims.again(tx, fact_id, lease=lease, at=at)


def give_up(tx: Tx, fact_id: FactId, *, lease: str) -> None:
    """Too many failures: keep the fact, but do not claim it any more. `backlog` counts it."""
    _claims.give_up(tx, fact_id, lease=lease)


def backlog(tx: Tx) -> tuple[int, int]:
    """How many facts wait, and how many were given up."""
    return int(sql.returned(tx.first(_WAITING))), int(sql.returned(tx.first(_STUCK)))
