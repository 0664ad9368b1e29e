# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The recycle bin, whose mailbox is whose, and what goes with a mailbox when it goes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, insert, null, or_, select, update

from mailroom.core.ids import EntryId, FolderId, MailboxId, MemberId, OrganisationId
from mailroom.directory.model import MemberStatus
from mailroom.mailboxes.model import Entry, EntryState, MailboxKind, MailboxStatus, Source
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_mailboxes = schema.mailboxes
_members = schema.members
_reassignments = schema.reassignments
_recycled = schema.recycled
_rules = schema.mailbox_rules
_scripts = schema.scripts
_subscriptions = schema.subscriptions

_ENTRIES = select(
    _recycled.c.id,
    _recycled.c.mailbox_id,
    _recycled.c.address,
    _recycled.c.name,
    _recycled.c.source,
    _recycled.c.userid,
    _recycled.c.entered_at,
    _recycled.c.purge_at,
    _recycled.c.state,
    _recycled.c.ended_at,
)
_ADD = (
    insert(_recycled)
    .values(
        organisation_id=bindparam("organisation_id"),
        mailbox_id=bindparam("mailbox_id"),
        address=bindparam("address"),
        name=bindparam("name"),
        source=bindparam("source"),
        userid=bindparam("userid"),
        entered_at=bindparam("now"),
        purge_at=bindparam("purge_at"),
        state=EntryState.WAITING.value,
    )
    .returning(_recycled.c.id)
)
_OPEN = _ENTRIES.where(
    _recycled.c.mailbox_id == bindparam("mailbox_id"),
    or_(_recycled.c.state == EntryState.WAITING.value, _recycled.c.state == EntryState.PURGING.value),
)
_BY_ID = _ENTRIES.where(_recycled.c.id == bindparam("entry_id"))
_PAGE = (
    _ENTRIES.where(
        _recycled.c.id < bindparam("before_id"),
        or_(bindparam("any_source", type_=schema.Number) == 1, _recycled.c.source == bindparam("of_source")),
        _recycled.c.entered_at.between(bindparam("since"), bindparam("until")),
    )
    .order_by(_recycled.c.id.desc())
    .limit(bindparam("most"))
)
_STATE = update(_recycled).where(_recycled.c.id == bindparam("which")).values(state=bindparam("to"))
_END = _STATE.values(ended_at=bindparam("now"))


def _to_entry(row: Row, now: int) -> Entry:
    state = EntryState(row[8])
    if state is EntryState.WAITING and row[7] <= now:
        state = EntryState.EXPIRED
    return Entry(
        EntryId(row[0]),
        MailboxId(row[1]),
        row[2],
        row[3],
        Source(row[4]),
        row[5],
        row[6],
        row[7],
        state,
        row[9],
    )


def add(
    tx: Tx,
    organisation_id: OrganisationId,
    mailbox_id: MailboxId,
    *,
    address: str,
    name: str,
    source: Source,
    userid: str,
    purge_at: int,
) -> Entry:
    values = {"address": address, "name": name, "source": source.value, "userid": userid, "purge_at": purge_at}
    row = tx.first(_ADD, organisation_id=organisation_id, mailbox_id=mailbox_id, **values, now=tx.now)
    entry_id = EntryId(sql.returned(row))
    return Entry(entry_id, mailbox_id, address, name, source, userid, tx.now, purge_at, EntryState.WAITING, None)


def of(tx: Tx, mailbox_id: MailboxId) -> Entry | None:
    """The mailbox's entry, while it is in the bin or being purged. One whose time is over shows as expired."""
    row = tx.first(_OPEN, mailbox_id=mailbox_id)
    return _to_entry(row, tx.now) if row else None


def entry(tx: Tx, entry_id: EntryId) -> Entry | None:
    row = tx.first(_BY_ID, entry_id=entry_id)
    return _to_entry(row, tx.now) if row else None


def page(tx: Tx, *, before: int, limit: int, source: Source | None, since: int, until: int) -> Sequence[Entry]:
    """Of those that came in between the two times, the newest with an id below `before`, the newest first."""
    rows = tx.all(
        _PAGE,
        before_id=before,
        most=limit,
        any_source=1 if source is None else 0,
        of_source="" if source is None else source.value,
        since=since,
        until=until,
    )
    return [_to_entry(row, tx.now) for row in rows]


def purge(tx: Tx, entry_id: EntryId) -> None:
    """It is being purged from now on."""
    tx.run(_STATE, which=entry_id, to=EntryState.PURGING.value)


def end(tx: Tx, entry_id: EntryId, state: EntryState) -> None:
    """Its time in the bin is over."""
    tx.run(_END, which=entry_id, to=state.value, now=tx.now)


