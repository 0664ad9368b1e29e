# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Proving which number, and which account with a provider, is a member's.

A number is proven by a code that is sent to it. An account is proven at the provider, by a scene that we make up, keep
the digest of, and hear again: from the provider, when the member has scanned a code, or from his browser when it comes
back. Then he is asked on the page, in his own session, whether that account is his: nobody links another's by a link
that he was sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mailroom.core import log as log_
from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND, Clock
from mailroom.core.errors import (
    CodeExpired,
    LinkExpired,
    LinkRefused,
    NotLinked,
    NumberNotPermitted,
    Refusal,
    TooManyCodes,
    Unavailable,
    WayNotOffered,
    WrongCode,
)
from mailroom.core.ids import MemberId, NewId, RecipientId
from mailroom.core.text import N_
from mailroom.directory import access
from mailroom.directory.model import Member
from mailroom.messaging import log, send
from mailroom.messaging.model import Draft, Origin, Sender
from mailroom.messaging.send import Target
from mailroom.messaging.senders import Senders
from mailroom.notify import compose, numbers, queries, settings, ways
from mailroom.notify.model import Begun, Link, LinkState, Ticket, TicketState, Way
from mailroom.notify.queries.tickets import Kept, Made
from mailroom.senders.contract import Left, Linked, Links, Offer, Refused, Scanned, TryLater, Why
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal

_LOG = log_.get("linking")
_STRANGER = N_("whoever signed in is no member of the organisation")
_REFUSED = {"denied": N_("nobody signed in there"), "stranger": _STRANGER}
_CODE_LASTS = 5 * MINUTE
_CODE_TRIES = 5
_CODE_REST = 60 * SECOND
_CODES_A_MEMBER = 5
_CODES_A_NUMBER = 10
_TICKET_LASTS = 10 * MINUTE
_TICKETS_A_DAY = 50
_TESTS_AN_HOUR = 5
_LABEL_MOST = 100
_ADDRESS_MOST = 256


