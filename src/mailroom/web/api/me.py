# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/me`: who calls, and what administrators did to his mailbox."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.errors import NotFound
from mailroom.directory import access, addresses, audit, domains
from mailroom.directory.model import ActorKind
from mailroom.storage.ports import Tx
from mailroom.web.api.audit import EntryShape, shape
from mailroom.web.api.contract import Asked, Page, Paging, Shape, before, follows, read


class Me(Shape):
    """Who calls."""

    kind: ActorKind
    name: str
    """The userid, or the name of the key."""
    governs_all: bool
    """Whether it administers the whole organisation."""
    domains: Sequence[str]
    """Else these domains."""
    mailboxes: Sequence[str]
    """The member's own mailbox, then the public ones that he uses."""


def get(tx: Tx, asked: Asked[None]) -> Me:
    """Who calls, and what it may do."""
    by = asked.by
    own = [] if by.member is None else access.mailboxes_of(tx, by.member.id)
    return Me(
        kind=by.kind,
        name=by.name,
        governs_all=by.governs_all,
        domains=[one.name for one in domains.every(tx) if one.id in by.domains],
        mailboxes=[addresses.primary(tx, mailbox_id) for mailbox_id in own],
    )


def accesses(tx: Tx, asked: Asked[None]) -> Page[EntryShape]:
    """What others did with my own mailbox since it is mine, the newest first."""
    query: Paging = asked.query
    if asked.by.member is None:
        raise NotFound(what="mailbox", name=asked.by.name)
    found = audit.of_own(tx, asked.by.member, before=before(query), limit=query.limit)
    return Page[EntryShape](items=[shape(one) for one in found], next=follows(found, query))


OPERATIONS = (
    read("/me", get, Me),
    read("/me/accesses", accesses, Page[EntryShape], query=Paging),
)
