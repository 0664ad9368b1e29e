# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who may administer what. Every administrative use case asks here, in its own transaction."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.errors import NoPermission
from mailroom.core.ids import DomainId, MailboxId
from mailroom.directory import queries
from mailroom.directory.model import Actor, ActorKind, Domain, Member, MemberStatus, Role
from mailroom.storage.ports import Tx


def of(tx: Tx, member: Member) -> Actor:
    """The member as one who asks, with what he has a say over now."""
    active = member.status is MemberStatus.ACTIVE
    return Actor(
        ActorKind.MEMBER,
        member.userid,
        member,
        governs_all=active and member.role is Role.ADMINISTRATOR,
        domains=queries.rights.domains(tx, member.id) if active else frozenset(),
    )


def over_all(by: Actor) -> None:
    """Whether `by` administers the whole organisation. Raises `NoPermission`."""
    if not by.governs_all:
        raise NoPermission


def over_some(by: Actor) -> None:
    """Whether `by` administers anything at all. Raises `NoPermission`."""
    if not by.governs_all and not by.domains:
        raise NoPermission


def over(by: Actor, domain_id: DomainId) -> None:
    """Whether `by` administers the domain. Raises `NoPermission`."""
    if not by.governs_all and domain_id not in by.domains:
        raise NoPermission


def over_mailbox(tx: Tx, by: Actor, mailbox_id: MailboxId) -> None:
    """Whether `by` administers the domain of the mailbox's own address, and all that its owner administers: nobody
    reaches further through another. Raises `NoPermission`.
    """
    if by.governs_all:
        return
    owner = queries.members.owner(tx, mailbox_id)
    if queries.rights.domain_of(tx, mailbox_id) not in by.domains or (owner and not _covers(tx, by, owner)):
        raise NoPermission


def _covers(tx: Tx, by: Actor, member: Member) -> bool:
    return member.role is not Role.ADMINISTRATOR and queries.rights.domains(tx, member.id) <= by.domains


def over_member(tx: Tx, by: Actor, member: Member) -> None:
    """Whether `by` administers the member's own mailbox. Raises `NoPermission`."""
    if by.governs_all:
        return
    own = queries.access.own_mailbox(tx, member.id)
    if own is None:
        raise NoPermission
    over_mailbox(tx, by, own)


def domains(tx: Tx, member: Member) -> Sequence[Domain]:
    """The domains that the member administers, by name."""
    his = queries.rights.domains(tx, member.id)
    return [one for one in queries.domains.every(tx) if one.id in his] if his else []


def administer(tx: Tx, member: Member, domains: Sequence[Domain]) -> None:
    """Let the member administer these domains and no others; for `members.change_role`, which asks whether one may."""
    queries.rights.clear(tx, member.id)
    for domain in domains:
        queries.rights.add(tx, member.id, domain.id)
