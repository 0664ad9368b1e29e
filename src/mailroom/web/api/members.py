# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/members`: the persons with a login."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from mailroom.core.secrets import Secret
from mailroom.directory import access, addresses, departments, domains, members, rights, tags
from mailroom.directory.model import Member, MemberStatus, Role, Verifiers
from mailroom.mailboxes import access as mailboxes
from mailroom.mailboxes import create, leave, offboard
from mailroom.mailboxes.offboard import DryRun, Wish
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import (
    Asked,
    Email,
    House,
    Line,
    Operation,
    Page,
    Paging,
    Rehearsed,
    Shape,
    moment,
    page,
    read,
)
from mailroom.web.api.jobs import LOCATION, JobShape
from mailroom.web.api.jobs import shape as job_shape

Password = Annotated[Line, Field(json_schema_extra={"format": "password"})]


class NewMember(Shape):
    """A member to add, with a personal mailbox."""

    userid: Line
    name: Line
    mailbox: Email | None = None
    """Its address; else the userid at the first domain, with a digit where that is taken."""
    role: Role = Role.MEMBER
    password: Password | None = None
    """Without one nobody can sign in yet."""


class MemberChange(Shape):
    """What is to change; what is absent stays."""

    name: Line | None = None
    role: Role | None = None
    domains: Sequence[Line] | None = None
    """Which single domains he administers from now on, and no others."""


class NewPassword(Shape):
    """A new password."""

    password: Password


class Leaving(Shape):
    """What shall become of his mail, other than that the mailbox goes to the recycle bin. One of the two at most."""

    backup_into: Email | None = None
    """The mailbox that takes copies."""
    reassign_to: Line | None = None
    """The userid of whom his mailbox is given to."""
    dry_run: bool = False


class Plan(Shape):
    """What would be done."""

    steps: Sequence[Mapping[str, Any]]


class MemberShape(Shape):
    """A member, as a list shows it."""

    userid: str
    name: str
    status: MemberStatus
    role: Role
    mailbox: str | None
    """The address of his own mailbox."""


class WholeMember(MemberShape):
    """A member with all that he has and belongs to."""

    domains: Sequence[str]
    """The single domains that he administers."""
    departments: Sequence[str]
    """Their paths."""
    tags: Sequence[str]
    mailboxes: Sequence[str]
    """The mailboxes that he may use, his own first."""


class Search(Paging):
    """Which members."""

    search: Line = ""
    """Only those with this in their userid or name."""


def _fields(tx: Tx, member: Member) -> dict[str, Any]:
    own = access.own_mailbox(tx, member.id)
    return {
        "userid": member.userid,
        "name": member.name,
        "status": member.status,
        "role": member.role,
        "mailbox": None if own is None else addresses.primary(tx, own),
    }


def _whole(tx: Tx, asked: Asked[object], userid: str) -> WholeMember:
    member = members.get(tx, userid)
    rights.over_member(tx, asked.by, member)
    return WholeMember(
        **_fields(tx, member),
        domains=sorted(one.name for one in rights.domains(tx, member)),
        departments=[one.path for one in departments.of(tx, member.id)],
        tags=[one.name for one in tags.of(tx, member.id)],
        mailboxes=[addresses.primary(tx, one) for one in access.mailboxes_of(tx, member.id)],
    )


def every(tx: Tx, asked: Asked[None]) -> Page[MemberShape]:
    """The members whom the caller administers, by userid."""
    rights.over_some(asked.by)
    query: Search = asked.query
    wanted = query.search.casefold()
    found = [
        one
        for one in members.administered(tx, asked.by)
        if wanted in one.userid.casefold() or wanted in one.name.casefold()
    ]
    part, after = page(found, query, lambda one: one.userid)
    return Page[MemberShape](items=[MemberShape(**_fields(tx, one)) for one in part], next=after)


async def _hashed(house: House, asked: Asked[NewMember]) -> Verifiers:
    rights.over_some(asked.by)
    if asked.body.password is None:
        return Verifiers()
    return await house.logins.hash(asked.body.userid, Secret(asked.body.password))


def add(tx: Tx, asked: Asked[NewMember]) -> WholeMember:
    """Add a member, with a personal mailbox."""
    said = asked.body
    made = create.member(
        tx,
        asked.by,
        members.organisation(tx),
        said.userid,
        name=said.name,
        password_hash=asked.prepared,
        role=said.role,
        address=said.mailbox or "",
    )
    return _whole(tx, asked, made.userid)


