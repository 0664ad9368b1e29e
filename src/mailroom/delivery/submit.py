# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Submission: a member hands in a mail (RFC 6409). The promise behind `250` is that it is on its way to everybody, that
the limits know of it, and that its Sent copy lies where it belongs: all of that is one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mailroom.core.clock import HOUR
from mailroom.core.errors import DomainNotActive, InvalidAddress, SenderNotAllowed, SendingLimit
from mailroom.core.ids import ContentId, MailboxId, MemberId
from mailroom.core.settings import Limits
from mailroom.delivery import drafts, queries, signing
from mailroom.delivery.accept import ask_hops
from mailroom.delivery.drafts import Draft
from mailroom.delivery.letters import Letter, Letters
from mailroom.delivery.posting import Addressee, Caller, Envelope, Plan, Posting
from mailroom.delivery.returns import Returns
from mailroom.delivery.signing import Signer
from mailroom.delivery.spool import Spool
from mailroom.directory import addresses, policies
from mailroom.directory.logins import still_valid
from mailroom.directory.model import Principal
from mailroom.mailboxes import access, append, contents, read
from mailroom.mailboxes.model import Flag, FolderRole, Marks
from mailroom.mime.dkim import SigningKey
from mailroom.mime.scan import Part
from mailroom.storage.ports import Store, Tx

_SEEN: Final = Marks(Flag.SEEN)


@dataclass(frozen=True, slots=True)
class _Leave:
    """That a mail may leave: when, in whose name, whether it leaves a copy in Sent, and what signs it."""

    now: int
    mailbox_id: MailboxId
    is_kept: bool
    sent_by: MemberId | None  # None: the mailbox itself, by a client password
    keys: list[SigningKey]


