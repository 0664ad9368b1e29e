# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails that a mailbox sends by itself in answer to one that has arrived: automatic replies (RFC 3834, RFC 5230) and
refusals (RFC 5429); and what a group has to tell of members who take no mail. To whom, and when not, so that no two
machines ever talk to each other.
"""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from email.header import Header
from email.utils import formatdate
from typing import Final

from mailroom.core.clock import SECOND, iso
from mailroom.core.errors import InvalidAddress, MailboxDisabled, OverQuota, Refusal
from mailroom.core.ids import MailboxId, NewId
from mailroom.core.text import LANGUAGES, N_, translation
from mailroom.delivery import rules
from mailroom.delivery.letters import Letter, written
from mailroom.directory import addresses
from mailroom.mime import address, dsn, headers
from mailroom.mime.dsn import Action, Fate, Letterhead, Returned
from mailroom.mime.headers import Headers
from mailroom.storage.ports import Tx

# RFC 5230 §4.6, and what today's machines call themselves.
_MACHINE: Final = re.compile(
    r"(?:owner-.*|.*-(?:request|owner|bounces?)|mailer-daemon|listserv|majordomo|postmaster|bounces?(?:[+=-].*)?"
    r"|(?:no|do-?not)[._-]?reply.*)@.*",
    re.IGNORECASE | re.DOTALL,
)
_NAMING: Final = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
_ID_MOST: Final = 900  # characters; a line has 998 octets at most (RFC 5322 §2.1.1)
_REFERENCES_MOST: Final = 2000  # octets
_SUBJECT_MOST: Final = 200
_RETURNED_MOST: Final = 64 * 1024  # octets of a header that go back
_MIME_FIELD: Final = re.compile(r"content-[a-z-]+", re.IGNORECASE)


_REJECTED: Final = N_("Rejected: {subject}")
_REJECTED_BY: Final = N_("Your mail was rejected by its recipient {recipient}:")
_UNDELIVERED: Final = N_("Not delivered: {subject}")
_UNDELIVERED_TO: Final = N_("Your mail of {date} could not be delivered to:")
_MISSED_MOST: Final = 100  # members that a report names: it must not become a thousand times the mail
# RFC 3463; else 5.1.1: nobody has the address.
_STATUS: Final[Mapping[type[Refusal], str]] = {OverQuota: "5.2.2", MailboxDisabled: "5.2.1"}


@dataclass(frozen=True, slots=True)
class Reply:
    """An automatic reply, from a mailbox to who wrote to it. `period` is how long he is not replied to again, in
    milliseconds, by what `handle` names.
    """

    mailbox_id: MailboxId
    to: str
    from_: str  # address
    name: str
    text: str
    handle: str
    period: int
    subject: str = ""  # "": one about the mail's
    is_mime: bool = False  # `text` is a MIME entity


@dataclass(frozen=True, slots=True)
class Rejection:
    """A mail goes back to its sender, who is told why."""

    to: str
    recipient: str
    reason: str


@dataclass(frozen=True, slots=True)
class Missed:
    """Some members of a group do not get a mail: its sender is told who, and why."""

    to: str
    members: Mapping[str, Refusal]


Answer = Reply | Rejection | Missed


def may_reply(fields: Headers, *, sender: str, names: Collection[str]) -> bool:
    """Whether a mail may be replied to by a machine: a person has sent it, and to this mailbox, which answers to
    `names` (RFC 3834 §2).
    """
    try:
        from_ = addresses.parse(sender)
    except InvalidAddress:  # nobody, first of all
        return False
    if str(from_) in names or str(from_.untagged) in names or _MACHINE.fullmatch(sender):
        return False
    if any(name.startswith("list-") for name, _ in fields.fields):
        return False
    if _word(fields, "auto-submitted") not in {"", "no"} or _word(fields, "precedence") in {"bulk", "list", "junk"}:
        return False
    if {"all", "oof", "autoreply"} & set(re.split(r"[\s,]+", _text(fields, "x-auto-response-suppress"))):
        return False
    return any(_is_named(raw, names) for name in _NAMING for raw in fields.all(name))


def _text(fields: Headers, name: str) -> str:
    return headers.decode(fields.first(name) or b"").lower()


def _word(fields: Headers, name: str) -> str:
    return _text(fields, name).partition(";")[0].strip()


def _is_named(raw: bytes, names: Collection[str]) -> bool:
    for one in address.mailboxes(address.parse(raw)):
        try:
            named = addresses.parse(one.addr)
        except InvalidAddress:
            continue
        if str(named) in names or str(named.untagged) in names:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes answers. `hostname` is ours; `sign` puts signatures before a mail of ours."""

    hostname: str
    new_id: NewId
    sign: Callable[[Tx, bytes], bytes]

    def write(self, tx: Tx, letter: Letter, answer: Answer) -> Letter | None:
        """The answer to a letter; None: the same one has been given lately. That it is given now is noted."""
        if isinstance(answer, Rejection):
            return written(self.sign(tx, self._rejection(tx, letter, answer)))
        if isinstance(answer, Missed):
            return written(self.sign(tx, self._missed(tx, letter, answer)))
        if not rules.may_reply_again(tx, answer.mailbox_id, handle=answer.handle, to=answer.to, period=answer.period):
            return None
        return written(self.sign(tx, self._reply(tx, letter, answer)))

    def _reply(self, tx: Tx, letter: Letter, reply: Reply) -> bytes:
        subject = reply.subject or f"Auto: {letter.summary.subject}"
        head = self._head(tx, letter, from_=_named(reply.name, reply.from_), to=reply.to, subject=subject)
        if reply.is_mime:
            return head + _entity(reply.text)
        return head + _plain(reply.text)

    def _rejection(self, tx: Tx, letter: Letter, rejection: Rejection) -> bytes:
        subject, said = _spoken(_REJECTED, _REJECTED_BY, letter, recipient=rejection.recipient)
        head = self._letterhead(tx, letter, to=rejection.to, subject=subject, said=[*said, rejection.reason])
        return self._report(tx, letter, head, [_fate(rejection.recipient, "5.7.1", rejection.reason)])

    def _missed(self, tx: Tx, letter: Letter, missed: Missed) -> bytes:
        subject, said = _spoken(_UNDELIVERED, _UNDELIVERED_TO, letter, date=iso(tx.now))
        named = list(missed.members.items())[:_MISSED_MOST]
        fates = [_fate(one, _STATUS.get(type(why), "5.1.1"), str(why)) for one, why in named]
        listed = [f"    {fate.recipient}\n        {fate.diagnostic}" for fate in fates]
        head = self._letterhead(tx, letter, to=missed.to, subject=subject, said=[*said, *listed])
        return self._report(tx, letter, head, fates)

    def _letterhead(self, tx: Tx, letter: Letter, *, to: str, subject: str, said: Sequence[str]) -> Letterhead:
        from_ = _named("Mailroom", f"mailer-daemon@{self.hostname}")
        return Letterhead(
            header=self._head(tx, letter, from_=from_, to=to, subject=subject),
            text="\n\n".join(said) + "\n",
            boundary=f"=_{self.new_id()}",
        )

    def _report(self, tx: Tx, letter: Letter, head: Letterhead, fates: Sequence[Fate]) -> bytes:
        returned = Returned(octets=letter.header[:_RETURNED_MOST], whole=False)
        return dsn.build(head, fates, returned, reporter=self.hostname, arrived_at=tx.now)

    def _head(self, tx: Tx, letter: Letter, *, from_: str, to: str, subject: str) -> bytes:
        message_id = letter.summary.message_id if len(letter.summary.message_id) <= _ID_MOST else ""
        references = " ".join((*letter.summary.references, message_id))
        if len(references) > _REFERENCES_MOST:
            references = message_id
        fields = {
            "From": from_,
            "To": f"<{to}>",
            "Subject": _encoded(headers.one_line(subject)[:_SUBJECT_MOST], "Subject"),
            "Date": formatdate(tx.now / SECOND),
            "Message-ID": f"<{self.new_id()}@{self.hostname}>",
            "In-Reply-To": message_id,
            "References": references.replace(" ", "\r\n "),
            "Auto-Submitted": "auto-replied",
        }
        return "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value).encode("utf-8", "replace")


