# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""To whom, and how far it has come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, func, insert, literal_column, or_, select, update

from mailroom.core.errors import NotFound, NotResendable
from mailroom.core.ids import MessageId, RecipientId, SenderId
from mailroom.messaging.model import Content, Due, Origin, Recipient
from mailroom.messaging.states import News, State, after
from mailroom.senders.contract import Why
from mailroom.storage import schema, sql
from mailroom.storage.claim import Claims
from mailroom.storage.ports import Row, Tx

_messages = schema.messages
_recipients = schema.recipients

_ADD = (
    insert(_recipients)
    .values(
        message_id=bindparam("message_id"),
        sender_id=bindparam("sender_id"),
        origin=bindparam("origin"),
        code=bindparam("code"),
        address=bindparam("address"),
        options=bindparam("options"),
        lane=bindparam("lane"),
        state=bindparam("state"),
        reason=bindparam("reason"),
        created_at=bindparam("now"),
        updated_at=bindparam("now"),
        next_at=bindparam("at"),
    )
    .returning(_recipients.c.id)
)
_claims = Claims(
    _recipients,
    where=and_(
        _recipients.c.sender_id == bindparam("within"), _recipients.c.lane.not_in(bindparam("full", expanding=True))
    ),
)
_DUE = (
    select(
        _recipients.c.id,
        _recipients.c.message_id,
        _messages.c.origin,
        _recipients.c.sender_id,
        _recipients.c.code,
        _recipients.c.address,
        _recipients.c.options,
        _recipients.c.lane,
        _recipients.c.attempts,
        _messages.c.content,
        _recipients.c.previous,
    )
    .join(_messages, _messages.c.id == _recipients.c.message_id)
    .where(_recipients.c.id.in_(bindparam("claimed", expanding=True)))
    .order_by(_recipients.c.id)
)
_HOLD = (
    select(
        _recipients.c.id,
        _recipients.c.state,
        _recipients.c.lease,
        _recipients.c.message_id,
        _messages.c.origin,
        _recipients.c.attempts,
        _recipients.c.sender_id,
        _recipients.c.address,
        _recipients.c.created_at,
    )
    .join(_messages, _messages.c.id == _recipients.c.message_id)
    .where(_recipients.c.id.in_(bindparam("which", expanding=True)))
    .order_by(_recipients.c.id)
    .with_for_update(of=_recipients)
)
_END = (
    update(_recipients)
    .where(_recipients.c.id == bindparam("which"))
    .values(
        state=bindparam("new_state"),
        provider_id=func.coalesce(bindparam("new_provider_id"), _recipients.c.provider_id),
        reason=bindparam("new_reason"),
        told=bindparam("now_told"),
        sent_at=func.coalesce(bindparam("now_sent"), _recipients.c.sent_at),
        ask_at=bindparam("new_ask_at"),
        asked=0,
        updated_at=bindparam("now"),
        next_at=None,
        lease="",
    )
)
_EXPLAIN = (
    update(_recipients)
    .where(_recipients.c.id == bindparam("which"))
    .values(
        reason=bindparam("new_reason"),
        attempts=_recipients.c.attempts - bindparam("spared"),
        updated_at=bindparam("now"),
    )
)
_RESEND = (
    update(_recipients)
    .where(_recipients.c.id == bindparam("which"))
    .values(
        state=State.QUEUED.value,
        attempts=0,
        next_at=bindparam("now"),
        lease="",
        provider_id="",  # what is still said of the first one is not said of this one
        reason="",
        updated_at=bindparam("now"),
    )
)
_HOLD_OPTIONS = select(_recipients.c.options).where(_recipients.c.id == bindparam("which")).with_for_update()
_KEEP_OPTIONS = (
    update(_recipients).where(_recipients.c.id == bindparam("which")).values(options=bindparam("new_options"))
)
# Not under a lease, that is: whoever sends it says what becomes of it.
_FOR_PEOPLE = (
    select(_recipients.c.id)
    .join(_messages, _messages.c.id == _recipients.c.message_id)
    .where(
        _recipients.c.origin != literal_column("'mail'"),
        _recipients.c.created_at < bindparam("before"),
        _recipients.c.state == State.QUEUED.value,
        _recipients.c.lease == "",
        _messages.c.member_id.is_not(None),
    )
    .limit(bindparam("limit"))
)
_CHUNK = 500  # ids that one statement names
_RECIPIENT = select(
    _recipients.c.id,
    _recipients.c.address,
    _recipients.c.options,
    _recipients.c.state,
    _recipients.c.reason,
)
_OF_MESSAGE = _RECIPIENT.where(_recipients.c.message_id == bindparam("message_id")).order_by(_recipients.c.id)
_WAITING = _OF_MESSAGE.where(_recipients.c.next_at.is_not(None))
_OPEN = select(_messages.c.id).where(
    _messages.c.id.in_(bindparam("which", expanding=True)),
    select(_recipients.c.id)
    .where(
        _recipients.c.message_id == _messages.c.id,
        or_(_recipients.c.next_at.is_not(None), _recipients.c.told == 0),
    )
    .exists(),
)
_UNTOLD = _OF_MESSAGE.where(_recipients.c.next_at.is_(None), _recipients.c.told == 0)
_TELL = update(_recipients).where(_recipients.c.id.in_(bindparam("which", expanding=True))).values(told=1)
_BY_CODE = _RECIPIENT.join(_messages, _messages.c.id == _recipients.c.message_id).where(
    _recipients.c.code == bindparam("code"), _messages.c.origin == Origin.MAIL.value
)
_AT_ONCE = (
    update(_recipients)
    .where(_recipients.c.id == bindparam("which"), _recipients.c.lease == "")
    .values(next_at=bindparam("now"))
)


