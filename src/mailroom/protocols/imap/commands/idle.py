# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""IDLE (RFC 9051 §6.3.13): the connection does the waiting."""

from __future__ import annotations

from mailroom.protocols.imap.grammar.values import Idle
from mailroom.protocols.imap.session import Session, Then


async def idle(session: Session, _: Idle) -> bytes:
    """IDLE: its answer follows the client's DONE."""
    session.then = Then.IDLE
    return b"OK"