_DUE = (
    _ENTRIES.where(
        _recycled.c.state == EntryState.WAITING.value,
        _recycled.c.purge_at <= bindparam("now"),
    )
    .order_by(_recycled.c.id)
    .limit(bindparam("most"))
)
_NEAR = (
    _ENTRIES.add_columns(_recycled.c.warned)
    .where(
        _recycled.c.state == EntryState.WAITING.value,
        (_recycled.c.purge_at <= bindparam("until")) | (_recycled.c.warned > 0),
    )
    .order_by(_recycled.c.purge_at, _recycled.c.id)
)
_WARNED = update(_recycled).where(_recycled.c.id == bindparam("which")).values(warned=bindparam("days"))
_PURGING = _ENTRIES.where(_recycled.c.state == EntryState.PURGING.value).order_by(_recycled.c.id)
_FORGET = delete(_recycled).where(
    or_(_recycled.c.state == EntryState.RESTORED.value, _recycled.c.state == EntryState.EXPIRED.value),
    _recycled.c.ended_at < bindparam("before"),
)


def due(tx: Tx, *, limit: int) -> Sequence[Entry]:
    """The first of those whose time is over."""
    return [_to_entry(row, tx.now) for row in tx.all(_DUE, now=tx.now, most=limit)]


def near(tx: Tx, *, until: int) -> Sequence[tuple[Entry, int]]:
    """Those whose time is over before `until`, or of which the administrators have been told; and how many days before
    the purge that was.
    """
    return [(_to_entry(row, tx.now), row[-1]) for row in tx.all(_NEAR, until=until)]


def warned(tx: Tx, entry_id: EntryId, days: int) -> None:
    tx.run(_WARNED, which=entry_id, days=days)


def purging(tx: Tx) -> Sequence[Entry]:
    """Those that are being purged."""
    return [_to_entry(row, tx.now) for row in tx.all(_PURGING)]


def forget(tx: Tx, *, before: int) -> None:
    """Drop the rows of those whose time in the bin ended before then."""
    tx.run(_FORGET, before=before)


_folders = schema.folders
_mails = schema.mails
_expunged = schema.expunged
_addresses = schema.addresses
_marks = schema.backup_marks

_SOME_MAILS = (
    select(_mails.c.uid, _mails.c.content_id, _mails.c.size, _mails.c.flags)
    .where(_mails.c.folder_id == bindparam("folder_id"))
    .order_by(_mails.c.uid)
    .limit(bindparam("most"))
)
_SOME_EXPUNGED = (
    select(_expunged.c.uid)
    .where(_expunged.c.folder_id == bindparam("folder_id"))
    .order_by(_expunged.c.uid)
    .limit(bindparam("most"))
)
_DROP = {
    table: delete(table).where(table.c.folder_id == bindparam("folder_id"), table.c.uid <= bindparam("last"))
    for table in (_mails, _expunged)
}
_DROP_MARKS = [
    delete(_marks).where(column == bindparam("folder_id"))
    for column in (_marks.c.source_folder_id, _marks.c.target_folder_id)
]
_COUNT = select(func.coalesce(func.sum(_folders.c.mails), 0)).where(_folders.c.mailbox_id == bindparam("mailbox_id"))
_ADDRESSES_OF = select(_addresses.c.address).where(_addresses.c.mailbox_id == bindparam("which"))
_LAST = (
    # Its mails that are still on their way: nobody is told of them who takes the address next.
    update(schema.outgoing)
    .where(func.lower(schema.outgoing.c.envelope_from).in_(_ADDRESSES_OF))
    .values(envelope_from=""),
    # Nor does he get what groups send to it.
    *(
        delete(table).where(table.c.address.in_(_ADDRESSES_OF))
        for table in (schema.group_members, schema.group_senders)
    ),
    *(
        delete(table).where(table.c.mailbox_id == bindparam("which"))
        for table in (
            _addresses,
            schema.access,
            schema.access_departments,
            schema.access_tags,
            schema.client_passwords,
            schema.subscriptions,
            schema.scripts,
            schema.mailbox_rules,
            schema.replies_sent,
        )
    ),
    delete(schema.backups).where(
        or_(schema.backups.c.source_id == bindparam("which"), schema.backups.c.target_id == bindparam("which"))
    ),
    delete(_mailboxes).where(_mailboxes.c.id == bindparam("which")),
)


def count_mails(tx: Tx, mailbox_id: MailboxId) -> int:
    return int(sql.returned(tx.first(_COUNT, mailbox_id=mailbox_id)))


def some_mails(tx: Tx, folder_id: FolderId, *, limit: int) -> Sequence[Row]:
    """The first mails of a folder: UID, content id, size, flags."""
    return tx.all(_SOME_MAILS, folder_id=folder_id, most=limit)


