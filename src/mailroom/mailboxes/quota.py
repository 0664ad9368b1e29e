# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whether and how much a mailbox takes."""

from __future__ import annotations

from mailroom.core.errors import InvalidValue, MailboxDisabled, NotFound, OverQuota
from mailroom.core.ids import MailboxId
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import MailboxStatus
from mailroom.storage.ports import Tx


def ask(tx: Tx, mailbox_id: MailboxId, *, size: int, address: str) -> None:
    """Whether a mail of `size` octets would be taken now. It is asked before the mail comes; `append.deliver` decides.
    Raises `NotFound`, `MailboxDisabled`, `OverQuota`.
    """
    mailbox = queries.mailbox(tx, mailbox_id)
    if mailbox is None:
        raise NotFound(what="mailbox", name=address)
    if mailbox.status is not MailboxStatus.ACTIVE:
        raise MailboxDisabled(address=address)
    if mailbox.quota and mailbox.used + max(size, 1) > mailbox.quota:
        raise OverQuota


def change_status(tx: Tx, mailbox_id: MailboxId, status: MailboxStatus) -> None:
    """Let the mailbox take mail and logins, or not; from the commit on."""
    queries.change_status(tx, mailbox_id, status)


def change(tx: Tx, mailbox_id: MailboxId, quota: int) -> None:
    """Set the quota in octets; 0 is none. What is there stays. Raises `InvalidValue`."""
    if quota < 0:
        raise InvalidValue(name="quota", reason="0 (none) or a number of octets")
    queries.change_quota(tx, mailbox_id, quota)
