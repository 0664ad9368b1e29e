# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What became of an SMS, as the gateway pushes it or answers when asked, read by the profile's paths.

Pushes are hardly ever signed, so they are known by the key in their path; they may come twice and in any order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from mailroom.core.errors import InvalidValue
from mailroom.senders import china
from mailroom.senders.contract import Account, Call, Forged, Heard, News, Question, Reply, Reported, excerpt, has_key
from mailroom.senders.sms_gateway import documents
from mailroom.senders.sms_gateway.documents import Document, Form
from mailroom.senders.sms_gateway.profile import ID_MOST, Profile, read

_STATUS_MOST: Final = 100


def hear(account: Account, call: Call) -> Heard | Forged:
    """See `Hears`."""
    if not has_key(account, call):
        return Forged("the path does not end in the account's callback key")
    try:
        profile = read(account.settings)
    except InvalidValue:
        return Forged("the account is incomplete")
    if profile.receipts.way != "push":
        return Forged("the account takes no pushes")
    document = _document(call, profile.charset)
    if document is None:
        return Heard(Reply(400, b"not a receipt"))
    reply = Reply(body=profile.receipts.reply.encode(profile.charset, "replace"))
    return Heard(reply, tuple(reported(profile, document)))


def reported(profile: Profile, document: Document, question: Question | None = None) -> Sequence[Reported]:
    """The receipts in a document. Those that name no SMS are of the one that was asked about, if any was."""
    told = (_read(profile, one, question) for one in document.items(profile.receipts.list))
    return [one for one in told if one]


def _read(profile: Profile, document: Document, question: Question | None) -> Reported | None:
    found = {name: document.value(where) or "" for name, where in profile.receipts.fields.items()}
    status = found.get("status", "")[:_STATUS_MOST]
    provider_id = excerpt(found.get("id", ""))[:ID_MOST] or (question.provider_id if question else "")
    if not status or not provider_id:
        return None
    if profile.receipts.arrived.fullmatch(status):
        news = News.ARRIVED
    elif profile.receipts.lost.fullmatch(status):
        news = News.LOST
    else:
        return None
    number = found.get("mobile", "").strip()
    address = china.number(number) if re.fullmatch(r"\+?[0-9]{5,20}", number) else ""
    return Reported(
        provider_id,
        news,
        excerpt(found.get("code") or status),
        excerpt(found.get("text", "")),
        address or (question.address if question else ""),
    )


def _document(call: Call, charset: str) -> Document | None:
    if call.method == "GET":
        return Form(call.query)
    return documents.read(call.body.decode(charset, "replace"), charset)
