# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The POP3 server: does for a client what the session says, with the store and the connection."""

from __future__ import annotations

import base64
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Final, cast

from mailroom.core import log
from mailroom.core.errors import NotFound, Refusal, WrongCredentials
from mailroom.core.ids import FolderId, Uid
from mailroom.core.secrets import Secret
from mailroom.directory import logins
from mailroom.directory.model import Principal
from mailroom.directory.model import Service as Kind
from mailroom.mailboxes import change, fetch
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import Flag, Marks
from mailroom.mailboxes.uids import ranges
from mailroom.protocols import sasl
from mailroom.protocols.contract import House
from mailroom.protocols.pop3 import grammar, replies, session
from mailroom.protocols.pop3.content import Beginning, Dressing
from mailroom.protocols.pop3.session import Offer, Session
from mailroom.protocols.sasl import Sasl
from mailroom.protocols.wire import Farewells, Gone, LineTooLong, Service, Wire
from mailroom.storage.ports import Tx

# RFC 1939 §3: who has signed in may be silent for ten minutes at least.
_PATIENCE: Final = 600.0
_LINES_AT_ONCE: Final = 1000
_FAREWELLS: Final = Farewells(replies.TOO_SLOW, replies.CLOSING, replies.BROKEN)

_LOG = log.get("pop3")


def pop3(house: House) -> Service:
    """POP3 as the settings want it."""
    sasl_ = Sasl(house.logins, Kind.POP3, house.settings.trusted, house.new_id)
    return Service(
        talk=lambda wire: _Talk(house, sasl_, wire).run(),
        busy=replies.TOO_MANY_CONNECTIONS,
        patience=house.settings.limits.idle,
        farewells=_FAREWELLS,
    )


class _Talk:
    """One client."""

    def __init__(self, house: House, sasl_: Sasl, wire: Wire) -> None:
        self._house = house
        self._sasl = sasl_
        self._wire = wire
        self._session = Session(self._offer())
        self._principal: Principal | None = None
        self._folder_id = FolderId(0)

    def _offer(self) -> Offer:
        sasl_, peer, secure = self._sasl, self._wire.peer.host, self._wire.is_secure
        return Offer(
            sasl_.mechanisms(peer, secure=secure),
            passwords=sasl_.takes_passwords(peer, secure=secure),
            tls=self._house.tls is not None and not secure,
        )

    async def run(self) -> None:
        """Talk until one of the two has had enough."""
        self._wire.say(replies.ok("Mailroom"))
        action: session.Action = session.Say(b"")
        while not isinstance(action, session.Close):
            try:
                action = self._session.obey(await self._wire.line(grammar.LINE_MOST))
            except LineTooLong:
                action = self._session.refused(replies.LINE_TOO_LONG)
            action = await self._do(action)
            if isinstance(action, session.Say | session.Close):
                self._wire.say(action.octets)

    async def _do(self, action: session.Action) -> session.Action:
        """Do it; what is left to say then."""
        match action:
            case session.SignIn() | session.Exchange():
                return await self._sign_in(action)
            case session.Secure():
                await self._secure()
            case session.Recite(lines):
                await self._recite(lines)
            case session.Send():
                return await self._send(action)
            case session.Part(uids):
                return session.Close(await self._update(uids))
            case _:
                return action
        return session.Say(b"")

    # Signing in.

    async def _sign_in(self, action: session.SignIn | session.Exchange) -> session.Action:
        try:
            principal = await self._prove(action)
            snapshot = await self._house.store.read(lambda tx: fetch.snapshot(tx, principal.mailbox_id))
        except Refusal as refusal:
            return self._session.refused(replies.for_refusal(refusal))
        except sasl.NotOffered:
            return self._session.refused(replies.NOT_OFFERED)
        except (sasl.BadResponse, LineTooLong):
            return self._session.refused(replies.BAD_RESPONSE)
        except sasl.Cancelled:
            return self._session.refused(replies.CANCELLED)
        self._principal, self._folder_id = principal, snapshot.folder_id
        self._wire.patience = max(self._wire.patience, _PATIENCE)
        return self._session.opened(snapshot)

    async def _prove(self, action: session.SignIn | session.Exchange) -> Principal:
        peer, secure = self._wire.peer.host, self._wire.is_secure
        if isinstance(action, session.SignIn):
            return await self._sasl.by_password(action.name, Secret(action.password), peer=peer, secure=secure)
        exchange = self._sasl.exchange(peer, secure=secure)
        step = await exchange.begin(action.mechanism, sasl.decode_initial(action.initial))
        while isinstance(step, sasl.Challenge):
            self._wire.say(b"+ " + base64.b64encode(step.octets) + b"\r\n")
            step = await exchange.respond(sasl.decode(await self._wire.line(sasl.RESPONSE_MOST)))
        return step.principal

    async def _secure(self) -> None:
        context = self._house.tls
        assert context is not None  # or it would not have been offered
        await self._wire.start_tls(replies.GO_AHEAD, context)
        self._session.secured(self._offer())

    # The mails.

    async def _recite(self, lines: Iterator[bytes]) -> None:
        while some := b"".join(itertools.islice(lines, _LINES_AT_ONCE)):
            self._wire.say(some)
            await self._wire.drain()

    async def _send(self, mail: session.Send) -> session.Action:
        principal = self._signed_in()
        if not await self._house.store.read(lambda tx: logins.still_valid(tx, principal)):
            return session.Close(replies.REVOKED)
        # A generator, which has to be closed when it is not read to its end.
        body = cast("AsyncGenerator[bytes]", self._house.bodies.read(mail.content_id))
        async with contextlib.aclosing(body):
            try:
                first = await anext(body, b"")
            except NotFound:
                return self._session.refused(replies.NO_SUCH_MAIL)
            except Refusal as refusal:
                return session.Say(replies.for_refusal(refusal))
            self._wire.say(replies.ok(f"{mail.size} octets"))
            try:
                await self._stream(first, body, mail.lines)
            except Refusal as refusal:  # the mail has begun: all that the client can be told is that it does not end
                _LOG.warning("mail cut off", peer=self._wire.peer.host, reason=str(refusal))
                raise Gone from refusal
        return session.Say(b"")

    async def _stream(self, first: bytes, body: AsyncIterator[bytes], lines: int | None) -> None:
        dressing, beginning = Dressing(), None if lines is None else Beginning(lines)
        chunk = first
        while chunk:
            self._wire.say(dressing.feed(chunk if beginning is None else beginning.feed(chunk)))
            await self._wire.drain()
            if beginning is not None and beginning.ended:
                break
            chunk = await anext(body, b"")
        self._wire.say(dressing.end())

    async def _update(self, uids: Sequence[Uid]) -> bytes:
        principal, folder_id = self._signed_in(), self._folder_id
        if not uids:
            return replies.BYE
        try:
            await self._house.store.write(lambda tx: _remove(tx, principal, folder_id, uids))
        except Refusal as refusal:  # nothing has been removed
            return replies.for_refusal(refusal)
        return replies.BYE

    def _signed_in(self) -> Principal:
        assert self._principal is not None  # as the session's table has it
        return self._principal


def _remove(tx: Tx, principal: Principal, folder_id: FolderId, uids: Sequence[Uid]) -> None:
    if not logins.still_valid(tx, principal):
        raise WrongCredentials
    named = ranges(uids)
    change.mark(tx, folder_id, named, How.ADD, Marks(Flag.DELETED))
    change.expunge(tx, folder_id, named)
