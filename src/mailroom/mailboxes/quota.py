# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whether and how much a mailbox takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailroom.core.errors import InvalidValue, MailboxDisabled, NotFound, OverQuota
from mailroom.core.ids import MailboxId
from mailroom.directory import addresses, audit, departments, members, rights
from mailroom.directory.model import Actor
from mailroom.mailboxes import queries, recycle
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


def change_status(tx: Tx, by: Actor, mailbox_id: MailboxId, status: MailboxStatus) -> None:
    """Let the mailbox take mail and logins (`ACTIVE`) or not (`DISABLED`), from the commit on, for open sessions too.
    One that is enabled stays disabled as long as its owner's department is. Raises `NoPermission`, `NotFound`,
    `CannotDisable`.
    """
    assert status in {MailboxStatus.ACTIVE, MailboxStatus.DISABLED}
    rights.over_mailbox(tx, by, mailbox_id)
    members.lock_organisation(tx)  # before the mailbox, as whoever gives one away does
    mailbox = recycle.hold_in_use(tx, mailbox_id)
    is_enabled = status is MailboxStatus.ACTIVE
    if not is_enabled and mailbox.owner_id is not None:
        members.ask_dispensable(by, members.by_id(tx, mailbox.owner_id))
    queries.mailboxes.change_status(tx, mailbox_id, status)
    if is_enabled:
        departments.settle(tx, by)
    tx.hint(topic(mailbox_id))
    _record(tx, by, "mailbox.enable" if is_enabled else "mailbox.disable", mailbox_id)


def change(tx: Tx, by: Actor, mailbox_id: MailboxId, quota: int) -> None:
    """Set the quota in octets; 0: no limit. What is there stays. Raises `NoPermission`, `NotFound`, `InvalidValue`."""
    rights.over_all(by)
    if quota < 0:
        raise InvalidValue(name="quota", reason="0 (none) or a number of octets")
    before = recycle.hold_in_use(tx, mailbox_id).quota
    queries.mailboxes.change_quota(tx, mailbox_id, quota)
    _record(tx, by, "mailbox.quota", mailbox_id, before={"quota": before}, after={"quota": quota})


def _record(tx: Tx, by: Actor, action: str, mailbox_id: MailboxId, **change: Mapping[str, int]) -> None:
    audit.record(tx, by, action, addresses.primary(tx, mailbox_id), mailbox_id=mailbox_id, **change)
