# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a mailbox wants done with mail that arrives: forwarding, an automatic reply, and filters in Sieve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mailroom.core.clock import DAY
from mailroom.core.errors import InUse, InvalidValue, NameTaken, NotFound, TooMany
from mailroom.core.ids import MailboxId
from mailroom.delivery import queries
from mailroom.delivery.sieve import grammar
from mailroom.delivery.sieve.tree import Script
from mailroom.directory import addresses
from mailroom.storage.ports import Tx

FORWARDS_MOST: Final = 5
SCRIPTS_MOST: Final = 30
SCRIPT_MOST: Final = grammar.SCRIPT_MOST  # octets
EXTENSIONS: Final = grammar.EXTENSIONS
_NAME_MOST: Final = 128  # characters of a script's name
_SUBJECT_MOST: Final = 200
_TEXT_MOST: Final = 10_000
_REPLIES_KEPT: Final = 366 * DAY  # longer than any pause between two replies


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Where mail is sent on to; nowhere: it is off."""

    to: tuple[str, ...] = ()
    keeps: bool = True  # a copy stays


@dataclass(frozen=True, slots=True)
class AutoReply:
    """An automatic reply, from and until a time in milliseconds if there is one. No subject: one about the mail's."""

    text: str
    subject: str = ""
    begins_at: int | None = None
    ends_at: int | None = None

    def is_due(self, now: int) -> bool:
        """Whether it is sent now."""
        return (self.begins_at or 0) <= now and (self.ends_at is None or now < self.ends_at)


@dataclass(frozen=True, slots=True)
class Rules:
    """All that a mailbox wants. `script` is the text of the active one."""

    forwarding: Forwarding = Forwarding()
    reply: AutoReply | None = None
    script: str = ""


NONE: Final = Rules()


def of(tx: Tx, mailbox_ids: Sequence[MailboxId]) -> Mapping[MailboxId, Rules]:
    """The rules of those of the mailboxes that have any; some hundreds may be asked for at once."""
    found = {MailboxId(row[0]): row[1:] for row in queries.rules(tx, mailbox_ids)}
    scripts = queries.active_scripts(tx, mailbox_ids)
    return {
        mailbox_id: Rules(
            *(_read(*found[mailbox_id]) if mailbox_id in found else (Forwarding(), None)), scripts.get(mailbox_id, "")
        )
        for mailbox_id in found.keys() | scripts.keys()
    }


def get(tx: Tx, mailbox_id: MailboxId) -> Rules:
    """The mailbox's rules."""
    return of(tx, [mailbox_id]).get(mailbox_id, NONE)


def _read(  # noqa: PLR0917 # the columns of a row
    to: str,
    keeps: int,
    replies: int,
    subject: str,
    text: str,
    begins_at: int | None,
    ends_at: int | None,
) -> tuple[Forwarding, AutoReply | None]:
    reply = AutoReply(text, subject, begins_at, ends_at) if replies else None
    return Forwarding(tuple(to.split()), bool(keeps)), reply


def forward(tx: Tx, mailbox_id: MailboxId, forwarding: Forwarding) -> None:
    """Send what arrives on to these addresses, or to nobody. Raises `InvalidAddress`, `TooMany`, `NotFound` for an
    address of ours that nobody has.
    """
    to = dict.fromkeys(addresses.parse(text) for text in forwarding.to)
    if len(to) > FORWARDS_MOST:
        raise TooMany(what="addresses", limit=FORWARDS_MOST)
    addresses.ask_known(tx, to.keys())
    _write(tx, mailbox_id, Forwarding(tuple(map(str, to)), forwarding.keeps), get(tx, mailbox_id).reply)


def reply(tx: Tx, mailbox_id: MailboxId, auto: AutoReply | None) -> None:
    """Reply to what arrives by this, or not at all. Raises `InvalidValue`."""
    if auto is not None:
        if not auto.text.strip() or len(auto.text) > _TEXT_MOST:
            raise InvalidValue(name="text", reason=f"1 to {_TEXT_MOST} characters")
        if len(auto.subject) > _SUBJECT_MOST or not auto.subject.isprintable():
            raise InvalidValue(name="subject", reason=f"{_SUBJECT_MOST} printable characters at most")
        if auto.ends_at is not None and auto.ends_at <= (auto.begins_at or 0):
            raise InvalidValue(name="until", reason="must come after its beginning")
    _write(tx, mailbox_id, get(tx, mailbox_id).forwarding, auto)


