# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of a mail in one mailbox: what its rules decide, and the copies that lie in its folders afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from mailroom.core import log
from mailroom.core.clock import DAY
from mailroom.core.errors import InvalidValue, NotFound, TooMany
from mailroom.core.ids import ContentId, MailboxId
from mailroom.delivery import answers, rules
from mailroom.delivery.answers import Answer, Rejection, Reply
from mailroom.delivery.letters import Letter
from mailroom.delivery.rules import Rules
from mailroom.delivery.sieve import run as sieve
from mailroom.delivery.sieve import tree
from mailroom.directory import addresses
from mailroom.events import outbox
from mailroom.events.facts import MailArrived
from mailroom.mailboxes import append, folders, read
from mailroom.mailboxes.model import FIRST_FOLDERS, NO_FLAGS, NO_MARKS, Flag, Folder, FolderRole, Marks, Placed
from mailroom.mime import preview
from mailroom.mime.headers import Headers
from mailroom.mime.scan import Part, scan
from mailroom.storage.ports import Tx

_LOG = log.get("filing")

_PERIOD: Final = 7 * DAY  # RFC 3834 §2: until the same person is replied to again
_TEXT_MOST: Final = 64 * 1024  # octets that a script sees of a text
_TEXTS_MOST: Final = 20
_KEYWORDS_MOST: Final = 20
_QUIET: Final = {FolderRole.JUNK, FolderRole.TRASH}  # what comes there is told to nobody
_KEYWORD: Final = re.compile(r"[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]{1,100}")
_FLAGS: Final = {f"\\{flag.name}".lower(): flag for flag in Flag}


@dataclass(frozen=True, slots=True)
class Copy:
    """One mail in one folder, by its name or role; in the inbox, where there is no such folder."""

    mailbox_id: MailboxId
    into: FolderRole | str = FolderRole.INBOX
    marks: Marks = NO_MARKS
    creates: bool = False  # the folder is made when it is missing


@dataclass(frozen=True, slots=True)
class Decision:
    """What a mailbox wants done with a mail."""

    copies: tuple[Copy, ...]
    redirects: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True)
class Arrival:
    """A mail as a mailbox's rules see it. `names` are all that the mailbox answers to."""

    letter: Letter
    fields: Headers
    sender: str
    recipient: str
    names: Collection[str]

    @property
    def size(self) -> int:
        """Octets of the mail."""
        return self.letter.size

    @cached_property
    def _part(self) -> Part:
        return scan(self.letter.beginning)

    def texts(self, transform: str, kinds: Collection[str]) -> Sequence[str]:
        """See `sieve.run.Mail`. Only the first 64 KiB of the mail are looked at."""
        octets = self.letter.beginning
        if transform == ":raw":
            return [octets[self._part.body_start :].decode("utf-8", "replace")]
        wanted = kinds if transform == ":content" else ["text"]
        parts = [part for part in self._part.walk() if not part.children and _is_one_of(part, wanted)]
        return [
            preview.part_text(part, lambda start, end: octets[start:end], limit=_TEXT_MOST)
            for part in parts[:_TEXTS_MOST]
        ]


def _is_one_of(part: Part, kinds: Collection[str]) -> bool:
    return any(kind in {"", part.content_type, part.content_type.partition("/")[0]} for kind in kinds)


def decide(tx: Tx, mailbox_id: MailboxId, rules_: Rules, arrival: Arrival) -> Decision:
    """What the mailbox's rules make of a mail. The script comes first; what it throws away or sends back is not
    forwarded, and what it replies to is not replied to again.
    """
    outcome = _filtered(tx, mailbox_id, rules_, arrival)
    if outcome.rejection is not None:
        if arrival.sender:
            return Decision((), answers=(Rejection(arrival.sender, arrival.recipient, outcome.rejection),))
        outcome = sieve.Outcome()  # nobody could be told: better kept
    filed, redirects = list(outcome.filed), list(outcome.redirects)
    is_thrown_away = not filed and not redirects
    if rules_.forwarding.to and not is_thrown_away:
        redirects += rules_.forwarding.to
        if not rules_.forwarding.keeps:
            filed = [one for one in filed if one.folder]
    copies = tuple(
        Copy(mailbox_id, one.folder or FolderRole.INBOX, _marks(one.flags), creates=one.creates) for one in filed
    )
    reply = None if is_thrown_away else _reply(tx, mailbox_id, rules_, arrival, outcome.vacation)
    return Decision(copies, tuple(dict.fromkeys(redirects)), (reply,) if reply else ())


