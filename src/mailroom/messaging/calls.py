# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What providers tell us by themselves: receipts, and who has come or gone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from mailroom.core.clock import DAY
from mailroom.messaging import queries, receipts, senders
from mailroom.senders.contract import Heard, Left, Reported, Scanned
from mailroom.storage.ports import Tx

_KEPT: Final = DAY


def hear(tx: Tx, code: str, heard: Heard) -> Sequence[Scanned | Left]:
    """Write down what the provider of the sender with that code says of what we have sent, unless it has said so
    before; what else it says is for the caller to heed.
    """
    # Held, so that no attempt is written down meanwhile: what is early now would be overlooked then.
    sender = senders.hold(tx, code)
    if sender is None or (heard.id and not queries.receipts.hear_call(tx, sender.id, _digest(heard.id))):
        return ()
    others: list[Scanned | Left] = []
    for event in heard.events:
        if isinstance(event, Reported):
            receipts.receive(tx, sender.id, event)
        else:
            others.append(event)
    return others


def _digest(call: str) -> str:
    """A short text, whatever the provider calls it."""
    return hashlib.sha256(call.encode("utf-8", "surrogatepass")).hexdigest()


def forget(tx: Tx) -> None:
    """Forget the calls, and the receipts of nobody, that have been kept for long enough."""
    queries.receipts.forget(tx, before=tx.now - _KEPT)
