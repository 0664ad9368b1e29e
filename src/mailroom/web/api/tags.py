# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/tags`: labels that members bear."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.ids import TagId
from mailroom.directory import members, rights, tags
from mailroom.directory.model import Tag
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Asked, Line, Operation, Page, Paging, Shape, page, read
from mailroom.web.numbers import number


class TagName(Shape):
    """What a tag is called."""

    name: Line


class TagShape(Shape):
    """A tag."""

    id: int
    name: str


class WholeTag(TagShape):
    """A tag, and who bears it."""

    members: Sequence[str]
    """Userids."""


def _of(tx: Tx, asked: Asked[object]) -> Tag:
    return tags.get(tx, TagId(number(asked.path["tag"])))


def _whole(tx: Tx, one: Tag) -> WholeTag:
    return WholeTag(id=one.id, name=one.name, members=tags.userids(tx, one))


def every(tx: Tx, asked: Asked[None]) -> Page[TagShape]:
    """The tags, by name."""
    rights.over_some(asked.by)
    part, after = page(tags.every(tx), asked.query, lambda one: one.name)
    return Page[TagShape](items=[TagShape(id=one.id, name=one.name) for one in part], next=after)


def add(tx: Tx, asked: Asked[TagName]) -> TagShape:
    """Make a tag."""
    made = tags.add(tx, asked.by, members.organisation(tx), asked.body.name)
    return TagShape(id=made.id, name=made.name)


def get(tx: Tx, asked: Asked[None]) -> WholeTag:
    """One tag, and who bears it."""
    rights.over_some(asked.by)
    return _whole(tx, _of(tx, asked))


def change(tx: Tx, asked: Asked[TagName]) -> WholeTag:
    """Call the tag something else."""
    return _whole(tx, tags.rename(tx, asked.by, _of(tx, asked), asked.body.name))


def remove(tx: Tx, asked: Asked[None]) -> None:
    """Give up a tag that no public mailbox is given to."""
    tags.remove(tx, asked.by, _of(tx, asked))


def put_member(tx: Tx, asked: Asked[None]) -> None:
    """Let the member bear the tag."""
    tags.put(tx, asked.by, _of(tx, asked), [members.get(tx, asked.path["userid"])])


def take_member(tx: Tx, asked: Asked[None]) -> None:
    """Let the member bear it no more; what he used through it ends at once."""
    tags.take(tx, asked.by, _of(tx, asked), [members.get(tx, asked.path["userid"])])


_ONE = "/tags/{tag}"
OPERATIONS = (
    read("/tags", every, Page[TagShape], query=Paging),
    Operation(method="POST", path="/tags", work=add, body=TagName, answer=TagShape, status=201, location="/tags/{id}"),
    read(_ONE, get, WholeTag),
    Operation(method="PATCH", path=_ONE, work=change, body=TagName, answer=WholeTag),
    Operation(method="DELETE", path=_ONE, work=remove),
    Operation(method="PUT", path=f"{_ONE}/members/{{userid}}", work=put_member),
    Operation(method="DELETE", path=f"{_ONE}/members/{{userid}}", work=take_member),
)
