# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailboxes: whose they are, and how full."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import bindparam, exists, insert, or_, select, update

from mailroom.core.ids import ClientPasswordId, DomainId, MailboxId, MemberId, OrganisationId
from mailroom.directory.model import AddressRole, MemberStatus
from mailroom.mailboxes.model import Mailbox, MailboxKind, MailboxStatus
from mailroom.storage import schema, sql, uses
from mailroom.storage.ports import Row, Tx

_mailboxes = schema.mailboxes
_members = schema.members
_passwords = schema.client_passwords
_rules = schema.mailbox_rules
_scripts = schema.scripts

# How many ids one statement names.
_CHUNK = 500

_HAS_RULES = or_(
    exists().where(_rules.c.mailbox_id == _mailboxes.c.id, (_rules.c.forward_to != "") | (_rules.c.reply_on == 1)),
    exists().where(_scripts.c.mailbox_id == _mailboxes.c.id, _scripts.c.active == 1),
)
_MAILBOX = select(
    _mailboxes.c.id,
    _mailboxes.c.organisation_id,
    _mailboxes.c.kind,
    _mailboxes.c.name,
    _mailboxes.c.owner_id,
    _mailboxes.c.status,
    _mailboxes.c.quota,
    _mailboxes.c.used,
    _HAS_RULES,
)
_MAILBOX_BY_ID = _MAILBOX.where(_mailboxes.c.id == bindparam("mailbox_id"))
_MAILBOXES = _MAILBOX.order_by(_mailboxes.c.id)
_in_use = _MAILBOXES.where(_mailboxes.c.status != MailboxStatus.RECYCLED.value)
_IN_USE = {
    None: _in_use,
    MailboxKind.PERSONAL: _in_use.where(_mailboxes.c.kind == MailboxKind.PERSONAL.value),
    MailboxKind.PUBLIC: _in_use.where(schema.PUBLIC),
}
_in_domains = _mailboxes.c.id.in_(
    select(schema.addresses.c.mailbox_id).where(
        schema.addresses.c.role == AddressRole.PRIMARY.value,
        schema.addresses.c.domain_id.in_(bindparam("domains", expanding=True)),
    )
)
_IN_DOMAINS = {kind: statement.where(_in_domains) for kind, statement in _IN_USE.items()}
_WITH_ROOM = select(_mailboxes.c.id, _HAS_RULES).where(
    _mailboxes.c.id.in_(bindparam("mailbox_ids", expanding=True)),
    _mailboxes.c.status == MailboxStatus.ACTIVE.value,
    (_mailboxes.c.quota == 0) | (_mailboxes.c.used < _mailboxes.c.quota),
)
_ADD = (
    insert(_mailboxes)
    .values(
        organisation_id=bindparam("organisation_id"),
        kind=bindparam("kind"),
        name=bindparam("name"),
        owner_id=bindparam("owner_id"),
        status=MailboxStatus.ACTIVE.value,
        created_at=bindparam("now"),
    )
    .returning(_mailboxes.c.id)
)
# Those in the recycle bin are not among them.
_PUBLIC_NAMES = select(_mailboxes.c.id, _mailboxes.c.name).where(
    _mailboxes.c.organisation_id == bindparam("organisation_id"),
    schema.PUBLIC,
    _mailboxes.c.status != MailboxStatus.RECYCLED.value,
)
_RENAME = update(_mailboxes).where(_mailboxes.c.id == bindparam("which")).values(name=bindparam("new_name"))
_CHANGE_STATUS = update(_mailboxes).where(_mailboxes.c.id == bindparam("which")).values(status=bindparam("status"))
_CHANGE_QUOTA = update(_mailboxes).where(_mailboxes.c.id == bindparam("which")).values(quota=bindparam("quota"))
_CHARGE_ACTIVE = (
    update(_mailboxes)
    .where(_mailboxes.c.id == bindparam("which"), _mailboxes.c.status == MailboxStatus.ACTIVE.value)
    .values(used=_mailboxes.c.used + bindparam("size"))
)
_CHARGE = _CHARGE_ACTIVE.where(
    (_mailboxes.c.quota == 0) | (_mailboxes.c.used + bindparam("size") <= _mailboxes.c.quota)
)
_CHARGE_LAST = _CHARGE_ACTIVE.where((_mailboxes.c.quota == 0) | (_mailboxes.c.used < _mailboxes.c.quota))
_DISCHARGE = (
    update(_mailboxes).where(_mailboxes.c.id == bindparam("which")).values(used=_mailboxes.c.used - bindparam("size"))
)
# Whoever has signed in is still let in: his own mailbox first, then what he shares. Member 0: nobody's mailbox;
# password 0: not by a client password.
_REACHABLE = _MAILBOX.where(
    _mailboxes.c.status == MailboxStatus.ACTIVE.value,
    or_(
        _mailboxes.c.id == bindparam("own"),
        _mailboxes.c.id.in_(uses.public_mailboxes(bindparam("member"))),
    ),
    or_(
        bindparam("member", type_=schema.Number) == 0,
        exists().where(_members.c.id == bindparam("member"), _members.c.status == MemberStatus.ACTIVE.value),
    ),
    or_(
        bindparam("password", type_=schema.Number) == 0,
        exists().where(_passwords.c.id == bindparam("password"), _passwords.c.mailbox_id == bindparam("own")),
    ),
).order_by(_mailboxes.c.id != bindparam("own"), _mailboxes.c.id)
# NO KEY UPDATE: whoever only adds a row that refers to this one is not kept out.
_LOCK = (
    select(_mailboxes.c.id)
    .where(_mailboxes.c.id.in_(bindparam("mailbox_ids", expanding=True)))
    .order_by(_mailboxes.c.id)
    .with_for_update(of=_mailboxes, key_share=True)
)


