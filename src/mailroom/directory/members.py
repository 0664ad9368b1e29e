# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Members: the persons with a login."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from mailroom.core.errors import InvalidValue, NameTaken, NotFound
from mailroom.core.ids import MemberId, OrganisationId
from mailroom.directory import access, queries
from mailroom.directory.model import Member, MemberStatus, Role, Verifiers
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
    """Add a member. `password_hash` comes from `logins.Logins.hash`; "" lets nobody in yet.
    Raises `InvalidValue`, `NameTaken`.
    """
    ask_userid(userid)
    if not name.strip() or len(name) > _NAME_MOST or not name.isprintable():
        raise InvalidValue(name="name", reason=f"1 to {_NAME_MOST} printable characters")
    if queries.members.by_userid(tx, userid) is not None:
        raise NameTaken(what="member", name=userid)
    try:
        member_id = queries.members.add(tx, organisation_id, userid, name.strip(), password_hash or Verifiers(), role)
    except Conflict as taken:
        raise NameTaken(what="member", name=userid) from taken
    return Member(member_id, organisation_id, userid, name.strip(), MemberStatus.ACTIVE, role, "")


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


def every(tx: Tx) -> Sequence[Member]:
    """All members, by userid."""
    return queries.members.every(tx)


def change_status(tx: Tx, userid: str, status: MemberStatus) -> None:
    """Let the member in or keep him out; open sessions end at once when he is out. Raises `NotFound`."""
    member = get(tx, userid)
    queries.members.change_status(tx, member.id, status)
    if status is not MemberStatus.ACTIVE:
        queries.sessions.end_all(tx, member.id)
        access.stir(tx, member.id)


def change_password(tx: Tx, member_id: MemberId, password_hash: Verifiers | Literal[""]) -> None:
    """Set what is kept of a new password; open sessions end."""
    queries.members.change_password(tx, member_id, password_hash or Verifiers())
    queries.sessions.end_all(tx, member_id)
    access.stir(tx, member_id)


def organisation(tx: Tx) -> OrganisationId:
    """The organisation of this installation. Raises `NotFound` before `mailroom init`."""
    found = queries.organisations.get(tx)
    if found is None:
        raise NotFound(what="organisation", name="(run: mailroom init)")
    return found


def found_organisation(tx: Tx, name: str) -> OrganisationId:
    """Make the organisation, once. Raises `NameTaken` when there is one."""
    if queries.organisations.get(tx) is not None:
        raise NameTaken(what="organisation", name=name)
    return queries.organisations.add(tx, name)
