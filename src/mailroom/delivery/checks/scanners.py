# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Programs beside us that look into a mail: rspamd by HTTP, clamd by its stream protocol. One that is down, slow or
makes no sense has said nothing.
"""

from __future__ import annotations

import asyncio
import enum
import json
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from mailroom.delivery.spool import Spool

PATIENCE: Final = 20.0  # seconds
_PIECE = 256 * 1024
_REPLY_MOST = 4096
_NOT_PRINTABLE = re.compile(r"[^ -~]")


class Advice(enum.Enum):
    """What a scanner wants done with a mail."""

    ACCEPT = enum.auto()
    JUNK = enum.auto()
    LATER = enum.auto()
    REFUSE = enum.auto()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a scanner says, and why."""

    advice: Advice
    reason: str = ""
    fields: bytes = b""  # to put before the header


class Post(Protocol):
    """POST a stream to a service of the administrator's own; the body of a 200, or None for anything else."""

    def __call__(
        self, url: str, body: AsyncIterator[bytes], *, headers: Mapping[str, str], timeout: int
    ) -> Awaitable[bytes | None]: ...


_ADVICE = {
    "no action": Advice.ACCEPT,
    "greylist": Advice.LATER,
    "add header": Advice.JUNK,
    "rewrite subject": Advice.JUNK,
    "soft reject": Advice.LATER,
    "reject": Advice.REFUSE,
}


async def rspamd(post: Post, url: str, spool: Spool, *, about: Mapping[str, str]) -> Opinion | None:
    """What rspamd says, asked at `url`/checkv2 with `about` as its headers (IP, Helo, From, Rcpt ...); None: none."""
    headers = {name: _plain(value) for name, value in about.items() if value}
    headers["Content-Length"] = str(spool.size)
    answer = await post(f"{url.rstrip('/')}/checkv2", _pieces(spool), headers=headers, timeout=int(PATIENCE * 1000))
    if answer is None:
        return None
    try:
        said = json.loads(answer)
        advice = _ADVICE[said["action"]]
        score = float(said["score"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    marks = f"X-Spam-Score: {score:.2f}\r\n" + ("X-Spam: Yes\r\n" if advice is Advice.JUNK else "")
    return Opinion(advice, "it looks like spam", marks.encode())


async def clamd(place: str, spool: Spool) -> Opinion | None:
    """Whether clamd at host:port finds a virus (INSTREAM); None: it does not say, or does not take so much."""
    host, _, port = place.rpartition(":")
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                reply = await _instream(reader, writer, spool)
            finally:
                writer.transport.abort()
    except (OSError, ValueError, EOFError):  # TimeoutError is an OSError
        return None
    if reply == "stream: OK":
        return Opinion(Advice.ACCEPT)
    if reply.startswith("stream: ") and reply.endswith(" FOUND"):
        name = _plain(reply[len("stream: ") : -len(" FOUND")])
        return Opinion(Advice.REFUSE, f"it holds {name[:100]}")
    return None


async def _instream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spool: Spool) -> str:
    writer.write(b"zINSTREAM\0")
    async for piece in _pieces(spool):
        writer.write(len(piece).to_bytes(4) + piece)
        try:
            await writer.drain()
        except ConnectionError:  # it has heard enough, and said why
            break
    else:
        writer.write(bytes(4))
    reply = await reader.read(_REPLY_MOST)
    return reply.rstrip(b"\0\n").decode("utf-8", "replace")


async def _pieces(spool: Spool) -> AsyncIterator[bytes]:
    for start in range(0, spool.size, _PIECE):
        yield spool.read(start, min(start + _PIECE, spool.size))


def _plain(text: str) -> str:
    return _NOT_PRINTABLE.sub("?", text)
