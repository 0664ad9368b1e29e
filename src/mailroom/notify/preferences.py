# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How a member wants to hear of new mail: for each mailbox that he uses, in which ways, from whom, and when not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailroom.core.errors import NotFound, NotLinked
from mailroom.core.ids import MailboxId
from mailroom.directory import access, addresses
from mailroom.directory.model import Member
from mailroom.events.facts import MemberRemoved
from mailroom.notify import days, patterns, queries
from mailroom.notify.model import Link, Preference, Quiet, Way
from mailroom.storage.ports import Tx

_SENDERS_MOST = 100


def of(tx: Tx, member: Member) -> Sequence[Preference]:
    """His own mailbox first, then the public ones that he uses."""
    own = access.own_mailbox(tx, member.id)
    kept, on = queries.preferences.of(tx, member.id), queries.preferences.on(tx, member.id)
    found: list[Preference] = []
    for mailbox_id in access.mailboxes_of(tx, member.id):
        only_from, quiet = kept.get(mailbox_id, ((), ""))
        found.append(
            Preference(
                mailbox_id,
                addresses.primary(tx, mailbox_id),
                mailbox_id == own,
                {way: (mailbox_id, way) in on for way in Way},
                tuple(only_from),
                days.parse_quiet(quiet),
            )
        )
    return found


def change(
    tx: Tx,
    member: Member,
    mailbox_id: MailboxId,
    *,
    on: Mapping[Way, bool],
    only_from: Sequence[str],
    quiet: Quiet | None,
) -> None:
    """Switch ways on and off; one that `on` does not name stays. Raises `NotFound` (no mailbox of his), `NotLinked`,
    `InvalidValue`.
    """
    if not access.uses(tx, member.id, mailbox_id):
        raise NotFound(what="mailbox", name=str(mailbox_id))
    for way, is_on in on.items():
        if is_on and queries.links.get(tx, member.id, way) is None:
            raise NotLinked(way=way.value)
        queries.preferences.switch(tx, member.id, mailbox_id, way, to=is_on)
    senders = patterns.canonical(only_from, name="only_from", most=_SENDERS_MOST)
    queries.preferences.put(tx, member.id, mailbox_id, only_from=senders, quiet=days.show_quiet(quiet))


def links(tx: Tx, member: Member) -> Sequence[Link]:
    """His number and his accounts."""
    return queries.links.of(tx, member.id)


def unlink(tx: Tx, member: Member, way: Way) -> None:
    """Forget one of them, and where it was switched on. Raises `NotFound`."""
    if not queries.links.remove(tx, member.id, way):
        raise NotFound(what="link", name=way.value)
    queries.preferences.take(tx, member.id, way)
    queries.tickets.end_all(tx, member.id, way)


def sms_today(tx: Tx, member: Member) -> int:
    """How many SMS of today's share are used, or set aside for what waits."""
    return queries.notices.counted(tx, member.id, days.day(tx.now))


def forget(tx: Tx, fact: MemberRemoved) -> None:
    """A member is none any more: his number and his accounts are nobody's business."""
    queries.links.remove_all(tx, fact.member_id)
    queries.tickets.remove_all(tx, fact.member_id)
    queries.preferences.remove_all(tx, fact.member_id)