def _filtered(tx: Tx, mailbox_id: MailboxId, rules_: Rules, arrival: Arrival) -> sieve.Outcome:
    if not rules_.script:
        return sieve.Outcome()
    try:
        script = rules.compiled(rules_.script)
    except InvalidValue as bad:  # an older release took it
        outcome = sieve.Outcome(fault=str(bad))
    else:
        names = {folder.name for folder in read.folders(tx, mailbox_id)} if script.asks_folders else set[str]()
        outcome = sieve.run(script, arrival, folders=names, now=tx.now)
    if outcome.fault:
        _LOG.warning("filter not followed", mailbox=mailbox_id, reason=outcome.fault)
    return outcome


def _reply(
    tx: Tx, mailbox_id: MailboxId, rules_: Rules, arrival: Arrival, vacation: tree.Vacation | None
) -> Reply | None:
    auto = rules_.reply if rules_.reply and rules_.reply.is_due(tx.now) else None
    names = {*arrival.names, *(map(str.casefold, vacation.addresses) if vacation else ())}
    if not (vacation or auto) or not answers.may_reply(arrival.fields, sender=arrival.sender, names=names):
        return None
    own, called = addresses.primary(tx, mailbox_id), read.mailbox(tx, mailbox_id).name
    if vacation is not None:
        said = (vacation.subject, vacation.from_, str(vacation.is_mime), vacation.reason)
        return Reply(
            mailbox_id,
            arrival.sender,
            from_=_own(vacation.from_, arrival.names) or own,
            name=called,
            text=vacation.reason,
            handle=_digest(vacation.handle or "\0".join(said)),
            period=vacation.period,
            subject=vacation.subject,
            is_mime=vacation.is_mime,
        )
    assert auto is not None, "one of the two was there"
    return Reply(
        mailbox_id,
        arrival.sender,
        from_=own,
        name=called,
        text=auto.text,
        handle="",
        period=_PERIOD,
        subject=auto.subject,
    )


def _own(wanted: str, names: Collection[str]) -> str:
    """The address that a script wants to reply from, if it is the mailbox's."""
    bare = wanted.rpartition("<")[2].rstrip("> ").casefold()
    return bare if bare in names else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _marks(named: Collection[str]) -> Marks:
    flags, keywords = NO_FLAGS, set[str]()
    for name in named:
        if flag := _FLAGS.get(name.lower()):
            flags |= flag
        elif _KEYWORD.fullmatch(name):
            keywords.add(name)
    return Marks(flags, frozenset(sorted(keywords)[:_KEYWORDS_MOST])) if flags or keywords else NO_MARKS


def file(tx: Tx, content_id: ContentId, copies: Sequence[Copy], *, size: int, sender: str) -> None:
    """Put the mail where these copies in one mailbox say, with the fact that it arrived, unless all of them are junk or
    trash; the content must count them among its `refs`. Raises `OverQuota`, `MailboxDisabled`.
    """
    is_told = False
    for copy in copies:
        role, placed = _place(tx, content_id, copy, size=size, sender=sender)
        if is_told or role in _QUIET:
            continue
        is_told = True
        outbox.emit(
            tx,
            MailArrived(
                mailbox_id=copy.mailbox_id,
                folder_id=placed.folder_id,
                uid=placed.uid,
                content_id=content_id,
                envelope_from=sender,
            ),
        )


def _place(tx: Tx, content_id: ContentId, copy: Copy, *, size: int, sender: str) -> tuple[FolderRole, Placed]:
    if isinstance(copy.into, FolderRole) and copy.marks is NO_MARKS:  # nearly every mail
        return copy.into, append.deliver(
            tx, content_id, copy.mailbox_id, role=copy.into, size=size, envelope_from=sender
        )
    folder = _folder(tx, copy)
    placed = append.deliver_into(tx, content_id, folder, marks=copy.marks, size=size, envelope_from=sender)
    return folder.role, placed


def _folder(tx: Tx, copy: Copy) -> Folder:
    """The folder that is meant, made if it is to be; else the inbox."""
    name = FIRST_FOLDERS[copy.into] if isinstance(copy.into, FolderRole) else copy.into
    folder = folders.by_name(tx, copy.mailbox_id, name)
    if folder is None and copy.creates:
        # A name that is none, or one too many: RFC 5490 §3.2 leaves it to us what then.
        with contextlib.suppress(InvalidValue, TooMany):
            folders.create(tx, copy.mailbox_id, name)
            folder = folders.by_name(tx, copy.mailbox_id, name)
    folder = folder or folders.by_name(tx, copy.mailbox_id, FIRST_FOLDERS[FolderRole.INBOX])
    if folder is None:
        raise NotFound(what="folder", name=name)
    return folder