def _write(tx: Tx, mailbox_id: MailboxId, forwarding: Forwarding, auto: AutoReply | None) -> None:
    said = (1, auto.subject, auto.text, auto.begins_at, auto.ends_at) if auto else (0, "", "", None, None)
    queries.set_rules(tx, mailbox_id, " ".join(forwarding.to), int(forwarding.keeps), *said)


def check(text: str) -> None:
    """Raise `InvalidValue` that says what is wrong with a script."""
    compiled(text)


@lru_cache(maxsize=256)
def compiled(text: str) -> Script:
    """The script, read; those that are in use are read once. Raises `InvalidValue`."""
    return grammar.parse(text)


def put(tx: Tx, mailbox_id: MailboxId, name: str, text: str) -> None:
    """Keep a script under a name; one that is there is replaced, and stays active if it is. Raises `InvalidValue`,
    `TooMany`.
    """
    ask_room(tx, mailbox_id, name)
    check(text)
    queries.put_script(tx, mailbox_id, name, text)


def ask_room(tx: Tx, mailbox_id: MailboxId, name: str) -> None:
    """Whether a script may be kept under that name. Raises `InvalidValue`, `TooMany`."""
    _ask_name(name)
    if len(queries.scripts(tx, mailbox_id).keys() | {name}) > SCRIPTS_MOST:
        raise TooMany(what="scripts", limit=SCRIPTS_MOST)


def scripts(tx: Tx, mailbox_id: MailboxId) -> Mapping[str, bool]:
    """The names of the mailbox's scripts, and which one is active."""
    return queries.scripts(tx, mailbox_id)


def script(tx: Tx, mailbox_id: MailboxId, name: str) -> str:
    """What a script says. Raises `NotFound`."""
    text = queries.script(tx, mailbox_id, name)
    if text is None:
        raise NotFound(what="script", name=name)
    return text


def activate(tx: Tx, mailbox_id: MailboxId, name: str) -> None:
    """Filter by that script from now on; "": by none. Raises `NotFound`."""
    queries.deactivate_scripts(tx, mailbox_id)
    if name and not queries.activate_script(tx, mailbox_id, name):
        raise NotFound(what="script", name=name)


def delete(tx: Tx, mailbox_id: MailboxId, name: str) -> None:
    """Forget a script. Raises `NotFound`, `InUse` for the active one."""
    known = queries.scripts(tx, mailbox_id)
    if name not in known:
        raise NotFound(what="script", name=name)
    if known[name]:
        raise InUse(what="script", name=name, by="it is the active one")
    queries.remove_script(tx, mailbox_id, name)


def rename(tx: Tx, mailbox_id: MailboxId, name: str, new_name: str) -> None:
    """Call a script something else; it stays active if it is. Raises `NotFound`, `NameTaken`, `InvalidValue`."""
    known = queries.scripts(tx, mailbox_id)
    if name not in known:
        raise NotFound(what="script", name=name)
    if new_name in known:
        raise NameTaken(what="script", name=new_name)
    _ask_name(new_name)
    queries.rename_script(tx, mailbox_id, name, new_name)


def _ask_name(name: str) -> None:
    if not 0 < len(name) <= _NAME_MOST or not name.isprintable():
        raise InvalidValue(name="name", reason=f"1 to {_NAME_MOST} printable characters")


def may_reply_again(tx: Tx, mailbox_id: MailboxId, *, handle: str, to: str, period: int) -> bool:
    """Whether nobody has replied to that address for so many milliseconds; if so, that it is done now is noted."""
    return queries.note_reply(tx, mailbox_id, handle, to.casefold(), before=tx.now - period) > 0


def forget(tx: Tx) -> None:
    """Forget to whom was replied long ago."""
    queries.forget_replies(tx, before=tx.now - _REPLIES_KEPT)
