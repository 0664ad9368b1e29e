# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The log of notices, for those who may see it: administrators all of it, those of domains what tells of the mails of
their domains' mailboxes, and a member what went to himself.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mailroom.core import clock
from mailroom.core.errors import InvalidValue, NotFound
from mailroom.core.ids import MailboxId, RecipientId
from mailroom.directory import audit, rights
from mailroom.directory.model import Actor, Member
from mailroom.mailboxes import access
from mailroom.messaging import log, recipients, send, senders
from mailroom.messaging.log import Figure
from mailroom.messaging.model import Entry, Origin, Sender, SenderState, Try
from mailroom.messaging.states import State
from mailroom.notify import days, settings
from mailroom.storage.ports import Tx

ORIGINS = (Origin.NOTICE, Origin.TEST, Origin.CODE)
LATEST = (1 << 63) - 1
COLUMNS = ("id", "created", "origin", "sender", "kind", "address", "state", "attempts", "next", "reason", "mail")
# What a spreadsheet would reckon with, were it not told that it is text.
_FORMULA = ("=", "@", "+", "-", "\t", "\r")
_CODE = re.compile(r"(CM[ES] )?[\w.-]{1,64}(?!\S)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries. Times in milliseconds; `text` is a part of an address or of a Message-ID."""

    states: Sequence[State] = ()
    kinds: Sequence[str] = ()
    since: int = 0
    until: int = LATEST
    text: str = ""


def entries(tx: Tx, by: Actor, wanted: Wanted, *, before: RecipientId | None = None, limit: int) -> Sequence[Entry]:
    """The notices of mailboxes that `by` administers, the newest first, below the id `before`; of those that wait, when
    they go on, and what for. Raises `NoPermission`, `InvalidValue`.
    """
    known = (*settings.kinds(), settings.PUSH_KIND)
    if not set(wanted.kinds) <= set(known):
        raise InvalidValue(name="kind", reason=f"must be one of {', '.join(known)}")
    found = log.entries(
        tx,
        states=tuple(wanted.states or State),
        origins=ORIGINS,
        kinds=wanted.kinds,
        mailbox_ids=_reach(tx, by),
        since=wanted.since,
        until=wanted.until,
        text=wanted.text,
        before=before,
        limit=limit,
    )
    return _explained(tx, found)


def _explained(tx: Tx, found: Sequence[Entry]) -> Sequence[Entry]:
    """With what keeps their senders from sending."""
    ways = {code: senders.by_code(tx, code) for code in {one.sender for one in found if one.state is State.QUEUED}}
    return [one if (way := ways.get(one.sender)) is None else _waiting(one, way) for one in found]


def _waiting(one: Entry, sender: Sender) -> Entry:
    if one.next_at is None:
        return one
    is_off = sender.state is SenderState.DISABLED
    return replace(
        one,
        next_at=None if is_off else max(one.next_at, sender.paused_until or 0),
        reason=one.reason or sender.reason or ("off" if is_off else ""),
    )


def own(tx: Tx, member: Member, *, before: RecipientId | None = None, limit: int) -> Sequence[Entry]:
    """What was for the member, the newest first. Of a reason he sees the code alone: a provider's words may speak of
    the server.
    """
    found = log.entries(tx, origins=ORIGINS, member_id=member.id, before=before, limit=limit)
    return [replace(one, reason=_code(one.reason)) for one in found]


def _code(reason: str) -> str:
    found = _CODE.match(reason)
    return found[0] if found else ""


def entry(tx: Tx, by: Actor, recipient_id: RecipientId) -> tuple[Entry, Sequence[Try]]:
    """One of them, and every attempt. Raises `NoPermission`, `NotFound`."""
    reach, nothing = _reach(tx, by), NotFound(what="notice", name=str(recipient_id))
    try:
        found = log.entry(tx, recipient_id)
    except NotFound:
        raise nothing from None
    if found.origin not in ORIGINS or (reach is not None and found.mailbox_id not in reach):
        raise nothing  # as if it were not there
    return _explained(tx, [found])[0], log.attempts(tx, recipient_id)


def resend(tx: Tx, by: Actor, recipient_id: RecipientId) -> None:
    """Send one that has ended without arriving once more, from the first attempt on. Raises `NoPermission`,
    `NotFound`, `NotResendable`.
    """
    found, _ = entry(tx, by, recipient_id)
    # What the first sending may have cost is not given back.
    recipients.change_options(tx, recipient_id, without="day", resent=True)
    send.resend(tx, recipient_id)
    audit.record(tx, by, "notify.resend", str(recipient_id), mailbox_id=found.mailbox_id)


def figures(tx: Tx, by: Actor, *, of_days: int) -> Sequence[Figure]:
    """How many there were a day and a kind, of the last so many days, by what has become of them; days are the
    server's. Raises `NoPermission`.
    """
    offset = days.offset(tx.now)
    since = (days.day(tx.now) - of_days + 1) * clock.DAY - offset
    return log.figures(tx, since, LATEST, origins=ORIGINS, mailbox_ids=_reach(tx, by), offset=offset)


def _reach(tx: Tx, by: Actor) -> Sequence[MailboxId] | None:
    rights.over_some(by)
    return None if by.governs_all else [one.id for one in access.administered(tx, by)]


def shown(one: Entry) -> Mapping[str, str | int | None]:
    """An entry by the names of `COLUMNS`."""
    return {
        "id": one.id,
        "created": clock.iso(one.created_at),
        "origin": one.origin.value,
        "sender": one.sender,
        "kind": one.kind,
        "address": one.address,
        "state": one.state.value,
        "attempts": one.attempts,
        "next": None if one.next_at is None else clock.iso(one.next_at),
        "reason": one.reason,
        "mail": one.trace,
    }


def sheet(found: Iterable[Entry]) -> str:
    """Entries as .csv, for spreadsheets."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(shown(one)[name]) for name in COLUMNS] for one in found)
    return text.getvalue()


def _cell(value: str | int | None) -> str:
    text = "" if value is None else str(value)
    number = text[1:].isascii() and text[1:].isdigit()
    return f"'{text}" if text.startswith(_FORMULA) and not number else text


def counted(one: Figure) -> Mapping[str, str | int]:
    """A figure: its day, its kind, and a number for each state."""
    return {"day": days.iso(one.day), "kind": one.kind} | {state.value: one.counts.get(state, 0) for state in State}
