# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What DingTalk's codes mean: numbers of the older API and of groups' robots, words of the newer one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from mailroom.core.clock import MINUTE, SECOND
from mailroom.senders.api import code_of
from mailroom.senders.http import Answer
from mailroom.senders.verdicts import ACCOUNT, AGAIN, BUSY, CONTENT, GONE, OPTED_OUT, Said, Table, closer

# The token has ended, or has been replaced.
STALE: Final = frozenset({"40001", "40014", "41001", "42001", "InvalidAuthentication"})
_LOCKED: Final = replace(BUSY, after=10 * MINUTE)  # a group's robot after its 21st message in a minute
_THROTTLED: Final = replace(BUSY, after=5 * SECOND)
_BARRED: Final = replace(BUSY, after=MINUTE)

TABLE: Final = Table(
    {
        **dict.fromkeys(STALE, ACCOUNT),
        "-1": BUSY,
        "404": BUSY,
        "33012": GONE,
        "40003": GONE,
        "60121": GONE,
        "34014": CONTENT,
        "34016": CONTENT,
        "40035": CONTENT,
        "40056": ACCOUNT,
        "40078": ACCOUNT,
        "40089": ACCOUNT,
        "40096": ACCOUNT,
        "60011": ACCOUNT,
        "60020": ACCOUNT,
        "90018": _THROTTLED,
        "130101": _LOCKED,
        "410100": _LOCKED,
        "300001": ACCOUNT,
        "310000": ACCOUNT,
        "400101": ACCOUNT,
        "400102": ACCOUNT,
        "400106": ACCOUNT,
        "punish": _BARRED,
        "ServiceUnavailable": BUSY,
        "staffId.notExisted": GONE,
        "resource.not.found": ACCOUNT,
        "invalidClientIdOrSecret": ACCOUNT,
        "invalidStaffIdList": GONE,
        "filteredStaffIdList": OPTED_OUT,
        "flowControlledStaffIdList": replace(AGAIN, after=MINUTE),
        **dict.fromkeys(map(str, range(90002, 90018)), _BARRED),
        **dict.fromkeys(map(str, range(430100, 430200)), CONTENT),
        "310000/*": ACCOUNT,
        "Throttling*": _THROTTLED,
        "Forbidden*": ACCOUNT,
        "Forbidden.AccessDenied.*Qps*": _THROTTLED,
        "Forbidden.AccessDenied.*Flow*": _THROTTLED,
        "Forbidden.AccessDenied.*Limit*": _THROTTLED,
        "robot *": ACCOUNT,
    }
)

# What a robot's 310000 is about shows only in its words.
_CHECKS: Final = (("keyword", "keyword"), ("whitelist", "ip"), ("sign", "sign"), ("timestamp", "sign"))
_LISTS: Final = ("invalidStaffIdList", "filteredStaffIdList", "flowControlledStaffIdList")


def read(said: Mapping[str, Any], answer: Answer, now: int) -> Said | None:
    """See `api.Read`: an answer of any of its APIs."""
    after = answer.after(now)
    if said.get("punish"):  # something that keeps robots away stands before the API
        wait = said.get("wait")
        barred = wait * SECOND if isinstance(wait, int) and 0 < wait < 3600 else None
        return Said("punish", _words(said), said, barred)
    if "errcode" in said:
        return _old(said, after)
    if 200 <= answer.status < 300 and "code" not in said and said:
        return Said(next((name for name in _LISTS if said.get(name)), ""), "", said)
    code = code_of(said.get("code"))
    if not code or (answer.status >= 500 and TABLE.row(code) is None):  # it does not know itself
        return None
    return Said(code, _words(said), said, after)


def _old(said: Mapping[str, Any], after: int | None) -> Said | None:
    code, text = code_of(said["errcode"]), _words(said)
    if code == "88":  # the gateway's; what is behind it stands within
        code = code_of(said.get("sub_code")) or code
    if code == "310000":
        code = closer(code, text, _CHECKS)
    return None if code is None else Said(code, text, said, after)


def _words(said: Mapping[str, Any]) -> str:
    names = ("errmsg", "message", "sub_msg", "request_id", "requestid")
    return " ".join(str(said[name]) for name in names if said.get(name))
