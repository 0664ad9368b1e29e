# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Accepting a mail: the promise behind SMTP's `250`.

`accept` is the walk: finish the spool, refuse loops, judge, summarise, keep a large body, then one transaction that
files the mail for every destination and emits the fact that it arrived. It returns when that transaction is durable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mailroom.core.errors import MailLoop, NoSpace, Refusal, RelayDenied, Unavailable
from mailroom.delivery import reports
from mailroom.delivery.judge import Client, Judge, Verdict
from mailroom.delivery.letters import Letter, Letters
from mailroom.delivery.posting import Addressee, Caller, Envelope, Foreign, Plan, Posting
from mailroom.delivery.returns import Returns
from mailroom.delivery.spool import Spool
from mailroom.mailboxes.model import FolderRole
from mailroom.mime import headers
from mailroom.mime.scan import Part
from mailroom.storage.ports import Store, Tx

Destination = Addressee

# RFC 5321 §6.3: "at least 100 Received entries".
_HOPS_MOST = 100


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The inbound verb. Without a judge all is believed."""

    store: Store
    letters: Letters
    posting: Posting
    returns: Returns
    judge: Judge | None = None

    def spool(self) -> Spool:
        """A place for a mail on its way in."""
        return self.letters.spool()

    async def find(self, address: str, *, size: int, client: Client | None = None, sender: str = "") -> Destination:
        """Who is behind an address, with room for `size` octets (0: unknown), if the client may write to him.
        Raises `InvalidAddress`, `NotFound`, `RelayDenied`, `DomainNotActive`, `GroupRefused`, `MailboxDisabled`,
        `OverQuota`, `PolicyRefused`, `ComeAgain`, `NoSpace`, `Unavailable`.
        """
        self.letters.ask_disk(size)
        caller = Caller(sender, is_known=self.judge is not None and self.judge.trusts(client))
        found = await self.store.read(lambda tx: self.posting.find(tx, address, size=size, caller=caller))
        if isinstance(found.whom, Foreign) and not found.whom.is_return:
            raise RelayDenied(domain=address.rpartition("@")[2])
        if self.judge is not None:
            await self.judge.admit(client, sender=sender, recipient=address)
        return found

    async def accept(self, envelope: Envelope, spool: Spool) -> None:
        """Keep the mail for all destinations or for none; on return it is durable, and so is the duty to tell of it.
        Raises `MailLoop` and what `find` raises; then nothing of it is kept.
        """
        letter, verdict = await self._take(envelope, spool)
        await self._post(letter, envelope, verdict)

    async def accept_each(self, envelope: Envelope, spool: Spool) -> dict[Destination, Refusal | None]:
        """Keep the mail for every destination that takes it (LMTP, RFC 2033 §4.2); for each of the others, why not."""
        try:
            letter, verdict = await self._take(envelope, spool)
        except Refusal as refusal:
            return dict.fromkeys(envelope.destinations, refusal)
        try:
            await self._post(letter, envelope, verdict)
        except (NoSpace, Unavailable) as refusal:  # none of them can help it; and it may even have been kept
            return dict.fromkeys(envelope.destinations, refusal)
        except Refusal:
            pass
        else:
            return dict.fromkeys(envelope.destinations)
        # One of them takes no mail any more. One mail a mailbox here as well, and one answer for all its addresses.
        singly = {one.whom: one for one in envelope.destinations}
        answers = {whom: await self._post_one(letter, envelope, verdict, one) for whom, one in singly.items()}
        return {one: answers[one.whom] for one in envelope.destinations}

    async def _post_one(
        self, letter: Letter, envelope: Envelope, verdict: Verdict, destination: Destination
    ) -> Refusal | None:
        try:
            await self._post(letter, replace(envelope, destinations=(destination,)), verdict)
        except Refusal as refusal:
            return refusal
        return None

    async def _post(self, letter: Letter, envelope: Envelope, verdict: Verdict) -> None:
        role = FolderRole.JUNK if verdict.junk else FolderRole.INBOX
        plan: Plan | None = None
        if not envelope.is_plain:  # groups and scripts may take long: nobody who writes waits for them
            plan = await self.store.read(lambda tx: self.posting.plan(tx, letter, envelope, role=role))
            if not verdict.is_reported:
                plan.missed.clear()

        def post(tx: Tx) -> None:
            way = self.posting.plan(tx, letter, envelope, role=role) if plan is None else plan
            content_id = self.posting.carry_out(tx, letter, envelope, way)
            if content_id is not None and verdict.is_reported:
                self.returns.delivered(tx, content_id, envelope)

        await self.store.write(post)

    async def _take(self, envelope: Envelope, spool: Spool) -> tuple[Letter, Verdict]:
        """The letter, and what becomes of it."""
        part = spool.finish()
        ask_hops(part)
        verdict = Verdict()
        if self.judge is not None:
            recipients = [one.address for one in envelope.destinations]
            verdict = await self.judge.judge(
                envelope.client, spool, part, sender=envelope.sender, recipients=recipients
            )
        if not verdict.junk and (found := await reports.find(spool, part)):
            # Before the mail: should that be refused now, it comes again, and the report is written down once.
            await self.store.write(lambda tx: reports.keep(tx, found))
        letter = await self.letters.take(spool, part, prefix=verdict.prefix, cuts=verdict.cuts)
        return letter, verdict


def ask_hops(part: Part) -> None:
    """Raise `MailLoop` for a mail that has been through too many servers."""
    if (hops := len(headers.read(part.header).all("received"))) > _HOPS_MOST:
        raise MailLoop(hops=hops)
