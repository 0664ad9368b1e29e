# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who may use which mailbox."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select

from mailroom.core.ids import MailboxId, MemberId
from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_members = schema.members
_mailboxes = schema.mailboxes
_access = schema.access

_ADD_ACCESS = (
    sql.insert(_access)
    .values(mailbox_id=bindparam("mailbox_id"), member_id=bindparam("member_id"))
    .on_conflict_do_nothing()
)
_REMOVE_ACCESS = delete(_access).where(
    _access.c.mailbox_id == bindparam("mailbox_id"), _access.c.member_id == bindparam("member_id")
)
_ACCESS_USERIDS = (
    select(_members.c.userid)
    .join(_access, _access.c.member_id == _members.c.id)
    .where(_access.c.mailbox_id == bindparam("mailbox_id"))
    .order_by(_members.c.userid)
)
_OWN_MAILBOX = select(_mailboxes.c.id).where(_mailboxes.c.owner_id == bindparam("member_id"))
_SHARED_MAILBOXES = (
    select(_access.c.mailbox_id).where(_access.c.member_id == bindparam("member_id")).order_by(_access.c.mailbox_id)
)


def add(tx: Tx, mailbox_id: MailboxId, member_id: MemberId) -> None:
    tx.run(_ADD_ACCESS, mailbox_id=mailbox_id, member_id=member_id)


def remove(tx: Tx, mailbox_id: MailboxId, member_id: MemberId) -> None:
    tx.run(_REMOVE_ACCESS, mailbox_id=mailbox_id, member_id=member_id)


def userids(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    return [row[0] for row in tx.all(_ACCESS_USERIDS, mailbox_id=mailbox_id)]


def own_mailbox(tx: Tx, member_id: MemberId) -> MailboxId | None:
    row = tx.first(_OWN_MAILBOX, member_id=member_id)
    return MailboxId(row[0]) if row else None


def shared_mailboxes(tx: Tx, member_id: MemberId) -> Sequence[MailboxId]:
    return [MailboxId(row[0]) for row in tx.all(_SHARED_MAILBOXES, member_id=member_id)]
