# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Telling the administrators, by mail, what needs them."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.core import ids, log
from mailroom.core.errors import MailboxDisabled, OverQuota
from mailroom.core.text import LANGUAGES, N_, translation
from mailroom.directory import access
from mailroom.events.facts import SenderDisabled
from mailroom.mailboxes import append, contents, quota
from mailroom.mailboxes.contents import Small
from mailroom.mailboxes.model import FolderRole
from mailroom.mime import compose
from mailroom.mime.scan import scan
from mailroom.mime.structure import summarise
from mailroom.storage.ports import Tx

_LOG = log.get("alarms")


_SUBJECT = N_("New mail is no longer pushed ({code})")
_TEXT = N_(
    "The sender {code} has been disabled, because its other end does not take messages any more:\n\n    {reason}\n\n"
    "Its queue is kept. When the other end works again, set its address, and the queue goes on:\n\n"
    "    mailroom notify settings set push_url URL"
)


@dataclass(frozen=True, slots=True)
class Alarms:
    """Files alarms in the administrators' inboxes, in every language that we have. An alarm is no new mail: it makes no
    notices, since the way of the notices may be what is broken.
    """

    hostname: str

    def sender_disabled(self, tx: Tx, fact: SenderDisabled) -> None:
        """A sender was switched off."""
        self._file(tx, _SUBJECT, _TEXT, {"code": fact.code, "reason": fact.reason})

    def _file(self, tx: Tx, subject: str, text: str, about: dict[str, str]) -> None:
        spoken = [translation(language) for language in LANGUAGES]
        mail = compose.begin(
            name="Mailroom",
            local="mailroom",
            hostname=self.hostname,
            subject=" / ".join(words.gettext(subject).format(**about) for words in spoken),
            now=tx.now,
            id_=ids.new(),
        )
        mail.set_content("\n\n--\n\n".join(words.gettext(text).format(**about) for words in spoken))
        octets = mail.as_bytes()
        part = scan(octets)
        summary = summarise(part, lambda start, end: octets[start:end])
        for mailbox_id in access.administrators(tx):
            try:
                quota.ask(tx, mailbox_id, size=len(octets), address=str(mailbox_id))
            except (OverQuota, MailboxDisabled) as full:  # must not keep it from the others
                _LOG.warning("alarm not filed", mailbox=mailbox_id, reason=full.code)
                continue
            content_id = contents.add(tx, Small(octets), summary, size=len(octets), refs=1)
            append.deliver(tx, content_id, mailbox_id, role=FolderRole.INBOX, size=len(octets), envelope_from="")
