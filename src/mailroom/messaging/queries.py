# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of messaging."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import BindParameter, and_, bindparam, delete, func, insert, or_, select, update

from mailroom.core.errors import NotFound, NotResendable
from mailroom.core.ids import MessageId, RecipientId, SenderId
from mailroom.messaging.model import Due, Entry, Origin, Recipient, Sender, SenderState, Try
from mailroom.messaging.states import News, State, after
from mailroom.storage import schema, sql
from mailroom.storage.claim import Claims
from mailroom.storage.ports import Row, Tx

_senders = schema.senders
_messages = schema.messages
_recipients = schema.recipients
_attempts = schema.attempts
_receipts = schema.receipts

_SENDER = select(
    _senders.c.id,
    _senders.c.code,
    _senders.c.name,
    _senders.c.kind,
    _senders.c.settings,
    _senders.c.secrets,
    _senders.c.state,
    _senders.c.reason,
    _senders.c.failures,
    _senders.c.failing_since,
    _senders.c.paused_until,
)
_SENDER_BY_CODE = _SENDER.where(_senders.c.code == bindparam("code"))
_HOLD_SENDER = _SENDER_BY_CODE.with_for_update()
_COUNT_SENDERS = select(func.count()).select_from(_senders).where(func.length(_senders.c.secrets) > 0)
# Not against those who only refer to the row: new recipients of the sender.
_LOCK_SENDER = _SENDER.where(_senders.c.id == bindparam("sender_id")).with_for_update(key_share=True)
_SENDERS_DUE = _SENDER.where(
    _senders.c.state == SenderState.ACTIVE.value,
    _senders.c.kind.in_(bindparam("kinds", expanding=True)),
    or_(_senders.c.paused_until.is_(None), _senders.c.paused_until <= bindparam("now")),
    select(_recipients.c.id)
    .where(_recipients.c.sender_id == _senders.c.id, _recipients.c.next_at <= bindparam("now"))
    .exists(),
).order_by(_senders.c.id)
_GIVEN = ("name", "kind", "settings", "secrets", "state")
_SAVE_SENDER = (
    sql.insert(_senders)
    .values(
        {name: bindparam(name) for name in (*_GIVEN, "code")} | {"created_at": bindparam("now")},
    )
    .on_conflict_do_update(
        index_elements=[_senders.c.code],
        set_={
            **{name: bindparam(name) for name in _GIVEN},
            "reason": "",
            "failures": 0,
            "failing_since": None,
            "paused_until": None,
        },
    )
    .returning(_senders.c.id)
)
_CHANGE_SENDER_STATE = (
    update(_senders)
    .where(_senders.c.id == bindparam("which"), _senders.c.state != bindparam("new_state"))
    .values(state=bindparam("new_state"), reason=bindparam("new_reason"))
)
_SENDER_WORKS = (
    update(_senders)
    .where(_senders.c.id == bindparam("which"))
    .values(failures=0, failing_since=None, paused_until=None)
)
_SENDER_FAILS = (
    update(_senders)
    .where(_senders.c.id == bindparam("which"))
    .values(failures=bindparam("count"), failing_since=bindparam("since"), paused_until=bindparam("until"))
)


def _to_sender(row: Row) -> Sender:
    return Sender(
        id=SenderId(row[0]),
        code=row[1],
        name=row[2],
        kind=row[3],
        settings=json.loads(row[4]),
        sealed=bytes(row[5]),
        state=SenderState(row[6]),
        reason=row[7],
        failures=row[8],
        failing_since=row[9],
        paused_until=row[10],
    )


def sender_by_code(tx: Tx, code: str) -> Sender | None:
    row = tx.first(_SENDER_BY_CODE, code=code)
    return _to_sender(row) if row else None


def lock_sender_by_code(tx: Tx, code: str) -> Sender | None:
    row = tx.first(_HOLD_SENDER, code=code)
    return _to_sender(row) if row else None


def count_senders(tx: Tx) -> int:
    return int(sql.returned(tx.first(_COUNT_SENDERS)))


def lock_sender(tx: Tx, sender_id: SenderId) -> Sender:
    row = tx.first(_LOCK_SENDER, sender_id=sender_id)
    assert row is not None, "a recipient refers to it"
    return _to_sender(row)


