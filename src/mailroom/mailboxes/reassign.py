# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Giving mailboxes to others. A mailbox keeps its addresses, folders and mail, whoever has it; ownership is a pointer.

Each change is one transaction, which holds the organisation first, then the member, then the mailboxes by id.
"""

from __future__ import annotations

from mailroom.core.errors import InvalidValue, MemberHasMailbox, NotFound, TargetIsSource
from mailroom.core.ids import MailboxId
from mailroom.directory import access, addresses, audit, departments, members, rights
from mailroom.directory import users as users_
from mailroom.directory.model import Actor, Member, Users
from mailroom.mailboxes import copying, public, queries, read, recycle
from mailroom.mailboxes.model import Entry, EntryState, Mailbox, MailboxKind, MailboxStatus, Source
from mailroom.storage.ports import Conflict, Tx


def reassign(tx: Tx, by: Actor, mailbox_id: MailboxId, to: Member) -> Entry | None:
    """Make the mailbox, in use or in the bin, the member's own. The one that he had goes to the bin: its entry there.
    Former users keep nothing of it: see `recycle.disown`. Raises `NoPermission`, `NotFound`, `NotInBin`,
    `TargetIsSource`, `MemberHasMailbox` (given to him just now), `CannotDisable` (see `departments.settle`), `InUse`
    (it is being copied).
    """
    return _give(tx, by, mailbox_id, to)


def restore(tx: Tx, by: Actor, mailbox_id: MailboxId, to: Member) -> Entry | None:
    """The same, of a mailbox that must be in the bin."""
    return _give(tx, by, mailbox_id, to, is_recycled=True)


def to_public(tx: Tx, by: Actor, mailbox_id: MailboxId, users: Users, *, name: str = "") -> None:
    """Make a member's own mailbox, or any that is in the bin, a public one for these users; he is left without. Unless
    named it keeps its name. Raises `NoPermission`, `NotFound`, `NotInBin`, `InvalidValue` (no users; it is public),
    `PublicMailboxLimit`, `NameTaken`, `TooMany`, `InUse` (it is being copied).
    """
    rights.over_all(by)
    mailbox = read.mailbox(tx, mailbox_id)
    name = public.ask(tx, mailbox.organisation_id, name or mailbox.name)
    mailbox = recycle.hold(tx, mailbox_id)
    if mailbox.kind is MailboxKind.PUBLIC and mailbox.status is not MailboxStatus.RECYCLED:
        raise InvalidValue(name="mailbox", reason="it is public already")
    _take_out(tx, mailbox_id)
    queries.recycled.give(tx, mailbox_id, None, name)
    _note(tx, by, "mailbox.to_public", mailbox, to="")
    users_.assign(tx, by, mailbox_id, members=users.members, departments=users.departments, tags=users.tags)


def _give(tx: Tx, by: Actor, mailbox_id: MailboxId, to: Member, *, is_recycled: bool = False) -> Entry | None:
    rights.over_all(by)
    members.lock_organisation(tx)
    if not queries.recycled.lock_member(tx, to.id):
        raise NotFound(what="member", name=to.userid)
    for each in sorted({mailbox_id, access.own_mailbox(tx, to.id) or mailbox_id}):
        recycle.hold(tx, each)
    own = access.own_mailbox(tx, to.id)  # unless it was given away before we held it
    mailbox = _take_out(tx, mailbox_id, is_recycled=is_recycled)
    if own == mailbox_id:
        raise TargetIsSource(address=addresses.primary(tx, mailbox_id))
    displaced = None if own is None else recycle.enter(tx, by, own, Source.UNBOUND)
    try:
        queries.recycled.give(tx, mailbox_id, to.id, to.name)
    except Conflict as taken:  # he has been given one since
        raise MemberHasMailbox(userid=to.userid) from taken
    _note(tx, by, "mailbox.reassign", mailbox, to=to.userid, displaced=own)
    departments.settle(tx, by)
    return displaced


def _take_out(tx: Tx, mailbox_id: MailboxId, *, is_recycled: bool = False) -> Mailbox:
    """The mailbox as it was, free for others: out of the bin, and nothing of its former users left."""
    mailbox = recycle.hold(tx, mailbox_id)
    copying.ask_idle(tx, mailbox_id)
    if is_recycled or mailbox.status is MailboxStatus.RECYCLED:
        queries.recycled.end(tx, recycle.waiting(tx, mailbox_id).id, EntryState.RESTORED)
    recycle.disown(tx, mailbox_id)
    return mailbox


def _note(tx: Tx, by: Actor, action: str, mailbox: Mailbox, *, to: str, displaced: MailboxId | None = None) -> None:
    """Write down that the mailbox, once like this, belongs to `to` now."""
    address = addresses.primary(tx, mailbox.id)
    userid = queries.recycled.userid(tx, mailbox.owner_id)
    queries.recycled.note(tx, mailbox.id, address, userid, to, displaced)
    before = {"kind": mailbox.kind.value, "status": mailbox.status.value, "owner": userid}
    after = {"owner": to} | ({} if displaced is None else {"displaced": addresses.primary(tx, displaced)})
    audit.record(tx, by, action, address, before=before, after=after, mailbox_id=mailbox.id)
