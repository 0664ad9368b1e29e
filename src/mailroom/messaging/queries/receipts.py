# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What providers say later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, insert, select

from mailroom.core.ids import RecipientId, SenderId
from mailroom.messaging.states import News
from mailroom.senders.contract import Reported
from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_recipients = schema.recipients
_receipts = schema.receipts
_early = schema.early_receipts
_calls = schema.calls_heard

_BY_PROVIDER = (
    select(_recipients.c.id, _recipients.c.address)
    .where(_recipients.c.sender_id == bindparam("sender_id"), _recipients.c.provider_id == bindparam("provider_id"))
    .order_by(_recipients.c.id.desc())
    .limit(bindparam("limit"))
)
_KEEP_EARLY = insert(_early).values(
    {name: bindparam(name) for name in ("sender_id", "provider_id", "address", "says", "code", "detail")}
    | {"received_at": bindparam("now")}
)
_EARLY_OF = (
    select(
        _early.c.id,
        _recipients.c.id,
        _recipients.c.address,
        _early.c.address,
        _early.c.says,
        _early.c.code,
        _early.c.detail,
    )
    .join(
        _recipients,
        and_(_recipients.c.sender_id == _early.c.sender_id, _recipients.c.provider_id == _early.c.provider_id),
    )
    .where(_recipients.c.id.in_(bindparam("which", expanding=True)))
    .order_by(_early.c.id)
)
_DROP_EARLY = delete(_early).where(_early.c.id == bindparam("which"))
_FORGET_EARLY = delete(_early).where(_early.c.received_at < bindparam("before"))
_HEAR_CALL = (
    sql.insert(_calls)
    .values(sender_id=bindparam("sender_id"), call=bindparam("call"), heard_at=bindparam("now"))
    .on_conflict_do_nothing()
)
_FORGET_CALLS = delete(_calls).where(_calls.c.heard_at < bindparam("before"))
_ADD = insert(_receipts).values(
    recipient_id=bindparam("recipient_id"),
    says=bindparam("says"),
    code=bindparam("code"),
    detail=bindparam("detail"),
    received_at=bindparam("now"),
)
_CHUNK = 500  # ids that one statement names


def of_whom(tx: Tx, sender_id: SenderId, provider_id: str) -> Sequence[tuple[RecipientId, str]]:
    """Those that the sender's provider knows by that id, each with its address, the newest first."""
    rows = tx.all(_BY_PROVIDER, sender_id=sender_id, provider_id=provider_id, limit=_CHUNK)
    return [(RecipientId(row[0]), row[1]) for row in rows]


def keep_early(tx: Tx, sender_id: SenderId, said: Reported, *, says: News) -> None:
    """Keep what a provider says of a recipient that we do not know to be there yet."""
    tx.run(
        _KEEP_EARLY,
        sender_id=sender_id,
        provider_id=said.provider_id,
        address=said.address,
        says=says.value,
        code=said.code,
        detail=said.text,
        now=tx.now,
    )


@dataclass(frozen=True, slots=True)
class Early:
    """What was kept so, and a recipient of whom it may speak."""

    id: int
    recipient_id: RecipientId
    address: str  # the recipient's
    said_of: str  # the address that the provider gave, if any
    news: News
    code: str
    text: str


def early_of(tx: Tx, recipient_ids: Sequence[RecipientId]) -> Iterator[Early]:
    """All of it that may speak of one of them, the oldest first."""
    for at in range(0, len(recipient_ids), _CHUNK):
        for row in tx.all(_EARLY_OF, which=recipient_ids[at : at + _CHUNK]):
            yield Early(row[0], RecipientId(row[1]), row[2], row[3], News(row[4]), row[5], row[6])


def drop_early(tx: Tx, early_id: int) -> None:
    tx.run(_DROP_EARLY, which=early_id)


def hear_call(tx: Tx, sender_id: SenderId, call: str) -> bool:
    """Whether it is the first of that name; the others are repeats."""
    return tx.run(_HEAR_CALL, sender_id=sender_id, call=call, now=tx.now) == 1


def forget(tx: Tx, *, before: int) -> None:
    """Forget early receipts and calls from before that time."""
    tx.run(_FORGET_EARLY, before=before)
    tx.run(_FORGET_CALLS, before=before)


def add(tx: Tx, recipient_id: RecipientId, *, says: str, code: str, detail: str) -> None:
    tx.run(_ADD, recipient_id=recipient_id, says=says, code=code, detail=detail, now=tx.now)