@dataclass(frozen=True, slots=True)
class Linking:
    """Links numbers and accounts to members."""

    store: Store
    senders: Senders
    seal: Seal
    public_url: str
    clock: Clock
    new_id: NewId

    async def send_code(self, member: Member, number: str) -> None:
        """Send a code to a number; one that was sent before is good for nothing any more. Raises `InvalidPhone`,
        `NumberNotPermitted`, `TooManyCodes`, `WayNotOffered`, `NoticesNotPermitted`.
        """
        to, scene = numbers.normal(number), _digest(self.new_id())

        def work(tx: Tx) -> None:
            sender = ways.ask(tx, member, Way.SMS)
            if not settings.rules(tx).reaches(to):
                raise NumberNotPermitted(number=to)
            queries.tickets.lock(tx, member.id)
            _ask_codes(tx, member.id, to)
            _begin(tx, scene, member.id, Way.SMS, address=to, lasts=_CODE_LASTS)
            draft = Draft(Origin.CODE, compose.asked_code(member, scene, tx.now), member_id=member.id)
            send.enqueue(tx, draft, [Target(sender.id, to)])

        await self.store.write(work)

    async def prove(self, member: Member, code: str) -> Link:
        """The number to which the code was sent is his. Raises `WrongCode`, `CodeExpired`."""
        said = await self.store.write(lambda tx: self._prove(tx, member, code))
        if isinstance(said, Refusal):
            raise said
        return said

    def _prove(self, tx: Tx, member: Member, code: str) -> Link | WrongCode | CodeExpired:
        """A refusal is not raised: the count of wrong codes must stay."""
        kept = queries.tickets.hold_latest(tx, member.id, Way.SMS)
        if kept is None or kept.tries >= _CODE_TRIES:
            return CodeExpired()
        right = compose.code(self.seal.derive(compose.CODES), kept.scene, kept.address)
        if not hmac.compare_digest(right.encode(), code.strip().encode(errors="replace")):
            queries.tickets.change(tx, replace(kept, tries=kept.tries + 1))
            return WrongCode() if kept.tries + 1 < _CODE_TRIES else CodeExpired()
        return _link(tx, member, replace(kept, label=kept.address))

    async def begin(self, member: Member, way: Way) -> Begun:
        """Where the member is to go, to prove his account. Raises `WayNotOffered`, `NoticesNotPermitted`,
        `TooManyCodes`, `LinkRefused`, `Unavailable`.
        """
        scene = self.new_id()

        def work(tx: Tx) -> Sender:
            sender = ways.ask(tx, member, way)
            self._links(sender, way)
            queries.tickets.lock(tx, member.id)
            made = queries.tickets.made_by(tx, member.id, way, since=tx.now - DAY)
            _ask_few(tx, made, _TICKETS_A_DAY, DAY)
            _begin(tx, _digest(scene), member.id, way, address="", lasts=_TICKET_LASTS)
            return sender

        sender = await self.store.write(work)
        kind = self._links(sender, way)
        offer = await kind.offer(self.senders.account(sender), scene=scene, back=self._back(way))
        if not isinstance(offer, Offer):
            raise _refusal(offer)
        return Begun(offer.url, offer.scan)

    async def back(self, member: Member, way: Way, said: Mapping[str, str]) -> Ticket:
        """His browser has come back from the provider with these parameters. Raises `LinkExpired` for a scene that is
        not his own, or has been used; `LinkRefused`, `Unavailable`, `WayNotOffered`, `NoticesNotPermitted`.
        """
        scene = _digest(said.get("state", ""))
        sender = await self.store.write(lambda tx: _come_back(tx, member, way, scene))
        kind = self._links(sender, way)
        linked = await kind.linked(self.senders.account(sender), said=said, back=self._back(way))
        if not isinstance(linked, Linked):
            raise _refusal(linked)
        return await self.store.write(lambda tx: _found(tx, scene, linked.address, linked.label))

    def _links(self, sender: Sender, way: Way) -> Links:
        kind = self.senders.kind(sender.kind)
        if not isinstance(kind, Links):
            raise WayNotOffered(way=way.value)
        return kind

    def _back(self, way: Way) -> str:
        return f"{self.public_url}/settings/notices/back/{way.value}"


def _digest(scene: str) -> str:
    return hashlib.sha256(scene.encode(errors="replace")).hexdigest()


def _refusal(said: Refused | TryLater) -> LinkRefused | Unavailable:
    if isinstance(said, TryLater):
        return Unavailable(what="provider")
    # The provider's own words may speak of the server.
    _LOG.warning("account not linked", code=said.code, text=said.text)
    return LinkRefused(reason=_STRANGER if said.why is Why.GONE else _REFUSED.get(said.code, said.code))


def _ask_codes(tx: Tx, member_id: MemberId, number: str) -> None:
    his = queries.tickets.made_by(tx, member_id, Way.SMS, since=tx.now - DAY)
    if his.count and tx.now < his.last_at + _CODE_REST:
        raise TooManyCodes(seconds=_seconds(his.last_at + _CODE_REST - tx.now))
    _ask_few(tx, his, _CODES_A_MEMBER, DAY)
    _ask_few(tx, queries.tickets.made_to(tx, number, since=tx.now - DAY), _CODES_A_NUMBER, DAY)


def _ask_few(tx: Tx, made: Made, most: int, period: int) -> None:
    if made.count >= most:
        raise TooManyCodes(seconds=_seconds(made.first_at + period - tx.now))


