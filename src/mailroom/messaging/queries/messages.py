# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What is sent."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BindParameter, bindparam, delete, insert, select, update

from mailroom.core.ids import MailboxId, MemberId, MessageId
from mailroom.messaging.model import Origin
from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_messages = schema.messages
_recipients = schema.recipients
_attempts = schema.attempts
_receipts = schema.receipts

_ADD = (
    insert(_messages)
    .values(
        msgid=bindparam("msgid"),
        origin=bindparam("origin"),
        trace=bindparam("trace"),
        content=bindparam("content"),
        mailbox_id=bindparam("mailbox_id"),
        member_id=bindparam("member_id"),
        created_at=bindparam("now"),
    )
    .returning(_messages.c.id)
)
_REWRITE = update(_messages).where(_messages.c.id == bindparam("which")).values(content=bindparam("new_content"))
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


def add(  # the columns of a row, each by its name
    tx: Tx,
    *,
    msgid: str,
    origin: Origin,
    trace: str,
    content: str,
    mailbox_id: MailboxId | None,
    member_id: MemberId | None,
) -> MessageId:
    row = tx.first(
        _ADD,
        msgid=msgid,
        origin=origin.value,
        trace=trace,
        content=content,
        mailbox_id=mailbox_id,
        member_id=member_id,
        now=tx.now,
    )
    return MessageId(sql.returned(row))


def rewrite(tx: Tx, message_id: MessageId, content: str) -> None:
    tx.run(_REWRITE, which=message_id, new_content=content)


def settled_before(tx: Tx, before: int, limit: int) -> Sequence[MessageId]:
    """Messages made before that time, none of whose recipients is due any more; the oldest first."""
    return [MessageId(row[0]) for row in tx.all(_SETTLED, before=before, limit=limit)]


def remove(tx: Tx, message_ids: Sequence[MessageId]) -> None:
    """Forget messages with all that hangs on them."""
    for statement in (_REMOVE_ATTEMPTS, _REMOVE_RECEIPTS, _REMOVE_RECIPIENTS, _REMOVE_MESSAGES):
        tx.run(statement, gone=message_ids)
