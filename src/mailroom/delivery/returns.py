# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Telling the sender of a mail what became of it: that it could not be delivered, that it takes long, or, when he asked
(RFC 3461), that it was handed on. Each recipient's end is told at most once, in the transaction of the reaction to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core import clock, ids, log
from mailroom.core.clock import DAY, HOUR
from mailroom.core.ids import ContentId, MessageId
from mailroom.core.text import LANGUAGES, N_, translation
from mailroom.delivery import outgoing, queries
from mailroom.delivery.letters import written
from mailroom.delivery.posting import Addressee, Envelope, Foreign, Group, Posting
from mailroom.delivery.queries import Outgoing
from mailroom.events.facts import RecipientSettled
from mailroom.mailboxes import fetch, read
from mailroom.messaging import recipients
from mailroom.messaging.model import Recipient
from mailroom.messaging.states import State
from mailroom.mime import compose, dsn, headers
from mailroom.mime.dsn import Action, Fate, Letterhead, Returned
from mailroom.storage.ports import Tx

_LOG = log.get("returns")

LATE: Final = 4 * HOUR
GIVEN_UP: Final = 5 * DAY
_AT_ONCE: Final = 50
_RETURNED_MOST: Final = 64 * 1024  # octets
_LISTED_MOST: Final = 100  # recipients that the text names; the report itself names all


_WORDS: Final = {
    Action.FAILED: (
        N_("Not delivered: {subject}"),
        N_("Your mail of {date} could not be delivered to:"),
    ),
    Action.DELAYED: (
        N_("Delayed: {subject}"),
        N_("Your mail of {date} could not be delivered yet. You need not send it again: we go on trying to reach:"),
    ),
    Action.RELAYED: (
        N_("Handed on: {subject}"),
        N_("Your mail of {date} was handed on to a server that does not report whether it arrives at:"),
    ),
    Action.DELIVERED: (
        N_("Delivered: {subject}"),
        N_("Your mail of {date} was delivered to:"),
    ),
    Action.EXPANDED: (
        N_("Handed out: {subject}"),
        N_("Your mail of {date} was handed out to the members of:"),
    ),
}
_SIGNED: Final = N_("This is the mail server {hostname}. Nobody reads answers to this mail.")


@dataclass(frozen=True, slots=True)
class Returns:
    """Writes the reports. `hostname` is ours."""

    hostname: str
    posting: Posting

    def settled(self, tx: Tx, fact: RecipientSettled) -> None:
        """A recipient has ended: tell the sender of it and of all others that have, and let the mail go when it was the
        last one.
        """
        for mail in queries.lock_outgoing(tx, [fact.message_id]):  # none: it is over
            self._tell(tx, mail)
            outgoing.release(tx, [mail.message_id])

    def _tell(self, tx: Tx, mail: Outgoing) -> None:
        ended = recipients.untold(tx, mail.message_id)
        self._report(tx, mail, [fate for one in ended if (fate := _end(one)) is not None])
        recipients.tell(tx, ended)

    def delivered(self, tx: Tx, content_id: ContentId, envelope: Envelope) -> None:
        """Tell the sender that a mail lies with those who are here, where he asked for it (RFC 3461 §6.2); in the
        transaction that has filed it.
        """
        fates = [fate for one in envelope.destinations if (fate := _arrival(one)) is not None]
        if fates:
            about = Outgoing(MessageId(0), content_id, envelope.sender, envelope.ret, envelope.envid, tx.now)
            self._report(tx, about, fates)

    def late(self, tx: Tx) -> int:
        """Tell the senders of mails that have been under way for four hours, once; how many mails were looked at."""
        mails = queries.late(tx, before=tx.now - LATE, limit=_AT_ONCE)
        for mail in mails:
            waiting = recipients.waiting(tx, mail.message_id)
            self._report(tx, mail, [_delay(one) for one in waiting if _wants(one, "DELAY")])
            queries.delay_told(tx, mail.message_id)
        return len(mails)

    def _report(self, tx: Tx, mail: Outgoing, fates: Sequence[Fate]) -> None:
        # RFC 5321 §4.5.5: nobody is told of a mail that has no sender, such as this one.
        if not fates or not mail.envelope_from:
            return
        head = self._head(tx, mail, fates)
        octets = dsn.build(
            head,
            fates,
            _returned(tx, mail, fates),
            reporter=self.hostname,
            arrived_at=mail.created_at,
            envid=mail.envid,
            retry_until=mail.created_at + GIVEN_UP,
        )
        letter = written(octets)
        refused = self.posting.tell(tx, letter, to=mail.envelope_from)
        if refused is not None:
            _LOG.warning("report not posted", message=mail.message_id, reason=refused.code)

    def _head(self, tx: Tx, mail: Outgoing, fates: Sequence[Fate]) -> Letterhead:
        content = read.content(tx, mail.content_id)
        about = {"subject": content.subject, "date": clock.iso(mail.created_at), "hostname": self.hostname}
        spoken = [translation(language) for language in LANGUAGES]
        actions = [action for action in _WORDS if any(fate.action is action for fate in fates)]
        title, _ = _WORDS[actions[0]]
        id_ = ids.new()
        head = compose.begin(
            name="Mailroom",
            local="mailer-daemon",
            hostname=self.hostname,
            subject=" / ".join(words.gettext(title).format(**about) for words in spoken),
            now=tx.now,
            id_=id_,
            submitted="auto-replied",
        )
        head["To"] = mail.envelope_from
        if content.message_id:
            head["In-Reply-To"] = content.message_id
        texts = []
        for words in spoken:
            for action in actions:
                texts.append(words.gettext(_WORDS[action][1]).format(**about))
                texts += [_listed(fate) for fate in fates if fate.action is action][:_LISTED_MOST]
            texts.append(words.gettext(_SIGNED).format(**about))
        return Letterhead(
            header=head.as_bytes().removesuffix(b"\r\n"), text="\n\n".join(texts) + "\n", boundary=f"=_{id_}"
        )