@dataclass(frozen=True, slots=True)
class Submission:
    """The outbound verb."""

    store: Store
    letters: Letters
    posting: Posting
    returns: Returns
    signer: Signer
    limits: Limits

    def spool(self) -> Spool:
        """A place for a mail on its way out."""
        return self.letters.spool()

    async def sender(self, principal: Principal, address: str) -> None:
        """Return if who has signed in may send as the address now: one of his own mailbox's, or of a public one that he
        uses. As "" too: receipts and replies of machines come from nobody. Raises `SenderNotAllowed`,
        `DomainNotActive`, `Unavailable`.
        """
        await self.store.read(lambda tx: _authors(tx, principal, [address or principal.address]))

    async def recipient(self, principal: Principal, address: str, *, size: int, sender: str, before: int) -> Addressee:
        """Whom the address names, with room for `size` octets (0: unknown), as the recipient after `before` others of
        one mail from `sender`. Anybody elsewhere will do. Raises as `Posting.find` does, and `SendingLimit`, `NoSpace`.
        """
        self.letters.ask_disk(size)
        caller = Caller(sender or principal.address, is_known=True)

        def find(tx: Tx) -> Addressee:
            self._ask_limits(tx, principal, before + 1)
            return self.posting.find(tx, address, size=size, caller=caller)

        return await self.store.read(find)

    async def submit(self, principal: Principal, envelope: Envelope, spool: Spool) -> None:
        """Send the mail to all of its recipients or to none; on return it is durable, with all that it brings about.
        Raises `MalformedMail`, `SenderNotAllowed`, `SendingLimit`, `MailLoop`, and what `recipient` raises; then
        nothing of it is kept.
        """
        part = spool.finish()
        ask_hops(part)
        draft = drafts.read(part)
        leave = await self.store.read(lambda tx: self._leave(tx, principal, draft))
        letter, copy = await self._letters(spool, part, draft, leave)
        needs_utf8 = envelope.utf8 and not all(one.header.isascii() for one in part.walk())
        envelope = replace(envelope, utf8=needs_utf8, sent_by=leave.sent_by)
        plan: Plan | None = None
        if not envelope.is_plain:  # groups and scripts may take long: nobody who writes waits for them
            plan = await self.store.read(lambda tx: self.posting.plan(tx, letter, envelope))

        def hand_in(tx: Tx) -> None:
            way = self.posting.plan(tx, letter, envelope) if plan is None else plan
            self._count(tx, principal, len(envelope.destinations) + way.sent_on)
            if copy is not None and way.copies:
                append.hold(tx, leave.mailbox_id, *way.copies)
            content_id = self.posting.carry_out(tx, letter, envelope, way)
            if content_id is not None:
                self.returns.delivered(tx, content_id, envelope)
            if copy is not None:
                _keep(tx, copy, leave, shared=content_id if copy is letter else None)

        await self.store.write(hand_in)

    def _leave(self, tx: Tx, principal: Principal, draft: Draft) -> _Leave:
        answering, *_ = _authors(tx, principal, (*draft.authors, *draft.resent))
        # Into its own mailbox a mail program puts the copy itself, by IMAP.
        is_kept = answering != principal.mailbox_id or policies.is_on(tx, "submit.sent_copy")
        sent_by = principal.member.id if principal.member else None
        return _Leave(tx.now, answering, is_kept, sent_by, self.signer.keys_for(tx, draft.header))

    async def _letters(self, spool: Spool, part: Part, draft: Draft, leave: _Leave) -> tuple[Letter, Letter | None]:
        """What leaves, and what Sent keeps of it: the same, but for Bcc, which the sender may remember."""
        added = draft.added(now=leave.now, new_id=self.letters.new_id)
        header = draft.header_with(added)
        signature = await signing.sign(leave.keys, header, spool.read, part.body_start, spool.size, now=leave.now)
        letter = await self.letters.take(spool, part, named=False, prefix=signature + added, cuts=draft.cuts)
        if not leave.is_kept:
            return letter, None
        if not draft.blind:
            return letter, letter
        return letter, await self.letters.take(spool, part, named=False, prefix=added, cuts=draft.foreign)

    def _ask_limits(self, tx: Tx, principal: Principal, more: int) -> None:
        """Whether he may write to so many more recipients now."""
        hour, day = queries.sent(tx, _who(principal), hour=tx.now // HOUR)
        if 0 < self.limits.sent_per_hour < hour + more:
            raise SendingLimit(limit=self.limits.sent_per_hour, period="1 h")
        if 0 < self.limits.sent_per_day < day + more:
            raise SendingLimit(limit=self.limits.sent_per_day, period="24 h")

    def _count(self, tx: Tx, principal: Principal, more: int) -> None:
        # Counted before it is asked: two mails at once wait here for each other.
        queries.count_sent(tx, _who(principal), hour=tx.now // HOUR, more=more)
        self._ask_limits(tx, principal, 0)


def _who(principal: Principal) -> str:
    return f"member:{principal.member.id}" if principal.member else f"mailbox:{principal.mailbox_id}"


def _authors(tx: Tx, principal: Principal, texts: Sequence[str]) -> list[MailboxId]:
    """The mailbox of each address, if who has signed in may send as all of them. Raises `SenderNotAllowed`,
    `DomainNotActive`.
    """
    usable = {one.id for one in access.reachable(tx, principal)} if still_valid(tx, principal) else set[MailboxId]()
    return [_author(tx, usable, text) for text in texts]


def _author(tx: Tx, usable: Collection[MailboxId], text: str) -> MailboxId:
    try:
        lease = addresses.resolve(tx, addresses.parse(text))
    except InvalidAddress as fault:
        raise SenderNotAllowed(address=text) from fault
    if lease is None or lease.mailbox_id is None or lease.mailbox_id not in usable:
        raise SenderNotAllowed(address=text)
    if not lease.domain_state.works:
        raise DomainNotActive(domain=lease.address.rpartition("@")[2])
    return lease.mailbox_id


def _keep(tx: Tx, copy: Letter, leave: _Leave, *, shared: ContentId | None) -> None:
    """Put the copy into Sent; `shared` is the content that others have of it already."""
    if shared is None:
        content_id = copy.file(tx, refs=1)
    else:
        content_id = shared
        contents.share(tx, content_id, by=1)
    sent = next(folder for folder in read.folders(tx, leave.mailbox_id) if folder.role is FolderRole.SENT)
    append.append(
        tx, content_id, into=sent.id, size=copy.size, marks=_SEEN, internal_date=tx.now, sent_by=leave.sent_by
    )
