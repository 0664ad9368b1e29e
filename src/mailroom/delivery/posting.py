# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Posting: where a letter goes, in one transaction. What is for us is filed, what is for others is put into the outbox,
groups are expanded, filters are obeyed. Each mailbox gets a letter once, however many of its addresses are named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mailroom.core.ids import MailboxId
from mailroom.delivery.letters import Letter
from mailroom.events import outbox
from mailroom.events.facts import MailArrived
from mailroom.mailboxes import append
from mailroom.mailboxes.model import FolderRole
from mailroom.storage.ports import Tx


@dataclass(frozen=True, slots=True)
class Addressee:
    """One recipient of an envelope, as RCPT names it, with what RFC 3461 lets the sender ask for."""

    address: str
    notify: frozenset[str] = frozenset()  # SUCCESS, FAILURE, DELAY, or NEVER alone; empty: as usual
    orcpt: str = ""


def file(
    tx: Tx, letter: Letter, *, sender: str, mailbox_ids: Iterable[MailboxId], role: FolderRole = FolderRole.INBOX
) -> None:
    """Put the letter into each mailbox, with the fact that it arrived. Raises `OverQuota`, `MailboxDisabled`."""
    # In the order of ids, so that two such transactions cannot wait for each other.
    ordered = sorted(set(mailbox_ids))
    content_id = letter.file(tx, refs=len(ordered))
    for mailbox_id in ordered:
        placed = append.deliver(tx, content_id, mailbox_id, role=role, size=letter.size, envelope_from=sender)
        outbox.emit(
            tx,
            MailArrived(
                mailbox_id=mailbox_id,
                folder_id=placed.folder_id,
                uid=placed.uid,
                content_id=content_id,
                envelope_from=sender,
            ),
        )
