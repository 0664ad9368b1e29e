# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of the directory."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, insert, select, update

from mailroom.core.ids import DomainId, GroupId, MailboxId, MemberId, OrganisationId
from mailroom.directory.model import AddressRole, Domain, DomainState, Lease, Member, MemberStatus, Role
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_organisations = schema.organisations
_domains = schema.domains
_members = schema.members
_sessions = schema.sessions
_mailboxes = schema.mailboxes
_addresses = schema.addresses
_access = schema.access

# --- organisation

_ORGANISATION = select(_organisations.c.id).order_by(_organisations.c.id).limit(1)
_ADD_ORGANISATION = (
    insert(_organisations).values(name=bindparam("name"), created_at=bindparam("now")).returning(_organisations.c.id)
)


def organisation(tx: Tx) -> OrganisationId | None:
    row = tx.first(_ORGANISATION)
    return OrganisationId(row[0]) if row else None


def add_organisation(tx: Tx, name: str) -> OrganisationId:
    return OrganisationId(sql.returned(tx.first(_ADD_ORGANISATION, name=name, now=tx.now)))


# --- domains

_DOMAIN = select(_domains.c.id, _domains.c.organisation_id, _domains.c.name, _domains.c.state)
_DOMAIN_BY_NAME = _DOMAIN.where(_domains.c.name == bindparam("name"))
_DOMAINS = _DOMAIN.order_by(_domains.c.name)
_ADD_DOMAIN = (
    insert(_domains)
    .values(
        organisation_id=bindparam("organisation_id"),
        name=bindparam("name"),
        state=bindparam("state"),
        created_at=bindparam("now"),
    )
    .returning(_domains.c.id)
)
_CHANGE_DOMAIN_STATE = update(_domains).where(_domains.c.id == bindparam("which")).values(state=bindparam("state"))
_REMOVE_DOMAIN = delete(_domains).where(_domains.c.id == bindparam("which"))
_COUNT_ADDRESSES = select(func.count()).select_from(_addresses).where(_addresses.c.domain_id == bindparam("which"))


def _to_domain(row: Row) -> Domain:
    return Domain(DomainId(row[0]), OrganisationId(row[1]), row[2], DomainState(row[3]))


def domain(tx: Tx, name: str) -> Domain | None:
    row = tx.first(_DOMAIN_BY_NAME, name=name)
    return _to_domain(row) if row else None


def domains(tx: Tx) -> Sequence[Domain]:
    return [_to_domain(row) for row in tx.all(_DOMAINS)]


def add_domain(tx: Tx, organisation_id: OrganisationId, name: str, state: DomainState) -> DomainId:
    row = tx.first(_ADD_DOMAIN, organisation_id=organisation_id, name=name, state=state.value, now=tx.now)
    return DomainId(sql.returned(row))


def change_domain_state(tx: Tx, domain_id: DomainId, state: DomainState) -> None:
    tx.run(_CHANGE_DOMAIN_STATE, which=domain_id, state=state.value)


def remove_domain(tx: Tx, domain_id: DomainId) -> None:
    tx.run(_REMOVE_DOMAIN, which=domain_id)


def count_addresses(tx: Tx, domain_id: DomainId) -> int:
    return int(sql.returned(tx.first(_COUNT_ADDRESSES, which=domain_id)))


# --- members

_MEMBER_COLUMNS = (
    _members.c.id,
    _members.c.organisation_id,
    _members.c.userid,
    _members.c.name,
    _members.c.status,
    _members.c.role,
    _members.c.language,
)
_MEMBER_BY_USERID = select(*_MEMBER_COLUMNS).where(_members.c.userid == bindparam("userid"))
_MEMBERS = select(*_MEMBER_COLUMNS).order_by(_members.c.userid)
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
        created_at=bindparam("now"),
    )
    .returning(_members.c.id)
)
_CHANGE_MEMBER_STATUS = update(_members).where(_members.c.id == bindparam("which")).values(status=bindparam("status"))
_CHANGE_PASSWORD = update(_members).where(_members.c.id == bindparam("which")).values(password=bindparam("password"))
_PASSWORD = select(*_MEMBER_COLUMNS, _members.c.password)
_PASSWORD_BY_USERID = _PASSWORD.where(_members.c.userid == bindparam("userid"))
_PASSWORD_BY_ADDRESS = (
    _PASSWORD.join(_mailboxes, _mailboxes.c.owner_id == _members.c.id)
    .join(_addresses, _addresses.c.mailbox_id == _mailboxes.c.id)
    .where(_addresses.c.address == bindparam("address"))
)


