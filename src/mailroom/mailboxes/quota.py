# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whether and how much a mailbox takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailroom.core.errors import InvalidValue, MailboxDisabled, NotFound, OverQuota
from mailroom.core.ids import MailboxId
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import Mailbox, MailboxStatus, topic
from mailroom.storage.ports import Tx


def ask(tx: Tx, mailbox_id: MailboxId, *, size: int, address: str) -> Mailbox:
    """The mailbox, if it would take a mail of `size` octets now. It is asked before the mail comes; `append.deliver`
    decides. Raises `NotFound`, `MailboxDisabled`, `OverQuota`.
    """
    mailbox = queries.mailboxes.mailbox(tx, mailbox_id)
    if mailbox is None:
        raise NotFound(what="mailbox", name=address)
    if mailbox.status is not MailboxStatus.ACTIVE:
        raise MailboxDisabled(address=address)
    if mailbox.quota and mailbox.used + max(size, 1) > mailbox.quota:
        raise OverQuota
    return mailbox


def with_room(tx: Tx, mailbox_ids: Sequence[MailboxId]) -> Mapping[MailboxId, bool]:
    """Those of the mailboxes that `append.deliver` would put a mail into now, and whether each has rules."""
    return queries.mailboxes.with_room(tx, mailbox_ids)


def change_status(tx: Tx, mailbox_id: MailboxId, status: MailboxStatus) -> None:
    """Let the mailbox take mail and logins, or not; from the commit on, for open sessions too."""
    queries.mailboxes.change_status(tx, mailbox_id, status)
    tx.hint(topic(mailbox_id))


def change(tx: Tx, mailbox_id: MailboxId, quota: int) -> None:
    """Set the quota in octets; 0 is none. What is there stays. Raises `InvalidValue`."""
    if quota < 0:
        raise InvalidValue(name="quota", reason="0 (none) or a number of octets")
    queries.mailboxes.change_quota(tx, mailbox_id, quota)
