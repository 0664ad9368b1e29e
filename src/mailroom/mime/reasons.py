# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Why a mail was not delivered, in one word, from what a server said: its status code and its own words. Pure."""

from __future__ import annotations

import enum
import re
from typing import Final


class Reason(enum.StrEnum):
    """Why, in one word."""

    USER_UNKNOWN = "user_unknown"
    HOST_UNKNOWN = "host_unknown"
    MAILBOX_FULL = "mailbox_full"
    DISABLED = "disabled"
    MOVED = "moved"
    TOO_LARGE = "too_large"
    NOT_AUTHENTIC = "not_authentic"  # SPF, DKIM, DMARC
    REFUSED = "refused"  # by policy, reputation or content
    TOO_MANY = "too_many"  # mails in a short time
    UNREACHABLE = "unreachable"
    EXPIRED = "expired"
    COMPLAINT = "complaint"  # the recipient calls it spam
    OTHER = "other"


_BY_STATUS: Final = {
    "1.1": Reason.USER_UNKNOWN,
    "1.2": Reason.HOST_UNKNOWN,
    "1.3": Reason.USER_UNKNOWN,
    "1.6": Reason.MOVED,
    "1.10": Reason.HOST_UNKNOWN,
    "2.1": Reason.DISABLED,
    "2.2": Reason.MAILBOX_FULL,
    "2.3": Reason.TOO_LARGE,
    "3.4": Reason.TOO_LARGE,
    "4.1": Reason.UNREACHABLE,
    "4.2": Reason.UNREACHABLE,
    "4.3": Reason.HOST_UNKNOWN,
    "4.4": Reason.HOST_UNKNOWN,
    "4.6": Reason.UNREACHABLE,
    "4.7": Reason.EXPIRED,
    "7.1": Reason.REFUSED,
    "7.20": Reason.NOT_AUTHENTIC,
    "7.23": Reason.NOT_AUTHENTIC,
    "7.26": Reason.NOT_AUTHENTIC,
    "7.27": Reason.HOST_UNKNOWN,
}
_WHO: Final = r"(?:user|recipient|mailbox|account|address|mail ?drop|alias|addressee|person|name|local.?part)"
# In the order in which they are asked: the sure words first.
_WORDS: Final = {
    Reason.NOT_AUTHENTIC: (r"\b(?:spf|dkim|dmarc)\b", r"authentication (?:checks|policy)", r"unauthenticated"),
    Reason.TOO_LARGE: (
        r"too (?:large|big)",
        r"exceed(?:s|ed)? (?:the )?(?:size|maximum|max|limit)",
        r"size limit",
        r"message size",
        r"larger than",
    ),
    Reason.MAILBOX_FULL: (
        r"quota",
        r"mailbox (?:is )?full",
        r"full mailbox",
        r"disk space",
        r"out of space",
        r"storage",
        r"too much mail",
    ),
    Reason.MOVED: (r"has moved", r"forward.? to", r"user has changed", r"no longer (?:on|using)"),
    Reason.DISABLED: (
        r"disabled|suspended|inactive|deactivated|dormant|terminated",
        r"not active",
        r"no longer (?:available|active|valid)",
    ),
    Reason.USER_UNKNOWN: (
        rf"{_WHO}\b.{{0,60}}?\b(?:unknown|unavailable|invalid|rejected|does(?:n't| not) (?:exist|have))",
        rf"{_WHO}\b.{{0,60}}?\bnot (?:exist|found|listed|known|recogni[sz]ed|valid|local|here)",
        rf"(?:unknown|no such|invalid|non-?existent|not a (?:valid|known)|bad)\b.{{0,30}}?\b{_WHO}",
        r"(?:does(?:n't| not)|didn't) (?:exist|have)",
        r"(?:couldn't be|wasn't) found",
        r"recipnotfound",
        r"no mailbox",
        r"not our customer",
        r"no valid recipients",
        r"not listed in",
    ),
    Reason.HOST_UNKNOWN: (
        r"(?:host|domain|mx)\b.{0,40}?\b(?:unknown|not (?:found|exist|registered)|does(?:n't| not))",
        r"(?:unknown|no such) (?:host|domain)",
        r"no mx",
        r"name (?:or )?service",
        r"unrout|cannot find|dns|nxdomain|null ?mx",
    ),
    Reason.EXPIRED: (
        r"expired",
        r"too (?:long|old)",
        r"time.?out (?:while|exceeded)",
        r"(?:retry|delivery) (?:time(?:out)?|attempts)",
        r"giv(?:en|ing) up",
        r"in queue",
        r"has been in",
        r"\bdays\b",
    ),
    Reason.TOO_MANY: (r"\brate\b", r"too many (?!hops)", r"throttl|limit|busy|deferred|exceeded"),
    Reason.REFUSED: (
        r"spam|virus|infected|unsolicited|abus|reputation|black|block|banned|listed|filter",
        r"policy|secur|denied|reject|refus|prohibited|restrict|permission|unacceptable|access|relay|content",
        r"not (?:allowed|permitted|accept)",
        r"turn on smtp auth",
    ),
    Reason.UNREACHABLE: (
        r"connect|network|unreachable|unavailable|loop|lost|system",
        r"timed? ?out",
        r"too many hops",
        r"not respond",
        r"no route",
        r"host is down",
        r"server error",
    ),
}
_PATTERNS: Final = tuple((reason, re.compile("|".join(words), re.IGNORECASE)) for reason, words in _WORDS.items())
_WORDS_MOST: Final = 4000
# Codes that systems write for all sorts of things: their words say more.
_VAGUE: Final = frozenset({"1.2", "4.1", "4.2", "7.1"})


def classify(status: str, words: str) -> Reason:
    """Why, by the status code where it says something, else by the words."""
    by_status = _BY_STATUS.get(status[2:])
    if by_status is not None and status[2:] not in _VAGUE:
        return by_status
    said = words[:_WORDS_MOST]
    by_words = next((reason for reason, pattern in _PATTERNS if pattern.search(said)), None)
    if by_words is not None:
        return by_words
    return by_status or (Reason.REFUSED if status[2:].startswith("7.") else Reason.OTHER)
