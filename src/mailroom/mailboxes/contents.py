# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The octets of mails: small ones in a row that shares the delivery's commit, large ones in a blob named by its digest,
whose header block alone lies in a row too.

A blob that nobody refers to is collected, and a mail that is just being accepted must not lose its body to that. Hence
three steps: *pin* (a row, which keeps the collector away for a day), *keep* (the octets, durable), *refer* (in the
transaction that files the mail). The collector dooms a row right before it deletes the octets, and a doomed blob cannot
be pinned until it has gone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from backports import zstd

from mailroom.core.clock import DAY, MINUTE
from mailroom.core.errors import Unavailable
from mailroom.core.ids import ContentId
from mailroom.mailboxes import queries
from mailroom.mime.structure import Summary
from mailroom.storage.ports import Blobs, Store, Tx

PIN = DAY
# A blob that was doomed so long ago was left so by a collector that died.
_DOOM = 10 * MINUTE
_COLLECT_AT_ONCE = 100
# One for all threads: it locks itself for the frame that a call makes, and to make one costs more than a mail does.
_COMPRESSOR = zstd.ZstdCompressor(1)


@dataclass(frozen=True, slots=True)
class Small:
    """A body that lies in memory."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Large:
    """A body that `Bodies.keep` has made durable, and its header block."""

    name: str
    header: bytes


@dataclass(frozen=True, slots=True)
class Bodies:
    """Keeps, reads and collects the octets of mails."""

    store: Store
    blobs: Blobs

    async def keep(self, name: str, source: Path, *, header: bytes) -> Large:
        """Make a large body durable before the transaction that refers to it; it stays for a day without a reference.
        `header` is its header block, or the beginning of one that is too long to be kept twice. Raises `NoSpace`,
        `Unavailable`.
        """
        await self.store.write(lambda tx: _pin(tx, name))
        await self.blobs.keep(name, source)
        return Large(name, header)

    async def read(self, content_id: ContentId, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The mail's octets from `start` up to `end`, in chunks. Raises `NotFound`, `Unavailable`."""
        octets, blob = await self.store.read(lambda tx: queries.contents.body(tx, content_id))
        if octets is not None and (not blob or _is_within(octets, end)):
            yield zstd.decompress(octets)[start:end]
            return
        async for chunk in self.blobs.read(blob, start, end):
            yield chunk

    async def collect(self) -> int:
        """Delete blobs that nobody has referred to for a day; how many."""
        names = await self.store.read(lambda tx: queries.blobs.collectable(tx, **_ages(tx.now), limit=_COLLECT_AT_ONCE))
        return sum([await self._delete(name) for name in names])

    async def _delete(self, name: str) -> int:
        # Doomed one by one: whoever was paused since may delete nothing that another has kept, or doomed, meanwhile.
        doomed_at = await self.store.write(partial(_doom, name=name))
        if not doomed_at:
            return 0
        await self.blobs.drop(name)
        await self.store.write(partial(queries.blobs.forget, name=name, doomed_at=doomed_at))
        return 1


def _is_within(compressed: bytes, end: int | None) -> bool:
    return end is not None and end <= zstd.get_frame_info(compressed).decompressed_size


def _ages(now: int) -> dict[str, int]:
    return {"unpinned_before": now - PIN, "doomed_before": now - _DOOM}


def _doom(tx: Tx, name: str) -> int:
    """When we doomed it: now; 0: it is not ours to delete."""
    return tx.now if queries.blobs.doom(tx, name, **_ages(tx.now)) else 0


def _pin(tx: Tx, name: str) -> None:
    if not queries.blobs.pin(tx, name):
        raise Unavailable(what="body store")


def add(tx: Tx, body: Small | Large, summary: Summary, *, size: int, refs: int) -> ContentId:
    """File what a mail says, for `refs` mails that are appended in this same transaction. Raises `Unavailable`."""
    content_id = queries.contents.add(
        tx,
        refs=refs,
        size=size,
        blob=body.name if isinstance(body, Large) else "",
        message_id=summary.message_id,
        subject=summary.subject,
        sender=summary.from_,
        senders=summary.senders,
        recipients=summary.to,
        cc=summary.cc,
        bcc=summary.bcc,
        preview=summary.preview,
        attachments=json.dumps(summary.attachments, ensure_ascii=False),
        sent_at=summary.date_ms,
        sent_day=summary.date_day,
        refers_to=" ".join(summary.references or summary.in_reply_to),
        envelope=summary.envelope,
        bodystructure=summary.bodystructure,
        parts=summary.parts_json,
        header_size=summary.header_size,
    )
    if isinstance(body, Large) and not queries.blobs.refer(tx, body.name):
        raise Unavailable(what="body store")  # its pin has run out
    kept = body.header if isinstance(body, Large) else body.octets
    queries.contents.add_body(tx, content_id, _COMPRESSOR.compress(kept, zstd.ZstdCompressor.FLUSH_FRAME))
    return content_id


def share(tx: Tx, content_id: ContentId, *, by: int) -> None:
    """So many more mails show the content (fewer, if negative). The last one that goes takes the content with it."""
    share_all(tx, [content_id], by=by)


def share_all(tx: Tx, content_ids: Iterable[ContentId], *, by: int) -> None:
    """The same for many contents at once; one that is named twice counts twice."""
    shown = Counter(content_ids)
    queries.contents.lock(tx, list(shown))
    unshown: list[ContentId] = []
    for times in set(shown.values()):
        ids = [content_id for content_id, count in shown.items() if count == times]
        unshown += queries.contents.count_refs(tx, ids, by * times)
    queries.blobs.release(tx, Counter(queries.contents.remove(tx, unshown)))
