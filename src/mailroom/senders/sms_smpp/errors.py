# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What the command_status of SMPP 3.4 §5.1.3 means to a message. Data."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from mailroom.core.clock import MINUTE, SECOND
from mailroom.senders.contract import Outcome, Refused, Scope, TryLater, Why

_THROTTLED: Final = 0x58
# Status: the words of it, whom it concerns, and the wait.
_LATER: Final = MappingProxyType(
    {
        0x08: ("system error", Scope.SENDER, MINUTE),
        0x14: ("the message queue is full", Scope.SENDER, 30 * SECOND),
        0x45: ("submission failed", Scope.RECIPIENT, None),
        _THROTTLED: ("throttled", Scope.SENDER, 10 * SECOND),
        0x64: ("temporary error of the receiver", Scope.RECIPIENT, None),
    }
)
_ACCOUNT: Final = MappingProxyType(
    {
        0x04: "not allowed in this state",
        0x05: "already bound",
        0x0A: "invalid source address",
        0x0D: "bind failed",
        0x0E: "invalid password",
        0x0F: "invalid system id",
        0x48: "invalid type of number of the source",
        0x49: "invalid numbering plan of the source",
        0x53: "invalid system type",
    }
)
_REFUSED: Final = MappingProxyType(
    {
        0x01: (Why.CONTENT, "invalid message length"),
        0x02: (Why.CONTENT, "invalid command length"),
        0x0B: (Why.GONE, "invalid destination address"),
        0x50: (Why.GONE, "invalid type of number of the destination"),
        0x51: (Why.GONE, "invalid numbering plan of the destination"),
        0x65: (Why.OTHER, "permanent error of the receiver"),
        0x66: (Why.OTHER, "the receiver rejects it"),
    }
)


def code(status: int) -> str:
    """How a status is shown."""
    return f"0x{status:02X}"


def of_submit(status: int) -> Outcome:
    """What follows where submit_sm was not taken; an unknown status is a plain no, since another try costs money."""
    if later := _LATER.get(status):
        return TryLater(code(status), *later)
    if text := _ACCOUNT.get(status):
        return TryLater(code(status), text, Scope.SENDER, MINUTE, Why.ACCOUNT)
    why, text = _REFUSED.get(status, (Why.OTHER, "not taken by the message centre"))
    return Refused(code(status), text, why=why)


def of_bind(status: int) -> TryLater:
    """What follows where the bind was refused: an administrator has to see to it."""
    text = _ACCOUNT.get(status, "the bind was refused")
    return TryLater(code(status), text, Scope.SENDER, MINUTE, Why.ACCOUNT)
