# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""WeChat's error codes. One that is not here is taken for trouble that passes."""

from __future__ import annotations

from typing import Final

from mailroom.senders.china import midnight
from mailroom.senders.verdicts import ACCOUNT, AGAIN, CONTENT, GONE, NO, OPTED_OUT, Row, Spent, Table
from mailroom.senders.weixin import TOO_OFTEN

# The token is no good: a new one may be.
STALE: Final = frozenset({"40001", "40014", "41001", "42001"})

_ROWS: Final[dict[str, Row]] = {
    "-1": AGAIN,  # busy
    "40001": ACCOUNT,  # token
    "40003": GONE,  # no such openid
    "40013": ACCOUNT,  # AppID
    "40014": ACCOUNT,  # token
    "40036": ACCOUNT,  # template
    "40037": ACCOUNT,  # template; has been seen to pass after ten minutes
    "40125": ACCOUNT,  # AppSecret
    "40164": ACCOUNT,  # our address is not on the whitelist
    "41001": ACCOUNT,  # token
    "41030": CONTENT,  # page
    "42001": ACCOUNT,  # token
    "43002": ACCOUNT,  # wants POST
    "43003": ACCOUNT,  # wants HTTPS
    "43004": OPTED_OUT,  # does not follow
    "43019": OPTED_OUT,  # blacklisted
    "43101": OPTED_OUT,  # refused
    "45002": CONTENT,  # too long
    "45009": Spent(midnight),  # the day's share of messages
    "45011": TOO_OFTEN,
    "45066": AGAIN,
    "47001": ACCOUNT,  # does not understand our JSON
    "47003": CONTENT,  # a keyword's value
    "48001": ACCOUNT,  # not authorised
    "48002": OPTED_OUT,  # wants no messages
    "48004": ACCOUNT,  # banned
    "48008": ACCOUNT,
    "50005": OPTED_OUT,  # does not follow
    "61450": AGAIN,
    "89503": ACCOUNT,  # the account's administrator has to confirm the call
    "89506": ACCOUNT,  # likewise
    "89507": ACCOUNT,  # likewise
}

TEMPLATE: Final = Table(_ROWS)
# A subscription notice without consent: for the next one there may be some.
SUBSCRIPTION: Final = Table({**_ROWS, "43101": NO})
