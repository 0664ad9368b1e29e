# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of the directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, and_, bindparam, case, delete, func, insert, select, update

from mailroom.core.ids import ClientPasswordId, DomainId, GroupId, MailboxId, MemberId, OrganisationId
from mailroom.directory.model import (
    Account,
    AddressRole,
    Allow,
    ClientPassword,
    Domain,
    DomainState,
    Group,
    Lease,
    Member,
    MemberStatus,
    Role,
    Service,
    Tries,
    Verifiers,
)
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_organisations = schema.organisations
_domains = schema.domains
_members = schema.members
_sessions = schema.sessions
_mailboxes = schema.mailboxes
_addresses = schema.addresses
_access = schema.access

# How many values one statement names.
_CHUNK = 500

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
        scram=bindparam("scram"),
        created_at=bindparam("now"),
    )
    .returning(_members.c.id)
)
_CHANGE_MEMBER_STATUS = update(_members).where(_members.c.id == bindparam("which")).values(status=bindparam("status"))
_CHANGE_PASSWORD = (
    update(_members)
    .where(_members.c.id == bindparam("which"))
    .values(password=bindparam("password"), scram=bindparam("scram"))
)
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
    tx: Tx, organisation_id: OrganisationId, userid: str, name: str, verifiers: Verifiers, role: Role
) -> MemberId:
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


def change_member_status(tx: Tx, member_id: MemberId, status: MemberStatus) -> None:
    tx.run(_CHANGE_MEMBER_STATUS, which=member_id, status=status.value)


def change_password(tx: Tx, member_id: MemberId, verifiers: Verifiers) -> None:
    tx.run(_CHANGE_PASSWORD, which=member_id, password=verifiers.argon2, scram=verifiers.scram)


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

