# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/bin`: mailboxes that are nobody's any more, until they are purged."""

from __future__ import annotations

from mailroom.core.errors import InvalidValue
from mailroom.directory import addresses, members, rights
from mailroom.mailboxes import access, purge, reassign, recycle
from mailroom.mailboxes.model import Entry, EntryState, Mailbox, Source
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import (
    Asked,
    Email,
    Line,
    Moment,
    Operation,
    Page,
    Paging,
    Shape,
    before,
    follows,
    moment,
    read,
)
from mailroom.web.api.jobs import LOCATION, JobShape
from mailroom.web.api.jobs import shape as job_shape


class EntryShape(Shape):
    """A mailbox in the recycle bin, or what became of it."""

    id: int
    address: str
    """Its own one when it came in."""
    name: str
    source: Source
    userid: str
    """Whose it was; empty: it was public."""
    state: EntryState
    entered: Moment | None
    purge: Moment | None
    """When it is removed for good."""
    ended: Moment | None


def shape(entry: Entry) -> EntryShape:
    """The entry, as a program sees it."""
    return EntryShape(
        id=entry.id,
        address=entry.address,
        name=entry.name,
        source=entry.source,
        userid=entry.userid,
        state=entry.state,
        entered=moment(entry.entered_at),
        purge=moment(entry.purge_at),
        ended=moment(entry.ended_at),
    )


class Choice(Paging):
    """Which entries."""

    source: Source | None = None
    state: EntryState | None = None


class Owner(Shape):
    """Whom the mailbox is to belong to."""

    userid: Line


class Restored(Shape):
    """What came of it."""

    displaced: EntryShape | None
    """What the member had before: it lies in the bin now."""


class Purge(Shape):
    """That it is meant."""

    confirm: Email
    """The address of the mailbox, once more."""


def _of(tx: Tx, asked: Asked[object]) -> Mailbox:
    """The mailbox in the bin that answers to the address in the path."""
    rights.over_all(asked.by)
    mailbox = access.by_address(tx, addresses.parse(asked.path["mailbox"]))
    recycle.waiting(tx, mailbox.id)
    return mailbox


def every(tx: Tx, asked: Asked[None]) -> Page[EntryShape]:
    """What is in the recycle bin, or was there in the last months; the newest first."""
    rights.over_all(asked.by)
    query: Choice = asked.query
    states = tuple(EntryState) if query.state is None else (query.state,)
    found = recycle.entries(tx, before=before(query), limit=query.limit, source=query.source, states=states)
    return Page[EntryShape](items=[shape(one) for one in found], next=follows(found, query))


def get(tx: Tx, asked: Asked[None]) -> EntryShape:
    """One mailbox that waits in the bin."""
    return shape(recycle.waiting(tx, _of(tx, asked).id))


def restore(tx: Tx, asked: Asked[Owner]) -> Restored:
    """Give the mailbox to a member, with its mail and addresses; the one that he had goes to the bin."""
    displaced = reassign.restore(tx, asked.by, _of(tx, asked).id, members.get(tx, asked.body.userid))
    return Restored(displaced=None if displaced is None else shape(displaced))


def remove(tx: Tx, asked: Asked[Purge]) -> JobShape:
    """Remove the mailbox for good: nothing brings it back, and its addresses are free once the job is done."""
    mailbox = _of(tx, asked)
    if addresses.parse(asked.body.confirm) != addresses.parse(addresses.primary(tx, mailbox.id)):
        raise InvalidValue(name="confirm", reason="must be the address of the mailbox")
    return job_shape(purge.start(tx, asked.by, mailbox.id))


_ONE = "/bin/{mailbox}"
OPERATIONS = (
    read("/bin", every, Page[EntryShape], query=Choice),
    read(_ONE, get, EntryShape),
    Operation(method="POST", path=f"{_ONE}/restore", work=restore, body=Owner, answer=Restored),
    Operation(
        method="POST", path=f"{_ONE}/purge", work=remove, body=Purge, answer=JobShape, status=202, location=LOCATION
    ),
)
