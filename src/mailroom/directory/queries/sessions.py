# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What browsers have signed in."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select

from mailroom.core.ids import MemberId
from mailroom.directory.model import Member, MemberStatus
from mailroom.directory.queries.members import COLUMNS, to_member
from mailroom.storage import schema
from mailroom.storage.ports import Tx

_members = schema.members
_sessions = schema.sessions

_ADD_SESSION = insert(_sessions).values(
    token=bindparam("token"),
    member_id=bindparam("member_id"),
    created_at=bindparam("now"),
    expires_at=bindparam("expires_at"),
)
_SESSION_MEMBER = (
    select(*COLUMNS)
    .join(_sessions, _sessions.c.member_id == _members.c.id)
    .where(
        _sessions.c.token == bindparam("token"),
        _sessions.c.expires_at > bindparam("now"),
        _members.c.status == MemberStatus.ACTIVE.value,
    )
)
_END_SESSION = delete(_sessions).where(_sessions.c.token == bindparam("token"))
_FORGET_SESSIONS = delete(_sessions).where(_sessions.c.expires_at <= bindparam("now"))
_END_SESSIONS = delete(_sessions).where(_sessions.c.member_id == bindparam("member_id"))


def add(tx: Tx, token: str, member_id: MemberId, *, expires_at: int) -> None:
    tx.run(_ADD_SESSION, token=token, member_id=member_id, now=tx.now, expires_at=expires_at)


def member(tx: Tx, token: str) -> Member | None:
    row = tx.first(_SESSION_MEMBER, token=token, now=tx.now)
    return to_member(row) if row else None


def end(tx: Tx, token: str) -> None:
    tx.run(_END_SESSION, token=token)


def forget(tx: Tx) -> None:
    tx.run(_FORGET_SESSIONS, now=tx.now)


def end_all(tx: Tx, member_id: MemberId) -> None:
    tx.run(_END_SESSIONS, member_id=member_id)
