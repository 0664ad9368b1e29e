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
from mailroom.messaging.model import Content, Draft
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
    at: int | None = None  # not before this time; none: now
    suppressed: str = ""  # why it is never to leave; it is written down all the same, to be seen


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that has been written, and its recipients in the order of their targets."""

    message_id: MessageId
    recipient_ids: tuple[RecipientId, ...]


def enqueue(tx: Tx, draft: Draft, targets: Sequence[Target]) -> Queued:
    """Write a message and its recipients. They go out, each at its sender's pace, if and only if the caller commits."""
    message_id = queries.messages.add(
        tx,
        msgid=ids.new(),
        origin=draft.origin,
        trace=draft.trace,
        content=_json(draft.content),
        mailbox_id=draft.mailbox_id,
        member_id=draft.member_id,
    )
    recipient_ids = tuple(
        queries.recipients.add(
            tx,
            message_id,
            target.sender_id,
            origin=draft.origin,
            code=f"msg_{ids.new()}",
            address=target.address,
            options=_json(target.options),
            lane=target.lane,
            at=tx.now if target.at is None else max(target.at, tx.now),
            suppressed=target.suppressed,
        )
        for target in targets
    )
    tx.hint(TOPIC)
    return Queued(message_id, recipient_ids)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A recipient that waits for its first attempt."""

    message_id: MessageId
    since: int


def joinable(tx: Tx, recipient_id: RecipientId, target: Target) -> Waiting | None:
    """A recipient that waits for its first attempt, to the target's address and by its sender, so that the content of
    its message may still be changed: nobody begins it before the commit. None for any other, or for one that is not
    there.
    """
    held = queries.recipients.hold_all(tx, [recipient_id]).get(recipient_id)
    if held is None or held.state is not State.QUEUED or held.attempts or held.lease:
        return None
    if (held.sender_id, held.address) != (target.sender_id, target.address):
        return None
    return Waiting(held.message_id, held.created_at)


def rewrite(tx: Tx, message_id: MessageId, content: Content) -> None:
    """Give a message another content, for the log and for later attempts; for who prepares a recipient that is due."""
    queries.messages.rewrite(tx, message_id, _json(content))


def try_at_once(tx: Tx, recipient_id: RecipientId) -> None:
    """Do not wait for the next attempt of the schedule. Raises `NotFound`, `NotQueued`."""
    held = queries.recipients.hold(tx, recipient_id)
    if held.state is not State.QUEUED:
        raise NotQueued(state=held.state.value)
    queries.recipients.try_at_once(tx, recipient_id)
    tx.hint(TOPIC)


def resend(tx: Tx, recipient_id: RecipientId) -> None:
    """Let a recipient that has ended without arriving begin anew. Raises `NotFound`, `NotResendable`."""
    queries.recipients.resend(tx, recipient_id)
    tx.hint(TOPIC)
