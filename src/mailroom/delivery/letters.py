# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Letters: mails whose octets are all there, summarised, the large ones durable; ready for the transaction that files
them. Whatever brings a mail in makes one: SMTP, submission, APPEND, and what we write ourselves.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailroom.core.errors import NoSpace
from mailroom.core.ids import ContentId, NewId
from mailroom.delivery.rewrite import Span, rewrite
from mailroom.delivery.spool import SMALL, Spool
from mailroom.mailboxes import contents
from mailroom.mailboxes.contents import Bodies, Large, Small
from mailroom.mime.scan import Part, scan
from mailroom.mime.structure import Summary, summarise
from mailroom.storage.ports import Tx

_FEW = 20  # parts


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that can be filed. `header` is its header block, with the empty line that ends it."""

    body: Small | Large
    summary: Summary
    header: bytes
    size: int
    eight_bit: bool  # it needs 8BITMIME (RFC 6152)
    beginning: bytes = field(repr=False)  # its first octets, as many as a small mail may have

    def file(self, tx: Tx, *, refs: int) -> ContentId:
        """Write what it says, once, for `refs` holders of this same transaction: mails, and the outbox. Raises
        `Unavailable`.
        """
        return contents.add(tx, self.body, self.summary, size=self.size, refs=refs)


@dataclass(frozen=True, slots=True)
class Letters:
    """Makes letters. `reserve` octets of the disk that holds `folder` stay free: mail is refused before the disk is
    full, so that what has been accepted can still be worked on.
    """

    bodies: Bodies
    folder: Path  # for spools
    hostname: str
    new_id: NewId
    reserve: int

    def spool(self) -> Spool:
        """A place for a mail on its way in; it keeps the reserve too."""
        return Spool(self.folder, reserve=self.reserve)

    def ask_disk(self, size: int) -> None:
        """Raise `NoSpace` when `size` octets more would touch the reserve."""
        disk = os.statvfs(self.folder)
        if disk.f_bavail * disk.f_frsize < self.reserve + size:
            raise NoSpace

    async def take(
        self, spool: Spool, part: Part, *, named: bool = True, prefix: bytes = b"", cuts: Sequence[Span] = ()
    ) -> Letter:
        """The letter in a finished spool, whose octets `part` describes, with `prefix` before its header and without
        the octets in `cuts` (see `rewrite`). With `named`, a mail without Message-ID is given one. Raises `NoSpace`,
        `Unavailable`.
        """
        if prefix or cuts:
            return await self._take_rewritten(spool, part, named=named, prefix=prefix, cuts=cuts)
        if spool.path is None and len(part.children) <= _FEW:
            summary = summarise(part, spool.read)
        else:  # it may take long: let the others talk meanwhile
            summary = await asyncio.to_thread(summarise, part, spool.read)
        if named and not summary.message_id:
            # Spec 1.3 RES 3: every mail has a Message-ID; one that lacks it is given one, as its first header field.
            name = f"Message-ID: <{self.new_id()}@{self.hostname}>\r\n".encode()
            return await self.take(spool, part, named=False, prefix=name)
        body: Small | Large
        beginning = spool.read(0, SMALL)
        if spool.path is None:
            body = Small(beginning)
        else:
            body = await self.bodies.keep(spool.sha256, spool.path, header=part.header)
        return Letter(body, summary, part.header, spool.size, not spool.is_ascii, beginning)

    async def _take_rewritten(
        self, spool: Spool, part: Part, *, named: bool, prefix: bytes, cuts: Sequence[Span]
    ) -> Letter:
        try:
            written, moved = await rewrite(spool, part, prefix=prefix, cuts=cuts)
        except OSError as fault:
            if fault.errno == errno.ENOSPC:
                raise NoSpace from fault
            raise
        with written:
            return await self.take(written, moved, named=named)


def written(octets: bytes) -> Letter:
    """The letter of a small mail that we wrote ourselves."""
    part = scan(octets)
    summary = summarise(part, lambda start, end: octets[start:end])
    return Letter(Small(octets), summary, part.header, len(octets), not octets.isascii(), octets[:SMALL])
