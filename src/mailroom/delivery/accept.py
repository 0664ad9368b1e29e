# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Accepting a mail: the promise behind SMTP's `250`.

`accept` is the walk: finish the spool, refuse loops, summarise, keep a large body, then one transaction that files the
mail for every destination and emits the fact that it arrived. It returns when that transaction is durable.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.core.errors import (
    DomainNotActive,
    MailLoop,
    NotFound,
    Refusal,
    RelayDenied,
)
from mailroom.core.ids import MailboxId
from mailroom.delivery import posting
from mailroom.delivery.letters import Letter, Letters
from mailroom.delivery.spool import Spool
from mailroom.directory import access, addresses, domains
from mailroom.directory.addresses import Address
from mailroom.directory.model import Lease
from mailroom.mailboxes import quota
from mailroom.mime import headers
from mailroom.storage.ports import Store, Tx

# RFC 5321 §6.3: "at least 100 Received entries".
_HOPS_MOST = 100


@dataclass(frozen=True, slots=True)
class Destination:
    """A recipient that we deliver to: the address as the client gave it, and the mailbox behind it."""

    address: str
    mailbox_id: MailboxId


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who hands over a mail, from whom and to whom (RFC 5321 §2.3.1)."""

    sender: str  # "" is the null reverse-path
    destinations: tuple[Destination, ...]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The inbound verb."""

    store: Store
    letters: Letters

    def spool(self) -> Spool:
        """A place for a mail on its way in."""
        return self.letters.spool()

    async def find(self, address: str, *, size: int) -> Destination:
        """The mailbox behind an address, with room for `size` octets (0: unknown). Raises `InvalidAddress`, `NotFound`,
        `RelayDenied`, `DomainNotActive`, `MailboxDisabled`, `OverQuota`, `NoSpace`, `Unavailable`.
        """
        self.letters.ask_disk(size)
        mailbox_id = await self.store.read(lambda tx: _find(tx, address, size))
        return Destination(address, mailbox_id)

    async def accept(self, envelope: Envelope, spool: Spool) -> None:
        """Keep the mail for all destinations or for none; on return it is durable, and so is the duty to tell of it.
        Raises `MailLoop` and what `find` raises; then nothing of it is kept.
        """
        letter = await self._take(spool)
        mailbox_ids = [one.mailbox_id for one in envelope.destinations]
        await self.store.write(lambda tx: posting.file(tx, letter, sender=envelope.sender, mailbox_ids=mailbox_ids))

    async def accept_each(self, envelope: Envelope, spool: Spool) -> dict[Destination, Refusal | None]:
        """Keep the mail for every destination that takes it (LMTP, RFC 2033 §4.2); for each of the others, why not."""
        try:
            letter = await self._take(spool)
        except Refusal as refusal:
            return dict.fromkeys(envelope.destinations, refusal)
        # One mail a mailbox here as well, and one answer for all its addresses.
        singly = {one.mailbox_id: one for one in envelope.destinations}
        answers = {mailbox_id: await self._file_one(letter, envelope.sender, one) for mailbox_id, one in singly.items()}
        return {one: answers[one.mailbox_id] for one in envelope.destinations}

    async def _file_one(self, letter: Letter, sender: str, destination: Destination) -> Refusal | None:
        try:
            await self.store.write(
                lambda tx: posting.file(tx, letter, sender=sender, mailbox_ids=[destination.mailbox_id])
            )
        except Refusal as refusal:
            return refusal
        return None

    async def _take(self, spool: Spool) -> Letter:
        part = spool.finish()
        if (hops := len(headers.read(part.header).all("received"))) > _HOPS_MOST:
            raise MailLoop(hops=hops)
        return await self.letters.take(spool, part)


def _find(tx: Tx, text: str, size: int) -> MailboxId:
    mailbox_id = _mailbox_at(tx, text)
    quota.ask(tx, mailbox_id, size=size, address=text)
    return mailbox_id


def _mailbox_at(tx: Tx, text: str) -> MailboxId:
    if text.casefold() == "postmaster":  # RFC 5321 §4.1.1.3: without a domain, and in any case of letters
        return _postmaster(tx, text)
    address = addresses.parse(text)
    lease = addresses.resolve(tx, address)
    if lease is None:
        return _stranger(tx, address)
    _ask_domain(lease)
    if lease.mailbox_id is None:
        raise NotFound(what="mailbox", name=text)
    return lease.mailbox_id


def _ask_domain(lease: Lease) -> None:
    if not lease.domain_state.works:
        raise DomainNotActive(domain=lease.address.rpartition("@")[2])


def _stranger(tx: Tx, address: Address) -> MailboxId:
    try:
        domain = domains.get(tx, address.domain)
    except NotFound as unknown:
        raise RelayDenied(domain=address.domain) from unknown
    if not domain.state.works:
        raise DomainNotActive(domain=domain.name)
    if address.local == "postmaster":  # RFC 5321 §4.5.1: every domain has one
        return _postmaster(tx, str(address))
    raise NotFound(what="mailbox", name=str(address))


def _postmaster(tx: Tx, text: str) -> MailboxId:
    administrators = access.administrators(tx)
    if not administrators:
        raise NotFound(what="mailbox", name=text)
    return administrators[0]