def _seconds(wait: int) -> int:
    return -(-wait // SECOND)


def _begin(tx: Tx, scene: str, member_id: MemberId, way: Way, *, address: str, lasts: int) -> None:
    queries.tickets.end_all(tx, member_id, way)
    queries.tickets.forget(tx, member_id, way, before=tx.now - DAY)
    queries.tickets.add(tx, scene, member_id, way, address=address, expires_at=tx.now + lasts)


def _come_back(tx: Tx, member: Member, way: Way, scene: str) -> Sender:
    """The scene has been heard, and is not heard again."""
    kept = queries.tickets.by_scene(tx, scene)
    if kept is None or (kept.member_id, kept.way, kept.state) != (member.id, way, TicketState.OPEN):
        raise LinkExpired
    queries.tickets.change(tx, replace(kept, state=TicketState.USED))
    return ways.ask(tx, member, way)


def _found(tx: Tx, scene: str, address: str, label: str) -> Ticket:
    kept = queries.tickets.by_scene(tx, scene)
    if kept is None:
        raise LinkExpired
    return _shown(_keep_found(tx, kept, address, label))


def _keep_found(tx: Tx, kept: Kept, address: str, label: str) -> Kept:
    found = replace(kept, state=TicketState.FOUND, address=address[:_ADDRESS_MOST], label=label[:_LABEL_MOST])
    queries.tickets.change(tx, found)
    return found


def _shown(kept: Kept) -> Ticket:
    return Ticket(kept.way, kept.state, kept.address, kept.label, kept.expires_at)


def ticket(tx: Tx, member: Member, way: Way) -> Ticket | None:
    """The proof of his that is under way, if there is one."""
    kept = queries.tickets.latest(tx, member.id, way)
    return _shown(kept) if kept and kept.tries < _CODE_TRIES else None


def heard(tx: Tx, sender: Sender, event: Scanned | Left) -> None:
    """A provider says who has scanned a code of ours, or that somebody is out of reach."""
    way = settings.way_of(sender.code, sender.kind)
    if way is None:
        return
    if isinstance(event, Left):
        queries.links.break_(tx, way, event.address, event.why.value)
        return
    kept = queries.tickets.by_scene(tx, _digest(event.scene))
    if kept is not None and kept.way is way and kept.state is TicketState.OPEN:
        _keep_found(tx, kept, event.address, event.label)


def confirm(tx: Tx, member: Member, way: Way) -> Link:
    """The account that was found is his. What comes for his own mailbox is told there from now on. Raises
    `LinkExpired`.
    """
    kept = queries.tickets.hold_latest(tx, member.id, way)
    if kept is None or kept.state is not TicketState.FOUND or way is Way.SMS:
        raise LinkExpired
    own = access.own_mailbox(tx, member.id)
    if own is not None and queries.links.get(tx, member.id, way) is None:
        queries.preferences.switch(tx, member.id, own, way, to=True)
    return _link(tx, member, kept)


def _link(tx: Tx, member: Member, kept: Kept) -> Link:
    queries.tickets.change(tx, replace(kept, state=TicketState.USED))
    queries.links.put(tx, member.id, kept.way, kept.address, kept.label)
    return Link(member.id, kept.way, kept.address, kept.label, LinkState.VALID, "", tx.now)


def vouch(tx: Tx, member: Member, way: Way, address: str, label: str = "") -> None:
    """Link what nobody has proven to be his, on the word of whoever calls this."""
    queries.links.put(tx, member.id, way, address, label)


def drop(tx: Tx, member: Member, way: Way) -> None:
    """He has thought better of it."""
    queries.tickets.end_all(tx, member.id, way)


def test(tx: Tx, member: Member, way: Way) -> RecipientId:
    """Send him a note by what he has linked; it counts for nothing. Raises `NotLinked`, `WayNotOffered`,
    `NoticesNotPermitted`, `TooManyCodes`.
    """
    sender = ways.ask(tx, member, way)
    link = queries.links.get(tx, member.id, way)
    if link is None:
        raise NotLinked(way=way.value)
    queries.tickets.lock(tx, member.id)
    since = tx.now - HOUR
    sent = log.entries(tx, origins=[Origin.TEST], member_id=member.id, since=since, limit=_TESTS_AN_HOUR)
    if len(sent) >= _TESTS_AN_HOUR:
        raise TooManyCodes(seconds=_seconds(sent[-1].created_at + HOUR - tx.now))
    draft = Draft(Origin.TEST, compose.sample(member, tx.now), member_id=member.id)
    [recipient_id] = send.enqueue(tx, draft, [Target(sender.id, link.address)]).recipient_ids
    return recipient_id
