# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What has gone out, what waits, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import BindParameter, and_, bindparam, func, insert, literal_column, or_, select, text

from mailroom.core.clock import DAY
from mailroom.core.ids import MailboxId, MemberId, MessageId, RecipientId
from mailroom.messaging.model import Entry, Origin, Try
from mailroom.messaging.states import State
from mailroom.storage import schema
from mailroom.storage.ports import Row, Tx

_senders = schema.senders
_messages = schema.messages
_recipients = schema.recipients
_attempts = schema.attempts

_ADD_ATTEMPT = insert(_attempts).values(
    {name: bindparam(name) for name in ("recipient_id", "number", "began_at", "took", "outcome", "code", "detail")}
)
# As literal text, so that the indexes of what is listed serve. Mails have a log of their own.
_LISTED = _recipients.c.origin != literal_column("'mail'")
_WANTED = and_(
    _recipients.c.state.in_(bindparam("states", expanding=True)),
    _recipients.c.origin.in_(bindparam("origins", expanding=True)),
    or_(bindparam("any_kind") == 1, _senders.c.kind.in_(bindparam("kinds", expanding=True))),
)
_SINCE: BindParameter[int] = bindparam("since")
_UNTIL: BindParameter[int] = bindparam("until")
_OF_MAILBOXES = _messages.c.mailbox_id.in_(bindparam("mailbox_ids", expanding=True))
_OF_MEMBER = _messages.c.member_id == bindparam("member_id")
_TEXT: BindParameter[str] = bindparam("text")
_ENTRIES = (
    select(
        _recipients.c.id,
        _recipients.c.message_id,
        _messages.c.msgid,
        _messages.c.origin,
        _messages.c.trace,
        _senders.c.code,
        _senders.c.kind,
        _recipients.c.address,
        _recipients.c.state,
        _recipients.c.attempts,
        _recipients.c.next_at,
        _recipients.c.provider_id,
        _recipients.c.reason,
        _recipients.c.created_at,
        _recipients.c.updated_at,
        _messages.c.mailbox_id,
        _messages.c.member_id,
    )
    .join(_messages, _messages.c.id == _recipients.c.message_id)
    .join(_senders, _senders.c.id == _recipients.c.sender_id)
    .where(
        _recipients.c.id < bindparam("before"),
        _WANTED,
        # Their message's time is the same, but its index would find too many, and not in this order.
        _recipients.c.created_at >= _SINCE,
        _recipients.c.created_at < _UNTIL,
        or_(
            func.lower(_messages.c.trace).like(_TEXT, escape="\\"),
            func.lower(_recipients.c.address).like(_TEXT, escape="\\"),
        ),
    )
    .order_by(_recipients.c.id.desc())
    .limit(bindparam("limit"))
)
_ENTRIES_LISTED = _ENTRIES.where(_LISTED)
_ENTRIES_OF_MAILBOXES = _ENTRIES.where(_OF_MAILBOXES)
_ENTRIES_OF_MEMBER = _ENTRIES.where(_OF_MEMBER)
_DAY = (_recipients.c.created_at + bindparam("offset")) // DAY
_FIGURES = (
    select(_DAY.label("day"), _senders.c.kind, _recipients.c.state, func.count())
    .select_from(_recipients)
    .join(_messages, _messages.c.id == _recipients.c.message_id)
    .join(_senders, _senders.c.id == _recipients.c.sender_id)
    .where(_WANTED, _recipients.c.created_at >= _SINCE, _recipients.c.created_at < _UNTIL)
    .group_by(text("day"), _senders.c.kind, _recipients.c.state)
)
_FIGURES_LISTED = _FIGURES.where(_LISTED)
_FIGURES_OF_MAILBOXES = _FIGURES.where(_OF_MAILBOXES)
_ATTEMPT_LOG = (
    select(
        _attempts.c.number,
        _attempts.c.began_at,
        _attempts.c.took,
        _attempts.c.outcome,
        _attempts.c.code,
        _attempts.c.detail,
    )
    .where(_attempts.c.recipient_id == bindparam("which"))
    .order_by(_attempts.c.id)
)
_SPECIAL = re.compile(r"[%_\\]")  # in a pattern of LIKE
_CHUNK = 500  # ids that one statement names


