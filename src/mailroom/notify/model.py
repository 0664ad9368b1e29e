# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The values of new-mail notices."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from mailroom.core.ids import MailboxId, MemberId


class Way(enum.StrEnum):
    """One of the ways in which a member can be told; also what a link is of, and what sender kinds call their reach."""

    SMS = "sms"
    WECHAT = "wechat"
    WECOM = "wecom"
    DINGTALK = "dingtalk"
    FEISHU = "feishu"


class LinkState(enum.StrEnum):
    """Whether somebody can be told by a link."""

    VALID = "valid"
    BROKEN = "broken"  # the provider says that nobody is there, or that he wants no more: to be linked anew


@dataclass(frozen=True, slots=True)
class Link:
    """Where a member can be told: a number that he has proven, or his account with a provider."""

    member_id: MemberId
    way: Way
    address: str  # E.164, an openid, a userid, an open_id
    label: str
    state: LinkState
    reason: str
    linked_at: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """When nobody is to be woken: minutes since midnight, in the server's time; the end may be on the next day."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Preference:
    """How a member wants to hear of the mails of one mailbox."""

    mailbox_id: MailboxId
    address: str  # the mailbox's
    is_own: bool
    on: Mapping[Way, bool]
    only_from: tuple[str, ...] = ()  # patterns `user@domain`, `*@domain`; none: everybody
    quiet: Quiet | None = None


class TicketState(enum.StrEnum):
    """How far a proof has come."""

    OPEN = "open"
    FOUND = "found"  # the account is known; the member has only to say on the page that it is his
    USED = "used"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A proof under way, as the page shows it."""

    way: Way
    state: TicketState
    address: str
    label: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the member goes to prove which account is his; with `scan` the URL is shown as a code, for his phone."""

    url: str
    scan: bool
