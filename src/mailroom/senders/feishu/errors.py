# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What Feishu's codes mean: those of its API, and those of a group's bot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from mailroom.core.clock import DAY, MINUTE, SECOND
from mailroom.senders.api import code_of
from mailroom.senders.http import Answer
from mailroom.senders.verdicts import ACCOUNT, AGAIN, BUSY, CONTENT, GONE, OPTED_OUT, Said, Table, closer

# The token has ended, or has been replaced.
STALE: Final = frozenset({"99991661", "99991663", "99991664", "99991668", "99991677"})
# A card is not to its liking; plain text may be.
CARD: Final = frozenset({"200621", "230099"})

TABLE: Final = Table(
    {
        **dict.fromkeys(STALE, ACCOUNT),
        **dict.fromkeys(CARD, CONTENT),
        "10003": ACCOUNT,
        "10014": ACCOUNT,
        "99991672": ACCOUNT,
        "230006": ACCOUNT,
        "230027": ACCOUNT,
        "429": replace(BUSY, after=SECOND),
        "99991400": replace(BUSY, after=SECOND),
        "230020": replace(AGAIN, after=SECOND),  # this person's share, or this group's
        "230001": CONTENT,
        "230001/receive_id": GONE,
        "230001/internal": BUSY,
        "230013": GONE,
        "230029": GONE,
        "230053": OPTED_OUT,
        "230002": GONE,
        "10002": GONE,
        "232009": GONE,
        "230022": CONTENT,
        "230025": CONTENT,
        "230028": CONTENT,
        "9499": CONTENT,
        "11232": replace(BUSY, after=MINUTE),
        "19001": ACCOUNT,
        "19021": ACCOUNT,
        "19022": ACCOUNT,
        "19024": ACCOUNT,
        **dict.fromkeys(map(str, range(1500, 1600)), BUSY),
    }
)

_THROTTLED: Final = frozenset({"99991400", "11232", "230020"})
# What 230001 is about shows only in its words.
_ABOUT: Final = (("invalid receive_id", "receive_id"), ("internal error", "internal"))


def read(said: Mapping[str, Any], answer: Answer, now: int) -> Said | None:
    """See `api.Read`. A group's bot may still answer by its first names for the two fields."""
    code = code_of(said.get("code", said.get("StatusCode")))
    if code is None and answer.status == 429:
        code = "429"
    if code is None or (not code and not 200 <= answer.status < 300):
        return None
    if answer.status >= 500 and TABLE.row(code) is None:  # it does not know itself
        return None
    text = str(said.get("msg") or said.get("error_description") or said.get("StatusMessage") or "")
    if code == "230001":
        code = closer(code, text, _ABOUT)
    if code and (trace := said.get("log_id") or answer.headers.get("X-Tt-Logid")):
        text = f"{text} {trace}"
    return Said(code, text, said, _wait(answer, now) if answer.status == 429 or code in _THROTTLED else None)


def _wait(answer: Answer, now: int) -> int | None:
    """Until its limit is reset; the header holds seconds."""
    reset = answer.headers.get("x-ogw-ratelimit-reset", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", reset):
        return min(int(reset) * SECOND, DAY)
    return answer.after(now)