def senders_due(tx: Tx, *, kinds: Sequence[str]) -> Sequence[Sender]:
    """The active senders of these kinds, not paused, that have something to send now."""
    return [_to_sender(row) for row in tx.all(_SENDERS_DUE, kinds=kinds, now=tx.now)]


def save_sender(
    tx: Tx, *, code: str, name: str, kind: str, settings: str, secrets: bytes, state: SenderState
) -> SenderId:
    row = tx.first(
        _SAVE_SENDER,
        code=code,
        name=name,
        kind=kind,
        settings=settings,
        secrets=secrets,
        state=state.value,
        now=tx.now,
    )
    return SenderId(sql.returned(row))


def change_sender_state(tx: Tx, sender_id: SenderId, state: SenderState, reason: str) -> int:
    """1 when the state really changed, else 0."""
    return tx.run(_CHANGE_SENDER_STATE, which=sender_id, new_state=state.value, new_reason=reason)


def sender_works(tx: Tx, sender_id: SenderId) -> None:
    tx.run(_SENDER_WORKS, which=sender_id)


def sender_fails(tx: Tx, sender_id: SenderId, *, failures: int, since: int, paused_until: int | None) -> None:
    tx.run(_SENDER_FAILS, which=sender_id, count=failures, since=since, until=paused_until)


_ADD_MESSAGE = (
    insert(_messages)
    .values(
        msgid=bindparam("msgid"),
        origin=bindparam("origin"),
        trace=bindparam("trace"),
        content=bindparam("content"),
        created_at=bindparam("now"),
    )
    .returning(_messages.c.id)
)
_ADD_RECIPIENT = insert(_recipients).values(
    message_id=bindparam("message_id"),
    sender_id=bindparam("sender_id"),
    code=bindparam("code"),
    address=bindparam("address"),
    options=bindparam("options"),
    lane=bindparam("lane"),
    state=State.QUEUED.value,
    created_at=bindparam("now"),
    updated_at=bindparam("now"),
    next_at=bindparam("now"),
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
    select(_recipients.c.id, _recipients.c.state, _recipients.c.lease, _recipients.c.message_id, _messages.c.origin)
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
        updated_at=bindparam("now"),
        next_at=None,
        lease="",
    )
)
_EXPLAIN = (
    update(_recipients)
    .where(_recipients.c.id == bindparam("which"))
    .values(reason=bindparam("new_reason"), updated_at=bindparam("now"))
)
_RESEND = (
    update(_recipients)
    .where(_recipients.c.id == bindparam("which"))
    .values(
        state=State.QUEUED.value, attempts=0, next_at=bindparam("now"), lease="", reason="", updated_at=bindparam("now")
    )
)
_ADD_ATTEMPT = insert(_attempts).values(
    {name: bindparam(name) for name in ("recipient_id", "number", "began_at", "took", "outcome", "code", "detail")}
)
_BY_PROVIDER = (
    select(_recipients.c.id)
    .where(_recipients.c.sender_id == bindparam("sender_id"), _recipients.c.provider_id == bindparam("provider_id"))
    .order_by(_recipients.c.id.desc())
    .limit(1)
)
_ADD_RECEIPT = insert(_receipts).values(
    recipient_id=bindparam("recipient_id"),
    says=bindparam("says"),
    code=bindparam("code"),
    detail=bindparam("detail"),
    received_at=bindparam("now"),
)
_DUE_STILL = (
    select(_recipients.c.id)
    .where(_recipients.c.message_id == _messages.c.id, _recipients.c.next_at.is_not(None))
    .exists()
)
_SETTLED = (
    select(_messages.c.id)
    .where(_messages.c.created_at < bindparam("before"), ~_DUE_STILL)
    .order_by(_messages.c.created_at)
    .limit(bindparam("limit"))
)
_GONE: BindParameter[int] = bindparam("gone", expanding=True)
_OF_GONE = select(_recipients.c.id).where(_recipients.c.message_id.in_(_GONE))
_REMOVE_ATTEMPTS = delete(_attempts).where(_attempts.c.recipient_id.in_(_OF_GONE))
_REMOVE_RECEIPTS = delete(_receipts).where(_receipts.c.recipient_id.in_(_OF_GONE))
_REMOVE_RECIPIENTS = delete(_recipients).where(_recipients.c.message_id.in_(_GONE))
_REMOVE_MESSAGES = delete(_messages).where(_messages.c.id.in_(_GONE))
_ENTRIES = (
    select(
        _recipients.c.id,
        _recipients.c.message_id,
        _messages.c.msgid,
        _messages.c.origin,
        _messages.c.trace,
        _senders.c.code,
        _senders.c.kind,
        _recipients.c.address,
        _recipients.c.state,
        _recipients.c.attempts,
        _recipients.c.next_at,
        _recipients.c.provider_id,
        _recipients.c.reason,
        _recipients.c.created_at,
        _recipients.c.updated_at,
    )
    .join(_messages, _messages.c.id == _recipients.c.message_id)
    .join(_senders, _senders.c.id == _recipients.c.sender_id)
    .where(
        _recipients.c.id < bindparam("before"),
        _recipients.c.state.in_(bindparam("states", expanding=True)),
        _messages.c.origin.in_(bindparam("origins", expanding=True)),
    )
    .order_by(_recipients.c.id.desc())
    .limit(bindparam("limit"))
)
_ATTEMPT_LOG = (
    select(
        _attempts.c.number,
        _attempts.c.began_at,
        _attempts.c.took,
        _attempts.c.outcome,
        _attempts.c.code,
        _attempts.c.detail,
    )
    .where(_attempts.c.recipient_id == bindparam("which"))
    .order_by(_attempts.c.id)
)
_LAST_ID = 1 << 62
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


