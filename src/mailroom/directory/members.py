# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Members: the persons with a login."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from mailroom.core.errors import CannotDisable, InvalidValue, NameTaken, NoPermission, NotFound
from mailroom.core.ids import MemberId, OrganisationId
from mailroom.directory import access, audit, queries, rights
from mailroom.directory.model import Actor, ActorKind, Domain, Member, MemberStatus, Role, Verifiers
from mailroom.directory.names import printable
from mailroom.events import outbox
from mailroom.events.facts import MemberRemoved
from mailroom.storage.ports import Conflict, Tx

# Without "@": a user name that has one is an address.
_USERID = re.compile(r"\w[\w.-]{0,63}", re.UNICODE)
_NAME_MOST = 64


def add(
    tx: Tx,
    organisation_id: OrganisationId,
    userid: str,
    *,
    name: str,
    password_hash: Verifiers | Literal[""],
    role: Role = Role.MEMBER,
) -> Member:
    """Add a member; for `mailboxes.create.member`, which asks whether one may. `password_hash` comes from
    `logins.Logins.hash`; "" lets nobody in yet. Raises `InvalidValue`, `NameTaken`.
    """
    ask_userid(userid)
    name = printable(name, most=_NAME_MOST)
    if queries.members.by_userid(tx, userid) is not None:
        raise NameTaken(what="member", name=userid)
    try:
        member_id = queries.members.add(tx, organisation_id, userid, name, password_hash or Verifiers(), role)
    except Conflict as taken:
        raise NameTaken(what="member", name=userid) from taken
    return Member(member_id, organisation_id, userid, name, MemberStatus.ACTIVE, role, "")


def ask_userid(text: str) -> None:
    """Raise `InvalidValue` for what cannot be a userid."""
    if not _USERID.fullmatch(text):
        raise InvalidValue(name="userid", reason="1 to 64 letters, digits and . _ -")


def get(tx: Tx, userid: str) -> Member:
    """The member with that userid. Raises `NotFound`."""
    found = queries.members.by_userid(tx, userid)
    if found is None:
        raise NotFound(what="member", name=userid)
    return found


def by_id(tx: Tx, member_id: MemberId) -> Member:
    """The member with that id, also one who has been removed. Raises `NotFound`."""
    found = queries.members.by_id(tx, member_id)
    if found is None:
        raise NotFound(what="member", name=str(member_id))
    return found


def every(tx: Tx) -> Sequence[Member]:
    """All members, by userid."""
    return queries.members.every(tx)


def administered(tx: Tx, by: Actor) -> Sequence[Member]:
    """The members whom `by` administers (see `rights.over_member`), by userid."""
    return every(tx) if by.governs_all else queries.rights.members(tx, by.domains)


def mark_creator(tx: Tx, member: Member) -> Member:
    """Let the member be the organisation's creator, whom nobody keeps out."""
    queries.members.mark_creator(tx, member.id)
    return replace(member, is_creator=True)


def rename(tx: Tx, by: Actor, userid: str, name: str) -> None:
    """Call the member something else, and his own mailbox with him; userid and addresses stay. Raises `NoPermission`,
    `NotFound`, `InvalidValue`.
    """
    member = get(tx, userid)
    rights.over_member(tx, by, member)
    name = printable(name, most=_NAME_MOST)
    queries.members.rename(tx, member.id, name)
    _record(tx, by, "member.rename", member, before={"name": member.name}, after={"name": name})


def change_status(tx: Tx, by: Actor, userid: str, status: MemberStatus) -> None:
    """Let the member in (`ACTIVE`) or keep him out (`DISABLED`); open sessions end at once when he is out. Raises
    `NoPermission`, `NotFound`, `CannotDisable`.
    """
    assert status is not MemberStatus.REMOVED  # `remove` does that
    member = get(tx, userid)
    rights.over_member(tx, by, member)
    if status is not MemberStatus.ACTIVE:
        ask_dispensable(by, member)
        _end_sessions(tx, member.id)
    queries.members.change_status(tx, member.id, status)
    _record(tx, by, "member.enable" if status is MemberStatus.ACTIVE else "member.disable", member)


