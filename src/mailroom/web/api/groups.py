# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/groups`: one address, many members, and who may write to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from mailroom.directory import addresses, groups, members
from mailroom.directory.model import Allow, Group
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Asked, Email, Line, Operation, Page, Paging, Shape, page, read

Members = Annotated[Sequence[Email], Field(max_length=groups.MEMBERS_MOST)]
Senders = Annotated[Sequence[Email], Field(max_length=groups.SENDERS_MOST)]


class NewGroup(Shape):
    """A group to make."""

    address: Email
    name: Line
    members: Members
    """Addresses of mailboxes, of other groups, of anybody elsewhere."""
    allow: Allow = Allow.ORGANISATION
    """Who may send to it."""
    senders: Senders = ()
    """With `custom`: who."""


class GroupChange(Shape):
    """What is to change; what is absent stays."""

    name: Line | None = None
    members: Members | None = None
    """The members from now on, and no others."""
    allow: Allow | None = None
    senders: Senders | None = None
    """With `custom`: who may send, and nobody else."""


class SomeMembers(Shape):
    """Members to add."""

    members: Members


class GroupShape(Shape):
    """A mailing group, as a list shows it."""

    address: str
    name: str
    allow: Allow


class WholeGroup(GroupShape):
    """A mailing group with all that it names."""

    members: Sequence[str]
    senders: Sequence[str]


class Search(Paging):
    """Which groups."""

    search: Line = ""
    """Only those with this in their address or name."""


def _of(tx: Tx, asked: Asked[object]) -> Group:
    return groups.get(tx, addresses.parse(asked.path["group"]))


def _shape(tx: Tx, group: Group) -> WholeGroup:
    lists = groups.lists(tx, group.id)
    return WholeGroup(
        address=group.address, name=group.name, allow=group.allow, members=lists.members, senders=lists.senders
    )


def every(tx: Tx, asked: Asked[None]) -> Page[GroupShape]:
    """The groups that the caller administers, by address."""
    found = groups.administered(tx, asked.by, asked.query.search)
    part, after = page(found, asked.query, lambda one: one.address)
    return Page[GroupShape](
        items=[GroupShape(address=one.address, name=one.name, allow=one.allow) for one in part], next=after
    )


def add(tx: Tx, asked: Asked[NewGroup]) -> WholeGroup:
    """Make a mailing group."""
    said = asked.body
    made = groups.create(
        tx,
        asked.by,
        members.organisation(tx),
        addresses.parse_new(said.address),
        name=said.name,
        members=said.members,
        allow=said.allow,
        senders=said.senders,
    )
    return _shape(tx, made)


def get(tx: Tx, asked: Asked[None]) -> WholeGroup:
    """One group: its members, and who may send to it."""
    group = _of(tx, asked)
    groups.ask_rights(tx, asked.by, group)
    return _shape(tx, group)


def change(tx: Tx, asked: Asked[GroupChange]) -> WholeGroup:
    """Change the group; its address stays."""
    said, group = asked.body, _of(tx, asked)
    groups.change(tx, asked.by, group, name=said.name, members=said.members, whom=said.allow, senders=said.senders)
    return _shape(tx, _of(tx, asked))


def remove(tx: Tx, asked: Asked[None]) -> None:
    """Give the group and its address up."""
    groups.delete(tx, asked.by, _of(tx, asked))


def add_members(tx: Tx, asked: Asked[SomeMembers]) -> WholeGroup:
    """Let these addresses be members too."""
    group = _of(tx, asked)
    groups.add(tx, asked.by, group, asked.body.members)
    return _shape(tx, group)


def remove_member(tx: Tx, asked: Asked[None]) -> None:
    """Let that address be no member any more."""
    groups.remove(tx, asked.by, _of(tx, asked), asked.path["member"])


_ONE = "/groups/{group}"
OPERATIONS = (
    read("/groups", every, Page[GroupShape], query=Search),
    Operation(
        method="POST",
        path="/groups",
        work=add,
        body=NewGroup,
        answer=WholeGroup,
        status=201,
        location="/groups/{address}",
    ),
    read(_ONE, get, WholeGroup),
    Operation(method="PATCH", path=_ONE, work=change, body=GroupChange, answer=WholeGroup),
    Operation(method="DELETE", path=_ONE, work=remove),
    Operation(method="POST", path=f"{_ONE}/members", work=add_members, body=SomeMembers, answer=WholeGroup),
    Operation(method="DELETE", path=f"{_ONE}/members/{{member}}", work=remove_member),
)