def _to_member(row: Row) -> Member:
    return Member(MemberId(row[0]), OrganisationId(row[1]), row[2], row[3], MemberStatus(row[4]), Role(row[5]), row[6])


def member(tx: Tx, userid: str) -> Member | None:
    row = tx.first(_MEMBER_BY_USERID, userid=userid)
    return _to_member(row) if row else None


def members(tx: Tx) -> Sequence[Member]:
    return [_to_member(row) for row in tx.all(_MEMBERS)]


def administrator_mailboxes(tx: Tx) -> Sequence[MailboxId]:
    return [MailboxId(row[0]) for row in tx.all(_ADMINISTRATORS)]


def add_member(
    tx: Tx, organisation_id: OrganisationId, userid: str, name: str, password_hash: str, role: Role
) -> MemberId:
    row = tx.first(
        _ADD_MEMBER,
        organisation_id=organisation_id,
        userid=userid,
        name=name,
        role=role.value,
        password=password_hash,
        now=tx.now,
    )
    return MemberId(sql.returned(row))


def change_member_status(tx: Tx, member_id: MemberId, status: MemberStatus) -> None:
    tx.run(_CHANGE_MEMBER_STATUS, which=member_id, status=status.value)


def change_password(tx: Tx, member_id: MemberId, password_hash: str) -> None:
    tx.run(_CHANGE_PASSWORD, which=member_id, password=password_hash)


def credentials(tx: Tx, name: str, address: str) -> tuple[Member, str] | None:
    """The member with that userid, or whose own mailbox has that address, and the hash of the password."""
    row = tx.first(_PASSWORD_BY_USERID, userid=name) or tx.first(_PASSWORD_BY_ADDRESS, address=address)
    return (_to_member(row), row[-1]) if row else None


# --- sessions

_ADD_SESSION = insert(_sessions).values(
    token=bindparam("token"),
    member_id=bindparam("member_id"),
    created_at=bindparam("now"),
    expires_at=bindparam("expires_at"),
)
_SESSION_MEMBER = (
    select(*_MEMBER_COLUMNS)
    .join(_sessions, _sessions.c.member_id == _members.c.id)
    .where(
        _sessions.c.token == bindparam("token"),
        _sessions.c.expires_at > bindparam("now"),
        _members.c.status == MemberStatus.ACTIVE.value,
    )
)
_END_SESSION = delete(_sessions).where(_sessions.c.token == bindparam("token"))
_FORGET_SESSIONS = delete(_sessions).where(_sessions.c.expires_at <= bindparam("now"))
_END_SESSIONS = delete(_sessions).where(_sessions.c.member_id == bindparam("member_id"))


def add_session(tx: Tx, token: str, member_id: MemberId, *, expires_at: int) -> None:
    tx.run(_ADD_SESSION, token=token, member_id=member_id, now=tx.now, expires_at=expires_at)


def session_member(tx: Tx, token: str) -> Member | None:
    row = tx.first(_SESSION_MEMBER, token=token, now=tx.now)
    return _to_member(row) if row else None


def end_session(tx: Tx, token: str) -> None:
    tx.run(_END_SESSION, token=token)


def forget_sessions(tx: Tx) -> None:
    tx.run(_FORGET_SESSIONS, now=tx.now)


def end_sessions(tx: Tx, member_id: MemberId) -> None:
    tx.run(_END_SESSIONS, member_id=member_id)


# --- addresses