def _spoken(subject: str, text: str, letter: Letter, **about: str) -> tuple[str, list[str]]:
    """The two in all our languages: the subject on one line."""
    spoken = [translation(language) for language in LANGUAGES]
    subjects = (words.gettext(subject).format(subject=letter.summary.subject) for words in spoken)
    return " / ".join(subjects), [words.gettext(text).format(**about) for words in spoken]


def _fate(recipient: str, status: str, reason: str) -> Fate:
    return Fate(recipient, Action.FAILED, status, headers.one_line(f"550 {status} {reason}"))


def _named(name: str, of: str) -> str:
    return f"{_encoded(name, 'From')} <{of}>"


def _encoded(text: str, name: str) -> str:
    """A text as a header field takes it (RFC 2047)."""
    if text.isascii() and re.fullmatch(r"[\w .,!?:/+-]*", text) and not (name == "From" and re.search(r"[.,:]", text)):
        return text
    return Header(text, "utf-8", header_name=name).encode(linesep="\r\n")


def _plain(text: str) -> bytes:
    lines = "\r\n".join(text.splitlines()) + "\r\n"
    encoded = encodebytes(lines.encode("utf-8", "replace")).replace(b"\n", b"\r\n")
    return (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encoded
    )


def _entity(text: str) -> bytes:
    """A MIME entity that a script gave: of its header only what belongs to MIME."""
    lines = text.splitlines()
    end = lines.index("") if "" in lines else 0
    kept: list[str] = []
    is_kept = False
    for line in lines[:end]:
        if line[:1] not in {" ", "\t"}:
            is_kept = _MIME_FIELD.fullmatch(line.partition(":")[0].strip()) is not None and ":" in line
        if is_kept:
            kept.append(line)
    return "\r\n".join(["MIME-Version: 1.0", *kept, "", *lines[end + 1 if end else 0 :], ""]).encode("utf-8", "replace")
