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
from mailroom.events.facts import DomainAbnormal, SenderDisabled, SenderFaulty
from mailroom.mailboxes import recycle
from mailroom.notify import letters, settings
from mailroom.notify.settings import PUSH
from mailroom.storage.ports import Tx

_SUBJECT = N_("New mail is no longer pushed ({code})")
_TEXT = N_(
    "The sender {code} has been disabled, because its other end does not take messages any more:\n\n    {reason}\n\n"
    "Its queue is kept. When the other end works again, set its address, and the queue goes on:\n\n"
    "    mailroom notify settings set push_url URL"
)


_NOTICES_SUBJECT = N_("Notices no longer go out ({code})")
_NOTICES_TEXT = N_(
    "The sender {code} has been disabled, because its provider does not take messages any more:\n\n    {reason}\n\n"
    "When its account works again, set any of its settings anew, and it is used again:\n\n"
    "    mailroom notify settings show"
)
_FAULTY_SUBJECT = N_("Messages wait, since an account does not work ({code})")
_FAULTY_TEXT = N_(
    "The provider does not take what the sender {code} sends, because of its account:\n\n    {reason}\n\n"
    "It may be the secret, a permission, the balance, or the address of this server. Its queue waits, and goes on by "
    "itself once the account works. This is what is set:\n\n    mailroom notify settings show\n\n"
    "This sets a secret anew, read from standard input, and tries it:\n\n"
    "    mailroom notify settings set {secret} -\n    mailroom notify test {kind} ADDRESS"
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
        subject, text = (_SUBJECT, _TEXT) if fact.code == PUSH else (_NOTICES_SUBJECT, _NOTICES_TEXT)
        self._file(tx, subject, text, lambda _language: {"code": fact.code, "reason": fact.reason})

    def sender_faulty(self, tx: Tx, fact: SenderFaulty) -> None:
        """A sender's account is wrong, and its queue waits."""
        kind = settings.kind_of(fact.code)
        about = {"code": fact.code, "reason": fact.reason, "kind": kind or "KIND"}
        about["secret"] = settings.key(kind, "SECRET") if kind else "KEY"
        self._file(tx, _FAULTY_SUBJECT, _FAULTY_TEXT, lambda _language: about)

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
