# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""For which receipts providers are asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, select, update

from mailroom.core.ids import RecipientId, SenderId
from mailroom.senders.contract import Question
from mailroom.storage import schema
from mailroom.storage.ports import Tx

_senders = schema.senders
_recipients = schema.recipients

_TO_ASK = and_(_recipients.c.ask_at <= bindparam("now"), _senders.c.kind.in_(bindparam("kinds", expanding=True)))
_IS_TO_ASK = select(_recipients.c.id).join(_senders, _senders.c.id == _recipients.c.sender_id).where(_TO_ASK).limit(1)
_CLAIM_TO_ASK = (
    select(
        _recipients.c.id,
        _recipients.c.sender_id,
        _recipients.c.provider_id,
        _recipients.c.address,
        _recipients.c.sent_at,
        _recipients.c.asked,
    )
    .join(_senders, _senders.c.id == _recipients.c.sender_id)
    .where(_TO_ASK)
    .order_by(_recipients.c.ask_at)
    .limit(bindparam("limit"))
    .with_for_update(of=_recipients, skip_locked=True)
)
_ASK_AGAIN = (
    update(_recipients)
    .where(_recipients.c.id == bindparam("which"))
    .values(ask_at=bindparam("again_at"), asked=bindparam("so_often"))
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A recipient whose receipt is asked for, and when it will be again."""

    id: RecipientId
    sender_id: SenderId
    question: Question
    asked: int  # how often, by the times of its kind that have passed
    ask_at: int | None = None


def is_to_ask(tx: Tx, *, kinds: Sequence[str]) -> bool:
    """Whether senders of these kinds are to be asked for a receipt now."""
    return tx.first(_IS_TO_ASK, kinds=kinds, now=tx.now) is not None


def to_ask(tx: Tx, *, kinds: Sequence[str], limit: int) -> Sequence[Asked]:
    """For which, the longest due first; kept from others until the commit."""
    return [
        Asked(RecipientId(row[0]), SenderId(row[1]), Question(row[2], row[3], row[4]), row[5])
        for row in tx.all(_CLAIM_TO_ASK, kinds=kinds, now=tx.now, limit=limit)
    ]


def ask_again(tx: Tx, asked: Iterable[Asked]) -> None:
    """Keep when they are asked for again."""
    tx.many(_ASK_AGAIN, [{"which": one.id, "again_at": one.ask_at, "so_often": one.asked} for one in asked])
