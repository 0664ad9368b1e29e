# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who sent what from a public mailbox."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from mailroom.core.ids import FolderId, MailboxId, Uid
from mailroom.mailboxes.model import FolderRole, Sent
from mailroom.storage import schema
from mailroom.storage.ports import Tx

_folders = schema.folders
_mails = schema.mails
_contents = schema.contents
_members = schema.members

_SENT = (
    select(
        _mails.c.folder_id,
        _mails.c.uid,
        _mails.c.internal_date,
        _members.c.userid,
        _contents.c.recipients,
        _contents.c.subject,
    )
    .join(_folders, _folders.c.id == _mails.c.folder_id)
    .join(_contents, _contents.c.id == _mails.c.content_id)
    .outerjoin(_members, _members.c.id == _mails.c.sent_by)
    .where(
        _folders.c.mailbox_id == bindparam("mailbox_id"),
        _folders.c.role == FolderRole.SENT.value,
        _mails.c.uid < bindparam("before"),
    )
    .order_by(_mails.c.uid.desc())
    .limit(bindparam("most"))
)


def sent(tx: Tx, mailbox_id: MailboxId, *, before: Uid, limit: int) -> Sequence[Sent]:
    return [
        Sent(FolderId(row[0]), Uid(row[1]), row[2], row[3] or "", row[4], row[5])
        for row in tx.all(_SENT, mailbox_id=mailbox_id, before=before, most=limit)
    ]