def ask_dispensable(by: Actor, member: Member) -> None:
    """Whether `by` may shut the member out at all. Raises `CannotDisable`."""
    if member.is_creator or _is_self(by, member):
        raise CannotDisable(userid=member.userid)


def _is_self(by: Actor, member: Member) -> bool:
    return by.member is not None and by.member.id == member.id


def change_password(tx: Tx, by: Actor, member_id: MemberId, password_hash: Verifiers | Literal[""]) -> None:
    """Set what is kept of a new password; open sessions end. Whoever sets it could read all that the member uses, and
    must administer all of that. The creator's is for himself to change, or for who runs the machine. Raises
    `NoPermission`, `NotFound`.
    """
    member = by_id(tx, member_id)
    rights.over_member(tx, by, member)
    for mailbox_id in access.mailboxes_of(tx, member_id):
        rights.over_mailbox(tx, by, mailbox_id)
    if member.is_creator and by.kind in {ActorKind.MEMBER, ActorKind.KEY} and not _is_self(by, member):
        raise NoPermission
    queries.members.change_password(tx, member_id, password_hash or Verifiers())
    _end_sessions(tx, member_id)
    _record(tx, by, "member.password", member)


def change_role(tx: Tx, by: Actor, userid: str, role: Role, *, domains: Sequence[Domain] = ()) -> None:
    """Let the member administer the whole organisation, or these domains and no others. Raises `NoPermission`,
    `NotFound`, `InvalidValue`, `CannotDisable` (the creator stays an administrator).
    """
    rights.over_all(by)
    member = get(tx, userid)
    if role is Role.ADMINISTRATOR and domains:
        raise InvalidValue(name="domain", reason="an administrator of the whole organisation has them all")
    if role is not Role.ADMINISTRATOR and member.role is Role.ADMINISTRATOR:
        ask_dispensable(by, member)
    before = {"role": member.role.value, "domains": sorted(one.name for one in rights.domains(tx, member))}
    queries.members.change_role(tx, member.id, role)
    rights.administer(tx, member, domains)
    after = {"role": role.value, "domains": sorted(one.name for one in domains)}
    _record(tx, by, "member.role", member, before=before, after=after)


def remove(tx: Tx, by: Actor, member: Member) -> None:
    """Let the member be none any more: no login, no access, no department, no tag, no right; all ends at once. His row
    stays, for what he did, and his userid is free. For `mailboxes.leave.member`, which puts his mailbox into the bin
    as well. Raises `NoPermission`, `CannotDisable`.
    """
    rights.over_member(tx, by, member)
    ask_dispensable(by, member)
    _end_sessions(tx, member.id)
    queries.members.change_status(tx, member.id, MemberStatus.REMOVED)
    queries.members.change_password(tx, member.id, Verifiers())
    queries.access.remove_member(tx, member.id)
    queries.departments.take_from_all(tx, member.id)
    queries.tags.take_all(tx, member.id)
    rights.administer(tx, member, ())
    outbox.emit(tx, MemberRemoved(member_id=member.id))
    _record(tx, by, "member.remove", member, before={"name": member.name, "role": member.role.value})


def _end_sessions(tx: Tx, member_id: MemberId) -> None:
    queries.sessions.end_all(tx, member_id)
    access.stir(tx, member_id)


def _record(tx: Tx, by: Actor, action: str, member: Member, **change: Mapping[str, object]) -> None:
    audit.record(tx, by, action, member.userid, mailbox_id=access.own_mailbox(tx, member.id), **change)


def organisation(tx: Tx) -> OrganisationId:
    """The organisation of this installation. Raises `NotFound` before `mailroom init`."""
    found = queries.organisations.get(tx)
    if found is None:
        raise NotFound(what="organisation", name="(run: mailroom init)")
    return found


def lock_organisation(tx: Tx) -> None:
    """Let nobody else who calls this go on until the commit: for what counts, or compares names."""
    queries.organisations.lock(tx)


def found_organisation(tx: Tx, name: str) -> OrganisationId:
    """Make the organisation, once. Raises `NameTaken` when there is one."""
    if queries.organisations.get(tx) is not None:
        raise NameTaken(what="organisation", name=name)
    return queries.organisations.add(tx, name)
