# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that may be sent twice. The answer to one that bears a key is written in the transaction of what it asks
for: either both are there or neither, and who sends it again is told the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select, update

from mailroom.core.clock import DAY
from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

KEPT = DAY

_kept = schema.idempotency
_mine = (_kept.c.actor == bindparam("whose"), _kept.c.key == bindparam("under"))
_BEGIN = (
    sql.insert(_kept)
    .values(actor=bindparam("actor"), key=bindparam("key"), request=bindparam("request"), created_at=bindparam("now"))
    .on_conflict_do_nothing()
)
_EARLIER = select(_kept.c.request, _kept.c.answer).where(*_mine)
_KEEP = update(_kept).where(*_mine).values(answer=bindparam("sealed"))
_FORGET = delete(_kept).where(_kept.c.created_at < bindparam("before"))


@dataclass(frozen=True, slots=True)
class Request:
    """A request that bears a key: who sends it, and a digest of what it is."""

    actor: str
    key: str
    digest: str  # keyed: there may be a password in the request


class OtherRequest(Exception):
    """The same key came with another request before."""


def begin(tx: Tx, request: Request) -> bytes | None:
    """The answer that the request was given before, sealed; none: it is new, and `keep` follows in this transaction. Of
    two that come at once one waits for the other's transaction. Raises `OtherRequest`.
    """
    if tx.run(_BEGIN, actor=request.actor, key=request.key, request=request.digest, now=tx.now):
        return None
    return earlier(tx, request)


def earlier(tx: Tx, request: Request) -> bytes | None:
    """The answer that the request was given before, sealed, if any. Raises `OtherRequest`."""
    row = tx.first(_EARLIER, whose=request.actor, under=request.key)
    if row is None:
        return None
    if row[0] != request.digest:
        raise OtherRequest
    answer: bytes = row[1]
    return answer


def keep(tx: Tx, request: Request, answer: bytes) -> None:
    """Keep the answer, sealed, for as long as `KEPT`."""
    tx.run(_KEEP, whose=request.actor, under=request.key, sealed=answer)


def forget(tx: Tx) -> None:
    """Forget the answers that have been kept for long enough."""
    tx.run(_FORGET, before=tx.now - KEPT)