def get(tx: Tx, asked: Asked[None]) -> WholeMember:
    """One member: what he has, and what he belongs to."""
    return _whole(tx, asked, asked.path["userid"])


def change(tx: Tx, asked: Asked[MemberChange]) -> WholeMember:
    """Change the member's name, or what he administers."""
    said, userid = asked.body, asked.path["userid"]
    if said.name is not None:
        members.rename(tx, asked.by, userid, said.name)
    if said.role is not None or said.domains is not None:
        member = members.get(tx, userid)
        role = member.role if said.role is None else said.role
        named = (
            [domains.get(tx, one) for one in said.domains]
            if said.domains is not None
            else rights.domains(tx, member)
            if role is Role.MEMBER
            else ()
        )
        members.change_role(tx, asked.by, userid, role, domains=named)
    return _whole(tx, asked, userid)


async def _rehashed(house: House, asked: Asked[NewPassword]) -> Verifiers:
    rights.over_some(asked.by)
    return await house.logins.hash(asked.path["userid"], Secret(asked.body.password))


def set_password(tx: Tx, asked: Asked[NewPassword]) -> None:
    """Set a new password; open sessions end. For administrators: a session alone does not change its own member's."""
    member = members.get(tx, asked.path["userid"])
    rights.over_member(tx, asked.by, member)
    members.change_password(tx, asked.by, member.id, asked.prepared)


def disable(tx: Tx, asked: Asked[None]) -> WholeMember:
    """Keep the member out; open sessions end at once."""
    return _changed(tx, asked, MemberStatus.DISABLED)


def enable(tx: Tx, asked: Asked[None]) -> WholeMember:
    """Let the member in again."""
    return _changed(tx, asked, MemberStatus.ACTIVE)


def _changed(tx: Tx, asked: Asked[None], status: Literal[MemberStatus.ACTIVE, MemberStatus.DISABLED]) -> WholeMember:
    members.change_status(tx, asked.by, asked.path["userid"], status)
    return _whole(tx, asked, asked.path["userid"])


def remove(tx: Tx, asked: Asked[None]) -> None:
    """Let the member be none any more; his mailbox goes to the recycle bin."""
    leave.member(tx, asked.by, asked.path["userid"])


def offboard_(tx: Tx, asked: Asked[Leaving]) -> JobShape:
    """Let the member go: disable him, copy his mails or give his mailbox to another, remove him. With `dry_run` the
    answer (200) is what would be done.
    """
    said, leaver = asked.body, members.get(tx, asked.path["userid"])
    into = None if said.backup_into is None else mailboxes.by_address(tx, addresses.parse(said.backup_into)).id
    wish = Wish(into, None if said.reassign_to is None else members.get(tx, said.reassign_to))
    if not said.dry_run:
        return job_shape(offboard.start(tx, asked.by, leaver, wish))
    raise Rehearsed(_plan(tx, asked, leaver, wish))


def _plan(tx: Tx, asked: Asked[Leaving], leaver: Member, wish: Wish) -> Plan:
    try:
        offboard.rehearse(tx, asked.by, leaver, wish)
    except DryRun as done:
        return Plan(steps=[{**one, **_until(one)} for one in done.plan])
    raise AssertionError  # it always ends so


def _until(step: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"purged_after": moment(step["purged_after"])} if "purged_after" in step else {}


_ONE = "/members/{userid}"
OPERATIONS = (
    read("/members", every, Page[MemberShape], query=Search),
    Operation(
        method="POST",
        path="/members",
        work=add,
        body=NewMember,
        answer=WholeMember,
        prepare=_hashed,
        status=201,
        location="/members/{userid}",
    ),
    read(_ONE, get, WholeMember),
    Operation(method="PATCH", path=_ONE, work=change, body=MemberChange, answer=WholeMember),
    Operation(method="DELETE", path=_ONE, work=remove),
    Operation(method="PUT", path=f"{_ONE}/password", work=set_password, body=NewPassword, prepare=_rehashed),
    Operation(method="POST", path=f"{_ONE}/disable", work=disable, answer=WholeMember),
    Operation(method="POST", path=f"{_ONE}/enable", work=enable, answer=WholeMember),
    Operation(
        method="POST",
        path=f"{_ONE}/offboard",
        work=offboard_,
        body=Leaving,
        answer=JobShape,
        status=202,
        location=LOCATION,
    ),
)