def recipient_by_code(tx: Tx, code: str) -> Recipient | None:
    """That of a mail."""
    row = tx.first(_BY_CODE, code=code)
    return _to_recipient(row) if row else None


def try_at_once(tx: Tx, recipient_id: RecipientId) -> None:
    """Let a recipient that waits be due now; one that is under way is left alone."""
    tx.run(_AT_ONCE, which=recipient_id, now=tx.now)


def add_message(tx: Tx, *, msgid: str, origin: Origin, trace: str, content: str) -> MessageId:
    row = tx.first(_ADD_MESSAGE, msgid=msgid, origin=origin.value, trace=trace, content=content, now=tx.now)
    return MessageId(sql.returned(row))


def add_recipient(
    tx: Tx, message_id: MessageId, sender_id: SenderId, *, code: str, address: str, options: str, lane: str
) -> None:
    tx.run(
        _ADD_RECIPIENT,
        message_id=message_id,
        sender_id=sender_id,
        code=code,
        address=address,
        options=options,
        lane=lane,
        now=tx.now,
    )


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
            sender_id=SenderId(row[1]),
            code=row[2],
            address=row[3],
            options=json.loads(row[4]),
            lane=row[5],
            attempts=row[6],
            content=json.loads(row[7]),
            interrupted=bool(row[8]),
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


def hold_all(tx: Tx, recipient_ids: Iterable[RecipientId]) -> dict[RecipientId, Held]:
    """The recipients, locked in the order of their ids."""
    ids = sorted(set(recipient_ids))
    rows = [row for at in range(0, len(ids), _CHUNK) for row in tx.all(_HOLD, which=ids[at : at + _CHUNK])]
    found = (Held(RecipientId(row[0]), State(row[1]), row[2], MessageId(row[3]), Origin(row[4])) for row in rows)
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
                "now": tx.now,
            }
            for one in ends
        ],
    )


def try_again(tx: Tx, recipient_id: RecipientId, *, lease: str, at: int, reason: str) -> None:
    """Let the recipient be due at `at`, if the lease still is ours."""
    if _claims.again(tx, recipient_id, lease=lease, at=at):
        tx.run(_EXPLAIN, which=recipient_id, new_reason=reason, now=tx.now)


def resend(tx: Tx, recipient_id: RecipientId) -> None:
    """Make a recipient due from its first attempt on. Raises `NotFound`, `NotResendable`."""
    held = hold(tx, recipient_id)
    if held.origin is Origin.MAIL:  # its octets may be gone, and its sender has been told
        raise NotResendable(state=held.state.value)
    if after(held.state, News.RESEND) is not State.QUEUED or held.state is State.QUEUED:
        raise NotResendable(state=held.state.value)
    tx.run(_RESEND, which=recipient_id, now=tx.now)


