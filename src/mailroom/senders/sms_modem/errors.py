# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a modem's error codes mean: 3GPP TS 27.005 §3.2.5 for messages, TS 27.007 §9.2 for all else. Data."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from mailroom.core.clock import MINUTE, SECOND
from mailroom.senders.contract import Outcome, Refused, Scope, TryLater, Why

_SOON: Final = 30 * SECOND

# What the network or the modem said of one message.
_REFUSED: Final = MappingProxyType(
    {
        1: (Why.GONE, "unassigned number"),
        8: (Why.OTHER, "barred by the operator"),
        10: (Why.OTHER, "call barred"),
        21: (Why.OTHER, "rejected by the network"),
        27: (Why.OTHER, "destination out of service"),
        28: (Why.GONE, "unidentified subscriber"),
        29: (Why.OTHER, "facility rejected"),
        30: (Why.GONE, "unknown subscriber"),
        50: (Why.OTHER, "facility not subscribed"),
        300: (Why.CONTENT, "failure of the modem"),
        302: (Why.CONTENT, "not allowed"),
        304: (Why.CONTENT, "invalid PDU"),
        305: (Why.CONTENT, "invalid text"),
    }
)
_LATER: Final = MappingProxyType(
    {
        38: (Why.OTHER, "network out of order"),
        41: (Why.OTHER, "temporary failure of the network"),
        42: (Why.OTHER, "congestion"),
        47: (Why.OTHER, "no resources"),
        69: (Why.ACCOUNT, "facility not implemented"),
        310: (Why.ACCOUNT, "no SIM card"),
        311: (Why.ACCOUNT, "the SIM card wants a PIN"),
        312: (Why.ACCOUNT, "the phone wants its PIN"),
        313: (Why.ACCOUNT, "the SIM card fails"),
        314: (Why.OTHER, "the SIM card is busy"),
        315: (Why.ACCOUNT, "wrong SIM card"),
        316: (Why.ACCOUNT, "the SIM card wants its PUK"),
        317: (Why.ACCOUNT, "the SIM card wants PIN 2"),
        318: (Why.ACCOUNT, "the SIM card wants PUK 2"),
        330: (Why.ACCOUNT, "the message centre is unknown"),
        331: (Why.OTHER, "no network"),
        332: (Why.OTHER, "the network did not answer"),
        500: (Why.OTHER, "unknown error"),
        512: (Why.OTHER, "failure of the modem"),
        513: (Why.OTHER, "failure of the modem"),
        514: (Why.OTHER, "failure of the modem"),
        515: (Why.OTHER, "the modem is busy"),
    }
)
# What the modem said of itself.
_MODEM: Final = MappingProxyType(
    {
        10: (Why.ACCOUNT, "no SIM card"),
        11: (Why.ACCOUNT, "the SIM card wants a PIN"),
        12: (Why.ACCOUNT, "the SIM card wants its PUK"),
        13: (Why.ACCOUNT, "the SIM card fails"),
        14: (Why.OTHER, "the SIM card is busy"),
        15: (Why.ACCOUNT, "wrong SIM card"),
        16: (Why.ACCOUNT, "wrong PIN"),
        30: (Why.OTHER, "no network"),
        31: (Why.OTHER, "the network did not answer"),
        32: (Why.ACCOUNT, "the network allows emergency calls only"),
    }
)


def of_message(code: int) -> Outcome:
    """What follows from `+CMS ERROR` for the message; an unknown code is a plain no, since another try costs money."""
    if later := _LATER.get(code):
        return TryLater(f"CMS {code}", later[1], Scope.SENDER, _wait(later[0]), later[0])
    why, text = _REFUSED.get(code, (Why.OTHER, "not taken by the modem"))
    return Refused(f"CMS {code}", text, why=why)


def of_modem(code: int) -> TryLater:
    """What follows from `+CME ERROR`."""
    why, text = _MODEM.get(code, (Why.OTHER, "failure of the modem"))
    return TryLater(f"CME {code}", text, Scope.SENDER, _wait(why), why)


def broken(code: str, text: str) -> TryLater:
    """The modem cannot be used until somebody sees to it."""
    return TryLater(code, text, Scope.SENDER, _wait(Why.ACCOUNT), Why.ACCOUNT)


def unwell(code: str, text: str) -> TryLater:
    """The modem cannot be used now."""
    return TryLater(code, text, Scope.SENDER, _SOON)


def _wait(why: Why) -> int:
    return MINUTE if why is Why.ACCOUNT else _SOON
