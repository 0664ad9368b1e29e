# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The reactions to a new mail: one push for each mailbox that it was delivered to (spec 1.3), and a notice to each of
those who want to hear of it, in each of the ways that they want. What comes in a burst becomes one notice.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.core.clock import DAY, MINUTE, SECOND
from mailroom.core.errors import NotFound
from mailroom.core.ids import RecipientId
from mailroom.directory import addresses, members
from mailroom.events.facts import MailArrived
from mailroom.mailboxes import read
from mailroom.mailboxes.model import Content
from mailroom.messaging import receipts, send
from mailroom.messaging.model import Draft, Origin
from mailroom.messaging.send import Target
from mailroom.notify import compose, days, patterns, queries, settings, ways
from mailroom.notify.model import Quiet, Way
from mailroom.notify.queries.notices import Hearer
from mailroom.notify.settings import Rules
from mailroom.senders.note import Use
from mailroom.storage.ports import Tx

# After a notice the next one waits so long, and takes up what comes meanwhile. Of the chat providers WeCom allows
# least: 30 a minute, and what is above is dropped without a word.
_SMS_REST = 60 * SECOND
_CHAT_REST = 10 * SECOND
_STALE = 2 * DAY  # nobody's quiet hours last so long: a sender that is switched off collects no mails for ever
_TAKEN_MOST = 10 * MINUTE  # by what comes to all of somebody's mailboxes at once


def push(tx: Tx, fact: MailArrived) -> None:
    """Enqueue the push for a mail, if a push URL is set. A mail that has gone meanwhile is not pushed."""
    sender = settings.push_sender(tx)
    if sender is None or not settings.pushes(sender):
        return
    try:
        content = read.content(tx, fact.content_id)
        to = addresses.primary(tx, fact.mailbox_id)
    except NotFound:
        return
    if not settings.pushes_for(tx, to):
        return
    send.enqueue(
        tx,
        Draft(Origin.NOTICE, fields(content, to=to, envelope_from=fact.envelope_from), trace=content.message_id),
        [Target(sender.id, to)],
    )


def notice(tx: Tx, fact: MailArrived) -> None:
    """Have those told who want to be. Nobody's wish costs more than one look."""
    hearers = queries.notices.hearers(tx, fact.mailbox_id)
    if not hearers:
        return
    rules = settings.rules(tx)
    if not rules.is_on:
        return
    try:
        mail = read.content(tx, fact.content_id)
    except NotFound:
        return
    told = _Told(rules, fact, mail)
    for hearer in hearers:
        if not hearer.only_from or patterns.match(hearer.only_from, _address(mail.sender)):
            _tell(tx, told, hearer)


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told, and by which rules."""

    rules: Rules
    fact: MailArrived
    mail: Content


def _address(sender: str) -> str:
    return sender.rpartition("<")[2].rstrip(">")


def _tell(tx: Tx, told: _Told, hearer: Hearer) -> None:
    member, way, fact = members.by_id(tx, hearer.member_id), hearer.way, told.fact
    sender = ways.chosen(tx, told.rules, way)
    if sender is None or not ways.permits(tx, told.rules, member) or not compose.is_his(tx, member, fact.mailbox_id):
        return
    held = queries.notices.hold(tx, member.id, fact.mailbox_id, way)
    if held is None:  # unlinked this moment
        return
    at = _free(days.parse_quiet(hearer.quiet), tx.now, held.free_at)
    day = days.day(at)
    counts = way is Way.SMS
    asked = compose.asked_notice(way=way, member_id=member.id, mailbox_id=fact.mailbox_id, at=at)
    target = Target(sender.id, held.address, options=asked | ({"day": day} if counts else {}), at=at)
    if held.recipient_id is not None and _joins(tx, fact, held.recipient_id, target):
        return
    may = not counts or queries.notices.reserve(tx, member.id, day, most=told.rules.most_a_day)
    queued = send.enqueue(
        tx,
        Draft(
            Origin.NOTICE,
            {"use": Use.NOTICE.value},
            trace=told.mail.message_id,
            mailbox_id=fact.mailbox_id,
            member_id=member.id,
        ),
        [target if may else Target(sender.id, held.address, suppressed="daily_limit")],
    )
    if may:
        [recipient_id] = queued.recipient_ids
        queries.notices.tell(tx, queued.message_id, fact.folder_id, fact.uid)
        queries.preferences.join(tx, member.id, fact.mailbox_id, way, recipient_id=recipient_id)
        queries.links.delay(tx, member.id, way, until=at + (_SMS_REST if counts else _CHAT_REST))


def _joins(tx: Tx, fact: MailArrived, recipient_id: RecipientId, target: Target) -> bool:
    """Have the last notice tell of this mail too, if it still waits. One for another way out, or for where he was told
    before, finishes there.
    """
    waiting = send.joinable(tx, recipient_id, target)
    if waiting is None:
        return False
    if tx.now > waiting.since + _STALE:
        receipts.cancel(tx, recipient_id, reason="late")
        return False
    queries.notices.tell(tx, waiting.message_id, fact.folder_id, fact.uid)
    return True


def _free(quiet: Quiet | None, now: int, free_at: int) -> int:
    """When somebody may be told. A link that is taken for long is so until the quiet hours of another mailbox end, or
    by a clock that was put back since.
    """
    at = days.after(quiet, now)
    return days.after(quiet, free_at) if at < free_at < at + _TAKEN_MOST else at


def fields(content: Content, *, to: str, envelope_from: str) -> dict[str, str | int]:
    """The eight fields of a push, in their order (spec 1.3, field table and RES 2 to 7)."""
    return {
        "to": to,
        "msgid": content.message_id,
        "sender": envelope_from,
        "from": content.sender,
        "subject": content.subject,
        "body": content.preview,
        "attachnum": len(content.attachments),
        "attachlist": "||".join(content.attachments),
    }


SAMPLE: dict[str, str | int] = {
    "to": "amy@corp.example",
    "msgid": "<test.1@mailroom.invalid>",
    "sender": "bob@out.example",
    "from": "Bob Li <bob@out.example>",
    "subject": "测试 Test",
    "body": "这是一条测试推送。\nThis is a test push.",
    "attachnum": 1,
    "attachlist": "报价 quote.pdf",
}
