# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What Twilio's codes mean (twilio.com/docs/api/errors)."""

from __future__ import annotations

from typing import Final

from mailroom.core.clock import HOUR
from mailroom.senders.contract import Scope, TryLater, Why
from mailroom.senders.verdicts import ACCOUNT, CONTENT, GONE, LOST, NO, OPTED_OUT, Table

# The number's queue holds as much as it sends within hours.
_FULL: Final = TryLater("", "", Scope.SENDER, HOUR, Why.QUOTA)

TABLE: Final = Table(
    {
        # Their own faults: an SMS may have been made all the same.
        "20500": LOST,
        "20503": LOST,
        "21611": _FULL,
        "30001": _FULL,
        "21211": GONE,
        "21614": GONE,
        "30005": GONE,
        "30006": GONE,
        "21610": OPTED_OUT,
        "21602": CONTENT,
        "21617": CONTENT,
        "30007": CONTENT,
        "20003": ACCOUNT,
        "20005": ACCOUNT,
        "20404": ACCOUNT,
        "21212": ACCOUNT,
        "21603": ACCOUNT,
        "21606": ACCOUNT,
        "21609": ACCOUNT,
        "21701": ACCOUNT,
        "21703": ACCOUNT,
        "30002": ACCOUNT,
        "30032": ACCOUNT,
        "30034": ACCOUNT,
    },
    other=NO,
)
