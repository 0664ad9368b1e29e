# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a member's program hands in, made fit to leave: who says to have written it, what has to be added to its header,
and what others must not see. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from mailroom.core.clock import SECOND
from mailroom.core.errors import MalformedMail
from mailroom.core.ids import NewId
from mailroom.delivery.rewrite import Span
from mailroom.directory import addresses
from mailroom.mime import address, fields, headers
from mailroom.mime.fields import Field
from mailroom.mime.scan import MAX_HEADER, Part

_BLIND: Final = {b"bcc", b"resent-bcc"}
_RESENT: Final = {b"resent-from", b"resent-sender"}
# What only the last server writes (RFC 5321 §4.4), what only a judge of ours writes (RFC 8601 §5), and our own.
_NOT_THEIRS: Final = {b"return-path", b"authentication-results"}
_OURS: Final = b"x-mailroom-"
_AUTHORS_MOST: Final = 20
_NAME: Final = re.compile(rb"[!-9;-~]*")


@dataclass(frozen=True, slots=True)
class Draft:
    """The header of a mail that a member hands in. `authors` are the addresses in From and Sender as they stand; the
    one that answers for the mail comes first: Sender, or else From. `resent` are those who send it once more (RFC 5322
    §3.6.6).
    """

    header: bytes
    authors: tuple[str, ...]
    resent: tuple[str, ...]
    lacks_date: bool
    lacks_id: bool
    blind: tuple[Span, ...]  # where Bcc stands
    foreign: tuple[Span, ...]  # fields that are not for members to write, and an empty Message-ID

    @property
    def cuts(self) -> Sequence[Span]:
        """What is taken out before others get it."""
        return sorted((*self.blind, *self.foreign))

    def added(self, *, now: int, new_id: NewId) -> bytes:
        """The fields that it lacks (RFC 6409 §8.2, §8.3). `now` is in milliseconds."""
        added = ""
        if self.lacks_date:
            added = f"Date: {format_datetime(datetime.fromtimestamp(now // SECOND, UTC))}\r\n"
        if self.lacks_id:
            added += f"Message-ID: <{new_id()}@{addresses.parse(self.authors[-1]).domain}>\r\n"
        return added.encode()

    def header_with(self, added: bytes) -> bytes:
        """The header block that others get."""
        kept, at = [added], 0
        for start, end in self.cuts:
            kept.append(self.header[at:start])
            at = end
        return b"".join([*kept, self.header[at:]])


def read(part: Part) -> Draft:
    """The draft in a scanned mail. Raises `MalformedMail`."""
    if part.body_start > MAX_HEADER:
        raise MalformedMail(reason="its header is too long")
    found = fields.split(part.header)
    if b"\0" in part.header or not all(_NAME.fullmatch(field.name) for field in found):
        raise MalformedMail(reason="a field has a name that programs read in different ways")
    ids = [field for field in found if field.name == b"message-id"]
    has_id = any(headers.unfold(field.value) not in {b"", b"<>"} for field in ids)
    return Draft(
        header=part.header,
        authors=_authors(found),
        resent=tuple(_addresses([field for field in found if field.name in _RESENT])),
        lacks_date=not any(field.name == b"date" for field in found),
        lacks_id=not has_id,
        blind=_spans(found, lambda field: field.name in _BLIND),
        foreign=_spans(
            found,
            lambda field: (
                field.name in _NOT_THEIRS
                or field.name.startswith(_OURS)
                or (field.name == b"message-id" and not has_id)
            ),
        ),
    )


def _authors(found: Sequence[Field]) -> tuple[str, ...]:
    # RFC 5322 §3.6.2: one From; several authors need one Sender, who has sent it for them.
    authors, senders = _addresses(_one(found, b"from")), _addresses(_one(found, b"sender"))
    if not authors:
        raise MalformedMail(reason="it says in no From who has written it")
    if len(senders) > 1 or (len(authors) > 1 and not senders):
        raise MalformedMail(reason="several have written it, and it says in no Sender who of them sends it")
    return (*senders, *authors)


def _one(found: Sequence[Field], name: bytes) -> Sequence[Field]:
    named = [field for field in found if field.name == name]
    if len(named) > 1:
        raise MalformedMail(reason=f"it has more than one {_title(named[0])}")
    return named


def _addresses(named: Sequence[Field]) -> list[str]:
    if ambiguous := [field for field in named if address.is_ambiguous(field.value)]:
        raise MalformedMail(reason=f"its {_title(ambiguous[0])} can be read in more than one way")
    listed = [one.addr for field in named for one in address.mailboxes(address.parse(field.value))]
    if len(listed) > _AUTHORS_MOST:
        raise MalformedMail(reason="it has too many authors")
    return listed


def _title(field: Field) -> str:
    return field.name.decode().title()


def _spans(found: Sequence[Field], is_meant: Callable[[Field], bool]) -> tuple[Span, ...]:
    return tuple((field.start, field.end) for field in found if is_meant(field))
