# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Undoing a transfer encoding (RFC 2045 §6) while the octets stream by, so that an attachment of any size is handed
out in flat memory.
"""

from __future__ import annotations

import binascii
from collections.abc import AsyncIterator
from typing import Final

from mailroom.mime import headers

_NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_LINE_MOST: Final = 64 * 1024


def decoded(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The octets without their transfer encoding; one that is unknown is passed on as it stands. Never raises for what
    the octets are.
    """
    match encoding:
        case "base64":
            return _unbase64(chunks)
        case "quoted-printable":
            return _unquoted(chunks)
        case _:
            return chunks


async def _unbase64(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    digits = b""
    async for chunk in chunks:
        digits += chunk.translate(None, _NOT_BASE64)
        whole = len(digits) // 4 * 4
        yield binascii.a2b_base64(digits[:whole])
        digits = digits[whole:]
    yield headers.unbase64(digits)


async def _unquoted(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    pending = b""
    async for chunk in chunks:
        pending += chunk
        cut = pending.rfind(b"\n") + 1
        if not cut and len(pending) > _LINE_MOST:
            # A line that never ends: only an escape that is not complete must wait for the next chunk.
            escape = pending.rfind(b"=", len(pending) - 2)
            cut = len(pending) if escape < 0 else escape
        yield binascii.a2b_qp(pending[:cut])
        pending = pending[cut:]
    yield binascii.a2b_qp(pending)
