# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who hears of a mail, what a notice tells of, and how many SMS a member has had."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, func, select, update

from mailroom.core.ids import ContentId, FolderId, MailboxId, MemberId, MessageId, RecipientId, Uid
from mailroom.directory.model import MemberStatus
from mailroom.mailboxes.model import Flag
from mailroom.notify.model import LinkState, Way
from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_switches = schema.switches
_links = schema.links
_members = schema.members
_preferences = schema.preferences
_told = schema.notice_mails
_mails = schema.mails
_counts = schema.sms_counts

_HEARERS = (
    select(_switches.c.member_id, _switches.c.kind, _preferences.c.only_from, _preferences.c.quiet)
    .join(_links, and_(_links.c.member_id == _switches.c.member_id, _links.c.kind == _switches.c.kind))
    .join(_members, _members.c.id == _switches.c.member_id)
    .outerjoin(
        _preferences,
        and_(_preferences.c.member_id == _switches.c.member_id, _preferences.c.mailbox_id == _switches.c.mailbox_id),
    )
    .where(
        _switches.c.mailbox_id == bindparam("mailbox_id"),
        _switches.c.is_on == 1,
        _links.c.state == LinkState.VALID.value,
        _members.c.status == MemberStatus.ACTIVE.value,
    )
    # All who lock several links do so in this order.
    .order_by(_switches.c.member_id, _switches.c.kind)
)
# Nothing but what it locks: what PostgreSQL reads beside that may be older than what it waited for.
_HOLD = (
    select(_links.c.address, _links.c.free_at, _switches.c.recipient_id)
    .join(_switches, and_(_links.c.member_id == _switches.c.member_id, _links.c.kind == _switches.c.kind))
    .where(
        _links.c.member_id == bindparam("member_id"),
        _links.c.kind == bindparam("kind"),
        _switches.c.mailbox_id == bindparam("mailbox_id"),
    )
    .with_for_update()
)
_TELL = (
    sql.insert(_told)
    .values(message_id=bindparam("message_id"), folder_id=bindparam("folder_id"), uid=bindparam("uid"))
    .on_conflict_do_nothing()
)
_NEWS = and_(
    _told.c.message_id == bindparam("message_id"),
    _mails.c.flags.op("&")(int(Flag.SEEN | Flag.DELETED)) == 0,
)
_FRESH = select(func.count()).select_from(_told)
_FRESH = _FRESH.join(_mails, and_(_mails.c.folder_id == _told.c.folder_id, _mails.c.uid == _told.c.uid)).where(_NEWS)
_LATEST = (
    select(
        _mails.c.folder_id,
        _mails.c.uid,
        _mails.c.content_id,
        _mails.c.envelope_from,
        _mails.c.internal_date,
        _mails.c.size,
    )
    .join(_told, and_(_mails.c.folder_id == _told.c.folder_id, _mails.c.uid == _told.c.uid))
    .where(_NEWS)
    .order_by(_mails.c.internal_date.desc(), _mails.c.uid.desc())
    .limit(1)
)
_COUNT = (_counts.c.member_id == bindparam("which"), _counts.c.day == bindparam("on"))
_BEGIN_DAY = (
    sql.insert(_counts).values(member_id=bindparam("which"), day=bindparam("on"), count=0).on_conflict_do_nothing()
)
_RESERVE = update(_counts).where(*_COUNT, _counts.c.count < bindparam("most")).values(count=_counts.c.count + 1)
_GIVE_BACK = update(_counts).where(*_COUNT, _counts.c.count > 0).values(count=_counts.c.count - 1)
_FORGET_DAYS = delete(_counts).where(_counts.c.member_id == bindparam("which"), _counts.c.day < bindparam("before"))
_COUNTED = select(_counts.c.count).where(*_COUNT)
_DAYS_KEPT = 7  # what is sent again may still be given back
_NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class Hearer:
    """Somebody who wants to hear of the mails of a mailbox, and in which way."""

    member_id: MemberId
    way: Way
    only_from: Sequence[str]
    quiet: str


@dataclass(frozen=True, slots=True)
class Held:
    """A link and a switch that nobody else changes until the commit."""

    address: str
    free_at: int
    recipient_id: RecipientId | None  # of the last notice


@dataclass(frozen=True, slots=True)
class Latest:
    """The last of the mails that a notice tells of."""

    folder_id: FolderId
    uid: Uid
    content_id: ContentId
    envelope_from: str
    arrived_at: int
    size: int


def hearers(tx: Tx, mailbox_id: MailboxId) -> Sequence[Hearer]:
    """Those who are in, and whose links work."""
    return [
        Hearer(MemberId(row[0]), Way(row[1]), json.loads(row[2] or "[]"), row[3] or "")
        for row in tx.all(_HEARERS, mailbox_id=mailbox_id)
    ]


def hold(tx: Tx, member_id: MemberId, mailbox_id: MailboxId, way: Way) -> Held | None:
    row = tx.first(_HOLD, member_id=member_id, mailbox_id=mailbox_id, kind=way.value)
    return Held(row[0], row[1], None if row[2] is None else RecipientId(row[2])) if row else None


def tell(tx: Tx, message_id: MessageId, folder_id: FolderId, uid: Uid) -> None:
    """Let the notice tell of this mail, too."""
    tx.run(_TELL, message_id=message_id, folder_id=folder_id, uid=uid)


def fresh(tx: Tx, message_id: MessageId) -> int:
    """How many of the mails of a notice lie where they came to lie, unseen."""
    return int(sql.returned(tx.first(_FRESH, message_id=message_id)))


def latest(tx: Tx, message_id: MessageId) -> Latest | None:
    """The last of those."""
    row = tx.first(_LATEST, message_id=message_id)
    return Latest(FolderId(row[0]), Uid(row[1]), ContentId(row[2]), row[3], row[4], row[5]) if row else None


def reserve(tx: Tx, member_id: MemberId, day: int, *, most: int) -> bool:
    """Count one SMS more on that day, unless there are as many as there may be; 0: there is no limit."""
    if tx.run(_BEGIN_DAY, which=member_id, on=day):
        tx.run(_FORGET_DAYS, which=member_id, before=day - _DAYS_KEPT)
    return tx.run(_RESERVE, which=member_id, on=day, most=most or _NO_LIMIT) > 0


def give_back(tx: Tx, member_id: MemberId, day: int) -> None:
    """Count one SMS less."""
    tx.run(_GIVE_BACK, which=member_id, on=day)


def counted(tx: Tx, member_id: MemberId, day: int) -> int:
    row = tx.first(_COUNTED, which=member_id, on=day)
    return int(row[0]) if row else 0
