# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signing what leaves, with every key that the domain of its From has published (RFC 6376 §5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mailroom.core.clock import SECOND
from mailroom.core.errors import InvalidAddress
from mailroom.delivery.spool import SMALL
from mailroom.directory import policies
from mailroom.directory.dkim_keys import DkimKeys
from mailroom.directory.names import canonical_domain
from mailroom.mime import address, dkim, headers
from mailroom.mime.dkim import SigningKey
from mailroom.storage.ports import Tx

_PIECE = 1 << 20

Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes signatures."""

    keys: DkimKeys

    async def sign(self, header: bytes, read: Read, start: int, end: int) -> bytes:
        """The DKIM-Signature fields to put before the header block, one for each key; b"" where From's domain has
        none. The body is what `read` gives from `start` to `end`; `header` may lack octets that stand there before it.
        """
        signing, now = await self.keys.store.read(lambda tx: (self.keys_for(tx, header), tx.now))
        return await sign(signing, header, read, start, end, now=now)

    def sign_ours(self, tx: Tx, octets: bytes) -> bytes:
        """A small mail that we have written ourselves, signed; as it is where From's domain has no key. For use within
        a transaction: it needs nothing else.
        """
        head, empty, body = octets.partition(b"\r\n\r\n")
        header = head + empty
        signing = self.keys_for(tx, header)
        return (_fields(header, body, signing, tx.now) if signing else b"") + octets

    def keys_for(self, tx: Tx, header: bytes) -> list[SigningKey]:
        """The keys that sign a mail with this header block."""
        domain = author_domain(header)
        if not domain or not policies.is_on(tx, "dkim.sign"):
            return []
        return list(self.keys.signing(tx, domain))


async def sign(signing: list[SigningKey], header: bytes, read: Read, start: int, end: int, *, now: int) -> bytes:
    """As `Signer.sign`, with keys that were looked up before. `now` is in milliseconds."""
    if not signing:
        return b""
    if end - start <= SMALL:
        return _fields(header, read(start, end), signing, now)
    digest = await asyncio.to_thread(dkim.body_digest, _pieces(read, start, end))
    return _join(header, digest, signing, now)


def author_domain(header: bytes) -> str:
    """The domain of the one address in From, canonical; "" where there is none, or not one."""
    found = headers.read(header).all("from")
    authors = [one for raw in found for one in address.mailboxes(address.parse(raw))]
    if len(authors) != 1:
        return ""
    try:
        return canonical_domain(authors[0].host.decode("utf-8", "replace"))
    except InvalidAddress:
        return ""


def _fields(header: bytes, body: bytes, signing: list[SigningKey], now: int) -> bytes:
    return _join(header, dkim.body_digest([body]), signing, now)


def _join(header: bytes, digest: bytes, signing: list[SigningKey], now: int) -> bytes:
    return b"".join(dkim.sign(header, digest, key, now=now // SECOND) for key in signing)


def _pieces(read: Read, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _PIECE):
        yield read(at, min(at + _PIECE, end))