def _to_recipient(row: Row) -> Recipient:
    return Recipient(RecipientId(row[0]), row[1], json.loads(row[2]), State(row[3]), row[4])


def waiting(tx: Tx, message_id: MessageId) -> Sequence[Recipient]:
    """Those of a message that have not ended."""
    return [_to_recipient(row) for row in tx.all(_WAITING, message_id=message_id)]


def open_(tx: Tx, message_ids: Sequence[MessageId]) -> Iterator[MessageId]:
    """Those of the messages of which somebody waits, or has ended without the sender's knowing."""
    for start in range(0, len(message_ids), _CHUNK):
        yield from (MessageId(row[0]) for row in tx.all(_OPEN, which=message_ids[start : start + _CHUNK]))


def untold(tx: Tx, message_id: MessageId) -> Sequence[Recipient]:
    """Those that have ended without the sender's knowing."""
    return [_to_recipient(row) for row in tx.all(_UNTOLD, message_id=message_id)]


def tell(tx: Tx, recipient_ids: Sequence[RecipientId]) -> None:
    for start in range(0, len(recipient_ids), _CHUNK):
        tx.run(_TELL, which=recipient_ids[start : start + _CHUNK])


def by_code(tx: Tx, code: str) -> Recipient | None:
    """That of a mail."""
    row = tx.first(_BY_CODE, code=code)
    return _to_recipient(row) if row else None


def try_at_once(tx: Tx, recipient_id: RecipientId) -> None:
    """Let a recipient that waits be due now; one that is under way is left alone."""
    tx.run(_AT_ONCE, which=recipient_id, now=tx.now)


def add(  # the columns of a row, each by its name
    tx: Tx,
    message_id: MessageId,
    sender_id: SenderId,
    *,
    origin: Origin,
    code: str,
    address: str,
    options: str,
    lane: str,
    at: int,
    suppressed: str,
) -> RecipientId:
    """One that is due at `at`, unless there is a reason why it is `suppressed`."""
    row = tx.first(
        _ADD,
        message_id=message_id,
        sender_id=sender_id,
        origin=origin.value,
        code=code,
        address=address,
        options=options,
        lane=lane,
        state=(State.SUPPRESSED if suppressed else State.QUEUED).value,
        reason=suppressed,
        at=None if suppressed else at,
        now=tx.now,
    )
    return RecipientId(sql.returned(row))


def claim(
    tx: Tx, sender_id: SenderId, *, lease: str, until: int, limit: int, full: Sequence[str] = ()
) -> Sequence[Due]:
    """Take up to `limit` recipients of one sender that are due, oldest first; none of the lanes that are `full`."""
    claimed = [row[0] for row in _claims.claim(tx, lease=lease, until=until, limit=limit, within=sender_id, full=full)]
    if not claimed:
        return []
    return [
        Due(
            id=RecipientId(row[0]),
            message_id=MessageId(row[1]),
            origin=Origin(row[2]),
            sender_id=SenderId(row[3]),
            code=row[4],
            address=row[5],
            options=json.loads(row[6]),
            lane=row[7],
            attempts=row[8],
            content=json.loads(row[9]),
            interrupted=bool(row[10]),
        )
        for row in tx.all(_DUE, claimed=claimed)
    ]


