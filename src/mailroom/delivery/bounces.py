# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What comes back of a mail that we sent: reports of others, read when they arrive, become receipts.

The mail itself is filed like any other. Only what lies in rows is looked at: a small report in full, of one over 64 KiB
its header and the beginning of its text.
"""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.errors import NotFound
from mailroom.events.facts import MailArrived
from mailroom.mailboxes import fetch, read
from mailroom.messaging import receipts, recipients
from mailroom.messaging.model import Recipient
from mailroom.messaging.receipts import Receipt
from mailroom.messaging.states import News, State
from mailroom.mime import bounce
from mailroom.mime.bounce import Report
from mailroom.mime.dsn import Action, Fate
from mailroom.mime.reasons import Reason
from mailroom.mime.scan import scan
from mailroom.storage.ports import Tx

_NEWS = {Action.FAILED: News.LOST, Action.DELIVERED: News.ARRIVED}


def arrived(tx: Tx, fact: MailArrived) -> None:
    """Write down what a report without sender (RFC 5321 §4.5.5) says of mails of ours. Anything else is passed over."""
    if fact.envelope_from:
        return
    report = _read(tx, fact)
    if report is None:
        return
    concerned = _concerned(tx, report)
    for fate in report.fates:
        news = None if fate.reason is Reason.COMPLAINT else _NEWS.get(fate.action)
        recipient = _meant(fate, concerned)
        if news is not None and recipient is not None:
            receipts.hear(tx, recipient.id, Receipt("", news, fate.status, f"{fate.reason}: {fate.diagnostic}"))


def _read(tx: Tx, fact: MailArrived) -> Report | None:
    try:
        content = read.content(tx, fact.content_id)
    except NotFound:  # deleted meanwhile
        return None
    octets = fetch.bodies(tx, [fact.content_id]).get(fact.content_id)
    if octets is None:
        return bounce.glance(fetch.headers(tx, [fact.content_id])[fact.content_id], content.preview)
    return bounce.parse(scan(octets), lambda start, end: octets[start:end])


def _concerned(tx: Tx, report: Report) -> Sequence[Recipient]:
    """The recipients that the report may speak of: one by our own code for it, or all of the mail. Only those to whom
    it has left: else who knows its Message-ID could keep it from leaving, as our own report on a colleague would.
    """
    if report.envelope_id and (one := recipients.by_code(tx, report.envelope_id)):
        found: Sequence[Recipient] = [one]
    else:
        found = recipients.by_trace(tx, report.message_id) if report.message_id else ()
    return [one for one in found if one.state is not State.QUEUED]


def _meant(fate: Fate, concerned: Sequence[Recipient]) -> Recipient | None:
    named = {fate.recipient.casefold(), fate.original.casefold()}
    for recipient in concerned:
        if recipient.address.casefold() in named:
            return recipient
    # It went on from there to an address that we do not know. That it was delivered to such a one proves nothing: it
    # may be a colleague, of whom we have told ourselves (`Returns.delivered`).
    return concerned[0] if len(concerned) == 1 and fate.action is Action.FAILED else None
