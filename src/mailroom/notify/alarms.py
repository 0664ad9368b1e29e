# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Telling the administrators, by mail, what needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mailroom.core import clock
from mailroom.core.text import N_
from mailroom.directory import access
from mailroom.directory.proof import Finding, Proof
from mailroom.events.facts import DomainAbnormal, SenderDisabled
from mailroom.mailboxes import recycle
from mailroom.notify import letters
from mailroom.storage.ports import Tx

_SUBJECT = N_("New mail is no longer pushed ({code})")
_TEXT = N_(
    "The sender {code} has been disabled, because its other end does not take messages any more:\n\n    {reason}\n\n"
    "Its queue is kept. When the other end works again, set its address, and the queue goes on:\n\n"
    "    mailroom notify settings set push_url URL"
)


_DOMAIN_SUBJECT = N_("The DNS records of {name} are not right")
_DOMAIN_TEXT = N_(
    "The MX records of {name} have not been right for a day:\n\n    {reason}\n\n"
    "Mail that reaches this server is still taken, and nothing is deleted. Other servers may deliver elsewhere. "
    "These records are to be set:\n\n    mailroom domain records {name}"
)


_BIN_SUBJECT = N_("Mailboxes in the recycle bin will soon be deleted for good ({count})")
_BIN_TEXT = N_(
    "These mailboxes in the recycle bin will be deleted for good, with all their mail:\n\n{list}\n\n"
    "Until then one can be given to a member, copied into another mailbox, or made public:\n\n"
    "    mailroom bin restore ADDRESS --to USERID\n    mailroom mailbox backup ADDRESS --into TARGET\n"
    "    mailroom bin to-public ADDRESS --user USERID"
)
_BIN_LISTED = 100


@dataclass(frozen=True, slots=True)
class Alarms:
    """Files alarms in the administrators' inboxes, in every language that we have. An alarm is no new mail: it makes no
    notices, since the way of the notices may be what is broken.
    """

    hostname: str

    def sender_disabled(self, tx: Tx, fact: SenderDisabled) -> None:
        """A sender was switched off."""
        self._file(tx, _SUBJECT, _TEXT, lambda _language: {"code": fact.code, "reason": fact.reason})

    def domain_abnormal(self, tx: Tx, fact: DomainAbnormal) -> None:
        """The records of a domain are wrong."""
        found = Proof(Finding(fact.finding), foreign=tuple(fact.foreign.split()))

        def about(language: str) -> dict[str, str]:
            return {"name": fact.name, "reason": found.reason(language)}

        self._file(tx, _DOMAIN_SUBJECT, _DOMAIN_TEXT, about)

    def bin(self, tx: Tx) -> None:
        """What lies in the recycle bin will soon be purged; nothing is written when there is no news of it."""
        entries = recycle.near(tx)
        if entries:
            lines = [f"    {clock.iso(entry.purge_at)}  {entry.address}" for entry in entries[:_BIN_LISTED]]
            lines += ["    ..."] if len(entries) > _BIN_LISTED else []
            filled = {"count": str(len(entries)), "list": "\n".join(lines)}
            self._file(tx, _BIN_SUBJECT, _BIN_TEXT, lambda _language: filled)

    def _file(self, tx: Tx, subject: str, text: str, about: Callable[[str], dict[str, str]]) -> None:
        letters.file(tx, access.administrators(tx), subject, text, about, hostname=self.hostname)
