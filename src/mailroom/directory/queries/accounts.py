# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in with mail programs: accounts and client passwords."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, bindparam, case, delete, func, insert, select, update

from mailroom.core.ids import ClientPasswordId, MailboxId
from mailroom.directory.model import Account, AddressRole, ClientPassword, DomainState, MemberStatus, Service, Verifiers
from mailroom.directory.queries.members import COLUMNS, to_member
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_domains = schema.domains
_members = schema.members
_mailboxes = schema.mailboxes
_addresses = schema.addresses

_client_passwords = schema.client_passwords

_owner = _mailboxes.outerjoin(_members, _members.c.id == _mailboxes.c.owner_id)
_primary = _addresses.alias("primary_address")
_open = case((and_(_mailboxes.c.status == "active", _domains.c.state != DomainState.DISABLED.value), 1), else_=0)
_ACCOUNT = (
    select(*COLUMNS, _members.c.password, _members.c.scram, _mailboxes.c.id, _primary.c.address, _open)
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
_HOLD = (
    select(_mailboxes.c.id)
    .where(_mailboxes.c.id == bindparam("mailbox_id"), _mailboxes.c.status != "recycled")
    .with_for_update(key_share=True)
)
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
    member = None if row[0] is None else to_member(row)
    password, scram, mailbox_id, address, is_open = row[len(COLUMNS) :]
    verifiers = Verifiers(password or "", None if scram is None else bytes(scram))
    lets_in = bool(is_open) and (member is None or member.status is MemberStatus.ACTIVE)
    return Account(MailboxId(mailbox_id), address, lets_in, member, verifiers)


def by_userid(tx: Tx, userid: str) -> Account | None:
    return _to_account(tx.first(_ACCOUNT_BY_USERID, userid=userid))


def by_address(tx: Tx, address: str) -> Account | None:
    return _to_account(tx.first(_ACCOUNT_BY_ADDRESS, address=address))


def by_mailbox(tx: Tx, mailbox_id: MailboxId) -> Account | None:
    return _to_account(tx.first(_ACCOUNT_BY_MAILBOX, mailbox_id=mailbox_id))


def hold(tx: Tx, mailbox_id: MailboxId) -> bool:
    """Keep others from giving the mailbox away until the commit; whether it is in use."""
    return tx.first(_HOLD, mailbox_id=mailbox_id) is not None


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


# One of each, to try the key at.
_SAMPLES = (
    select(_members.c.scram).where(_members.c.scram.is_not(None)).limit(1),
    select(schema.dkim_keys.c.private_key).limit(1),
)


def count_sealed(tx: Tx) -> int:
    return int(sql.returned(tx.first(_SEALED)))


def sealed(tx: Tx) -> Sequence[bytes]:
    """Some of what is sealed."""
    return [bytes(row[0]) for statement in _SAMPLES for row in tx.all(statement)]
