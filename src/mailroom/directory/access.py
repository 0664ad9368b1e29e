# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who may use which mailbox. The one place where that is decided."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.ids import MailboxId, MemberId
from mailroom.directory import queries
from mailroom.storage.ports import Tx


def users(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    """The userids of all members who use a public mailbox, through themselves, a department or a tag."""
    return queries.access.userids(tx, mailbox_id)


def own_mailbox(tx: Tx, member_id: MemberId) -> MailboxId | None:
    """The member's personal mailbox."""
    return queries.access.own_mailbox(tx, member_id)


def administrators(tx: Tx) -> Sequence[MailboxId]:
    """The personal mailboxes of the active administrators, the first administrator's first."""
    return queries.members.administrator_mailboxes(tx)


def mailboxes_of(tx: Tx, member_id: MemberId) -> Sequence[MailboxId]:
    """The mailboxes that a member may use: first his own, then the public ones."""
    own = own_mailbox(tx, member_id)
    return [*([] if own is None else [own]), *queries.access.shared_mailboxes(tx, member_id)]


def uses(tx: Tx, member_id: MemberId, mailbox_id: MailboxId) -> bool:
    """Whether the mailbox is the member's own, or a public one that he uses."""
    # His own first: the other question is the dearer one.
    own = own_mailbox(tx, member_id)
    return own == mailbox_id or mailbox_id in queries.access.shared_mailboxes(tx, member_id)


def stir(tx: Tx, member_id: MemberId) -> None:
    """Let every session that the member may have ask again whether it still may."""
    for mailbox_id in mailboxes_of(tx, member_id):
        recheck(tx, mailbox_id)


def recheck(tx: Tx, mailbox_id: MailboxId) -> None:
    """Let who looks at the mailbox ask again whether he still may."""
    tx.hint(f"mailbox:{mailbox_id}")