_LEASE_OF = select(
    _addresses.c.address,
    _addresses.c.domain_id,
    _domains.c.state,
    _addresses.c.mailbox_id,
    _addresses.c.group_id,
    _addresses.c.role,
).join(_domains, _domains.c.id == _addresses.c.domain_id)
_LEASE = _LEASE_OF.where(_addresses.c.address == bindparam("address"))
_LEASES = _LEASE_OF.where(_addresses.c.address.in_(bindparam("addresses", expanding=True)))
_HOLDER_KIND = select(_mailboxes.c.kind).where(_mailboxes.c.id == bindparam("mailbox_id"))
_ADD_ADDRESS = insert(_addresses).values(
    address=bindparam("address"),
    domain_id=bindparam("domain_id"),
    mailbox_id=bindparam("mailbox_id"),
    role=bindparam("role"),
    created_at=bindparam("now"),
)
_ADD_GROUP_ADDRESS = insert(_addresses).values(
    address=bindparam("address"),
    domain_id=bindparam("domain_id"),
    group_id=bindparam("group_id"),
    role=AddressRole.PRIMARY.value,
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


def _to_lease(row: Row) -> Lease:
    return Lease(
        row[0],
        DomainId(row[1]),
        DomainState(row[2]),
        None if row[3] is None else MailboxId(row[3]),
        None if row[4] is None else GroupId(row[4]),
        AddressRole(row[5]),
    )


def lease(tx: Tx, address: str) -> Lease | None:
    row = tx.first(_LEASE, address=address)
    return _to_lease(row) if row else None


def leases(tx: Tx, addresses: Sequence[str]) -> Mapping[str, Lease]:
    chunks = (addresses[start : start + _CHUNK] for start in range(0, len(addresses), _CHUNK))
    return {row[0]: _to_lease(row) for chunk in chunks for row in tx.all(_LEASES, addresses=chunk)}


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


def add_group_address(tx: Tx, address: str, domain_id: DomainId, group_id: GroupId) -> None:
    tx.run(_ADD_GROUP_ADDRESS, address=address, domain_id=domain_id, group_id=group_id, now=tx.now)


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


# --- certificates

_certificates = schema.certificates
_acme_answers = schema.acme_answers

_CERTIFICATE = select(_certificates.c.chain, _certificates.c.private_key, _certificates.c.expires_at).where(
    _certificates.c.name == bindparam("name")
)
_CHANGED: dict[str, Any] = {name: bindparam(name) for name in ("chain", "private_key", "expires_at", "changed_at")}
_SAVE_CERTIFICATE = (
    sql.insert(_certificates)
    .values({**_CHANGED, "name": bindparam("name")})
    .on_conflict_do_update(index_elements=[_certificates.c.name], set_=_CHANGED | {"renewing_until": 0})
)
_BEGIN_RENEWAL = (
    sql.insert(_certificates)
    .values(
        name=bindparam("name"),
        chain="",
        private_key=b"",
        expires_at=0,
        changed_at=0,
        renewing_until=bindparam("until"),
    )
    .on_conflict_do_update(
        index_elements=[_certificates.c.name],
        set_={"renewing_until": bindparam("until")},
        where=_certificates.c.renewing_until < bindparam("now"),
    )
)
_ANSWER = select(_acme_answers.c.answer).where(_acme_answers.c.token == bindparam("token"))
_ADD_ANSWER = (
    sql.insert(_acme_answers)
    .values(token=bindparam("token"), answer=bindparam("answer"), created_at=bindparam("now"))
    .on_conflict_do_update(index_elements=[_acme_answers.c.token], set_={"answer": bindparam("answer")})
)
_FORGET_ANSWERS = delete(_acme_answers).where(_acme_answers.c.created_at < bindparam("before"))


def certificate(tx: Tx, name: str) -> tuple[str, bytes, int] | None:
    """Chain, sealed key and end of one that is there; a renewal that has only begun is none."""
    row = tx.first(_CERTIFICATE, name=name)
    return (row[0], bytes(row[1]), row[2]) if row and row[1] else None


def save_certificate(tx: Tx, name: str, *, chain: str, private_key: bytes, expires_at: int) -> None:
    tx.run(_SAVE_CERTIFICATE, name=name, chain=chain, private_key=private_key, expires_at=expires_at, changed_at=tx.now)


def begin_renewal(tx: Tx, name: str, *, until: int) -> int:
    """1 when nobody else is at it, else 0."""
    return tx.run(_BEGIN_RENEWAL, name=name, until=until, now=tx.now)


def answer(tx: Tx, token: str) -> str:
    row = tx.first(_ANSWER, token=token)
    return row[0] if row else ""


def add_answer(tx: Tx, token: str, text: str) -> None:
    tx.run(_ADD_ANSWER, token=token, answer=text, now=tx.now)


def forget_answers(tx: Tx, before: int) -> None:
    tx.run(_FORGET_ANSWERS, before=before)


# --- policies

_policies = schema.policies
_POLICY = select(_policies.c.value).where(_policies.c.name == bindparam("name"))
_POLICIES = select(_policies.c.name, _policies.c.value)
_SET_POLICY = (
    sql.insert(_policies)
    .values(name=bindparam("name"), value=bindparam("value"))
    .on_conflict_do_update(index_elements=[_policies.c.name], set_={"value": bindparam("value")})
)


def policy(tx: Tx, name: str) -> str | None:
    row = tx.first(_POLICY, name=name)
    return row[0] if row else None


def policies(tx: Tx) -> Mapping[str, str]:
    return {row[0]: row[1] for row in tx.all(_POLICIES)}


def set_policy(tx: Tx, name: str, value: str) -> None:
    tx.run(_SET_POLICY, name=name, value=value)


# --- signing in with mail programs

_client_passwords = schema.client_passwords
_brakes = schema.brakes

_owner = _mailboxes.outerjoin(_members, _members.c.id == _mailboxes.c.owner_id)
_primary = _addresses.alias("primary_address")
_open = case((and_(_mailboxes.c.status == "active", _domains.c.state != DomainState.DISABLED.value), 1), else_=0)
_ACCOUNT = (
    select(*_MEMBER_COLUMNS, _members.c.password, _members.c.scram, _mailboxes.c.id, _primary.c.address, _open)
    .join(_primary, and_(_primary.c.mailbox_id == _mailboxes.c.id, _primary.c.role == AddressRole.PRIMARY.value))
    .join(_domains, _domains.c.id == _primary.c.domain_id)
)
_ACCOUNT_BY_USERID = _ACCOUNT.select_from(_owner).where(_members.c.userid == bindparam("userid"))
_ACCOUNT_BY_ADDRESS = (
    _ACCOUNT.select_from(_owner)
    .join(_addresses, _addresses.c.mailbox_id == _mailboxes.c.id)
    .where(_addresses.c.address == bindparam("address"))
)
_ACCOUNT_BY_MAILBOX = _ACCOUNT.select_from(_owner).where(_mailboxes.c.id == bindparam("mailbox_id"))
_STANDING = (
    select(_mailboxes.c.owner_id, _members.c.status, _members.c.password, _client_passwords.c.id)
    .select_from(
        _owner.outerjoin(
            _client_passwords,
            and_(
                _client_passwords.c.mailbox_id == _mailboxes.c.id,
                _client_passwords.c.id == bindparam("client_password"),
            ),
        )
    )
    .where(_mailboxes.c.id == bindparam("mailbox_id"), _mailboxes.c.status == "active")
)
_CLIENT_PASSWORD_COLUMNS = (
    _client_passwords.c.id,
    _client_passwords.c.mailbox_id,
    _client_passwords.c.remark,
    _client_passwords.c.services,
    _client_passwords.c.created_at,
    _client_passwords.c.last_used_at,
    _client_passwords.c.last_used_from,
    _client_passwords.c.scram,
)
_CLIENT_PASSWORDS = (
    select(*_CLIENT_PASSWORD_COLUMNS)
    .where(_client_passwords.c.mailbox_id == bindparam("mailbox_id"))
    .order_by(_client_passwords.c.id)
)
_ADD_CLIENT_PASSWORD = (
    insert(_client_passwords)
    .values(
        mailbox_id=bindparam("mailbox_id"),
        remark=bindparam("remark"),
        services=bindparam("services"),
        scram=bindparam("scram"),
        created_at=bindparam("now"),
    )
    .returning(_client_passwords.c.id)
)
_USE_CLIENT_PASSWORD = (
    update(_client_passwords)
    .where(_client_passwords.c.id == bindparam("which"))
    .values(last_used_at=bindparam("now"), last_used_from=bindparam("peer"))
)
_REMOVE_CLIENT_PASSWORD = delete(_client_passwords).where(
    _client_passwords.c.id == bindparam("which"), _client_passwords.c.mailbox_id == bindparam("mailbox_id")
)


def _to_account(row: Row | None) -> Account | None:
    if row is None:
        return None
    member = None if row[0] is None else _to_member(row)
    verifiers = Verifiers(row[7] or "", None if row[8] is None else bytes(row[8]))
    is_open = bool(row[11]) and (member is None or member.status is MemberStatus.ACTIVE)
    return Account(MailboxId(row[9]), row[10], is_open, member, verifiers)


def account_by_userid(tx: Tx, userid: str) -> Account | None:
    return _to_account(tx.first(_ACCOUNT_BY_USERID, userid=userid))


def account_by_address(tx: Tx, address: str) -> Account | None:
    return _to_account(tx.first(_ACCOUNT_BY_ADDRESS, address=address))


def account_by_mailbox(tx: Tx, mailbox_id: MailboxId) -> Account | None:
    return _to_account(tx.first(_ACCOUNT_BY_MAILBOX, mailbox_id=mailbox_id))


def standing(tx: Tx, mailbox_id: MailboxId, client_password: ClientPasswordId | None) -> Row | None:
    """Of an active mailbox: its owner's id, status and password, and the client password's id while it is there."""
    return tx.first(_STANDING, mailbox_id=mailbox_id, client_password=client_password or 0)


def client_passwords(tx: Tx, mailbox_id: MailboxId) -> Sequence[tuple[ClientPassword, str]]:
    """The mailbox's, each with its keys as they are kept."""
    return [
        (
            ClientPassword(
                ClientPasswordId(row[0]),
                MailboxId(row[1]),
                row[2],
                frozenset(Service(name) for name in row[3].split()),
                row[4],
                row[5],
                row[6],
            ),
            row[7],
        )
        for row in tx.all(_CLIENT_PASSWORDS, mailbox_id=mailbox_id)
    ]


def add_client_password(
    tx: Tx, mailbox_id: MailboxId, remark: str, services: Sequence[Service], scram: str
) -> ClientPasswordId:
    row = tx.first(
        _ADD_CLIENT_PASSWORD,
        mailbox_id=mailbox_id,
        remark=remark,
        services=" ".join(services),
        scram=scram,
        now=tx.now,
    )
    return ClientPasswordId(sql.returned(row))


def use_client_password(tx: Tx, which: ClientPasswordId, peer: str) -> None:
    tx.run(_USE_CLIENT_PASSWORD, which=which, peer=peer, now=tx.now)


def remove_client_password(tx: Tx, mailbox_id: MailboxId, which: ClientPasswordId) -> int:
    """1 when there was such a one, else 0."""
    return tx.run(_REMOVE_CLIENT_PASSWORD, mailbox_id=mailbox_id, which=which)


_SEALED = select(
    select(func.count()).select_from(_members).where(_members.c.scram.is_not(None)).scalar_subquery()
    + select(func.count()).select_from(_client_passwords).scalar_subquery()
    + select(func.count()).select_from(schema.dkim_keys).scalar_subquery()
)


def count_sealed(tx: Tx) -> int:
    return int(sql.returned(tx.first(_SEALED)))


# --- brakes

_BRAKE_COLUMNS = (_brakes.c.key, _brakes.c.tries, _brakes.c.last_at, _brakes.c.again_at)
_BRAKES = select(*_BRAKE_COLUMNS).where(_brakes.c.key.in_(bindparam("keys", expanding=True)))
_BLOCKED = (
    select(*_BRAKE_COLUMNS)
    .where(_brakes.c.last_at >= bindparam("since"), _brakes.c.again_at > _brakes.c.last_at)
    .order_by(_brakes.c.key)
)
_COUNT_TRY = (
    sql.insert(_brakes)
    .values(key=bindparam("key"), tries=1, last_at=bindparam("now"), again_at=0)
    .on_conflict_do_update(
        index_elements=[_brakes.c.key],
        set_={
            "tries": case((_brakes.c.last_at < bindparam("stale"), 1), else_=_brakes.c.tries + 1),
            "last_at": bindparam("now"),
        },
    )
    .returning(_brakes.c.tries)
)
_HOLD_BACK = update(_brakes).where(_brakes.c.key == bindparam("which")).values(again_at=bindparam("again_at"))
_RELEASE = delete(_brakes).where(_brakes.c.key == bindparam("which"))
_FORGET_BRAKES = delete(_brakes).where(_brakes.c.last_at < bindparam("stale"))


def brakes(tx: Tx, keys: Sequence[str]) -> Mapping[str, Tries]:
    return {row[0]: Tries(*row) for row in tx.all(_BRAKES, keys=keys)}


def blocked(tx: Tx, *, since: int) -> Sequence[Tries]:
    return [Tries(*row) for row in tx.all(_BLOCKED, since=since)]


def count_try(tx: Tx, key: str, *, stale: int) -> int:
    """One more; how many there are, those before `stale` forgotten."""
    return int(sql.returned(tx.first(_COUNT_TRY, key=key, now=tx.now, stale=stale)))


def hold_back(tx: Tx, key: str, again_at: int) -> None:
    tx.run(_HOLD_BACK, which=key, again_at=again_at)


def release(tx: Tx, key: str) -> int:
    """1 when there was such a one, else 0."""
    return tx.run(_RELEASE, which=key)


def forget_brakes(tx: Tx, *, stale: int) -> None:
    tx.run(_FORGET_BRAKES, stale=stale)


# --- the keys that sign

_keys = schema.dkim_keys
_KEYS = (
    select(_keys.c.id, _domains.c.name, _keys.c.selector, _keys.c.algorithm, _keys.c.public_key, _keys.c.state)
    .join(_domains, _domains.c.id == _keys.c.domain_id)
    .order_by(_keys.c.id)
)
_KEYS_OF = _KEYS.where(_domains.c.name == bindparam("name"))
_KEYS_IN = _KEYS.where(_keys.c.state == bindparam("state"), _keys.c.changed_at < bindparam("before"))
_SIGNING_KEYS = (
    select(_domains.c.state, _keys.c.selector, _keys.c.private_key)
    .join(_domains, _domains.c.id == _keys.c.domain_id)
    .where(_domains.c.name == bindparam("name"), _keys.c.state == "active")
    .order_by(_keys.c.id)
)
_ADD_KEY = insert(_keys).values(
    {
        name: bindparam(name)
        for name in ("domain_id", "selector", "algorithm", "private_key", "public_key", "state", "changed_at")
    }
)
_CHANGE_KEY = (
    update(_keys).where(_keys.c.id == bindparam("which")).values(state=bindparam("state"), changed_at=bindparam("now"))
)
_REMOVE_KEY = delete(_keys).where(_keys.c.id == bindparam("which"))
_REMOVE_KEYS = delete(_keys).where(_keys.c.domain_id == bindparam("domain_id"))


def dkim_keys(tx: Tx, domain_name: str) -> Sequence[tuple[int, str, str, str, str, str]]:
    """Each key's id, domain, selector, algorithm, public key and state."""
    return [tuple(row) for row in tx.all(_KEYS_OF, name=domain_name)]


def dkim_keys_in(tx: Tx, state: str, *, before: int) -> Sequence[tuple[int, str, str, str, str, str]]:
    return [tuple(row) for row in tx.all(_KEYS_IN, state=state, before=before)]


def signing_keys(tx: Tx, domain_name: str) -> Sequence[tuple[str, bytes]]:
    """The selector and the sealed private half of each key that signs for a domain that works."""
    return [(row[1], row[2]) for row in tx.all(_SIGNING_KEYS, name=domain_name) if DomainState(row[0]).works]


def add_dkim_key(
    tx: Tx, domain_id: DomainId, *, selector: str, algorithm: str, private_key: bytes, public_key: str, state: str
) -> None:
    tx.run(
        _ADD_KEY,
        domain_id=domain_id,
        selector=selector,
        algorithm=algorithm,
        private_key=private_key,
        public_key=public_key,
        state=state,
        changed_at=tx.now,
    )


def change_dkim_key(tx: Tx, key_id: int, state: str) -> None:
    tx.run(_CHANGE_KEY, which=key_id, state=state, now=tx.now)


def remove_dkim_key(tx: Tx, key_id: int) -> None:
    tx.run(_REMOVE_KEY, which=key_id)


def remove_dkim_keys(tx: Tx, domain_id: DomainId) -> None:
    tx.run(_REMOVE_KEYS, domain_id=domain_id)


# --- mailing groups

_groups = schema.groups

_GROUPS = (
    select(_groups.c.id, _addresses.c.address, _groups.c.name, _groups.c.allow)
    .join(_addresses, _addresses.c.group_id == _groups.c.id)
    .order_by(_addresses.c.address)
)
_GROUP = _GROUPS.where(_groups.c.id == bindparam("which"))
_ADD_GROUP = (
    insert(_groups)
    .values(
        organisation_id=bindparam("organisation_id"),
        name=bindparam("name"),
        allow=bindparam("allow"),
        created_at=bindparam("now"),
    )
    .returning(_groups.c.id)
)
_CHANGE_GROUP = (
    update(_groups).where(_groups.c.id == bindparam("which")).values(name=bindparam("name"), allow=bindparam("allow"))
)
_REMOVE_GROUP = delete(_groups).where(_groups.c.id == bindparam("which"))
_REMOVE_GROUP_ADDRESSES = delete(_addresses).where(_addresses.c.group_id == bindparam("which"))
_ADDRESSES_OF = select(_addresses.c.address).where(_addresses.c.mailbox_id == bindparam("mailbox_id"))


def _to_group(row: Row) -> Group:
    return Group(GroupId(row[0]), row[1], row[2], Allow(row[3]))


def group(tx: Tx, group_id: GroupId) -> Group | None:
    row = tx.first(_GROUP, which=group_id)
    return _to_group(row) if row else None


def groups(tx: Tx) -> Sequence[Group]:
    return [_to_group(row) for row in tx.all(_GROUPS)]


def add_group(tx: Tx, organisation_id: OrganisationId, name: str, allow: Allow) -> GroupId:
    row = tx.first(_ADD_GROUP, organisation_id=organisation_id, name=name, allow=allow.value, now=tx.now)
    return GroupId(sql.returned(row))


def change_group(tx: Tx, group_id: GroupId, name: str, allow: Allow) -> None:
    tx.run(_CHANGE_GROUP, which=group_id, name=name, allow=allow.value)


def remove_group(tx: Tx, group_id: GroupId) -> None:
    tx.run(_REMOVE_GROUP_ADDRESSES, which=group_id)
    tx.run(_REMOVE_GROUP, which=group_id)


def addresses_of(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    return [row[0] for row in tx.all(_ADDRESSES_OF, mailbox_id=mailbox_id)]


class GroupList:
    """The addresses that a group names: its members, or who may send to it."""

    def __init__(self, table: Table) -> None:
        mine = table.c.group_id == bindparam("which")
        self._all = select(table.c.address).where(mine).order_by(table.c.address)
        self._add = (
            sql.insert(table).values(group_id=bindparam("which"), address=bindparam("address")).on_conflict_do_nothing()
        )
        self._remove = delete(table).where(mine, table.c.address == bindparam("address"))
        self._clear = delete(table).where(mine)
        self._count = select(func.count()).select_from(table).where(mine)
        self._named = (
            select(table.c.address).where(mine, table.c.address.in_(bindparam("addresses", expanding=True))).limit(1)
        )
        self._groups = (
            select(_addresses.c.group_id)
            .join(table, table.c.address == _addresses.c.address)
            .where(mine, _addresses.c.group_id.is_not(None))
        )

    def all(self, tx: Tx, group_id: GroupId) -> Sequence[str]:
        return [row[0] for row in tx.all(self._all, which=group_id)]

    def count(self, tx: Tx, group_id: GroupId) -> int:
        return int(sql.returned(tx.first(self._count, which=group_id)))

    def add(self, tx: Tx, group_id: GroupId, addresses: Iterable[str]) -> None:
        tx.many(self._add, [{"which": group_id, "address": address} for address in addresses])

    def remove(self, tx: Tx, group_id: GroupId, address: str) -> int:
        """1 when it was there, else 0."""
        return tx.run(self._remove, which=group_id, address=address)

    def clear(self, tx: Tx, group_id: GroupId) -> None:
        tx.run(self._clear, which=group_id)

    def names(self, tx: Tx, group_id: GroupId, addresses: Sequence[str]) -> bool:
        """Whether one of the addresses is in it."""
        return tx.first(self._named, which=group_id, addresses=addresses) is not None

    def groups(self, tx: Tx, group_id: GroupId) -> Sequence[GroupId]:
        """The groups in it."""
        return [GroupId(row[0]) for row in tx.all(self._groups, which=group_id)]


group_members = GroupList(schema.group_members)
group_senders = GroupList(schema.group_senders)