def add_attempts(tx: Tx, tries: Iterable[tuple[RecipientId, Try]]) -> None:
    tx.many(_ADD_ATTEMPT, [{"recipient_id": recipient_id, **asdict(one)} for recipient_id, one in tries])


@dataclass(frozen=True, slots=True)
class Filter:
    """Which recipients. Without `kinds`: of any; without `text`: with any."""

    states: tuple[State, ...]
    origins: tuple[Origin, ...]
    kinds: tuple[str, ...]
    since: int
    until: int
    text: str = ""

    def values(self) -> dict[str, Any]:
        """For the statements."""
        return {
            "states": [state.value for state in self.states],
            "origins": [origin.value for origin in self.origins],
            "any_kind": int(not self.kinds),
            "kinds": self.kinds,
            "since": self.since,
            "until": self.until,
        }

    def pattern(self) -> str:
        """For LIKE."""
        return "%" + _SPECIAL.sub(r"\\\g<0>", self.text.lower()) + "%"


def entries(
    tx: Tx,
    wanted: Filter,
    *,
    mailbox_ids: Sequence[MailboxId] | None,
    member_id: MemberId | None,
    before: int,
    limit: int,
) -> Sequence[Entry]:
    values = wanted.values() | {"text": wanted.pattern(), "before": before, "limit": limit}
    if mailbox_ids is not None:
        rows = [
            row for part in _parts(mailbox_ids) for row in tx.all(_ENTRIES_OF_MAILBOXES, mailbox_ids=part, **values)
        ]
        found = sorted(map(_to_entry, rows), key=lambda one: one.id, reverse=True)[:limit]
    elif member_id is not None:
        found = [_to_entry(row) for row in tx.all(_ENTRIES_OF_MEMBER, member_id=member_id, **values)]
    else:
        statement = _ENTRIES if Origin.MAIL in wanted.origins else _ENTRIES_LISTED
        found = [_to_entry(row) for row in tx.all(statement, **values)]
    return found


def figures(
    tx: Tx, wanted: Filter, *, mailbox_ids: Sequence[MailboxId] | None, offset: int
) -> Iterator[tuple[int, str, State, int]]:
    """Day, sender kind, state, and how many."""
    values = wanted.values() | {"offset": offset}
    if mailbox_ids is None:
        rows: Iterable[Row] = tx.all(_FIGURES if Origin.MAIL in wanted.origins else _FIGURES_LISTED, **values)
    else:
        rows = (
            row for part in _parts(mailbox_ids) for row in tx.all(_FIGURES_OF_MAILBOXES, mailbox_ids=part, **values)
        )
    for row in rows:
        yield row[0], row[1], State(row[2]), row[3]


def _parts(ids: Sequence[MailboxId]) -> Iterator[Sequence[MailboxId]]:
    return (ids[at : at + _CHUNK] for at in range(0, len(ids), _CHUNK))


def _to_entry(row: Row) -> Entry:
    return Entry(
        id=RecipientId(row[0]),
        message_id=MessageId(row[1]),
        msgid=row[2],
        origin=Origin(row[3]),
        trace=row[4],
        sender=row[5],
        kind=row[6],
        address=row[7],
        state=State(row[8]),
        attempts=row[9],
        next_at=row[10],
        provider_id=row[11],
        reason=row[12],
        created_at=row[13],
        updated_at=row[14],
        mailbox_id=None if row[15] is None else MailboxId(row[15]),
        member_id=None if row[16] is None else MemberId(row[16]),
    )


def attempts(tx: Tx, recipient_id: RecipientId) -> Sequence[Try]:
    return [Try(*row) for row in tx.all(_ATTEMPT_LOG, which=recipient_id)]
