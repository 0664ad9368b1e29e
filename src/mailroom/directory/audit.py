# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The audit log: who did what to whom, when, and how it was before and after.

An entry is written in the transaction of what it tells of. Each holds the SHA-256 of the entry before it and of itself,
so that whoever changes or removes one changes every hash after it; `verify` finds the first that is not right. One
writer at a time holds the end of the chain, until its transaction ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailroom.core.errors import AuditBroken, AuditCut
from mailroom.core.ids import MailboxId
from mailroom.directory import queries
from mailroom.directory.model import Actor, Member
from mailroom.storage.ports import Row, Tx

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done. `at` is in milliseconds; `before` and `after` are JSON values."""

    id: int
    at: int
    actor: str
    action: str
    subject: str
    mailbox_id: MailboxId | None
    before: Any
    after: Any
    hash: str


def record(
    tx: Tx,
    by: Actor,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    mailbox_id: MailboxId | None = None,
) -> None:
    """Note what `by` does in this transaction. With a `mailbox_id` its owner may read of it. No secret goes in here."""
    fields = (tx.now, str(by), action, subject, mailbox_id, _json(before), _json(after))
    end = _link(queries.audit.hold_end(tx), fields)
    queries.audit.add(tx, fields, end)


def _json(value: Mapping[str, Any] | None) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _link(previous: str, fields: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps([previous, *fields], ensure_ascii=False).encode()).hexdigest()


def entries(
    tx: Tx, *, before: int, limit: int, action: str = "", mailbox_id: MailboxId | None = None
) -> Sequence[Entry]:
    """The newest entries with an id below `before`, the newest first, all or those of an action, of a mailbox: for
    administrators of the whole organisation.
    """
    return [_to_entry(row) for row in queries.audit.page(tx, before=before, limit=limit, action=action, of=mailbox_id)]


def of_own(tx: Tx, member: Member, *, before: int, limit: int) -> Sequence[Entry]:
    """The same of the member's own mailbox, for himself: what others have done with it since it has been his."""
    own = queries.access.own_mailbox(tx, member.id)
    if own is None:
        return []
    since = queries.audit.owned_since(tx, own)
    rows = queries.audit.page(tx, before=before, limit=limit, action="", of=own, since=since)
    return [_to_entry(row) for row in rows]


def _to_entry(row: Row) -> Entry:
    return Entry(
        id=row[0],
        at=row[1],
        actor=row[2],
        action=row[3],
        subject=row[4],
        mailbox_id=None if row[5] is None else MailboxId(row[5]),
        before=json.loads(row[6]),
        after=json.loads(row[7]),
        hash=row[8],
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """How far the chain has been looked at, and is right."""

    count: int = 0
    last: int = 0  # the id of the last entry
    hash: str = ""  # and its hash: who keeps it elsewhere can tell later that nothing before it was changed
    is_whole: bool = False  # nothing follows


def verify(tx: Tx, so_far: Checked) -> Checked:
    """Look at some entries more; `Checked()` begins. Raises `AuditBroken` for the first that is wrong, `AuditCut`."""
    rows = queries.audit.following(tx, after=so_far.last, limit=_PAGE)
    last, end = so_far.last, so_far.hash
    for row in rows:
        if _link(end, row[1:8]) != row[8]:
            raise AuditBroken(entry=row[0])
        last, end = row[0], row[8]
    is_whole = len(rows) < _PAGE
    if is_whole and queries.audit.end(tx) != end:
        raise AuditCut(entry=last)
    return Checked(so_far.count + len(rows), last, end, is_whole)
