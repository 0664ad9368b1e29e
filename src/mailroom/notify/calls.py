# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What providers tell us by themselves, each part to whom it concerns."""

from __future__ import annotations

from mailroom.messaging import calls, senders
from mailroom.notify import linking
from mailroom.senders.contract import Heard
from mailroom.storage.ports import Tx


def hear(tx: Tx, code: str, heard: Heard) -> None:
    """Heed what the provider of the sender with that code has said, unless it has said so before."""
    others = calls.hear(tx, code, heard)
    sender = senders.by_code(tx, code)
    if sender is not None:
        for event in others:
            linking.heard(tx, sender, event)
