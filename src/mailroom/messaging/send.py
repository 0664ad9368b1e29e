# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Putting messages into the outbox, in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mailroom.core import ids
from mailroom.core.ids import MessageId, RecipientId, SenderId
from mailroom.messaging import queries
from mailroom.messaging.model import Draft
from mailroom.storage.ports import Tx

TOPIC = "recipients"


@dataclass(frozen=True, slots=True)
class Target:
    """One recipient of a draft: an address, as its sender's kind understands addresses, and the sender."""

    sender_id: SenderId
    address: str


def enqueue(tx: Tx, draft: Draft, targets: Sequence[Target]) -> MessageId:
    """Write a message and its recipients. They go out, each at its sender's pace, if and only if the caller commits."""
    message_id = queries.add_message(
        tx,
        msgid=ids.new(),
        origin=draft.origin,
        trace=draft.trace,
        content=json.dumps(draft.content, ensure_ascii=False, separators=(",", ":")),
    )
    for target in targets:
        queries.add_recipient(tx, message_id, target.sender_id, code=f"msg_{ids.new()}", address=target.address)
    tx.hint(TOPIC)
    return message_id


def resend(tx: Tx, recipient_id: RecipientId) -> None:
    """Let a recipient that has ended without arriving begin anew. Raises `NotFound`, `NotResendable`."""
    queries.resend(tx, recipient_id)
    tx.hint(TOPIC)
