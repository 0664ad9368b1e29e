# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The configured ways out."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import bindparam, func, or_, select, update

from mailroom.core.ids import SenderId
from mailroom.messaging.model import Sender, SenderState
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_recipients = schema.recipients
_senders = schema.senders

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
    _senders.c.faulty,
    _senders.c.told_at,
    _senders.c.paced_at,
)
_BY_CODE = _SENDER.where(_senders.c.code == bindparam("code"))
# Not against those who only refer to the row: new recipients of the sender.
_LOCK_BY_CODE = _BY_CODE.with_for_update(key_share=True)
_SEALED = select(_senders.c.secrets).where(func.length(_senders.c.secrets) > 0).limit(1)
_BY_ID = _SENDER.where(_senders.c.id == bindparam("sender_id"))
_LOCK = _BY_ID.with_for_update(key_share=True)
_DUE = _SENDER.where(
    _senders.c.state == SenderState.ACTIVE.value,
    _senders.c.kind.in_(bindparam("kinds", expanding=True)),
    or_(_senders.c.paused_until.is_(None), _senders.c.paused_until <= bindparam("now")),
    select(_recipients.c.id)
    .where(_recipients.c.sender_id == _senders.c.id, _recipients.c.next_at <= bindparam("now"))
    .exists(),
).order_by(_senders.c.id)
_GIVEN = ("name", "kind", "settings", "secrets", "state")
_SAVE = (
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
            "faulty": 0,
            "told_at": None,
        },
    )
    .returning(_senders.c.id)
)
_CHANGE_STATE = (
    update(_senders)
    .where(_senders.c.id == bindparam("which"), _senders.c.state != bindparam("new_state"))
    .values(state=bindparam("new_state"), reason=bindparam("new_reason"))
)
_LOCK_PACE = (
    select(_senders.c.paced_at)
    .where(_senders.c.id == bindparam("which"))
    .with_for_update(key_share=True, skip_locked=True)
)
_KEEP_PACE = update(_senders).where(_senders.c.id == bindparam("which")).values(paced_at=bindparam("new_paced_at"))
_WORKS = (
    update(_senders)
    .where(_senders.c.id == bindparam("which"))
    .values(reason="", failures=0, failing_since=None, paused_until=None, faulty=0)
)
_FAILS = (
    update(_senders)
    .where(_senders.c.id == bindparam("which"))
    .values(
        reason=bindparam("new_reason"),
        failures=bindparam("count"),
        failing_since=bindparam("since"),
        paused_until=bindparam("until"),
        faulty=bindparam("is_faulty"),
        told_at=bindparam("told"),
    )
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
        faulty=bool(row[11]),
        told_at=row[12],
        paced_at=row[13],
    )


def by_code(tx: Tx, code: str) -> Sender | None:
    row = tx.first(_BY_CODE, code=code)
    return _to_sender(row) if row else None


def lock_by_code(tx: Tx, code: str) -> Sender | None:
    row = tx.first(_LOCK_BY_CODE, code=code)
    return _to_sender(row) if row else None


def sealed(tx: Tx) -> Sequence[bytes]:
    """The secrets of some sender that has any."""
    return [bytes(row[0]) for row in tx.all(_SEALED)]


def lock(tx: Tx, sender_id: SenderId) -> Sender:
    row = tx.first(_LOCK, sender_id=sender_id)
    assert row is not None, "a recipient refers to it"
    return _to_sender(row)


def get(tx: Tx, sender_id: SenderId) -> Sender:
    row = tx.first(_BY_ID, sender_id=sender_id)
    assert row is not None, "a recipient refers to it"
    return _to_sender(row)


def due(tx: Tx, *, kinds: Sequence[str]) -> Sequence[Sender]:
    """The active senders of these kinds, not paused, that have something to send now."""
    return [_to_sender(row) for row in tx.all(_DUE, kinds=kinds, now=tx.now)]


def save(tx: Tx, *, code: str, name: str, kind: str, settings: str, secrets: bytes, state: SenderState) -> SenderId:
    row = tx.first(
        _SAVE,
        code=code,
        name=name,
        kind=kind,
        settings=settings,
        secrets=secrets,
        state=state.value,
        now=tx.now,
    )
    return SenderId(sql.returned(row))


def change_state(tx: Tx, sender_id: SenderId, state: SenderState, reason: str) -> int:
    """1 when the state really changed, else 0."""
    return tx.run(_CHANGE_STATE, which=sender_id, new_state=state.value, new_reason=reason)


def lock_pace(tx: Tx, sender_id: SenderId) -> int | None:
    """See `pace`. None while another transaction has the sender: to wait for it might be to wait for each other."""
    row = tx.first(_LOCK_PACE, which=sender_id)
    return None if row is None else int(row[0])


def keep_pace(tx: Tx, sender_id: SenderId, paced_at: int) -> None:
    tx.run(_KEEP_PACE, which=sender_id, new_paced_at=paced_at)


def works(tx: Tx, sender_id: SenderId) -> None:
    tx.run(_WORKS, which=sender_id)


def fails(tx: Tx, sender: Sender) -> None:
    """Keep what the sender's failure has made of it."""
    tx.run(
        _FAILS,
        which=sender.id,
        new_reason=sender.reason,
        count=sender.failures,
        since=sender.failing_since,
        until=sender.paused_until,
        is_faulty=int(sender.faulty),
        told=sender.told_at,
    )
