# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mail with another header block: fields put before it, fields taken out. The body is copied once and not scanned
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from mailroom.delivery.spool import SMALL, Spool
from mailroom.mime.scan import MAX_HEADER, Part

_PIECE = 1 << 20

Span = tuple[int, int]


async def rewrite(spool: Spool, part: Part, *, prefix: bytes = b"", cuts: Sequence[Span] = ()) -> tuple[Spool, Part]:
    """The finished spool's mail with the fields `prefix` before its header and without the octets of its header that
    `cuts` names, in ascending order; and its parts. The caller closes the new spool as well as the old. No cut may
    touch a Content field: the parts stay what they were. Raises `OSError` as `Spool.write`.
    """
    kept = list(_kept(cuts, part.body_start))
    by = len(prefix) + sum(end - start for start, end in kept) - part.body_start
    header = prefix + b"".join(part.header[start:end] for start, end in kept)
    moved = replace(_moved(part, by), header_start=0, header=header[:MAX_HEADER])
    written = spool.another()
    try:
        pieces = [*kept, (part.body_start, spool.size)]
        if spool.size <= SMALL:
            _copy(spool, written, prefix, pieces)
        else:
            await asyncio.to_thread(_copy, spool, written, prefix, pieces)
    except BaseException:
        written.close()
        raise
    return written, moved


def _kept(cuts: Sequence[Span], end: int) -> list[Span]:
    starts = [0, *(cut[1] for cut in cuts)]
    ends = [*(cut[0] for cut in cuts), end]
    return [(start, stop) for start, stop in zip(starts, ends, strict=True) if start < stop]


def _moved(part: Part, by: int) -> Part:
    return replace(
        part,
        header_start=part.header_start + by,
        body_start=part.body_start + by,
        body_end=part.body_end + by,
        children=tuple(_moved(child, by) for child in part.children),
    )


def _copy(spool: Spool, written: Spool, prefix: bytes, spans: Sequence[Span]) -> None:
    written.keep(prefix)
    for first, last in spans:
        for start in range(first, last, _PIECE):
            written.keep(spool.read(start, min(start + _PIECE, last)))
    written.flush()
