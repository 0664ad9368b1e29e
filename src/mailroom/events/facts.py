# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Every fact, on one page. A fact is written in the transaction in which it happened; `runtime/reactions.py` says who
reacts. Fields are numbers and texts only, so that a fact is JSON at rest.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from mailroom.core.ids import ContentId, FolderId, MailboxId, MessageId, RecipientId, SenderId, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class MailArrived:
    """A new mail was delivered to a mailbox, and neither as junk nor as trash; never a copy, a draft, an import or a
    backup.
    """

    mailbox_id: MailboxId
    folder_id: FolderId
    uid: Uid
    content_id: ContentId
    envelope_from: str  # "" is the null reverse-path


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderDisabled:
    """A sender was switched off because its other end has failed for too long or said that it is gone."""

    sender_id: SenderId
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientSettled:
    """A recipient of a mail to somebody elsewhere has come to a state that nothing but a late receipt changes; somebody
    may have to hear of it.
    """

    recipient_id: RecipientId
    message_id: MessageId
    state: str


Fact = MailArrived | SenderDisabled | RecipientSettled

KINDS: dict[str, type[Fact]] = {kind.__name__: kind for kind in (MailArrived, SenderDisabled, RecipientSettled)}


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json(fact: Fact) -> str:
    """The fact's fields, at rest."""
    return _encode({field.name: getattr(fact, field.name) for field in dataclasses.fields(fact)})


def from_json(kind: str, payload: str) -> Fact:
    """The fact that `to_json` wrote. Fields that a later release added take their defaults."""
    fields: dict[str, Any] = json.loads(payload)
    return KINDS[kind](**fields)
