# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Telling those who use a mailbox, by mail into it, what administrators do with its mails."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.core.ids import MailboxId
from mailroom.core.text import N_
from mailroom.events.facts import BackupBegan, BackupDone, MailboxExported
from mailroom.notify import letters
from mailroom.storage.ports import Tx

_INTO_SUBJECT = N_("The mails of {source} are being copied into this mailbox")
_INTO_TEXT = N_(
    "An administrator ({actor}) has the mails of {source} copied into your folder\n\n    {folder}\n\n"
    "They are copies, and count as yours."
)
_FROM_SUBJECT = N_("The mails of this mailbox have been copied")
_FROM_TEXT = N_("An administrator ({actor}) has had the mails of {source} copied into the mailbox {target}.")
_EXPORT_SUBJECT = N_("The mails of this mailbox are being exported")
_EXPORT_TEXT = N_("An administrator ({actor}) has the mails of {address} written to a file.")


@dataclass(frozen=True, slots=True)
class Owners:
    """Files the mails; a mailbox that takes none, since it is disabled or in the recycle bin, gets none."""

    hostname: str

    def backup_began(self, tx: Tx, fact: BackupBegan) -> None:
        """The mails of one mailbox are copied into another, which is told now."""
        about = {"source": fact.source, "folder": fact.folder, "actor": fact.actor}
        self._file(tx, fact.target_id, _INTO_SUBJECT, _INTO_TEXT, about)

    def backup_done(self, tx: Tx, fact: BackupDone) -> None:
        """They have been copied. The source is told only now, or its copy would hold the mail that tells it."""
        about = {"source": fact.source, "target": fact.target, "actor": fact.actor}
        self._file(tx, fact.source_id, _FROM_SUBJECT, _FROM_TEXT, about)

    def exported(self, tx: Tx, fact: MailboxExported) -> None:
        """The mails of a mailbox leave in a file."""
        about = {"address": fact.address, "actor": fact.actor}
        self._file(tx, fact.mailbox_id, _EXPORT_SUBJECT, _EXPORT_TEXT, about)

    def _file(self, tx: Tx, to: MailboxId, subject: str, text: str, about: dict[str, str]) -> None:
        letters.file(tx, [to], subject, text, lambda _language: about, hostname=self.hostname)
