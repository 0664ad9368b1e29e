# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Giving mailboxes another address. Only the address changes: folders, UIDs, client passwords, filters and notices stay
with the mailbox, and what it went by before still reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mailroom.core.errors import Refusal, TooMany
from mailroom.core.ids import MailboxId
from mailroom.directory import addresses, audit, domains, rights
from mailroom.directory.addresses import Address
from mailroom.directory.model import Actor
from mailroom.mailboxes import access, recycle
from mailroom.mailboxes.model import topic
from mailroom.storage.ports import Tx

ROWS_MOST = 5_000  # of one sheet


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a sheet: which mailbox, and its new address, or the new part before the @."""

    number: int  # from 1
    address: str
    new: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a line, or would come. `new` is the whole address."""

    line: Line
    new: str
    refusal: Refusal | None = None


class NotAll(Exception):
    """Some lines of a sheet were refused, hence nothing of it was done; or it was a dry run."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        super().__init__(outcomes)
        self.outcomes = outcomes


def rename(tx: Tx, by: Actor, mailbox_id: MailboxId, new: Address) -> None:
    """Let the mailbox go by `new`, of the same or another domain; what it went by stays, as a former address. Raises
    `NoPermission`, `AddressTaken`, `DomainNotActive`, `NotFound`.
    """
    rights.over_mailbox(tx, by, mailbox_id)
    rights.over(by, domains.get(tx, new.domain).id)
    recycle.hold_in_use(tx, mailbox_id)
    old = addresses.rename(tx, mailbox_id, new)
    if old == str(new):
        return
    audit.record(
        tx, by, "mailbox.rename", old, before={"address": old}, after={"address": str(new)}, mailbox_id=mailbox_id
    )
    tx.hint(topic(mailbox_id))


def rename_all(tx: Tx, by: Actor, lines: Iterable[Line], *, keep: bool) -> Sequence[Outcome]:
    """Rename all mailboxes of a sheet, or none. Raises `NotAll` with what came of each line when one was refused, or
    when this is not to be kept: a dry run. Raises `TooMany`.
    """
    lines = list(lines)
    if len(lines) > ROWS_MOST:
        raise TooMany(what="lines", limit=ROWS_MOST)
    outcomes = [_follow(tx, by, line) for line in lines]
    if not keep or any(outcome.refusal for outcome in outcomes):
        raise NotAll(outcomes)
    return outcomes


def _follow(tx: Tx, by: Actor, line: Line) -> Outcome:
    outcome = Outcome(line, line.new)
    try:
        old = addresses.parse(line.address)
        new = addresses.parse_new(line.new if "@" in line.new else f"{line.new}@{old.domain}")
        outcome = replace(outcome, new=str(new))
        rename(tx, by, access.by_address(tx, old).id, new)
    except Refusal as refusal:
        return replace(outcome, refusal=refusal)
    return outcome


def forget(tx: Tx, by: Actor, mailbox_id: MailboxId, address: Address) -> None:
    """Let the mailbox answer no more to an alias or a former address, of a domain that `by` administers; anybody may
    take it. Raises `NoPermission`, `NotFound`.
    """
    rights.over_mailbox(tx, by, mailbox_id)
    rights.over(by, domains.get(tx, address.domain).id)
    recycle.hold(tx, mailbox_id)
    addresses.release(tx, address, mailbox_id)
    own = addresses.primary(tx, mailbox_id)
    audit.record(tx, by, "alias.remove", own, before={"alias": str(address)}, mailbox_id=mailbox_id)
