# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Making mailboxes."""

from __future__ import annotations

from typing import Literal

from mailroom.core.errors import AddressTaken, AliasLimit, MemberHasMailbox
from mailroom.core.ids import MailboxId, OrganisationId
from mailroom.directory import addresses, audit, departments, domains, members, rights
from mailroom.directory import users as users_
from mailroom.directory.addresses import Address
from mailroom.directory.model import Actor, AddressRole, Member, Role, Users, Verifiers
from mailroom.mailboxes import public as public_
from mailroom.mailboxes import queries, recycle
from mailroom.mailboxes.model import FIRST_FOLDERS, MailboxKind
from mailroom.storage.ports import Conflict, Tx

ALIASES_MOST = 5
_SUFFIXES = ("", *map(str, range(1, 100)))  # to an address that is taken


def personal(tx: Tx, by: Actor, owner: Member, address: Address) -> MailboxId:
    """Make the own mailbox of a member who has none. Raises `NoPermission`, `MemberHasMailbox`, `AddressTaken`,
    `NotFound` (no such domain).
    """
    rights.over_all(by)
    return _personal(tx, by, owner, address)


def _personal(tx: Tx, by: Actor, owner: Member, address: Address) -> MailboxId:
    members.lock_organisation(tx)  # before the address, as `public` does
    try:
        mailbox_id = queries.mailboxes.add(tx, owner.organisation_id, MailboxKind.PERSONAL, owner.name, owner.id)
    except Conflict as taken:
        raise MemberHasMailbox(userid=owner.userid) from taken
    _furnish(tx, mailbox_id, address)
    departments.settle(tx, by)
    audit.record(tx, by, "mailbox.create", str(address), after={"owner": owner.userid}, mailbox_id=mailbox_id)
    return mailbox_id


def member(
    tx: Tx,
    by: Actor,
    organisation_id: OrganisationId,
    userid: str,
    *,
    name: str,
    password_hash: Verifiers | Literal[""],
    role: Role,
    address: str = "",
) -> Member:
    """Add a member together with his mailbox. Its address, unless given, is the userid at the first domain that works,
    or else at the first that there is; a digit is added to one that is taken. Who administers a domain adds members
    with a mailbox there. Raises as `members.add` and `personal` do.
    """
    own = addresses.parse_new(address) if address else _proposed(tx, by, userid)
    if own is None or role is Role.ADMINISTRATOR:
        rights.over_all(by)
    else:
        rights.over(by, domains.get(tx, own.domain).id)
    added = members.add(tx, organisation_id, userid, name=name, password_hash=password_hash, role=role)
    if own is not None:
        _personal(tx, by, added, own)
    audit.record(tx, by, "member.add", userid, after={"name": added.name, "role": role.value})
    return added


def _proposed(tx: Tx, by: Actor, userid: str) -> Address | None:
    """The first address for the member that nobody has; none where `by` administers no domain."""
    known = [domain for domain in domains.every(tx) if by.governs_all or domain.id in by.domains]
    if not known:
        return None
    domain = next((domain for domain in known if domain.state.works), known[0]).name
    for suffix in _SUFFIXES:
        address = addresses.parse_new(f"{userid}{suffix}@{domain}")
        if addresses.resolve(tx, address) is None:
            return address
    raise AddressTaken(address=f"{userid}@{domain}", by="member")


def public(
    tx: Tx, by: Actor, organisation_id: OrganisationId, address: Address, *, name: str, users: Users
) -> MailboxId:
    """Make a mailbox that several members use. Raises `NoPermission`, `InvalidValue`, `NameTaken`, `TooMany`,
    `PublicMailboxLimit`, `AddressTaken`, `NotFound` (no such domain).
    """
    rights.over(by, domains.get(tx, address.domain).id)
    addresses.ask_free(tx, address)  # before the name: a request that is sent twice hears of the address
    name = public_.ask(tx, organisation_id, name)
    mailbox_id = queries.mailboxes.add(tx, organisation_id, MailboxKind.PUBLIC, name, None)
    _furnish(tx, mailbox_id, address)
    audit.record(tx, by, "mailbox.create", str(address), after={"name": name}, mailbox_id=mailbox_id)
    users_.assign(tx, by, mailbox_id, members=users.members, departments=users.departments, tags=users.tags)
    return mailbox_id


def _furnish(tx: Tx, mailbox_id: MailboxId, address: Address) -> None:
    addresses.take(tx, address, mailbox_id, AddressRole.PRIMARY)
    for role, name in FIRST_FOLDERS.items():
        queries.folders.add(tx, mailbox_id, name, role)
        queries.folders.subscribe(tx, mailbox_id, name)


def alias(tx: Tx, by: Actor, mailbox_id: MailboxId, address: Address) -> None:
    """Let the mailbox, unless it is in the bin, answer to one more address. Raises `NoPermission`, `AliasLimit`,
    `AddressTaken`, `NotFound`.
    """
    rights.over_mailbox(tx, by, mailbox_id)
    rights.over(by, domains.get(tx, address.domain).id)
    recycle.hold_in_use(tx, mailbox_id)  # of two at once, the later counts the earlier
    if len(addresses.aliases(tx, mailbox_id)) >= ALIASES_MOST:
        raise AliasLimit(address=addresses.primary(tx, mailbox_id), limit=ALIASES_MOST)
    addresses.take(tx, address, mailbox_id, AddressRole.ALIAS)
    audit.record(
        tx, by, "alias.add", addresses.primary(tx, mailbox_id), after={"alias": str(address)}, mailbox_id=mailbox_id
    )
