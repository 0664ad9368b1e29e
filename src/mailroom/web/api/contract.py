# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What an operation of the REST interface is: a method and a path, the shapes of what goes in and comes out, and a
function that does it in one transaction. `edge` runs them, `openapi` describes them.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mailroom.core.clock import iso
from mailroom.core.errors import InvalidValue
from mailroom.directory.clients import ClientPasswords
from mailroom.directory.domain_checks import DomainChecks
from mailroom.directory.logins import Logins
from mailroom.directory.model import Actor
from mailroom.mailboxes.export import Exports
from mailroom.notify.linking import Linking
from mailroom.notify.settings import NotifySettings
from mailroom.notify.trials import Trials
from mailroom.storage.ports import Tx
from mailroom.web.numbers import number

T = TypeVar("T")
B_co = TypeVar("B_co", covariant=True)

PREFIX: Final = "/api/v1"
PAGE_MOST: Final = 200
LARGEST: Final = (1 << 63) - 1
_CURSOR_MOST: Final = 1024


class Shape(BaseModel):
    """What goes in or comes out, as JSON. What has a wrong type, or a name that nobody knows, is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


def storable(text: str) -> str:
    """A text that every store takes."""
    if "\0" in text:  # PostgreSQL takes none
        raise ValueError("has a character that no text may have")
    return text


Line = Annotated[str, Field(max_length=1024), AfterValidator(storable)]
"""A short text. What it must be like says the use case."""
Email = Annotated[Line, Field(max_length=320, json_schema_extra={"format": "email"})]
"""An address."""
Number = Annotated[int, Field(ge=0, le=LARGEST)]
"""An id, or a count, that the store can hold."""
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A time in UTC, such as `2026-11-21T09:30:00Z`."""


def moment(time: int | None) -> str | None:
    """A time for a program."""
    return None if time is None else iso(time)


class Query(Shape):
    """What stands behind the question mark: texts, whatever they mean."""

    model_config = ConfigDict(strict=False)


class Nothing(Query):
    """No parameters."""


class Paging(Query):
    """Which part of a list."""

    limit: int = Field(default=50, ge=1, le=PAGE_MOST)
    """How many at most."""
    cursor: Annotated[str, Field(max_length=_CURSOR_MOST), AfterValidator(storable)] = ""
    """`next` of the page before; without it the list begins."""


class Page(Shape, Generic[T]):
    """A part of a list. `next` is the cursor of the part that follows, or null."""

    model_config = ConfigDict(use_attribute_docstrings=False)  # it cannot read those of a shape that is made of shapes

    items: Sequence[T]
    next: str | None


def page(found: Sequence[T], asked: Paging, key: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """The part of a list that is asked for, in the order of `key`, and the cursor of what follows."""
    after = uncursor(asked.cursor)
    rest = sorted((one for one in found if not after or key(one) > after), key=key)
    part = rest[: asked.limit]
    return part, cursor(key(part[-1])) if len(rest) > len(part) else None


class Numbered(Protocol):
    """What has an id."""

    @property
    def id(self) -> int: ...


def before(asked: Paging) -> int:
    """Below which id the part that is asked for begins, of a list whose newest comes first."""
    text = uncursor(asked.cursor)
    return number(text) if text else LARGEST


def follows(found: Sequence[Numbered], asked: Paging) -> str | None:
    """The cursor of what follows in such a list, if the part is full."""
    return cursor(str(found[-1].id)) if len(found) == asked.limit else None


def cursor(key: str) -> str:
    """The cursor of what follows `key`."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def uncursor(text: str) -> str:
    """The key that a cursor holds; "" for the beginning. Raises `InvalidValue`."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode()
    except ValueError as fault:
        raise InvalidValue(name="cursor", reason="is none of ours") from fault


@dataclass(frozen=True, slots=True)
class House:
    """What an operation may need before its transaction: what is slow, and so has no place within one."""

    logins: Logins
    client_passwords: ClientPasswords
    checks: DomainChecks
    exports: Exports
    linking: Linking
    notify: NotifySettings
    trials: Trials


@dataclass(frozen=True, slots=True)
class Asked(Generic[B_co]):
    """One request: who asks, the names in the path, the query, the body, and what `prepare` made of it."""

    by: Actor
    path: Mapping[str, str]
    query: Any
    body: B_co
    prepared: Any = None


class Rehearsed(Exception):
    """What would be done. It ends the transaction, so nothing of it is."""

    def __init__(self, answer: Shape) -> None:
        super().__init__(answer)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Handed:
    """A file of ours that is handed out."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table that is handed out, as .csv."""

    text: str
    name: str


Prepare = Callable[[House, Asked[Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that can be asked for. `work` runs in one transaction and gives the answer, of shape `answer`; its
    docstring is the operation's description. `prepare` comes before it, and may take long. With a `location` the answer
    is a new thing, or a job, whose path this is.
    """

    method: str
    path: str
    work: Callable[[Tx, Asked[Any]], Any]
    answer: Any = None  # none: 204
    body: type[Shape] | None = None
    query: type[Query] = Nothing
    prepare: Prepare | None = None
    status: int = 200
    location: str = ""
    given_name: str = ""  # where one function does several operations

    @property
    def name(self) -> str:
        """What a program calls it: `members.add`."""
        return self.given_name or f"{self.work.__module__.rpartition('.')[2]}.{self.work.__name__.strip('_')}"

    @property
    def summary(self) -> str:
        """What it does, in one sentence."""
        return " ".join((self.work.__doc__ or "").split("\n\n")[0].split())


def read(
    path: str, work: Callable[[Tx, Asked[Any]], Any], answer: Any, *, query: type[Query] = Nothing, name: str = ""
) -> Operation:
    """A look."""
    return Operation(method="GET", path=path, work=work, answer=answer, query=query, given_name=name)
