# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The pages on which a member says how he wants to hear of new mail, and proves which phone is his.

A GET changes nothing, but for the one by which a provider sends his browser back: it takes the proof one step further,
and only what he then confirms with a POST makes a link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from mailroom.core.clock import Clock
from mailroom.core.errors import InvalidValue, LinkExpired, NotLinked, Refusal
from mailroom.core.ids import MailboxId
from mailroom.core.text import sentence
from mailroom.directory.model import Member, Role
from mailroom.messaging.model import Entry, Origin
from mailroom.notify import days, linking, log, patterns, preferences, settings, ways
from mailroom.notify.linking import Linking
from mailroom.notify.model import Link, Preference, Quiet, Ticket, TicketState, Way
from mailroom.storage.ports import Tx
from mailroom.web import refusals
from mailroom.web.auth import form
from mailroom.web.numbers import number
from mailroom.web.refusals import InvalidQuiet, InvalidSenders, NoSuchPage, NotSignedIn
from mailroom.web.sessions import Sessions
from mailroom.web.words import Templates, language_of

HERE: Final = "/settings/notices"
RECENT: Final = 20
_PAGE: Final = "page"  # where something is said that has no place of its own
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Fault:
    """A form that was refused: which one, why, and what it said."""

    at: str
    words: str
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the page shows."""

    actor: Member
    ways: Sequence[Way]  # that are offered, or of which there is a link
    offered: Mapping[Way, bool]
    is_off: bool  # what has been set up
    is_permitted: bool
    links: Mapping[Way, Link]
    proof: Ticket | None  # of a number, under way
    preferences: Sequence[Preference]
    used: int  # SMS, today
    most: int  # 0: however many
    recent: Sequence[Entry]

    @property
    def is_set_up(self) -> bool:
        return any(self.offered.values())

    @property
    def cards(self) -> Sequence[Way]:
        """Those with which he can do something."""
        return [way for way in self.ways if self.is_permitted or way in self.links]

    @property
    def hears_by_sms(self) -> bool:
        """Of at least one mailbox."""
        return any(one.on[Way.SMS] for one in self.preferences)

    def place(self, wanted: str) -> str:
        """Where on the page that is."""
        places = {*self.cards, *(_place(one.mailbox_id) for one in self.preferences if self.is_set_up)}
        return wanted if wanted in places else _PAGE

    @property
    def is_administrator(self) -> bool:
        return self.actor.role is Role.ADMINISTRATOR


@dataclass(frozen=True, slots=True)
class Notices:
    """A member's own settings of notices."""

    linking: Linking
    sessions: Sessions
    templates: Templates
    clock: Clock

    def routes(self) -> list[Route]:
        """Where the pages are."""
        link = f"{HERE}/links/{{way}}"
        return [
            Route(HERE, self.page),
            Route(f"{HERE}/mailboxes/{{mailbox}}", self.change, methods=["POST"]),
            Route(f"{HERE}/number", self.send_code, methods=["POST"]),
            Route(f"{HERE}/code", self.prove, methods=["POST"]),
            Route(link, self.proof),
            Route(link, self.begin, methods=["POST"]),
            Route(f"{link}/state", self.state),
            Route(f"{link}/confirm", self.confirm, methods=["POST"]),
            Route(f"{link}/drop", self.drop, methods=["POST"]),
            Route(f"{link}/test", self.test, methods=["POST"]),
            Route(f"{link}/unlink", self.unlink, methods=["POST"]),
            Route(f"{HERE}/back/{{way}}", self.back),
        ]

    async def page(self, request: Request) -> Response:
        """Everything on one page."""
        return await self._show(request)

    async def _show(
        self, request: Request, at: str = _PAGE, refusal: Refusal | None = None, said: Mapping[str, str] = _NOTHING
    ) -> Response:
        desk = await self.sessions.read(request, self._desk)
        words = sentence(refusal, language_of(request, desk.actor)) if refusal else ""
        return self.templates.page(
            request,
            "settings/notices.html",
            member=desk.actor,
            status=refusals.status(refusal) if refusal else 200,
            headers=refusals.headers(refusal) if refusal else None,
            desk=desk,
            fault=_Fault(desk.place(at), words, said),
            done=request.query_params.get("done", ""),
            at=desk.place(request.query_params.get("at", "")),
            place_of=lambda preference: _place(preference.mailbox_id),
            tested=_tested(desk.recent),
            way_of=self._way_of,
            now=days.local(self.clock()).strftime("%H:%M"),
        )

    def _desk(self, tx: Tx, actor: Member) -> _Desk:
        rules, offered = settings.rules(tx), ways.offered(tx)
        links = {link.way: link for link in preferences.links(tx, actor)}
        return _Desk(
            actor=actor,
            ways=[way for way in Way if offered.get(way) or way in links],
            offered=offered,
            is_off=not rules.is_on and any(rules.kind(way) for way in Way),
            is_permitted=ways.permits(tx, rules, actor),
            links=links,
            proof=linking.ticket(tx, actor, Way.SMS),
            preferences=preferences.of(tx, actor),
            used=preferences.sms_today(tx, actor),
            most=rules.most_a_day,
            recent=log.own(tx, actor, limit=RECENT),
        )

    def _way_of(self, entry: Entry) -> Way:
        return Way(self.linking.senders.kind(entry.kind).manifest.reach)

    async def change(self, request: Request) -> Response:
        """How he wants to hear of one mailbox."""
        mailbox_id, said = MailboxId(number(request.path_params["mailbox"])), await form(request)
        place = _place(mailbox_id)

        def change(tx: Tx, actor: Member) -> None:
            preferences.change(
                tx,
                actor,
                mailbox_id,
                # A way without a link has a switch that cannot be moved, and that the form says nothing of.
                on={way: f"on-{way}" in said for way in Way if f"has-{way}" in said},
                only_from=patterns.split(said.get("only_from", "")),
                quiet=_quiet(said.get("begin", ""), said.get("end", "")),
            )

        try:
            await self.sessions.write(request, change)
        except InvalidValue:
            return await self._show(request, place, InvalidSenders(), said)
        except (InvalidQuiet, NotLinked) as refusal:
            return await self._show(request, place, refusal, said)
        return _done("saved", place)

    async def send_code(self, request: Request) -> Response:
        """Send a code to the number, so that he can prove that it is his."""
        said, actor = await form(request), await self._actor(request)
        try:
            await self.linking.send_code(actor, said.get("number", ""))
        except Refusal as refusal:
            return await self._show(request, Way.SMS, refusal, said)
        # The page goes to the field of the code, which browsers do not where the address names a place already.
        return RedirectResponse(f"{HERE}?done=coded", 303)

    async def prove(self, request: Request) -> Response:
        """The code that came."""
        said, actor = await form(request), await self._actor(request)
        try:
            await self.linking.prove(actor, said.get("code", "").strip())
        except Refusal as refusal:
            return await self._show(request, Way.SMS, refusal, said)
        return _done("linked", Way.SMS)

    async def begin(self, request: Request) -> Response:
        """Go to the provider, or show what is to be scanned."""
        way, actor = _chat(request), await self._actor(request)
        try:
            begun = await self.linking.begin(actor, way)
        except Refusal as refusal:
            return await self._show(request, way, refusal)
        if not begun.scan:
            # A redirect would be the form's own way out of this site, which the policy of its page does not allow.
            return self.templates.page(request, "settings/going.html", member=actor, way=way, url=begun.url)
        return self.templates.page(request, "settings/scan.html", member=actor, way=way, code=_code(begun.url))

    async def state(self, request: Request) -> Response:
        """Whether the page with the code has anything to wait for."""
        way = _chat(request)
        try:
            ticket = await self.sessions.read(request, lambda tx, actor: linking.ticket(tx, actor, way))
        except NotSignedIn:
            ticket = None
        if ticket is not None and ticket.state is TicketState.OPEN:
            return Response(status_code=204)
        return Response(headers={"HX-Redirect": f"{HERE}/links/{way}"})

    async def back(self, request: Request) -> Response:
        """The provider sends his browser back."""
        way, actor = _chat(request), await self._actor(request)
        try:
            await self.linking.back(actor, way, dict(request.query_params))
        except Refusal as refusal:
            return self._not_linked(request, actor, refusal)
        return RedirectResponse(f"{HERE}/links/{way}", 303)  # nobody reloads, or keeps, what the provider said

    async def proof(self, request: Request) -> Response:
        """How far a proof has come: the question whether the account is his, once it is known."""
        way = _chat(request)
        actor, ticket = await self.sessions.read(request, lambda tx, who: (who, linking.ticket(tx, who, way)))
        if ticket is None or ticket.state is TicketState.USED:
            return self._not_linked(request, actor, LinkExpired())
        return self.templates.page(
            request,
            "settings/confirm.html" if ticket.state is TicketState.FOUND else "settings/waiting.html",
            member=actor,
            way=way,
            ticket=ticket,
        )

    async def confirm(self, request: Request) -> Response:
        """The account that he was shown is his: make the link."""
        way, said, actor = _chat(request), await form(request), await self._actor(request)

        def confirm(tx: Tx, actor: Member) -> None:
            if linking.confirm(tx, actor, way).address != said.get("address"):
                raise LinkExpired  # another proof has taken the place of the one on the page

        try:
            await self.sessions.write(request, confirm)
        except Refusal as refusal:
            return self._not_linked(request, actor, refusal)
        return _done("linked", way)

    async def drop(self, request: Request) -> Response:
        """It is not: forget the proof."""
        way = _way(request)
        await self.sessions.write(request, lambda tx, actor: linking.drop(tx, actor, way))
        return _done("dropped", way)

    async def test(self, request: Request) -> Response:
        """Send him a note by one of his links."""
        way = _way(request)
        try:
            await self.sessions.write(request, lambda tx, actor: linking.test(tx, actor, way))
        except Refusal as refusal:
            return await self._show(request, way, refusal)
        return _done("tested", way)

    async def unlink(self, request: Request) -> Response:
        """Forget a link."""
        way = _way(request)
        await self.sessions.write(request, lambda tx, actor: preferences.unlink(tx, actor, way))
        return _done("unlinked", way)

    async def _actor(self, request: Request) -> Member:
        return await self.sessions.read(request, lambda _tx, actor: actor)

    def _not_linked(self, request: Request, actor: Member, refusal: Refusal) -> Response:
        return self.templates.page(
            request,
            "settings/not-linked.html",
            member=actor,
            status=refusals.status(refusal),
            words=sentence(refusal, language_of(request, actor)),
        )


