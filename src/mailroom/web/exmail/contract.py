# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a call of the Exmail-shaped interface is: a path, the shape of its fields, and a function that does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mailroom.directory.model import Actor
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import House, Line, Number

T = TypeVar("T")
F_co = TypeVar("F_co", bound="Fields", covariant=True)
Answer = Mapping[str, Any]


class Fields(BaseModel):
    """What comes in, as JSON or behind the question mark. As there, what nobody knows is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Listed(Fields, Generic[T]):
    """A list, as Exmail wraps it: absent means unchanged, empty means none."""

    list: Annotated[Sequence[T], Field(max_length=10_000)] = ()


Texts = Listed[Line]
Numbers = Listed[Number]


def octets(least: int, most: int) -> AfterValidator:
    """A text of so many octets, without control characters."""

    def check(text: str) -> str:
        if not least <= len(text.encode(errors="replace")) <= most or not text.isprintable():
            raise ValueError(f"{least} to {most} octets, printable")
        return text

    return AfterValidator(check)


@dataclass(frozen=True, slots=True)
class Asked(Generic[F_co]):
    """Who calls, and with what fields."""

    by: Actor
    fields: F_co


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `work` runs in one transaction; what `after` gives, once that has been kept, is answered too."""

    path: str
    fields: type[Fields]
    work: Callable[[Tx, Asked[Any]], Answer]
    after: Callable[[House, Asked[Any], Answer], Awaitable[Answer]] | None = None
