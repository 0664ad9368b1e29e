# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What has gone out, what waits, and why: for those who look after it."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.ids import RecipientId
from mailroom.messaging import queries
from mailroom.messaging.model import Entry, Origin, Try
from mailroom.messaging.states import State
from mailroom.storage.ports import Tx


def entries(
    tx: Tx,
    *,
    states: Sequence[State] = tuple(State),
    origins: Sequence[Origin] = tuple(Origin),
    before: RecipientId | None = None,
    limit: int,
) -> Sequence[Entry]:
    """Recipients in one of the states, the newest first, below the id `before`."""
    return queries.entries(tx, states=states, origins=origins, before=before, limit=limit)


def forget(tx: Tx, *, before: int, limit: int) -> int:
    """Forget up to `limit` settled messages from before that time, with all that was logged of them; how many."""
    gone = queries.settled_before(tx, before, limit)
    if gone:
        queries.remove_messages(tx, gone)
    return len(gone)


def attempts(tx: Tx, recipient_id: RecipientId) -> Sequence[Try]:
    """Every attempt to reach one recipient, the first one first."""
    return queries.attempts(tx, recipient_id)
