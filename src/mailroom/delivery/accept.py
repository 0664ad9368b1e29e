# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Accepting a mail: the promise behind SMTP's `250`.

`accept` is the walk: finish the spool, refuse loops, summarise, keep a large body, then one transaction that files the
mail for every destination and emits the fact that it arrived. It returns when that transaction is durable.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from mailroom.core.errors import (
    DomainNotActive,
    MailLoop,
    NoSpace,
    NotFound,
    Refusal,
    RelayDenied,
)
from mailroom.core.ids import MailboxId, NewId
from mailroom.delivery.spool import Spool
from mailroom.directory import access, addresses, domains
from mailroom.directory.addresses import Address
from mailroom.directory.model import Lease
from mailroom.events import outbox
from mailroom.events.facts import MailArrived
from mailroom.mailboxes import append, contents, quota
from mailroom.mailboxes.contents import Bodies, Large, Small
from mailroom.mailboxes.model import FolderRole
from mailroom.mime import headers
from mailroom.mime.structure import Summary, summarise
from mailroom.storage.ports import Store, Tx

# RFC 5321 §6.3: "at least 100 Received entries".
_HOPS_MOST = 100
_PIECE = 1 << 20
_FEW = 20  # parts


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
    """The inbound verb. `reserve` octets of the disk that holds `folder` stay free: mail is refused before the disk is
    full, so that what has been accepted can still be worked on.
    """

    store: Store
    bodies: Bodies
    folder: Path  # for spools
    hostname: str
    new_id: NewId
    reserve: int

    def spool(self) -> Spool:
        """A place for a mail on its way in; it keeps the reserve too."""
        return Spool(self.folder, reserve=self.reserve)

    async def find(self, address: str, *, size: int) -> Destination:
        """The mailbox behind an address, with room for `size` octets (0: unknown). Raises `InvalidAddress`, `NotFound`,
        `RelayDenied`, `DomainNotActive`, `MailboxDisabled`, `OverQuota`, `NoSpace`, `Unavailable`.
        """
        self._ask_disk(size)
        mailbox_id = await self.store.read(lambda tx: _find(tx, address, size))
        return Destination(address, mailbox_id)

    def _ask_disk(self, size: int) -> None:
        disk = os.statvfs(self.folder)
        if disk.f_bavail * disk.f_frsize < self.reserve + size:
            raise NoSpace

    async def accept(self, envelope: Envelope, spool: Spool) -> None:
        """Keep the mail for all destinations or for none; on return it is durable, and so is the duty to tell of it.
        Raises `MailLoop` and what `find` raises; then nothing of it is kept.
        """
        letter = await self._take(spool)
        await self.store.write(lambda tx: _file(tx, letter, envelope.sender, envelope.destinations))

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

    async def _file_one(self, letter: _Letter, sender: str, destination: Destination) -> Refusal | None:
        try:
            await self.store.write(lambda tx: _file(tx, letter, sender, (destination,)))
        except Refusal as refusal:
            return refusal
        return None

    async def _take(self, spool: Spool) -> _Letter:
        part = spool.finish()
        if (hops := len(headers.read(part.header).all("received"))) > _HOPS_MOST:
            raise MailLoop(hops=hops)
        if spool.path is None and len(part.children) <= _FEW:
            summary = summarise(part, spool.read)
        else:  # it may take long: let the others talk meanwhile
            summary = await asyncio.to_thread(summarise, part, spool.read)
        if not summary.message_id:
            return await self._take_named(spool)
        body: Small | Large
        if spool.path is None:
            body = Small(spool.read(0, spool.size))
        else:
            body = await self.bodies.keep(spool.sha256, spool.path)
        return _Letter(body, summary, spool.size)

    async def _take_named(self, spool: Spool) -> _Letter:
        # Spec 1.3 RES 3: every mail has a Message-ID; one that lacks it is given one, as its first header field.
        with self.spool() as named:
            header = f"Message-ID: <{self.new_id()}@{self.hostname}>\r\n".encode()
            await asyncio.to_thread(_copy, spool, named, header)
            return await self._take(named)


@dataclass(frozen=True, slots=True)
class _Letter:
    body: Small | Large
    summary: Summary
    size: int


def _copy(spool: Spool, named: Spool, header: bytes) -> None:
    named.write(header)
    for start in range(0, spool.size, _PIECE):
        named.write(spool.read(start, min(start + _PIECE, spool.size)))


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


def _file(tx: Tx, letter: _Letter, sender: str, destinations: tuple[Destination, ...]) -> None:
    # One mail a mailbox, though it was addressed twice; in the order of ids, so that two such transactions cannot
    # wait for each other.
    mailbox_ids = sorted({one.mailbox_id for one in destinations})
    content_id = contents.add(tx, letter.body, letter.summary, size=letter.size, refs=len(mailbox_ids))
    for mailbox_id in mailbox_ids:
        placed = append.deliver(
            tx, content_id, mailbox_id, role=FolderRole.INBOX, size=letter.size, envelope_from=sender
        )
        outbox.emit(
            tx,
            MailArrived(
                mailbox_id=mailbox_id,
                folder_id=placed.folder_id,
                uid=placed.uid,
                content_id=content_id,
                envelope_from=sender,
            ),
        )
