# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The reaction to a new mail: one push for each mailbox that it was delivered to (spec 1.3)."""

from __future__ import annotations

from mailroom.core.errors import NotFound
from mailroom.directory import addresses
from mailroom.events.facts import MailArrived
from mailroom.mailboxes import read
from mailroom.mailboxes.model import Content
from mailroom.messaging import send
from mailroom.messaging.model import Draft, Origin
from mailroom.messaging.send import Target
from mailroom.notify import settings
from mailroom.storage.ports import Tx


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
    send.enqueue(
        tx,
        Draft(Origin.NOTICE, fields(content, to=to, envelope_from=fact.envelope_from), trace=content.message_id),
        [Target(sender.id, to)],
    )


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
