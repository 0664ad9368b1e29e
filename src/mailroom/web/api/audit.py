# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/audit`: who did what to whom, when, and how it was before and after."""

from __future__ import annotations

from typing import Any

from mailroom.directory import audit, rights
from mailroom.directory.audit import Entry
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Asked, Line, Moment, Page, Paging, Shape, before, follows, moment, read


class EntryShape(Shape):
    """One thing that was done."""

    id: int
    at: Moment | None
    actor: str
    """`member:amy`, `key:crm`, `operator:root`, `system`"""
    action: str
    """Such as `mailbox.rename`."""
    subject: str
    before: Any
    after: Any
    hash: str
    """Of this entry and the one before it: the log shows where one was changed or taken out."""


class Choice(Paging):
    """Which entries."""

    action: Line = ""
    """Only those of this action."""


def shape(entry: Entry) -> EntryShape:
    """The entry, as a program sees it."""
    return EntryShape(
        id=entry.id,
        at=moment(entry.at),
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        before=entry.before,
        after=entry.after,
        hash=entry.hash,
    )


def every(tx: Tx, asked: Asked[None]) -> Page[EntryShape]:
    """The audit log, the newest entry first."""
    rights.over_all(asked.by)
    query: Choice = asked.query
    found = audit.entries(tx, before=before(query), limit=query.limit, action=query.action)
    return Page[EntryShape](items=[shape(one) for one in found], next=follows(found, query))


OPERATIONS = (read("/audit", every, Page[EntryShape], query=Choice),)
