# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Which job copies a mailbox at present. Meanwhile it may not change hands, or what comes for the new owner would be
copied too; nor may it be purged.
"""

from __future__ import annotations

from typing import Final

from mailroom.core.errors import InUse
from mailroom.core.ids import MailboxId
from mailroom.directory import addresses
from mailroom.events import jobs
from mailroom.events.jobs import Job
from mailroom.mailboxes import backup, export
from mailroom.storage.ports import Tx

_KINDS: Final = (backup.KIND, export.KIND)


def job(tx: Tx, mailbox_id: MailboxId) -> Job | None:
    """The job, if any, that copies the mailbox, or into it. None begins while the caller holds the mailbox."""
    pending = (job for kind in _KINDS for job in jobs.pending(tx, kind))
    return next((job for job in pending if mailbox_id in {job.task["source"], job.task.get("target")}), None)


def ask_idle(tx: Tx, mailbox_id: MailboxId) -> None:
    """Whether nothing copies the mailbox, which the caller holds. Raises `InUse`."""
    if at_work := job(tx, mailbox_id):
        raise InUse(what="mailbox", name=addresses.primary(tx, mailbox_id), by=f"{at_work.kind} {at_work.id}")
