# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What comes back of a mail that we sent: reports of others, read when they arrive, become receipts.

The mail itself is filed like any other. Only what lies in rows is looked at, which is reports of up to 64 KiB.
"""

from __future__ import annotations

from mailroom.events.facts import MailArrived
from mailroom.mailboxes import fetch
from mailroom.messaging import receipts, recipients
from mailroom.messaging.model import Recipient
from mailroom.messaging.receipts import Receipt
from mailroom.messaging.states import News, State
from mailroom.mime import bounce, headers
from mailroom.mime.bounce import Report
from mailroom.mime.dsn import Action, Fate
from mailroom.mime.reasons import Reason
from mailroom.mime.scan import scan
from mailroom.senders.contract import CODE_FIELD
from mailroom.storage.ports import Tx

_NEWS = {Action.FAILED: News.LOST, Action.DELIVERED: News.ARRIVED}
_HAS_LEFT = {State.SENT, State.DELIVERED, State.UNDELIVERED}
_CODES_MOST = 5  # fields that are looked at: of a mail that several servers like ours have sent on


def arrived(tx: Tx, fact: MailArrived) -> None:
    """Write down what a report without sender (RFC 5321 §4.5.5) says of mails of ours. Anything else is passed over."""
    if fact.envelope_from:
        return
    report = _read(tx, fact)
    if report is None:
        return
    recipient = _concerned(tx, report)
    if recipient is None:
        return
    for fate in report.fates:
        news = None if fate.reason is Reason.COMPLAINT else _NEWS.get(fate.action)
        if news is not None and _is_meant(fate, recipient):
            receipts.hear(tx, recipient.id, Receipt("", news, fate.status, f"{fate.reason}: {fate.diagnostic}"))


def _read(tx: Tx, fact: MailArrived) -> Report | None:
    octets = fetch.bodies(tx, [fact.content_id]).get(fact.content_id)
    if octets is None:  # large, or deleted meanwhile
        return None
    return bounce.parse(scan(octets), lambda start, end: octets[start:end])


def _concerned(tx: Tx, report: Report) -> Recipient | None:
    """The recipient that the report may speak of, known by our own code for him, which nobody can tell but who has had
    the mail. It has left: else a report could keep it from leaving, or us from telling that it has not.
    """
    fields = headers.read(report.returned).all(CODE_FIELD.lower())
    for code in (report.envelope_id, *(headers.decode(raw) for raw in fields[:_CODES_MOST])):
        recipient = recipients.by_code(tx, code)
        if recipient is not None and recipient.state in _HAS_LEFT:
            return recipient
    return None


def _is_meant(fate: Fate, recipient: Recipient) -> bool:
    if recipient.address.casefold() in {fate.recipient.casefold(), fate.original.casefold()}:
        return True
    # It went on from there to an address that we do not know. That it was delivered to such a one proves nothing: it
    # may be a colleague, of whom we have told ourselves (`Returns.delivered`).
    return fate.action is Action.FAILED