def recipient_by_provider(tx: Tx, sender_id: SenderId, provider_id: str) -> RecipientId:
    """The recipient that the sender's provider knows by that id. Raises `NotFound`."""
    row = tx.first(_BY_PROVIDER, sender_id=sender_id, provider_id=provider_id)
    if row is None:
        raise NotFound(what="recipient", name=provider_id)
    return RecipientId(row[0])


def add_receipt(tx: Tx, recipient_id: RecipientId, *, says: str, code: str, detail: str) -> None:
    tx.run(_ADD_RECEIPT, recipient_id=recipient_id, says=says, code=code, detail=detail, now=tx.now)


def settled_before(tx: Tx, before: int, limit: int) -> Sequence[MessageId]:
    """Messages made before that time, none of whose recipients is due any more; the oldest first."""
    return [MessageId(row[0]) for row in tx.all(_SETTLED, before=before, limit=limit)]


def remove_messages(tx: Tx, message_ids: Sequence[MessageId]) -> None:
    """Forget messages with all that hangs on them."""
    for statement in (_REMOVE_ATTEMPTS, _REMOVE_RECEIPTS, _REMOVE_RECIPIENTS, _REMOVE_MESSAGES):
        tx.run(statement, gone=message_ids)


def add_attempts(tx: Tx, tries: Iterable[tuple[RecipientId, Try]]) -> None:
    tx.many(_ADD_ATTEMPT, [{"recipient_id": recipient_id, **asdict(one)} for recipient_id, one in tries])


def entries(
    tx: Tx, *, states: Sequence[State], origins: Sequence[Origin], before: RecipientId | None, limit: int
) -> Sequence[Entry]:
    rows = tx.all(
        _ENTRIES,
        states=[state.value for state in states],
        origins=[origin.value for origin in origins],
        before=_LAST_ID if before is None else before,
        limit=limit,
    )
    return [
        Entry(
            id=RecipientId(row[0]),
            message_id=MessageId(row[1]),
            msgid=row[2],
            origin=Origin(row[3]),
            trace=row[4],
            sender=row[5],
            kind=row[6],
            address=row[7],
            state=State(row[8]),
            attempts=row[9],
            next_at=row[10],
            provider_id=row[11],
            reason=row[12],
            created_at=row[13],
            updated_at=row[14],
        )
        for row in rows
    ]


def attempts(tx: Tx, recipient_id: RecipientId) -> Sequence[Try]:
    return [Try(*row) for row in tx.all(_ATTEMPT_LOG, which=recipient_id)]


_tokens = schema.tokens
_TOKEN = _tokens.c.key == bindparam("which")
_MAKE_TOKEN = sql.insert(_tokens).values(key=bindparam("which")).on_conflict_do_nothing()
_HELD_TOKEN = select(_tokens.c.token, _tokens.c.fetched_at, _tokens.c.expires_at, _tokens.c.fetching_until)
_HELD_TOKEN = _HELD_TOKEN.where(_TOKEN).with_for_update()
_BEGIN_TOKEN = update(_tokens).where(_TOKEN).values(fetching_until=bindparam("until"))
_KEEP_TOKEN = (
    update(_tokens)
    .where(_TOKEN)
    .values(token=bindparam("sealed"), fetched_at=bindparam("now"), expires_at=bindparam("expires"), fetching_until=0)
)


@dataclass(frozen=True, slots=True)
class HeldToken:
    """An access token as it is kept; none before the first has been fetched."""

    sealed: bytes | None
    fetched_at: int
    expires_at: int


def begin_token(tx: Tx, key: str, *, until: int) -> tuple[HeldToken, bool]:
    """The token, and whether it is for the caller to fetch it anew, until that time."""
    tx.run(_MAKE_TOKEN, which=key)
    row = tx.first(_HELD_TOKEN, which=key)
    assert row is not None, "it has just been made"
    ours = row[3] <= tx.now
    if ours:
        tx.run(_BEGIN_TOKEN, which=key, until=until)
    return HeldToken(None if row[0] is None else bytes(row[0]), row[1], row[2]), ours


def leave_token(tx: Tx, key: str) -> None:
    """Nobody fetches it now."""
    tx.run(_BEGIN_TOKEN, which=key, until=0)


def keep_token(tx: Tx, key: str, sealed: bytes, *, expires_at: int) -> None:
    """It has been fetched."""
    tx.run(_KEEP_TOKEN, which=key, sealed=sealed, now=tx.now, expires=expires_at)
