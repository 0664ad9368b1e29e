# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""WeCom's error codes. One that is not here is taken for trouble that passes."""

from __future__ import annotations

from typing import Final

from mailroom.senders.contract import Refused, Scope
from mailroom.senders.verdicts import ACCOUNT, AGAIN, CONTENT, GONE, NO, OPTED_OUT, Table
from mailroom.senders.weixin import TOO_OFTEN

# The token is no good: a new one may be.
STALE: Final = frozenset({"40014", "41001", "42001"})

TABLE: Final = Table(
    {
        "-1": AGAIN,  # busy
        "40001": ACCOUNT,  # Secret
        "40003": GONE,  # no such member
        "40013": ACCOUNT,  # corp ID
        "40014": ACCOUNT,  # token
        "40029": NO,  # a code that was used, or has ended
        "40031": GONE,  # no such member
        "40033": CONTENT,
        "40056": ACCOUNT,  # AgentId
        "40058": CONTENT,
        "40091": ACCOUNT,  # Secret
        "41001": ACCOUNT,  # token
        "41002": ACCOUNT,  # no corp ID
        "41004": ACCOUNT,  # no Secret
        "42001": ACCOUNT,  # token
        "43004": OPTED_OUT,  # has not joined
        "44004": CONTENT,  # empty
        "45002": CONTENT,  # too long
        "45009": TOO_OFTEN,
        "45033": TOO_OFTEN,
        "46004": GONE,  # no such member
        "48002": ACCOUNT,  # not permitted
        "50003": ACCOUNT,  # the application is switched off
        "60011": ACCOUNT,  # not permitted
        "60020": ACCOUNT,  # our address is not among the trusted ones
        "60111": GONE,  # no such member
        "81013": GONE,  # nobody whom the application may reach
        "82001": GONE,  # likewise
        "93000": Refused("", "", Scope.SENDER),  # no such robot
        "301002": ACCOUNT,  # another application's Secret
        "301022": AGAIN,
    }
)