_LEASE = (
    select(
        _addresses.c.address,
        _addresses.c.domain_id,
        _domains.c.state,
        _addresses.c.mailbox_id,
        _addresses.c.group_id,
        _addresses.c.role,
    )
    .join(_domains, _domains.c.id == _addresses.c.domain_id)
    .where(_addresses.c.address == bindparam("address"))
)
_HOLDER_KIND = select(_mailboxes.c.kind).where(_mailboxes.c.id == bindparam("mailbox_id"))
_ADD_ADDRESS = insert(_addresses).values(
    address=bindparam("address"),
    domain_id=bindparam("domain_id"),
    mailbox_id=bindparam("mailbox_id"),
    role=bindparam("role"),
    created_at=bindparam("now"),
)
_REMOVE_ADDRESS = delete(_addresses).where(_addresses.c.address == bindparam("address"))
_PRIMARY_ADDRESS = select(_addresses.c.address).where(
    _addresses.c.mailbox_id == bindparam("mailbox_id"), _addresses.c.role == AddressRole.PRIMARY.value
)
_ALIASES = (
    select(_addresses.c.address)
    .where(_addresses.c.mailbox_id == bindparam("mailbox_id"), _addresses.c.role == AddressRole.ALIAS.value)
    .order_by(_addresses.c.address)
)


def lease(tx: Tx, address: str) -> Lease | None:
    row = tx.first(_LEASE, address=address)
    if row is None:
        return None
    return Lease(
        row[0],
        DomainId(row[1]),
        DomainState(row[2]),
        None if row[3] is None else MailboxId(row[3]),
        None if row[4] is None else GroupId(row[4]),
        AddressRole(row[5]),
    )


def holder_kind(tx: Tx, holder: Lease) -> str:
    """Where an address is taken, in the words of `address_taken`: group, alias, member or public."""
    if holder.group_id is not None:
        return "group"
    if holder.role is AddressRole.ALIAS:
        return "alias"
    kind = sql.returned(tx.first(_HOLDER_KIND, mailbox_id=holder.mailbox_id))
    return "member" if kind == "personal" else str(kind)


def add_address(tx: Tx, address: str, domain_id: DomainId, mailbox_id: MailboxId, role: AddressRole) -> None:
    tx.run(_ADD_ADDRESS, address=address, domain_id=domain_id, mailbox_id=mailbox_id, role=role.value, now=tx.now)


def remove_address(tx: Tx, address: str) -> None:
    tx.run(_REMOVE_ADDRESS, address=address)


def primary_address(tx: Tx, mailbox_id: MailboxId) -> str | None:
    row = tx.first(_PRIMARY_ADDRESS, mailbox_id=mailbox_id)
    return row[0] if row else None


def aliases(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    return [row[0] for row in tx.all(_ALIASES, mailbox_id=mailbox_id)]


# --- access

_ADD_ACCESS = (
    sql.insert(_access)
    .values(mailbox_id=bindparam("mailbox_id"), member_id=bindparam("member_id"))
    .on_conflict_do_nothing()
)
_REMOVE_ACCESS = delete(_access).where(
    _access.c.mailbox_id == bindparam("mailbox_id"), _access.c.member_id == bindparam("member_id")
)
_ACCESS_USERIDS = (
    select(_members.c.userid)
    .join(_access, _access.c.member_id == _members.c.id)
    .where(_access.c.mailbox_id == bindparam("mailbox_id"))
    .order_by(_members.c.userid)
)
_OWN_MAILBOX = select(_mailboxes.c.id).where(_mailboxes.c.owner_id == bindparam("member_id"))
_SHARED_MAILBOXES = (
    select(_access.c.mailbox_id).where(_access.c.member_id == bindparam("member_id")).order_by(_access.c.mailbox_id)
)


def add_access(tx: Tx, mailbox_id: MailboxId, member_id: MemberId) -> None:
    tx.run(_ADD_ACCESS, mailbox_id=mailbox_id, member_id=member_id)


def remove_access(tx: Tx, mailbox_id: MailboxId, member_id: MemberId) -> None:
    tx.run(_REMOVE_ACCESS, mailbox_id=mailbox_id, member_id=member_id)


def access_userids(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    return [row[0] for row in tx.all(_ACCESS_USERIDS, mailbox_id=mailbox_id)]


def own_mailbox(tx: Tx, member_id: MemberId) -> MailboxId | None:
    row = tx.first(_OWN_MAILBOX, member_id=member_id)
    return MailboxId(row[0]) if row else None


def shared_mailboxes(tx: Tx, member_id: MemberId) -> Sequence[MailboxId]:
    return [MailboxId(row[0]) for row in tx.all(_SHARED_MAILBOXES, member_id=member_id)]
