# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The SMTP server: does on a socket what the session says, and answers its questions from `delivery`.

One `write` per batch of commands; a task only while a question is open; content goes to the spool as it comes.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from mailroom.core import log
from mailroom.core.clock import Clock
from mailroom.core.errors import NoSpace, Refusal, Unavailable
from mailroom.core.ids import NewId
from mailroom.delivery.judge import Client
from mailroom.delivery.posting import Addressee, Envelope
from mailroom.delivery.spool import Spool
from mailroom.directory.model import Principal, Service
from mailroom.protocols import sasl, secure
from mailroom.protocols.contract import Accepts, Conversation, House, Peer, Submits
from mailroom.protocols.sasl import Exchange, Sasl
from mailroom.protocols.smtp import actions, replies, trace
from mailroom.protocols.smtp.actions import Question
from mailroom.protocols.smtp.session import Dialect, Mechanisms, Session, Terms

_AHEAD_MOST: Final = 64 * 1024  # octets that a client may send ahead while we look for an answer
_OCTETS_A_SECOND: Final = 1000  # the slowest that content may come, on average
_TURN: Final = 0.002  # seconds after which other connections have their turn

_log = log.get("smtp")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where members sign in and hand in their mail (RFC 6409)."""

    sasl: Sasl
    submission: Submits

    def mechanisms(self, peer: Peer) -> Mechanisms:
        """What the client may sign in with: nothing outside TLS, unless it is in a trusted network."""

        def offered(is_secure: bool) -> Sequence[str]:  # noqa: FBT001 # a callback of one argument
            if not self.sasl.takes_passwords(peer.host, secure=is_secure):
                return ()
            return self.sasl.mechanisms(peer.host, secure=is_secure)

        return offered


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """The service: SMTP or LMTP, as `terms.dialect` says; with a `desk` it takes mail from members, and from nobody
    else. A client may be silent for `idle` seconds.
    """

    acceptance: Accepts
    desk: Desk | None = None
    terms: Terms
    tls: ssl.SSLContext | None
    idle: float
    clock: Clock
    new_id: NewId

    @property
    def busy(self) -> bytes:
        return replies.TOO_MANY_CONNECTIONS.wire

    def converse(self, peer: Peer, *, left: Callable[[Conversation], None]) -> Conversation:
        """A conversation for one new connection."""
        return SmtpConversation(self, peer, left)


def smtp(house: House) -> Smtp:
    """SMTP as the settings want it."""
    return _open(house, _terms(house))


def lmtp(house: House) -> Smtp:
    """LMTP as the settings want it. Its client is a mail server that we trust: a recipient who is not here is no
    offence of its, so it is neither slowed down nor sent away.
    """
    endless = sys.maxsize
    terms = replace(_terms(house), dialect=Dialect.LMTP, errors_free=endless, errors_most=endless, chatter_most=endless)
    return _open(house, terms)


def submission(house: House) -> Smtp:
    """Message submission as the settings want it."""
    login = Sasl(house.logins, Service.SMTP, house.settings.trusted, house.new_id)
    return replace(smtp(house), desk=Desk(login, house.submission))


def _terms(house: House) -> Terms:
    limits = house.settings.limits
    return Terms(
        hostname=house.settings.hostname,
        mail_size=limits.mail_size,
        recipients=limits.recipients,
        offers_tls=house.tls is not None,
    )


def _open(house: House, terms: Terms) -> Smtp:
    return Smtp(
        acceptance=house.acceptance,
        terms=terms,
        tls=house.tls,
        idle=house.settings.limits.idle,
        clock=house.clock,
        new_id=house.new_id,
    )


class SmtpConversation(Conversation):
    """One client. What it has not been told `250` for is forgotten with the connection; a mail whose acceptance has
    begun is brought to its end even if the client is gone.
    """

    def __init__(self, service: Smtp, peer: Peer, left: Callable[[Conversation], None]) -> None:
        self._service: Final = service
        self._peer: Final = peer
        self._left: Final = left
        self._principal: Principal | None = None  # who has signed in
        self._exchange: Exchange | None = None
        self._out: list[bytes] = []
        self._spool: Spool | None = None
        self._hop: trace.Hop | None = None
        self._trace_id = ""
        self._task: asyncio.Task[None] | None = None
        self._stirred = True  # there was progress since the last check
        self._since = 0.0
        self._choked = False  # the client does not read what we say
        self._paused = False
        self._securing = False
        self._ended = False  # the client will send no more
        self._closing = False
        self._lost = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        desk = self._service.desk
        mechanisms = desk.mechanisms(self._peer) if desk is not None else None
        self._is_secure = transport.get_extra_info("ssl_object") is not None
        self._session = Session(self._service.terms, mechanisms, secure=self._is_secure)
        self._since = asyncio.get_running_loop().time()
        self._go_on()

    def data_received(self, data: bytes) -> None:
        self._session.receive(data)
        if self._task is None:
            self._go_on()
        else:
            self._pace()

    def eof_received(self) -> bool:
        # A client may close its half and still want our answers; in TLS there is no half.
        self._ended = True
        if self._task is None and not self._choked:
            self._close()
        return not self._is_secure

    def pause_writing(self) -> None:
        self._choked = True
        self._pace()

    def resume_writing(self) -> None:
        self._choked = False
        if self._task is None:
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            if self._task is None:
                self._depart()

    # What the listener calls.

    def check(self, now: float) -> None:
        if self._stirred:
            self._stirred = False
            self._since = now
        if self._task is not None:  # it waits for us
            return
        if now < self._since + self._service.idle + self._session.content_size / _OCTETS_A_SECOND:
            return
        _log.info("client too slow", peer=self._peer.host)
        if self._choked or self._closing:
            self.abort()
        else:
            self._session.hang_up(replies.TOO_SLOW)
            self._go_on()

    @property
    def is_over(self) -> bool:
        return self._closing and not self._choked

    def leave(self) -> None:
        self._session.leave()
        if self._task is None:
            self._go_on()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    # The conversation.

    def _go_on(self) -> None:
        question = self._pump()
        if question is None:
            self._rest()
        else:
            self._task = asyncio.get_running_loop().create_task(self._answer(question))
            self._pace()

    async def _answer(self, question: Question | actions.Wait | None) -> None:
        """Answers this question, and those that follow without a word from the client."""
        while question is not None:
            try:
                await self._ask(question)
            except Exception as fault:  # noqa: BLE001 -- the server's outermost frame: a bug costs one connection
                self._break(fault)
            question = None if self._lost else self._pump()
        self._task = None
        if self._lost:
            self._depart()
        else:
            self._rest()

    def _pump(self) -> Question | actions.Wait | None:
        """Do what the session says until it asks something, waits for the client, or has had its turn."""
        try:
            return self._act()
        except Exception as fault:  # noqa: BLE001 -- as above
            self._break(fault)
            return self._act()

    def _act(self) -> Question | actions.Wait | None:
        now = asyncio.get_running_loop().time
        until = now() + _TURN
        while not self._choked and not self._closing and (action := self._session.next()) is not None:
            match action:
                case actions.Say(wire):
                    self._out.append(wire)
                case actions.Keep(octets):
                    self._keep(octets)
                case actions.Begin(hop):
                    self._begin(hop)
                case actions.Drop(answer):
                    self._drop(answer)
                case actions.Close():
                    self._close()
                case actions.Secure():
                    self._begin_tls()
                    return action
                case _:
                    self._stirred = True
                    return action
            self._stirred |= not isinstance(action, actions.Keep)  # content is paced by its rate
            if now() > until:
                return actions.Wait(0)
        return None

    def _break(self, fault: Exception) -> None:
        _log.error("smtp conversation broke", peer=self._peer.host, trace=self._trace_id, exc_info=fault)
        self._session.hang_up(replies.BROKEN)

    def _rest(self) -> None:
        self._flush()
        self._pace()
        if self._ended and not self._choked:
            self._close()

    def _flush(self) -> None:
        if self._out and not self._lost:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _pace(self) -> None:
        full = self._choked or (self._task is not None and self._session.buffered > _AHEAD_MOST)
        if full is self._paused or self._securing or self._lost or self._closing:
            return
        self._paused = full
        if full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _begin_tls(self) -> None:
        # At once, and before the go-ahead: what is received from now on has come through the handshake.
        self._securing = True
        self._transport.pause_reading()

    def _close(self) -> None:
        self._flush()
        self._closing = True
        self._transport.close()

    def _depart(self) -> None:
        self._forget_spool()
        self._left(self)

    # The mail.

    def _begin(self, hop: trace.Hop) -> None:
        self._trace_id = self._service.new_id()
        self._hop = hop
        self._spool = self._service.acceptance.spool()
        peer = self._peer.host if self._principal is None else None
        hostname = self._service.terms.hostname
        self._keep(trace.fields(hop, peer=peer, hostname=hostname, trace_id=self._trace_id, now=self._service.clock()))

    def _keep(self, octets: bytes) -> None:
        if self._spool is None:
            return
        try:
            self._spool.write(octets)
        except OSError as fault:
            refusal = _as_refusal(fault)
            self._session.spool_failed(refusal)
            self._drop(replies.for_refusal(refusal))

    def _drop(self, answer: replies.Answer | None) -> None:
        if answer is not None:
            self._tell("mail refused", answer=f"{answer.code} {answer.status}", reason=answer.text)
        self._forget_spool()

    def _forget_spool(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _tell(self, event: str, **more: str | int) -> None:
        if self._hop is not None:
            _log.info(
                event,
                trace=self._trace_id,
                peer=self._peer.host,
                hello=self._hop.hello,
                protocol=self._hop.protocol,
                sender=self._hop.sender,
                **({"principal": self._principal.address} if self._principal else {}),
                size=self._spool.size if self._spool is not None else 0,
                **more,
            )

    # The questions.

    async def _ask(self, question: Question | actions.Wait) -> None:
        if not isinstance(question, actions.Find):  # which is quick, and often one of many
            self._flush()
        match question:
            case actions.Find(address, size, before):
                await self._find(address, size, before)
            case actions.Authenticate(mechanism, initial):
                await self._authenticate(mechanism, initial)
            case actions.Respond(response):
                await self._respond(response)
            case actions.SendAs(address):
                await self._send_as(address)
            case actions.Accept(envelope):
                await self._accept(envelope)
            case actions.AcceptEach(envelope):
                await self._accept_each(envelope)
            case actions.Secure():
                await self._secure()
            case actions.Wait(seconds):
                await asyncio.sleep(seconds)

    async def _authenticate(self, mechanism: str, initial: bytes | None) -> None:
        self._exchange = self._at_desk().sasl.exchange(self._peer.host, secure=self._is_secure)
        await self._step(self._exchange.begin(mechanism, initial))

    async def _respond(self, response: bytes) -> None:
        if self._exchange is None:
            raise TypeError("a response was to be judged and nothing was asked")
        await self._step(self._exchange.respond(response))

    async def _step(self, step: Awaitable[sasl.Challenge | sasl.Done]) -> None:
        try:
            reached = await step
        except (sasl.NotOffered, sasl.BadResponse):
            self._session.misunderstood()
        except Refusal as refusal:
            self._session.refused(refusal)
        else:
            if isinstance(reached, sasl.Challenge):
                self._session.challenged(reached.octets)
            else:
                self._principal = reached.principal
                self._session.signed_in()

    async def _send_as(self, address: str) -> None:
        desk, principal = self._at_desk(), self._member()
        try:
            await desk.submission.sender(principal, address)
        except Refusal as refusal:
            _log.info("sender refused", principal=principal.address, sender=address, code=refusal.code)
            self._session.refused(refusal)
        else:
            self._session.allowed()

    def _at_desk(self) -> Desk:
        if self._service.desk is None:
            raise TypeError("a member was to be served where nobody signs in")
        return self._service.desk

    def _member(self) -> Principal:
        if self._principal is None:
            raise TypeError("a member was to be served and nobody has signed in")
        return self._principal

    async def _find(self, address: str, size: int, before: int) -> None:
        try:
            destination = await self._destination(address, size, before)
        except (Refusal, OSError) as fault:
            refusal = _as_refusal(fault)
            _log.info("recipient refused", peer=self._peer.host, recipient=address, code=refusal.code)
            self._session.refused(refusal)
        else:
            self._session.found(destination)

    async def _destination(self, address: str, size: int, before: int) -> Addressee:
        sender, desk = self._session.sender, self._service.desk
        if desk is None:
            return await self._service.acceptance.find(address, size=size, client=self._client(), sender=sender)
        member = self._member()
        return await desk.submission.recipient(member, address, size=size, sender=sender, before=before)

    def _client(self) -> Client | None:
        """Who is to be judged; None: a mail server in front of us has done so."""
        is_lmtp = self._service.terms.dialect is Dialect.LMTP
        return None if is_lmtp else Client(self._peer.host, self._session.hello)

    async def _accept(self, envelope: Envelope) -> None:
        spool = self._held()
        try:
            if self._service.desk is None:
                await self._service.acceptance.accept(replace(envelope, client=self._client()), spool)
            else:
                await self._service.desk.submission.submit(self._member(), envelope, spool)
        except (Refusal, OSError) as fault:
            self._refused(_as_refusal(fault))
        else:
            self._tell("mail accepted", recipients=len(envelope.destinations))
            self._forget_spool()
            self._session.accepted(self._trace_id)

    async def _accept_each(self, envelope: Envelope) -> None:
        spool = self._held()
        try:
            answers = await self._service.acceptance.accept_each(envelope, spool)
        except (Refusal, OSError) as fault:
            self._refused(_as_refusal(fault))
        else:
            refusals = [refusal.code for refusal in answers.values() if refusal is not None]
            event = "mail accepted" if len(refusals) < len(answers) else "mail refused"
            self._tell(event, recipients=len(answers), refused=",".join(refusals))
            self._forget_spool()
            self._session.accepted_each(answers, self._trace_id)

    def _held(self) -> Spool:
        if self._spool is None:
            raise TypeError("a mail was to be accepted and there is no spool")
        return self._spool

    def _refused(self, refusal: Refusal) -> None:
        self._drop(replies.for_refusal(refusal))
        self._session.refused(refusal)

    async def _secure(self) -> None:
        context = self._service.tls
        if context is None:
            raise TypeError("TLS was offered and there is no certificate")
        try:
            self._transport = await secure.start_tls(self._transport, self, context)
        except OSError as fault:
            _log.info("no TLS", peer=self._peer.host, reason=str(fault))
            self._lost = True  # asyncio tells of a connection's end only to those who have seen its beginning
        else:
            self._securing = False
            self._is_secure = True
            self._principal = None  # RFC 3207 §4.2
            self._session.secured()


def _as_refusal(fault: Refusal | OSError) -> Refusal:
    if isinstance(fault, Refusal):
        return fault
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace()
    _log.error("a mail could not be kept", exc_info=fault)
    return Unavailable(what="the spool")
