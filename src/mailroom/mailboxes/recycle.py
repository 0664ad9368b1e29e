# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The recycle bin of the organisation: whole mailboxes that are nobody's any more, kept for some days.

What is in it takes no mail, lets nobody in and shows nothing, but keeps its mail and its addresses: nobody else can
take them. Until its time is over it can be given to a member, made public (`reassign`), copied (`backup`), or purged
by hand (`purge`); then it is purged by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from mailroom.core.clock import DAY
from mailroom.core.errors import NotFound, NotInBin
from mailroom.core.ids import MailboxId
from mailroom.directory import addresses, audit, members, policies, rights
from mailroom.directory.model import Actor
from mailroom.mailboxes import folders, queries
from mailroom.mailboxes.model import Entry, EntryState, Mailbox, MailboxKind, MailboxStatus, Source, topic
from mailroom.storage.ports import Tx

PAGE: Final = 500
WARNINGS: Final = (7, 3, 1)  # days before a purge
_FOREVER: Final = 1 << 62


def enter(tx: Tx, by: Actor, mailbox_id: MailboxId, source: Source) -> Entry:
    """Put a mailbox that is in use into the bin; sessions in it end with the commit. What its users have set up there
    (access, client passwords, notices, forwarding, replies, filters) ends for good. Raises `NoPermission`, `NotFound`.
    """
    rights.over_mailbox(tx, by, mailbox_id)
    mailbox = hold_in_use(tx, mailbox_id)
    address = addresses.primary(tx, mailbox_id)
    userid = queries.recycled.userid(tx, mailbox.owner_id)
    queries.recycled.recycle(tx, mailbox_id)
    disown(tx, mailbox_id)
    entry = queries.recycled.add(
        tx,
        mailbox.organisation_id,
        mailbox_id,
        address=address,
        name=mailbox.name,
        source=source,
        userid=userid,
        purge_at=tx.now + int(policies.get(tx, f"bin.{source.value}_days")) * DAY,
    )
    audit.record(
        tx,
        by,
        "mailbox.recycle",
        address,
        before={"status": mailbox.status.value, "owner": userid},
        after={"source": source.value, "purge_at": entry.purge_at},
        mailbox_id=mailbox_id,
    )
    return entry


def remove(tx: Tx, by: Actor, mailbox_id: MailboxId) -> Entry:
    """Put a public mailbox into the bin, or a member's own: he stays, without one. Raises as `enter` does, and
    `CannotDisable`.
    """
    mailbox = hold(tx, mailbox_id)
    if mailbox.owner_id is not None:
        members.ask_dispensable(by, members.by_id(tx, mailbox.owner_id))
    source = Source.RECYCLED_PUBLIC if mailbox.kind is MailboxKind.PUBLIC else Source.UNBOUND
    return enter(tx, by, mailbox_id, source)


def hold(tx: Tx, mailbox_id: MailboxId) -> Mailbox:
    """The mailbox, which nobody else gives away, renames or purges until the commit. Raises `NotFound`."""
    found = queries.mailboxes.mailbox(tx, mailbox_id) if queries.mailboxes.lock(tx, mailbox_id) else None
    if found is None:
        raise NotFound(what="mailbox", name=str(mailbox_id))
    return found


def hold_in_use(tx: Tx, mailbox_id: MailboxId) -> Mailbox:
    """The same of one that is not in the bin. Raises `NotFound`."""
    mailbox = hold(tx, mailbox_id)
    if mailbox.status is MailboxStatus.RECYCLED:
        raise NotFound(what="mailbox", name=addresses.primary(tx, mailbox_id))
    return mailbox


def disown(tx: Tx, mailbox_id: MailboxId) -> None:
    """End what the mailbox's users have set up for themselves, and let open sessions ask again. What forwards or
    answers for one must not do so for who comes after him.
    """
    queries.recycled.disown(tx, mailbox_id, shared=folders.SHARED)
    tx.hint(topic(mailbox_id))


def waiting(tx: Tx, mailbox_id: MailboxId) -> Entry:
    """The mailbox's entry in the bin, while something can be done with it. Raises `NotInBin`."""
    entry = queries.recycled.of(tx, mailbox_id)
    if entry is None or entry.state is not EntryState.WAITING:
        raise NotInBin(address=entry.address if entry else _name(tx, mailbox_id))
    return entry


def entries(
    tx: Tx,
    *,
    before: int,
    limit: int,
    source: Source | None = None,
    states: Collection[EntryState] = tuple(EntryState),
    since: int = 0,
    until: int = _FOREVER,
) -> Sequence[Entry]:
    """Entries with an id below `before`, the newest first: those of that source, in one of the states, that came in
    between the two times (milliseconds, both included). For administrators.
    """
    found: list[Entry] = []
    while len(found) < limit:
        page = queries.recycled.page(tx, before=before, limit=PAGE, source=source, since=since, until=until)
        found += [entry for entry in page if entry.state in states]
        if len(page) < PAGE:
            break
        before = page[-1].id
    return found[:limit]


def near(tx: Tx) -> Sequence[Entry]:
    """What has come nearer to its purge than 7 days, 3 days or 1 day since the administrators were last told of it,
    which is now. A clock that was put back is followed: they are told again.
    """
    told: list[Entry] = []
    for entry, warned in queries.recycled.near(tx, until=tx.now + max(WARNINGS) * DAY):
        days = min((days for days in WARNINGS if entry.purge_at <= tx.now + days * DAY), default=0)
        if days != warned:
            queries.recycled.warned(tx, entry.id, days)
        if days and (not warned or days < warned) and entry.state is EntryState.WAITING:
            told.append(entry)
    return told


def _name(tx: Tx, mailbox_id: MailboxId) -> str:
    try:
        return addresses.primary(tx, mailbox_id)
    except NotFound:
        return str(mailbox_id)