def drop_mails(tx: Tx, folder_id: FolderId, *, last: int) -> None:
    """Up to that UID; nobody is left who would have to be told."""
    tx.run(_DROP[_mails], folder_id=folder_id, last=last)


def drop_expunged(tx: Tx, folder_id: FolderId, *, limit: int) -> int:
    """Forget so many mails that have gone; how many."""
    rows = tx.all(_SOME_EXPUNGED, folder_id=folder_id, most=limit)
    if rows:
        tx.run(_DROP[_expunged], folder_id=folder_id, last=rows[-1][0])
    return len(rows)


def drop_marks(tx: Tx, folder_id: FolderId) -> None:
    """How far the folder, which goes, was copied, or what was copied into it."""
    for statement in _DROP_MARKS:
        tx.run(statement, folder_id=folder_id)


def drop(tx: Tx, mailbox_id: MailboxId) -> None:
    """The mailbox, whose folders are gone, with all that is left of it. Its addresses are free."""
    for statement in _LAST:
        tx.run(statement, which=mailbox_id)


_USERID = select(_members.c.userid).where(_members.c.id == bindparam("member_id"))
_RECYCLE = (
    update(_mailboxes)
    .where(_mailboxes.c.id == bindparam("which"))
    .values(status=MailboxStatus.RECYCLED.value, owner_id=null())
)
# What the users of a mailbox have set up for themselves. The texts of rules stay, none of them in force.
_DISOWN = (
    *(
        delete(table).where(table.c.mailbox_id == bindparam("which"))
        for table in (
            *(schema.access, schema.access_departments, schema.access_tags),
            *(schema.client_passwords, schema.switches, schema.preferences),
        )
    ),
    update(_rules).where(_rules.c.mailbox_id == bindparam("which")).values(forward_to="", reply_on=0),
    update(_scripts).where(_scripts.c.mailbox_id == bindparam("which"), _scripts.c.active == 1).values(active=0),
    # Names of other mailboxes.
    delete(_subscriptions).where(
        _subscriptions.c.mailbox_id == bindparam("which"), _subscriptions.c.name.like(bindparam("below"))
    ),
)


_LOCK_MEMBER = (
    select(_members.c.id)
    .where(_members.c.id == bindparam("member_id"), _members.c.status != MemberStatus.REMOVED.value)
    .with_for_update(key_share=True)
)
_GIVE = (
    update(_mailboxes)
    .where(_mailboxes.c.id == bindparam("which"))
    .values(
        kind=bindparam("to_kind"),
        owner_id=bindparam("owner"),
        name=bindparam("to_name"),
        status=MailboxStatus.ACTIVE.value,
    )
)
_NOTE = insert(_reassignments).values(
    mailbox_id=bindparam("mailbox_id"),
    address=bindparam("address"),
    from_userid=bindparam("from_userid"),
    to_userid=bindparam("to_userid"),
    displaced_id=bindparam("displaced_id"),
    at=bindparam("now"),
)


def lock_member(tx: Tx, member_id: MemberId) -> bool:
    """Keep others from giving the member another mailbox until the commit; whether he is there."""
    return tx.first(_LOCK_MEMBER, member_id=member_id) is not None


def give(tx: Tx, mailbox_id: MailboxId, owner_id: MemberId | None, name: str) -> None:
    """It is the member's own from now on, or public, and in use. Raises `Conflict` when he has another."""
    kind = MailboxKind.PUBLIC if owner_id is None else MailboxKind.PERSONAL
    tx.run(_GIVE, which=mailbox_id, to_kind=kind.value, owner=owner_id, to_name=name)


def note(tx: Tx, mailbox_id: MailboxId, address: str, from_: str, to: str, displaced: MailboxId | None) -> None:
    """It has changed hands between these userids."""
    tx.run(
        _NOTE,
        mailbox_id=mailbox_id,
        address=address,
        from_userid=from_,
        to_userid=to,
        displaced_id=displaced,
        now=tx.now,
    )


def userid(tx: Tx, member_id: MemberId | None) -> str:
    """Of nobody: ""."""
    return "" if member_id is None else str(sql.returned(tx.first(_USERID, member_id=member_id)))


def recycle(tx: Tx, mailbox_id: MailboxId) -> None:
    """It is nobody's, takes no mail and lets nobody in."""
    tx.run(_RECYCLE, which=mailbox_id)


def disown(tx: Tx, mailbox_id: MailboxId, *, shared: str) -> None:
    """Access, client passwords, wishes for notices, rules and subscriptions below `shared` end."""
    for statement in _DISOWN[:-1]:
        tx.run(statement, which=mailbox_id)
    tx.run(_DISOWN[-1], which=mailbox_id, below=f"{shared}/%")