@dataclass(frozen=True, slots=True)
class Held:
    """A recipient that nobody else changes until the commit."""

    id: RecipientId
    state: State
    lease: str
    message_id: MessageId
    origin: Origin
    attempts: int
    sender_id: SenderId
    address: str
    created_at: int


def hold_all(tx: Tx, recipient_ids: Iterable[RecipientId]) -> dict[RecipientId, Held]:
    """The recipients, locked in the order of their ids."""
    ids = sorted(set(recipient_ids))
    rows = [row for at in range(0, len(ids), _CHUNK) for row in tx.all(_HOLD, which=ids[at : at + _CHUNK])]
    found = (
        Held(
            RecipientId(row[0]),
            State(row[1]),
            row[2],
            MessageId(row[3]),
            Origin(row[4]),
            row[5],
            SenderId(row[6]),
            row[7],
            row[8],
        )
        for row in rows
    )
    return {one.id: one for one in found}


def hold(tx: Tx, recipient_id: RecipientId) -> Held:
    """One of them. Raises `NotFound`."""
    held = hold_all(tx, [recipient_id]).get(recipient_id)
    if held is None:
        raise NotFound(what="recipient", name=str(recipient_id))
    return held


@dataclass(frozen=True, slots=True)
class End:
    """How a recipient ends. Without `provider_id` the old one stays."""

    recipient_id: RecipientId
    state: State
    reason: str
    provider_id: str | None = None
    told: bool = False
    why: Why = Why.OTHER
    sent_at: int | None = None
    ask_at: int | None = None


def end(tx: Tx, ends: Iterable[End]) -> None:
    """End recipients; they are not due any more."""
    tx.many(
        _END,
        [
            {
                "which": one.recipient_id,
                "new_state": one.state.value,
                "new_provider_id": one.provider_id,
                "new_reason": one.reason,
                "now_told": int(one.told),
                "now_sent": one.sent_at,
                "new_ask_at": one.ask_at,
                "now": tx.now,
            }
            for one in ends
        ],
    )


def try_again(tx: Tx, recipient_id: RecipientId, *, lease: str, at: int, reason: str, spared: int = 0) -> None:
    """Let the recipient be due at `at`, if the lease still is ours; `spared`: the attempts that are not counted."""
    if _claims.again(tx, recipient_id, lease=lease, at=at):
        tx.run(_EXPLAIN, which=recipient_id, new_reason=reason, spared=spared, now=tx.now)


def put_back(tx: Tx, recipient_id: RecipientId, *, lease: str, at: int) -> None:
    """Let it be as if the recipient had not been claimed, but due at `at`, if the lease still is ours."""
    try_again(tx, recipient_id, lease=lease, at=at, reason="internal", spared=1)


def resend(tx: Tx, recipient_id: RecipientId) -> None:
    """Make a recipient due from its first attempt on. Raises `NotFound`, `NotResendable`."""
    held = hold(tx, recipient_id)
    if held.origin is Origin.MAIL:  # its octets may be gone, and its sender has been told
        raise NotResendable(state=held.state.value)
    if after(held.state, News.RESEND) is not State.QUEUED or held.state is State.QUEUED:
        raise NotResendable(state=held.state.value)
    tx.run(_RESEND, which=recipient_id, now=tx.now)


def hold_options(tx: Tx, recipient_id: RecipientId) -> Content:
    """The options, kept from being changed by others until the commit."""
    row = tx.first(_HOLD_OPTIONS, which=recipient_id)
    options: Content = json.loads(row[0]) if row else {}
    return options


def keep_options(tx: Tx, recipient_id: RecipientId, options: Content) -> None:
    tx.run(_KEEP_OPTIONS, which=recipient_id, new_options=json.dumps(options, ensure_ascii=False))


def waiting_for_people(tx: Tx, *, before: int, limit: int) -> Sequence[RecipientId]:
    """Those of messages to members that were written before that time and still wait."""
    return [RecipientId(row[0]) for row in tx.all(_FOR_PEOPLE, before=before, limit=limit)]
