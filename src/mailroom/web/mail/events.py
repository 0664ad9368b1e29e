# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""News for an open page: a stream of server-sent events that says when a mailbox has changed, and no more. The page
then fetches what it shows, so an event that is lost or doubled does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mailroom.core.errors import NotFound, Refusal
from mailroom.core.ids import MailboxId
from mailroom.directory.model import Member
from mailroom.mailboxes import read
from mailroom.mailboxes.access import open_mailbox
from mailroom.mailboxes.model import topic
from mailroom.storage.ports import Store, Tx
from mailroom.web.numbers import number
from mailroom.web.refusals import NotSignedIn
from mailroom.web.sessions import Sessions

# How often the session is looked at again, and a connection that has gone silently is found out; seconds.
_HEARTBEAT: Final = 15.0
# Mails that come in a burst are told of together; seconds.
_PAUSE: Final = 0.3
_RETRY: Final = b"retry: 2000\n\n"
_SILENCE: Final = b":\n\n"
_END: Final = b"event: end\ndata:\n\n"


def stamp(tx: Tx, mailbox_id: MailboxId) -> str:
    """A text that differs whenever anything in the mailbox's folders has changed."""
    folders = read.folders(tx, mailbox_id)
    return f"{len(folders)}.{sum(folder.id for folder in folders)}.{sum(folder.modseq for folder in folders)}"


@dataclass(frozen=True, slots=True)
class Events:
    """The stream at `/mail/events?mailbox=ID&since=STAMP`."""

    store: Store
    sessions: Sessions
    stopping: asyncio.Event

    def routes(self) -> list[Route]:
        """Where the stream is."""
        return [Route("/mail/events", self.events)]

    async def events(self, request: Request) -> Response:
        """Tell of each change after `since`, or after the event that the browser had last. A page whose session is over
        is told that it is at an end: a status would say nothing to its script.
        """
        mailbox_id = MailboxId(number(request.query_params.get("mailbox", "")))
        try:
            await self.sessions.read(request, lambda tx, actor: _stamp(tx, actor, mailbox_id))
        except NotSignedIn:
            return Response(_END, media_type="text/event-stream")
        since = request.headers.get("last-event-id") or request.query_params.get("since", "")
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        return StreamingResponse(
            self._stream(request, mailbox_id, since),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    async def _stream(self, request: Request, mailbox_id: MailboxId, seen: str) -> AsyncIterator[bytes]:
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            with self.store.hints.listen(topic(mailbox_id)) as ear:
                yield _RETRY
                while not stopping.done():
                    now = await self.sessions.read(request, lambda tx, actor: _stamp(tx, actor, mailbox_id))
                    yield _SILENCE if now == seen else f"event: change\nid: {now}\ndata:\n\n".encode()
                    if now != seen:
                        await asyncio.wait([stopping], timeout=_PAUSE)
                    seen = now
                    await _first(stopping, asyncio.create_task(ear.wait(_HEARTBEAT)))
        except (NotSignedIn, NotFound):
            yield _END
        except Refusal:
            return  # the store is away; the browser comes again
        finally:
            stopping.cancel()


async def _first(stopping: asyncio.Task[bool], waiting: asyncio.Task[None]) -> None:
    try:
        await asyncio.wait([stopping, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting


def _stamp(tx: Tx, actor: Member, mailbox_id: MailboxId) -> str:
    return stamp(tx, open_mailbox(tx, actor, mailbox_id).id)