def _way(request: Request) -> Way:
    try:
        return Way(request.path_params["way"])
    except ValueError as unknown:
        raise NoSuchPage from unknown


def _chat(request: Request) -> Way:
    """One in which an account is linked, not a number."""
    way = _way(request)
    if way is Way.SMS:
        raise NoSuchPage
    return way


def _place(mailbox_id: MailboxId) -> str:
    return f"mailbox-{mailbox_id}"


def _done(what: str, at: str) -> Response:
    """Back to the page, which says at that place that it is done."""
    return RedirectResponse(f"{HERE}?done={what}&at={at}#{at}", 303)


def _quiet(begin: str, end: str) -> Quiet | None:
    try:
        return days.parse_quiet(f"{begin}-{end}" if begin or end else "")
    except InvalidValue as wrong:
        raise InvalidQuiet from wrong


def _tested(recent: Sequence[Entry]) -> Entry | None:
    """The test that was sent last."""
    return next((entry for entry in recent if entry.origin is Origin.TEST), None)


def _code(url: str) -> Markup:
    """A QR code, black on white whatever the page's colours: scanners ask for that."""
    code = segno.make(url, micro=False)
    return Markup(code.svg_inline(omitsize=True, dark="#000", light="#fff", svgclass=None, lineclass=None))  # noqa: S704 # of paths alone