def _to_mailbox(row: Row) -> Mailbox:
    return Mailbox(
        id=MailboxId(row[0]),
        organisation_id=OrganisationId(row[1]),
        kind=MailboxKind(row[2]),
        name=row[3],
        owner_id=None if row[4] is None else MemberId(row[4]),
        status=MailboxStatus(row[5]),
        quota=row[6],
        used=row[7],
        has_rules=bool(row[8]),
    )


def mailbox(tx: Tx, mailbox_id: MailboxId) -> Mailbox | None:
    row = tx.first(_MAILBOX_BY_ID, mailbox_id=mailbox_id)
    return _to_mailbox(row) if row else None


def with_room(tx: Tx, mailbox_ids: Sequence[MailboxId]) -> Mapping[MailboxId, bool]:
    """Those that take mail, and whether each has rules."""
    chunks = (mailbox_ids[start : start + _CHUNK] for start in range(0, len(mailbox_ids), _CHUNK))
    return {MailboxId(row[0]): bool(row[1]) for chunk in chunks for row in tx.all(_WITH_ROOM, mailbox_ids=chunk)}


def mailboxes(tx: Tx) -> Sequence[Mailbox]:
    return [_to_mailbox(row) for row in tx.all(_MAILBOXES)]


def in_use(tx: Tx, domains: Collection[DomainId] | None, kind: MailboxKind | None) -> Sequence[Mailbox]:
    """All of the kind, or those with their own address in one of the domains; without those in the recycle bin."""
    rows = tx.all(_IN_USE[kind]) if domains is None else tx.all(_IN_DOMAINS[kind], domains=sorted(domains) or [0])
    return [_to_mailbox(row) for row in rows]


def add(tx: Tx, organisation_id: OrganisationId, kind: MailboxKind, name: str, owner_id: MemberId | None) -> MailboxId:
    row = tx.first(_ADD, organisation_id=organisation_id, kind=kind.value, name=name, owner_id=owner_id, now=tx.now)
    return MailboxId(sql.returned(row))


def public_names(tx: Tx, organisation_id: OrganisationId) -> Mapping[MailboxId, str]:
    """What the public mailboxes are called."""
    return {MailboxId(row[0]): row[1] for row in tx.all(_PUBLIC_NAMES, organisation_id=organisation_id)}


def rename(tx: Tx, mailbox_id: MailboxId, name: str) -> None:
    tx.run(_RENAME, which=mailbox_id, new_name=name)


def change_status(tx: Tx, mailbox_id: MailboxId, status: MailboxStatus) -> None:
    tx.run(_CHANGE_STATUS, which=mailbox_id, status=status.value)


def change_quota(tx: Tx, mailbox_id: MailboxId, quota: int) -> None:
    tx.run(_CHANGE_QUOTA, which=mailbox_id, quota=quota)


def charge(tx: Tx, mailbox_id: MailboxId, size: int) -> int:
    """1 when the mailbox is active and has room, else 0."""
    return tx.run(_CHARGE, which=mailbox_id, size=size)


def charge_last(tx: Tx, mailbox_id: MailboxId, size: int) -> int:
    """1 when the mailbox is active and not full yet, else 0."""
    return tx.run(_CHARGE_LAST, which=mailbox_id, size=size)


def discharge(tx: Tx, mailbox_id: MailboxId, size: int) -> None:
    tx.run(_DISCHARGE, which=mailbox_id, size=size)


def reachable(
    tx: Tx, own: MailboxId, member_id: MemberId | None, password_id: ClientPasswordId | None
) -> Sequence[Mailbox]:
    rows = tx.all(_REACHABLE, own=own, member=member_id or 0, password=password_id or 0)
    return [_to_mailbox(row) for row in rows]


def lock(tx: Tx, *mailbox_ids: MailboxId) -> int:
    """Keep others from changing the mailboxes until the commit, each locked in its turn (see `folders.lock`); how many
    of them there are.
    """
    return len(tx.all(_LOCK, mailbox_ids=sorted(mailbox_ids)))
