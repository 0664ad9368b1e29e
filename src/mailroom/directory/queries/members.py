# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Members, the persons with a login."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, insert, select, update

from mailroom.core.ids import MailboxId, MemberId, OrganisationId
from mailroom.directory.model import Member, MemberStatus, Role, Verifiers
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_members = schema.members
_mailboxes = schema.mailboxes
_addresses = schema.addresses

COLUMNS = (
    _members.c.id,
    _members.c.organisation_id,
    _members.c.userid,
    _members.c.name,
    _members.c.status,
    _members.c.role,
    _members.c.language,
    _members.c.is_creator,
)
_HERE = _members.c.status != MemberStatus.REMOVED.value
_MEMBER_BY_USERID = select(*COLUMNS).where(_members.c.userid == bindparam("userid"), _HERE)
_MEMBER_BY_ID = select(*COLUMNS).where(_members.c.id == bindparam("member_id"))
_OWNER = (
    select(*COLUMNS)
    .join(_mailboxes, _mailboxes.c.owner_id == _members.c.id)
    .where(_mailboxes.c.id == bindparam("mailbox_id"))
)
_MEMBERS = select(*COLUMNS).where(_HERE).order_by(_members.c.userid)
_ADMINISTRATORS = (
    select(_mailboxes.c.id)
    .join(_members, _members.c.id == _mailboxes.c.owner_id)
    .where(_members.c.role == Role.ADMINISTRATOR.value, _members.c.status == MemberStatus.ACTIVE.value)
    .order_by(_members.c.id)
)
_ADD_MEMBER = (
    insert(_members)
    .values(
        organisation_id=bindparam("organisation_id"),
        userid=bindparam("userid"),
        name=bindparam("name"),
        status=MemberStatus.ACTIVE.value,
        role=bindparam("role"),
        password=bindparam("password"),
        scram=bindparam("scram"),
        created_at=bindparam("now"),
    )
    .returning(_members.c.id)
)
_THIS = update(_members).where(_members.c.id == bindparam("which"))
_CHANGE_MEMBER_STATUS = _THIS.values(status=bindparam("status"))
_RENAME = _THIS.values(name=bindparam("new_name"))
_RENAME_MAILBOX = (
    update(_mailboxes).where(_mailboxes.c.owner_id == bindparam("which")).values(name=bindparam("new_name"))
)
_CHANGE_ROLE = _THIS.values(role=bindparam("new_role"))
_MARK_CREATOR = _THIS.values(is_creator=1)
_CHANGE_PASSWORD = _THIS.values(password=bindparam("password"), scram=bindparam("scram"))
_PASSWORD = select(*COLUMNS, _members.c.password)
_PASSWORD_BY_USERID = _PASSWORD.where(_members.c.userid == bindparam("userid"), _HERE)
_PASSWORD_BY_ADDRESS = (
    _PASSWORD.join(_mailboxes, _mailboxes.c.owner_id == _members.c.id)
    .join(_addresses, _addresses.c.mailbox_id == _mailboxes.c.id)
    .where(_addresses.c.address == bindparam("address"))
)


def to_member(row: Row) -> Member:
    return Member(
        MemberId(row[0]),
        OrganisationId(row[1]),
        row[2],
        row[3],
        MemberStatus(row[4]),
        Role(row[5]),
        row[6],
        is_creator=bool(row[7]),
    )


def by_userid(tx: Tx, userid: str) -> Member | None:
    row = tx.first(_MEMBER_BY_USERID, userid=userid)
    return to_member(row) if row else None


def by_id(tx: Tx, member_id: MemberId) -> Member | None:
    row = tx.first(_MEMBER_BY_ID, member_id=member_id)
    return to_member(row) if row else None


def owner(tx: Tx, mailbox_id: MailboxId) -> Member | None:
    """Whose own mailbox it is."""
    row = tx.first(_OWNER, mailbox_id=mailbox_id)
    return to_member(row) if row else None


def every(tx: Tx) -> Sequence[Member]:
    return [to_member(row) for row in tx.all(_MEMBERS)]


def administrator_mailboxes(tx: Tx) -> Sequence[MailboxId]:
    return [MailboxId(row[0]) for row in tx.all(_ADMINISTRATORS)]


def add(tx: Tx, organisation_id: OrganisationId, userid: str, name: str, verifiers: Verifiers, role: Role) -> MemberId:
    row = tx.first(
        _ADD_MEMBER,
        organisation_id=organisation_id,
        userid=userid,
        name=name,
        role=role.value,
        password=verifiers.argon2,
        scram=verifiers.scram,
        now=tx.now,
    )
    return MemberId(sql.returned(row))


def change_status(tx: Tx, member_id: MemberId, status: MemberStatus) -> None:
    tx.run(_CHANGE_MEMBER_STATUS, which=member_id, status=status.value)


def rename(tx: Tx, member_id: MemberId, name: str) -> None:
    """Him, and his own mailbox with him."""
    tx.run(_RENAME, which=member_id, new_name=name)
    tx.run(_RENAME_MAILBOX, which=member_id, new_name=name)


def change_role(tx: Tx, member_id: MemberId, role: Role) -> None:
    tx.run(_CHANGE_ROLE, which=member_id, new_role=role.value)


def mark_creator(tx: Tx, member_id: MemberId) -> None:
    tx.run(_MARK_CREATOR, which=member_id)


def change_password(tx: Tx, member_id: MemberId, verifiers: Verifiers) -> None:
    tx.run(_CHANGE_PASSWORD, which=member_id, password=verifiers.argon2, scram=verifiers.scram)


def credentials(tx: Tx, name: str, address: str) -> tuple[Member, str] | None:
    """The member with that userid, or whose own mailbox has that address, and the hash of the password."""
    row = tx.first(_PASSWORD_BY_USERID, userid=name) or tx.first(_PASSWORD_BY_ADDRESS, address=address)
    return (to_member(row), row[-1]) if row else None
