# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What has gone out, what waits, and why: for those who look after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailroom.core.errors import NotFound
from mailroom.core.ids import MailboxId, MemberId, RecipientId
from mailroom.messaging import queries, receipts
from mailroom.messaging.model import Entry, Origin, Try
from mailroom.messaging.queries.log import Filter
from mailroom.messaging.states import State
from mailroom.storage.ports import Tx

_LAST = (1 << 63) - 1


def entries(  # noqa: PLR0913 # what they are to be like, each by its name
    tx: Tx,
    *,
    states: Sequence[State] = tuple(State),
    origins: Sequence[Origin] = tuple(Origin),
    kinds: Sequence[str] = (),
    mailbox_ids: Sequence[MailboxId] | None = None,
    member_id: MemberId | None = None,
    since: int = 0,
    until: int = _LAST,
    text: str = "",
    before: RecipientId | None = None,
    limit: int,
) -> Sequence[Entry]:
    """Recipients in one of the states, the newest first, below the id `before`: of senders of these kinds, any if there
    are none; on behalf of one of the mailboxes, or else to the member; put in from `since` on and before `until`; with
    `text` somewhere in the address or the mail's Message-ID, in small letters or capitals.
    """
    wanted = Filter(tuple(states), tuple(origins), tuple(kinds), since, until, text)
    return queries.log.entries(
        tx,
        wanted,
        mailbox_ids=mailbox_ids,
        member_id=member_id,
        before=_LAST if before is None else before,
        limit=limit,
    )


def entry(tx: Tx, recipient_id: RecipientId) -> Entry:
    """One recipient. Raises `NotFound`."""
    found = entries(tx, before=RecipientId(recipient_id + 1), limit=1)
    if not found or found[0].id != recipient_id:
        raise NotFound(what="recipient", name=str(recipient_id))
    return found[0]


@dataclass(frozen=True, slots=True)
class Figure:
    """How many recipients of one sender kind were put in on a day, by what has become of them."""

    day: int  # since 1970
    kind: str
    counts: Mapping[State, int]


def figures(
    tx: Tx,
    since: int,
    until: int,
    *,
    origins: Sequence[Origin] = tuple(Origin),
    kinds: Sequence[str] = (),
    mailbox_ids: Sequence[MailboxId] | None = None,
    offset: int = 0,
) -> Sequence[Figure]:
    """The figures of what was put in from `since` on and before `until`, by day and kind. Days begin at midnight of a
    place whose clocks are `offset` milliseconds before UTC.
    """
    wanted = Filter(tuple(State), tuple(origins), tuple(kinds), since, until)
    counts: dict[tuple[int, str], Counter[State]] = {}
    for day, kind, state, count in queries.log.figures(tx, wanted, mailbox_ids=mailbox_ids, offset=offset):
        counts.setdefault((day, kind), Counter())[state] += count
    return [Figure(day, kind, counted) for (day, kind), counted in sorted(counts.items())]


def forget(tx: Tx, *, before: int, limit: int) -> int:
    """Forget up to `limit` settled messages from before that time, with all that was logged of them; how many."""
    gone = queries.messages.settled_before(tx, before, limit)
    if gone:
        queries.messages.remove(tx, gone)
    return len(gone)


def give_up(tx: Tx, *, before: int, limit: int) -> int:
    """Give up as many as `limit` messages to people's phones that have waited since before that time, for a sender that
    does not work; how many. What waits for a push URL, or is mail, waits on.
    """
    waiting = queries.recipients.waiting_for_people(tx, before=before, limit=limit)
    # Whoever has begun one meanwhile says what becomes of it.
    late = [
        one.id
        for one in queries.recipients.hold_all(tx, waiting).values()
        if one.state is State.QUEUED and not one.lease
    ]
    for recipient_id in late:
        receipts.cancel(tx, recipient_id, reason="late")
    return len(late)


def attempts(tx: Tx, recipient_id: RecipientId) -> Sequence[Try]:
    """Every attempt to reach one recipient, the first one first."""
    return queries.log.attempts(tx, recipient_id)
