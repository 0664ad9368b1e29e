# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The recipients of one message, for whoever sent it: who still waits, who has ended, and of whom a report speaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mailroom.core.ids import MessageId, RecipientId
from mailroom.messaging import queries
from mailroom.messaging.model import Recipient
from mailroom.storage.ports import Tx


def waiting(tx: Tx, message_id: MessageId) -> Sequence[Recipient]:
    """Those that have not ended."""
    return queries.recipients.waiting(tx, message_id)


def open_(tx: Tx, message_ids: Sequence[MessageId]) -> frozenset[MessageId]:
    """Those of the messages that are not over: one of its recipients has not ended, or the sender is to hear of it."""
    return frozenset(queries.recipients.open_(tx, message_ids))


def untold(tx: Tx, message_id: MessageId) -> Sequence[Recipient]:
    """Those that have ended, but for those of which the sender knows, or will hear from elsewhere."""
    return queries.recipients.untold(tx, message_id)


def tell(tx: Tx, recipients: Iterable[Recipient]) -> None:
    """The sender knows of their end."""
    if ids := [one.id for one in recipients]:
        queries.recipients.tell(tx, ids)


def by_code(tx: Tx, code: str) -> Recipient | None:
    """The one of a mail that we gave to the other side by that code."""
    return queries.recipients.by_code(tx, code)


def change_options(tx: Tx, recipient_id: RecipientId, without: str, **more: Any) -> Any:
    """Note with a recipient what is given, and no longer what it calls `without`; that is given back, None if there was
    no such thing. For what must be undone once.
    """
    options = dict(queries.recipients.hold_options(tx, recipient_id))
    taken = options.pop(without, None)
    if taken is not None or more:
        queries.recipients.keep_options(tx, recipient_id, options | more)
    return taken
