# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Putting messages into the outbox, in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailroom.core import ids
from mailroom.core.errors import NotQueued
from mailroom.core.ids import MessageId, RecipientId, SenderId
from mailroom.messaging import queries
from mailroom.messaging.model import Draft
from mailroom.messaging.states import State
from mailroom.storage.ports import Tx

TOPIC = "recipients"

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Target:
    """One recipient of a draft: an address, as its sender's kind understands addresses, and the sender."""

    sender_id: SenderId
    address: str
    options: Mapping[str, Any] = field(default_factory=dict)  # this recipient's own, for the sender's kind; JSON-like
    lane: str = ""  # recipients of one lane share the pace of their destination (`Manifest.per_lane`)


def enqueue(tx: Tx, draft: Draft, targets: Sequence[Target]) -> MessageId:
    """Write a message and its recipients. They go out, each at its sender's pace, if and only if the caller commits."""
    message_id = queries.add_message(
        tx,
        msgid=ids.new(),
        origin=draft.origin,
        trace=draft.trace,
        content=_json(draft.content),
    )
    for target in targets:
        queries.add_recipient(
            tx,
            message_id,
            target.sender_id,
            code=f"msg_{ids.new()}",
            address=target.address,
            options=_json(target.options),
            lane=target.lane,
        )
    tx.hint(TOPIC)
    return message_id


def try_at_once(tx: Tx, recipient_id: RecipientId) -> None:
    """Do not wait for the next attempt of the schedule. Raises `NotFound`, `NotQueued`."""
    held = queries.hold(tx, recipient_id)
    if held.state is not State.QUEUED:
        raise NotQueued(state=held.state.value)
    queries.try_at_once(tx, recipient_id)
    tx.hint(TOPIC)


def resend(tx: Tx, recipient_id: RecipientId) -> None:
    """Let a recipient that has ended without arriving begin anew. Raises `NotFound`, `NotResendable`."""
    queries.resend(tx, recipient_id)
    tx.hint(TOPIC)
