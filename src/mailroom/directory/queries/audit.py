# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from mailroom.core.ids import MailboxId
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_audit = schema.audit
_head = schema.audit_head
_reassignments = schema.reassignments

_COLUMNS = (
    _audit.c.id,
    _audit.c.at,
    _audit.c.actor,
    _audit.c.action,
    _audit.c.subject,
    _audit.c.mailbox_id,
    _audit.c.before,
    _audit.c.after,
    _audit.c.hash,
)
_NAMES = ("at", "actor", "action", "subject", "mailbox_id", "before", "after")
_BEGIN = sql.insert(_head).values(id=1, hash="").on_conflict_do_nothing()
_HOLD_END = select(_head.c.hash).where(_head.c.id == 1).with_for_update()
_END = select(_head.c.hash).where(_head.c.id == 1)
_MOVE_END = update(_head).where(_head.c.id == 1).values(hash=bindparam("new_hash"))
_ADD = insert(_audit).values(**{name: bindparam(name) for name in (*_NAMES, "hash")})
_PAGE = (
    select(*_COLUMNS)
    .where(_audit.c.id < bindparam("before_id"), _audit.c.at >= bindparam("since"))
    .order_by(_audit.c.id.desc())
    .limit(bindparam("most"))
)
_OF_ACTION = _audit.c.action == bindparam("wanted")
_OF_MAILBOX = _audit.c.mailbox_id == bindparam("of_mailbox")
_OWNED_SINCE = select(func.max(_reassignments.c.at)).where(_reassignments.c.mailbox_id == bindparam("of_mailbox"))
# One for each question, each with an index of its own.
_PAGES = {
    (False, False): _PAGE,
    (True, False): _PAGE.where(_OF_ACTION),
    (False, True): _PAGE.where(_OF_MAILBOX),
    (True, True): _PAGE.where(_OF_ACTION, _OF_MAILBOX),
}
_FOLLOWING = select(*_COLUMNS).where(_audit.c.id > bindparam("after_id")).order_by(_audit.c.id).limit(bindparam("most"))


def hold_end(tx: Tx) -> str:
    """The last hash; nobody else may add until the commit."""
    tx.run(_BEGIN)
    return str(sql.returned(tx.first(_HOLD_END)))


def end(tx: Tx) -> str:
    row = tx.first(_END)
    return row[0] if row else ""


def add(tx: Tx, fields: Sequence[Any], new_hash: str) -> None:
    tx.run(_ADD, **dict(zip(_NAMES, fields, strict=True)), hash=new_hash)
    tx.run(_MOVE_END, new_hash=new_hash)


def page(tx: Tx, *, before: int, limit: int, action: str, of: MailboxId | None, since: int = 0) -> Sequence[Row]:
    values: dict[str, Any] = {"wanted": action} if action else {}
    if of is not None:
        values["of_mailbox"] = of
    return tx.all(_PAGES[bool(action), of is not None], before_id=before, since=since, most=limit, **values)


def owned_since(tx: Tx, mailbox_id: MailboxId) -> int:
    """When the mailbox last changed hands; 0: never."""
    return sql.returned(tx.first(_OWNED_SINCE, of_mailbox=mailbox_id)) or 0


def following(tx: Tx, *, after: int, limit: int) -> Sequence[Row]:
    return tx.all(_FOLLOWING, after_id=after, most=limit)
