# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The webmail's pages: a folder's list, one mail, and the pieces of a mail.

A GET changes nothing. That a mail was seen is said by the page itself, once a person really looks at it, so neither a
prefetch nor a preview of a link marks anything.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from mailroom.core.errors import NotFound
from mailroom.core.ids import ContentId, FolderId, MailboxId, Uid
from mailroom.directory import access as directory_access
from mailroom.directory import addresses
from mailroom.directory.model import Member
from mailroom.mailboxes import change, read
from mailroom.mailboxes.access import open_folder, open_mailbox
from mailroom.mailboxes.change import How
from mailroom.mailboxes.contents import Bodies
from mailroom.mailboxes.model import (
    Content,
    Flag,
    Folder,
    FolderRole,
    Headline,
    Mailbox,
    MailboxStatus,
    Marks,
)
from mailroom.mailboxes.model import (
    Mail as StoredMail,
)
from mailroom.mime import address, charset, headers
from mailroom.mime.scan import MAX_HEADER, Part
from mailroom.mime.structure import from_json
from mailroom.storage.ports import Tx
from mailroom.web.mail import clean, reading, transfer
from mailroom.web.mail.events import stamp
from mailroom.web.mail.reading import Reading
from mailroom.web.numbers import number
from mailroom.web.sessions import Sessions
from mailroom.web.words import Templates, straight

PAGE: Final = 50
_PICTURES_MOST: Final = 4 * 1024 * 1024  # octets of a mail's own pictures that its frame shows
_FIELDS_READ: Final = 10  # of one name; RFC 5322 §3.6 allows one
_PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
# The frame's document may style itself and show pictures that came within it, and nothing else. It has no origin.
_FRAME_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
_PIECE_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A mailbox in the side bar."""

    mailbox: Mailbox
    address: str
    folders: Sequence[Folder]

    @property
    def inbox(self) -> Folder:
        return next(folder for folder in self.folders if folder.role is FolderRole.INBOX)


@dataclass(frozen=True, slots=True)
class _Room:
    """What stands around every page of the mail: whose, where, and what else there is."""

    actor: Member
    shelves: Sequence[_Shelf]
    folder: Folder
    stamp: str


@dataclass(frozen=True, slots=True)
class _Opened:
    """One mail, with its parts."""

    room: _Room
    mail: StoredMail
    content: Content
    root: Part


@dataclass(frozen=True, slots=True)
class Mail:
    """Reading mail."""

    bodies: Bodies
    sessions: Sessions
    templates: Templates

    def routes(self) -> list[Route]:
        """Where the pages are."""
        mail = "/mail/{folder}/{uid}"
        return [
            Route("/", self.first),
            Route("/mail/{folder}", self.folder),
            Route(mail, self.mail),
            Route(f"{mail}/seen", self.seen, methods=["POST"]),
            Route(f"{mail}/html", self.frame),
            Route(f"{mail}/headers", self.headers),
            Route(f"{mail}/original", self.original),
            Route(f"{mail}/parts/{{part}}", self.part),
        ]

    async def first(self, request: Request) -> Response:
        """The inbox of the first mailbox that the member may use."""
        actor, shelves = await self.sessions.read(request, lambda tx, actor: (actor, _shelves(tx, actor)))
        if shelves:
            return RedirectResponse(f"/mail/{shelves[0].inbox.id}", 303)
        return self.templates.page(request, "mail/no-mailbox.html", member=actor)

    async def folder(self, request: Request) -> Response:
        """A page of a folder, newest first."""
        folder_id, before = _folder_id(request), request.query_params.get("before")
        below = None if before is None else Uid(number(before))

        def look(tx: Tx, actor: Member) -> tuple[_Room, Sequence[Headline]]:
            room = _room(tx, actor, folder_id)
            return room, read.headlines(tx, folder_id, before=below, limit=PAGE + 1)

        room, found = await self.sessions.read(request, look)
        return self.templates.page(
            request,
            "mail/folder.html",
            member=room.actor,
            room=room,
            headlines=found[:PAGE],
            older=found[PAGE - 1].mail.uid if len(found) > PAGE else None,
            is_first=below is None,
            Flag=Flag,
        )

    async def mail(self, request: Request) -> Response:
        """One mail."""
        opened = await self._open(request)
        header = await self._octets(opened.content.id, 0, min(opened.root.body_start, MAX_HEADER))
        told = reading.read(opened.root)
        wants_plain = request.query_params.get("view") == "text" and told.plain is not None
        is_html = told.html is not None and not wants_plain
        text = Markup()
        if not is_html and told.plain is not None:
            octets = await self._text_octets(opened.content.id, told.plain)
            text = await asyncio.to_thread(_linked, told.plain, octets)
        return self.templates.page(
            request,
            "mail/mail.html",
            member=opened.room.actor,
            room=opened.room,
            mail=opened.mail,
            content=opened.content,
            people=await asyncio.to_thread(_people, header),
            told=told,
            is_html=is_html,
            is_cut=not is_html and told.plain is not None and reading.end(told.plain) < told.plain.body_end,
            text=text,
            is_unseen=Flag.SEEN not in opened.mail.flags,
        )

    async def seen(self, request: Request) -> Response:
        """The member has looked at the mail."""
        folder_id, uid = _folder_id(request), _uid(request)

        def mark(tx: Tx, actor: Member) -> None:
            open_folder(tx, actor, folder_id)
            change.mark(tx, folder_id, ((uid, uid),), How.ADD, Marks(Flag.SEEN))

        await self.sessions.write(request, mark)
        return Response(status_code=204)

    async def frame(self, request: Request) -> Response:
        """The mail's HTML, made harmless, for the frame."""
        opened = await self._open(request)
        told = reading.read(opened.root)
        if told.html is None:
            raise NotFound(what="part", name="html")
        octets = await self._text_octets(opened.content.id, told.html)
        source = await asyncio.to_thread(reading.text, told.html, octets)
        pictures = await self._pictures(opened.content.id, told, clean.references(source))
        cleaned = await asyncio.to_thread(clean.clean, source, pictures)
        return self.templates.page(
            request,
            "mail/frame.html",
            member=opened.room.actor,
            headers={"Content-Security-Policy": _FRAME_POLICY},
            cleaned=cleaned,
            is_cut=cleaned.is_cut or reading.end(told.html) < told.html.body_end,
            subject=opened.content.subject,
        )

    async def _pictures(self, content_id: ContentId, told: Reading, wanted: Sequence[str]) -> dict[str, str]:
        # The frame's document has no origin, so the browser would ask for a picture without the session's cookie, and
        # be refused. The picture comes within the document instead.
        pictures: dict[str, str] = {}
        left = _PICTURES_MOST
        for reference, part in told.pictures(wanted):
            if part.content_type not in _PICTURES or part.size > left:
                continue
            left -= part.size
            body = self.bodies.read(content_id, part.body_start, part.body_end)
            octets = b"".join([chunk async for chunk in transfer.decoded(body, part.encoding)])
            pictures[reference] = f"data:{part.content_type};base64,{base64.b64encode(octets).decode()}"
        return pictures

    async def headers(self, request: Request) -> Response:
        """The mail's header, as it came."""
        opened = await self._open(request)
        octets = await self._octets(opened.content.id, 0, min(opened.root.body_start, MAX_HEADER))
        return PlainTextResponse(charset.decode(octets, "utf-8"), headers={"Content-Security-Policy": _PIECE_POLICY})

    async def original(self, request: Request) -> Response:
        """The whole mail, as it came, for keeping."""
        opened = await self._open(request)
        octets = self.bodies.read(opened.content.id)
        size = {"Content-Length": str(opened.content.size)}
        return await _download(octets, name=f"{opened.mail.uid}.eml", kind=reading.OCTETS, headers=size)

    async def part(self, request: Request) -> Response:
        """One attachment, for keeping: no browser is to open it here."""
        opened = await self._open(request)
        place = number(request.path_params["part"])
        part = reading.read(opened.root).part(place)
        octets = self.bodies.read(opened.content.id, part.body_start, part.body_end)
        return await _download(
            transfer.decoded(octets, part.encoding),
            name=reading.name(part, place),
            kind=reading.content_type(part),
            headers={},
        )

    async def _open(self, request: Request) -> _Opened:
        folder_id, uid = _folder_id(request), _uid(request)

        def look(tx: Tx, actor: Member) -> _Opened:
            room = _room(tx, actor, folder_id)
            mail, content = read.mail(tx, folder_id, uid)
            return _Opened(room, mail, content, from_json(content.parts))

        return await self.sessions.read(request, look)

    async def _octets(self, content_id: ContentId, start: int, end: int) -> bytes:
        return b"".join([chunk async for chunk in self.bodies.read(content_id, start, end)])

    async def _text_octets(self, content_id: ContentId, part: Part) -> bytes:
        return await self._octets(content_id, part.body_start, reading.end(part))