def _listed(fate: Fate) -> str:
    return f"    {fate.recipient}" + (f"\n        {headers.one_line(fate.diagnostic)}" if fate.diagnostic else "")


def _returned(tx: Tx, mail: Outgoing, fates: Sequence[Fate]) -> Returned:
    # RFC 3461 §4.3: all of it only where it has failed. Else a stranger could have us send anything to anybody.
    is_lost = any(fate.action is Action.FAILED for fate in fates)
    if mail.ret == "FULL" and is_lost and (octets := fetch.bodies(tx, [mail.content_id]).get(mail.content_id)):
        return Returned(octets=octets, whole=True)
    header = fetch.headers(tx, [mail.content_id])[mail.content_id]
    return Returned(octets=header[:_RETURNED_MOST], whole=False)


def _wants(recipient: Recipient, what: str) -> bool:
    """RFC 3461 §4.1: who asks for nothing hears of failures and delays."""
    asked = recipient.options.get("notify") or ("FAILURE", "DELAY")
    return what in asked


_STATUS: Final = re.compile(r"[245]\d\d (?P<status>[245]\.\d{1,3}\.\d{1,3})\b")


def _fate(recipient: Recipient, action: Action, status: str) -> Fate:
    return Fate(recipient.address, action, status, recipient.reason, recipient.options.get("orcpt", ""))


def _end(recipient: Recipient) -> Fate | None:
    """What to tell of a recipient that has ended; nothing where nothing was asked for, or another tells."""
    match recipient.state:
        case State.FAILED | State.CANCELLED | State.UNKNOWN if _wants(recipient, "FAILURE"):
            # RFC 3463: delivery time expired
            status = "5.4.7" if recipient.reason.startswith("4") else _status(recipient, "5.0.0")
            return _fate(recipient, Action.FAILED, status)
        case State.SENT if _wants(recipient, "SUCCESS"):
            return _fate(recipient, Action.RELAYED, "2.0.0")
    return None


def _arrival(one: Addressee) -> Fate | None:
    if "SUCCESS" not in one.notify or isinstance(one.whom, Foreign):
        return None
    action = Action.EXPANDED if isinstance(one.whom, Group) else Action.DELIVERED
    return Fate(one.address, action, "2.1.5", original=one.orcpt)


def _delay(recipient: Recipient) -> Fate:
    return _fate(recipient, Action.DELAYED, _status(recipient, "4.0.0"))


def _status(recipient: Recipient, default: str) -> str:
    said = _STATUS.match(recipient.reason)
    return said["status"] if said else default
