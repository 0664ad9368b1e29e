# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/departments`: the parts of the organisation, one within another."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.ids import DepartmentId
from mailroom.directory import departments, members, rights
from mailroom.directory.model import Department
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Asked, Line, Number, Operation, Page, Paging, Shape, page, read
from mailroom.web.numbers import number


class NewDepartment(Shape):
    """A department to make."""

    name: Line
    parent: Number | None = None
    """The department that it lies in; none: it is at the top."""


class DepartmentChange(Shape):
    """What is to change; what is absent stays."""

    name: Line | None = None
    parent: Number | None = None
    """The department that it is to lie in; 0: at the top."""


class DepartmentShape(Shape):
    """A department."""

    id: int
    name: str
    path: str
    """With the names of those that it lies in: `Sales/East`."""
    parent: int | None
    disabled: bool
    """Whether the mailboxes of its members are disabled with it."""


class WholeDepartment(DepartmentShape):
    """A department, and who is in it."""

    members: Sequence[str]
    """Userids; those in departments below it are not among them."""


def _of(tx: Tx, asked: Asked[object]) -> Department:
    return departments.get(tx, DepartmentId(number(asked.path["department"])))


def _whole(tx: Tx, one: Department) -> WholeDepartment:
    return WholeDepartment(**_shape(one).model_dump(), members=departments.userids(tx, one))


def _shape(one: Department) -> DepartmentShape:
    return DepartmentShape(id=one.id, name=one.name, path=one.path, parent=one.parent_id, disabled=one.is_disabled)


def every(tx: Tx, asked: Asked[None]) -> Page[DepartmentShape]:
    """The departments, by path."""
    rights.over_some(asked.by)
    part, after = page(departments.every(tx), asked.query, lambda one: one.path)
    return Page[DepartmentShape](items=[_shape(one) for one in part], next=after)


def add(tx: Tx, asked: Asked[NewDepartment]) -> DepartmentShape:
    """Make a department."""
    said = asked.body
    parent = None if said.parent is None else departments.get(tx, DepartmentId(said.parent))
    return _shape(departments.add(tx, asked.by, members.organisation(tx), said.name, parent=parent))


def get(tx: Tx, asked: Asked[None]) -> WholeDepartment:
    """One department, and who is in it."""
    rights.over_some(asked.by)
    return _whole(tx, _of(tx, asked))


def change(tx: Tx, asked: Asked[DepartmentChange]) -> WholeDepartment:
    """Rename the department, or move it with all that lies in it."""
    said, one = asked.body, _of(tx, asked)
    if said.name is not None:
        one = departments.rename(tx, asked.by, one, said.name)
    if said.parent is not None:
        parent = departments.get(tx, DepartmentId(said.parent)) if said.parent else None
        one = departments.move(tx, asked.by, one, parent)
    return _whole(tx, one)


def remove(tx: Tx, asked: Asked[None]) -> None:
    """Give up a department that nobody is in and nothing depends on."""
    departments.remove(tx, asked.by, _of(tx, asked))


def put_member(tx: Tx, asked: Asked[None]) -> None:
    """Let the member be in the department."""
    departments.put(tx, asked.by, _of(tx, asked), [members.get(tx, asked.path["userid"])])


def take_member(tx: Tx, asked: Asked[None]) -> None:
    """Let the member be in it no more; what he used through it ends at once."""
    departments.take(tx, asked.by, _of(tx, asked), [members.get(tx, asked.path["userid"])])


def disable(tx: Tx, asked: Asked[None]) -> WholeDepartment:
    """Disable the mailboxes of all who are in the department or below it."""
    departments.disable(tx, asked.by, _of(tx, asked))
    return _whole(tx, _of(tx, asked))


def enable(tx: Tx, asked: Asked[None]) -> WholeDepartment:
    """Enable the mailboxes that were disabled with it."""
    departments.enable(tx, asked.by, _of(tx, asked))
    return _whole(tx, _of(tx, asked))


_ONE = "/departments/{department}"
OPERATIONS = (
    read("/departments", every, Page[DepartmentShape], query=Paging),
    Operation(
        method="POST",
        path="/departments",
        work=add,
        body=NewDepartment,
        answer=DepartmentShape,
        status=201,
        location="/departments/{id}",
    ),
    read(_ONE, get, WholeDepartment),
    Operation(method="PATCH", path=_ONE, work=change, body=DepartmentChange, answer=WholeDepartment),
    Operation(method="DELETE", path=_ONE, work=remove),
    Operation(method="PUT", path=f"{_ONE}/members/{{userid}}", work=put_member),
    Operation(method="DELETE", path=f"{_ONE}/members/{{userid}}", work=take_member),
    Operation(method="POST", path=f"{_ONE}/disable", work=disable, answer=WholeDepartment),
    Operation(method="POST", path=f"{_ONE}/enable", work=enable, answer=WholeDepartment),
)