def _folder_id(request: Request) -> FolderId:
    return FolderId(number(request.path_params["folder"]))


def _uid(request: Request) -> Uid:
    return Uid(number(request.path_params["uid"]))


def _room(tx: Tx, actor: Member, folder_id: FolderId) -> _Room:
    folder = open_folder(tx, actor, folder_id)
    return _Room(actor, _shelves(tx, actor), folder, stamp(tx, folder.mailbox_id))


def _shelves(tx: Tx, actor: Member) -> list[_Shelf]:
    ids = [each for each in directory_access.mailboxes_of(tx, actor.id) if _is_active(tx, each)]
    return [_Shelf(open_mailbox(tx, actor, each), addresses.primary(tx, each), read.folders(tx, each)) for each in ids]


def _is_active(tx: Tx, mailbox_id: MailboxId) -> bool:
    return read.mailbox(tx, mailbox_id).status is MailboxStatus.ACTIVE


def _people(header: bytes) -> dict[str, list[tuple[str, str]]]:
    """Names and addresses of the fields that name people, as people read them."""
    fields = headers.read(header)
    return {name: _named(fields.all(name)[:_FIELDS_READ]) for name in ("from", "to", "cc", "reply-to")}


def _named(raws: Sequence[bytes]) -> list[tuple[str, str]]:
    return [(one.display, one.addr) for raw in raws for one in address.mailboxes(address.parse(raw))]


def _linked(part: Part, octets: bytes) -> Markup:
    return reading.linked(reading.text(part, octets))


async def _download(octets: AsyncIterator[bytes], *, name: str, kind: str, headers: dict[str, str]) -> Response:
    # The first octets are fetched before the answer begins: a body that is away is then a refusal, not a torn file.
    first = await anext(octets, b"")
    return StreamingResponse(
        _joined(first, octets),
        media_type=kind,
        headers={
            # RFC 6266: the name in UTF-8; nothing of it can end the header field.
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(straight(name), safe='')}",
            "Content-Security-Policy": _PIECE_POLICY,
            **headers,
        },
    )


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
