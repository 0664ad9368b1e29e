# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""News for an open page: a stream of server-sent events that says when a mailbox has changed, and no more. The page
then fetches what it shows, so an event that is lost or doubled does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from mailroom.core.errors import NotFound, Refusal
from mailroom.core.ids import MailboxId, MemberId
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
# Streams at once, of one member and of all. Who opens one too many takes the place of his oldest.
_STREAMS_OF_MEMBER: Final = 20
_STREAMS: Final = 2000
_RETRY: Final = b"retry: 2000\n\n"
_LATER: Final = b"retry: 60000\n\n"
_SILENCE: Final = b":\n\n"
_END: Final = b"event: end\ndata:\n\n"


def stamp(tx: Tx, mailbox_id: MailboxId) -> str:
    """A text that differs whenever anything in the mailbox's folders has changed."""
    folders = read.folders(tx, mailbox_id)
    return f"{len(folders)}.{sum(folder.id for folder in folders)}.{sum(folder.modseq for folder in folders)}"


class Places:
    """Who listens now, the oldest first. A place is taken away by setting its event."""

    def __init__(self, *, of_member: int = _STREAMS_OF_MEMBER, in_all: int = _STREAMS) -> None:
        self._of_member: Final = of_member
        self._in_all: Final = in_all
        self._taken: Final[dict[asyncio.Event, MemberId]] = {}

    @contextlib.contextmanager
    def take(self, member_id: MemberId) -> Iterator[asyncio.Event]:
        """A place, if need be that of the member's oldest stream, or of the oldest of all."""
        listening = [place for place in self._taken if not place.is_set()]
        own = [place for place in listening if self._taken[place] == member_id]
        if len(own) >= self._of_member:
            own[0].set()
        elif len(listening) >= self._in_all:
            listening[0].set()
        place = asyncio.Event()
        self._taken[place] = member_id
        try:
            yield place
        finally:
            del self._taken[place]


@dataclass(frozen=True, slots=True)
class Events:
    """The stream at `/mail/events?mailbox=ID&since=STAMP`."""

    store: Store
    sessions: Sessions
    stopping: asyncio.Event
    places: Places = field(default_factory=Places)

    def routes(self) -> list[Route]:
        """Where the stream is."""
        return [Route("/mail/events", self.events)]

    async def events(self, request: Request) -> Response:
        """Tell of each change after `since`, or after the event that the browser had last. A page whose session is over
        is told that it is at an end: a status would say nothing to its script.
        """
        mailbox_id = MailboxId(number(request.query_params.get("mailbox", "")))
        try:
            member_id = await self.sessions.read(request, lambda tx, actor: _allowed(tx, actor, mailbox_id))
        except NotSignedIn:
            return Response(_END, media_type="text/event-stream")
        since = request.headers.get("last-event-id") or request.query_params.get("since", "")
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        return StreamingResponse(
            self._stream(request, member_id, mailbox_id, since),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    async def _stream(
        self, request: Request, member_id: MemberId, mailbox_id: MailboxId, seen: str
    ) -> AsyncIterator[bytes]:
        with self.places.take(member_id) as place, self.store.hints.listen(topic(mailbox_id)) as ear:
            ends = [asyncio.create_task(self.stopping.wait()), asyncio.create_task(place.wait())]
            try:
                yield _RETRY
                while not any(end.done() for end in ends):
                    now = await self.sessions.read(request, lambda tx, actor: _stamp(tx, actor, mailbox_id))
                    yield _SILENCE if now == seen else f"event: change\nid: {now}\ndata:\n\n".encode()
                    if now != seen:
                        await asyncio.wait(ends, timeout=_PAUSE, return_when=asyncio.FIRST_COMPLETED)
                    seen = now
                    await _first(*ends, asyncio.create_task(ear.wait(_HEARTBEAT)))
                if place.is_set():
                    yield _LATER
            except (NotSignedIn, NotFound):
                yield _END
            except Refusal:
                return  # the store is away; the browser comes again
            finally:
                for end in ends:
                    end.cancel()


async def _first(*tasks: asyncio.Task[Any]) -> None:
    """Wait for any of the tasks; the last of them is not needed any more then."""
    waiting = tasks[-1]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting


def _allowed(tx: Tx, actor: Member, mailbox_id: MailboxId) -> MemberId:
    open_mailbox(tx, actor, mailbox_id)
    return actor.id


def _stamp(tx: Tx, actor: Member, mailbox_id: MailboxId) -> str:
    return stamp(tx, open_mailbox(tx, actor, mailbox_id).id)
