# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Which ways of telling people there are, and for whom."""

from __future__ import annotations

from collections.abc import Mapping

from mailroom.core.errors import NoticesNotPermitted, WayNotOffered
from mailroom.directory import access, addresses
from mailroom.directory.model import Member
from mailroom.messaging.model import Sender
from mailroom.notify import settings
from mailroom.notify.model import Way
from mailroom.notify.settings import Rules
from mailroom.storage.ports import Tx


def sender_of(tx: Tx, way: Way) -> Sender | None:
    """The sender that is chosen for a way at present; none while the way, or all of them, are switched off."""
    return chosen(tx, settings.rules(tx), way)


def chosen(tx: Tx, rules: Rules, way: Way) -> Sender | None:
    """The same, by rules that are known. A group's robot tells everybody there, so that it is none for members."""
    kind = rules.kind(way) if rules.is_on else None
    sender = settings.sender(tx, kind) if kind else None
    return None if sender is None or sender.settings.get("mode") == "robot" else sender


def offered(tx: Tx) -> Mapping[Way, bool]:
    """Each way, and whether the administrator offers it."""
    rules = settings.rules(tx)
    return {way: chosen(tx, rules, way) is not None for way in Way}


def permitted(tx: Tx, member: Member) -> bool:
    """Whether the administrator's list of users names one of the addresses of the member's own mailbox."""
    return permits(tx, settings.rules(tx), member)


def permits(tx: Tx, rules: Rules, member: Member) -> bool:
    """The same, by rules that are known."""
    if rules.permits_all:
        return True
    own = access.own_mailbox(tx, member.id)
    return rules.lists(addresses.every(tx, own) if own is not None else ())


def ask(tx: Tx, member: Member, way: Way) -> Sender:
    """The sender for a way that is offered, to a member who is permitted it. Raises `WayNotOffered`,
    `NoticesNotPermitted`.
    """
    rules = settings.rules(tx)
    sender = chosen(tx, rules, way)
    if sender is None:
        raise WayNotOffered(way=way.value)
    if not permits(tx, rules, member):
        raise NoticesNotPermitted
    return sender
