# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The IMAP server: moves octets between a socket, the reader and the commands, one command after another.

Answers of commands that come together leave in one write. There is a task only while a command is at work: a client
that idles costs its buffers and a place in the list of those who hear hints.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from mailroom.core import log
from mailroom.core.errors import Refusal
from mailroom.directory.model import Service as What
from mailroom.protocols import secure
from mailroom.protocols.contract import Conversation, House, Peer
from mailroom.protocols.imap import replies, updates
from mailroom.protocols.imap.commands import TABLE, Rule, Telling, append, capability
from mailroom.protocols.imap.deflate import Broken, Deflate
from mailroom.protocols.imap.grammar import reader
from mailroom.protocols.imap.grammar.lexer import Malformed
from mailroom.protocols.imap.session import Ended, Session, Terms, Then, Tools
from mailroom.protocols.sasl import Sasl
from mailroom.storage.ports import Tx

_AHEAD_MOST: Final = 64 * 1024  # octets that a client may send ahead while a command is at work
_INFLATED: Final = 16 * 1024  # octets that are inflated at once
_WRITTEN: Final = 64 * 1024  # octets of answers that are gathered before they are sent
_TURN: Final = 0.002  # seconds after which other connections have their turn
_FORGET: Final = 60.0  # seconds of silence after which nothing is held that can be had again
_COMMAND_MOST: Final = 256 * 1024  # octets of a member's command

_log = log.get("imap")


@dataclass(frozen=True, slots=True)
class _News:
    """Nothing that the client said: something may have changed, or it is time to look."""


@dataclass(frozen=True, slots=True)
class _Breath:
    """Nothing either: the client has had its turn, and there is more to inflate of what it said."""


_Event = reader.Event | _News | _Breath


class _Gone(Exception):
    """The client is not there any more."""


@dataclass(frozen=True, slots=True)
class Imap:
    """The service."""

    tools: Tools
    tls: ssl.SSLContext | None

    @property
    def busy(self) -> bytes:
        return b"* BYE [UNAVAILABLE] too many connections, try later\r\n"

    def converse(self, peer: Peer, *, left: Callable[[Conversation], None]) -> Conversation:
        """A conversation for one new connection."""
        return ImapConversation(self, peer, left)


def imap(house: House) -> Imap:
    """IMAP as the settings want it."""
    settings = house.settings
    return Imap(
        Tools(
            store=house.store,
            bodies=house.bodies,
            letters=house.letters,
            sasl=Sasl(house.logins, What.IMAP, settings.trusted, house.new_id),
            clock=house.clock,
            terms=Terms(
                hostname=settings.hostname,
                offers_tls=house.tls is not None,
                mail_size=settings.limits.mail_size,
                stuck=settings.limits.idle,
            ),
        ),
        house.tls,
    )


class ImapConversation(Conversation):
    """One client, and the `Wire` of its session."""

    def __init__(self, service: Imap, peer: Peer, left: Callable[[Conversation], None]) -> None:
        self._service: Final = service
        self._terms: Final = service.tools.terms
        self._peer: Final = peer
        self._left: Final = left
        self._reader = reader.Reader()
        self._deflate: Deflate | None = None
        self._out: list[bytes] = []
        self._out_size = 0
        self._task: asyncio.Task[None] | None = None
        self._turn_ends = 0.0
        self._answer: asyncio.Future[bytes] | None = None  # a command waits for the client's line
        self._limits: Final = reader.Limits(_COMMAND_MOST, skipped=service.tools.terms.mail_size + _COMMAND_MOST)
        self._drained: asyncio.Future[None] | None = None  # a command waits for the client to read
        self._idle_tag = b""
        self._stirred = False
        self._errors = 0
        self._heard_at = 0.0
        self._said_at = 0.0
        self._choked = False
        self._paused = False
        self._securing = False
        self._ended = False  # the client will send no more
        self._leaving = False
        self._closing = False
        self._lost = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        is_secure = transport.get_extra_info("ssl_object") is not None
        self._session = Session(self._service.tools, self, self._peer.host, secure=is_secure)
        self._heard_at = self._said_at = self._now()
        self.say(b"* OK [CAPABILITY %b] Mailroom\r\n" % capability.words(self._session))
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._session.principal is not None:
            self._heard_at = self._now()
        if self._deflate is None:
            self._reader.feed(data)
        else:
            self._deflate.feed(data)
        if self._task is None:
            self._go_on()
        elif self._answer is not None:
            self._hear_line()
        self._pace()

    def eof_received(self) -> bool:
        # A client may close its half and still want our answers; in TLS there is no half.
        self._ended = True
        if self._task is None and not self._choked:
            self._close()
        elif self._answer is not None:
            self.abort()
        return not self._session.secure

    def pause_writing(self) -> None:
        self._choked = True
        self._said_at = self._now()
        self._pace()

    def resume_writing(self) -> None:
        self._choked = False
        self._said_at = self._now()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._task is None:
            self._go_on()
        self._pace()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        for waiting in (self._answer, self._drained):
            if waiting is not None and not waiting.done():
                waiting.set_exception(_Gone())
        if self._task is None:
            self._depart()

    # What the listener calls.

    def check(self, now: float) -> None:
        if self._closing or self._choked:
            if now > self._said_at + self._terms.stuck:
                self.abort()
        elif self._task is not None:
            if self._answer is not None and now > self._heard_at + self._terms.silence_of_strangers:
                self.abort()
        elif now > self._heard_at + self._patience():
            self._bye(b"[UNAVAILABLE] silent for too long")
            self._flush()
        elif self._stirred or (self._idle_tag and now > self._said_at + self._terms.heartbeat):
            self._start(_News())
        elif self._session.view is not None and now > self._heard_at + _FORGET:
            self._session.view.forget()

    def _patience(self) -> float:
        is_stranger = self._session.principal is None
        return self._terms.silence_of_strangers if is_stranger else self._terms.silence

    @property
    def is_over(self) -> bool:
        return self._closing and not self._choked

    def leave(self) -> None:
        self._leaving = True
        if self._task is None:
            self._rest()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    # What commands call.

    def say(self, octets: bytes) -> None:
        self._out.append(octets)
        self._out_size += len(octets)

    async def flow(self) -> None:
        if self._out_size >= _WRITTEN:
            self._flush()
        if self._now() > self._turn_ends:
            self._flush()
            await asyncio.sleep(0)
            self.awake()
        if self._choked and not self._lost:
            self._drained = asyncio.get_running_loop().create_future()
            try:
                await self._drained
            finally:
                self._drained = None
        if self._lost:
            raise _Gone

    def awake(self) -> None:
        self._turn_ends = self._now() + _TURN

    async def ask(self, prompt: bytes) -> bytes:
        self.say(b"+ %b\r\n" % prompt)
        self._flush()
        if self._lost:
            raise _Gone
        self._reader.expect_line()
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self._hear_line()
            return await self._answer
        finally:
            self._answer = None
            self._heard_at = self._now()

    def stir(self) -> None:
        self._stirred = True
        if self._idle_tag and self._task is None and not self._choked and not self._closing:
            self._start(_News())

    # The conversation.

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _go_on(self) -> None:
        self.awake()
        event = self._pump()
        if event is None:
            self._rest()
        else:
            self._start(event)

    def _start(self, event: _Event) -> None:
        self.awake()
        self._task = asyncio.get_running_loop().create_task(self._serve(event))

    async def _serve(self, event: _Event | None) -> None:
        """Do what the event asks for, and what the client has said since."""
        while event is not None:
            try:
                await self.flow()
                await self._obey(event)
            except _Gone:
                break
            except Ended as end:
                self._bye(end.text)
            except Refusal as refusal:  # the store is away while we look for news
                self._bye(replies.for_refusal(refusal))
            except Exception as fault:  # noqa: BLE001 -- the server's outermost frame: a bug costs one connection
                self._break(fault)
            event = self._pump()
        self._task = None
        if self._lost:
            self._depart()
        else:
            self._rest()

    def _break(self, fault: Exception) -> None:
        _log.error("imap conversation broke", peer=self._peer.host, exc_info=fault)
        self._bye(b"something went wrong")

    def _pump(self) -> _Event | None:
        """What to do next that takes time, if there is anything."""
        try:
            return self._hear()
        except Exception as fault:  # noqa: BLE001 -- as above
            self._break(fault)
            return None

    def _hear(self) -> _Event | None:
        while not self._choked and not self._closing and not self._securing:
            event = self._next()
            match event:
                case None:
                    return None
                case reader.Wrong():
                    self.say(event.wire)
                    self._session.drop_parcel()
                    self._count_error()
                case reader.GoOn():
                    self.say(b"+ go on\r\n")
                case reader.Octets(octets, last=False):
                    self._keep(octets)
                case reader.Lost(text):
                    self._bye(text)
                case _:
                    return event
        return None

    def _next(self) -> reader.Event | _Breath | None:
        while (event := self._reader.next()) is None and self._deflate is not None:
            if self._now() > self._turn_ends:  # a few octets may become thousands of times as many
                return _Breath()
            try:
                octets = self._deflate.inflate(_INFLATED)
            except Broken:
                return reader.Lost(b"this is not DEFLATE")
            if not octets:
                return None
            self._reader.feed(octets)
        return event

    async def _obey(self, event: _Event) -> None:
        match event:
            case reader.Request():
                await self._command(event)
            case reader.Incoming():
                await self._incoming(event)
            case reader.Octets(octets):
                self._keep(octets)
                await self._kept()
            case reader.Line(octets):
                await self._stop_idling(octets)
            case _News():
                await self._catch_up()
            case _Breath():
                pass

    async def _command(self, request: reader.Request) -> None:
        session = self._session
        session.tag, session.then = request.tag, Then.GO_ON
        rule = TABLE[type(request.command)]
        if session.state in rule.states:
            text = await self._run(rule, request)
        else:
            text = b"BAD not now"
        if not text.startswith(b"BAD"):
            self._errors = 0
        if session.then is not Then.IDLE:
            self.say(b"%b %b\r\n" % (request.tag, text))
        await self._follow(session.then)
        if text.startswith(b"BAD"):
            self._count_error()

    async def _run(self, rule: Rule, request: reader.Request) -> bytes:
        session = self._session
        view = session.view
        try:
            text = await rule.run(session, request.command)
        except (Malformed, Refusal) as fault:
            text = fault.text if isinstance(fault, Malformed) else b"NO " + replies.for_refusal(fault)
            if view is not None:
                view.found_nothing()
        if view is not None and session.view is view and rule.telling is not Telling.NOTHING:
            by_uid = getattr(request.command, "uid", True)
            with contextlib.suppress(Refusal):  # the store is away; the client hears it next time
                await updates.tell(session, expunges=rule.telling is Telling.ALL or by_uid)
        return text

    async def _follow(self, then: Then) -> None:
        session = self._session
        match then:
            case Then.START_TLS:
                await self._start_tls()
            case Then.COMPRESS:
                self._flush()
                self._deflate = Deflate()
                self._deflate.feed(self._reader.rest())
            case Then.IDLE:
                self.say(b"+ idling\r\n")
                self._idle_tag = session.tag
                self._reader.expect_line()
            case Then.PART:
                self._close()
            case Then.GO_ON:
                pass
        if session.principal is not None:
            self._heard_at = self._now()
            self._reader.utf8 = session.speaks_utf8
            self._reader.limits = self._limits

    async def _start_tls(self) -> None:
        # At once, and before the go-ahead: what is received from now on has come through the handshake.
        context = self._service.tls
        assert context is not None
        self._securing = True
        self._transport.pause_reading()
        self._reader.rest()  # RFC 9051 §11.1: it could have been said by anybody
        self._flush()
        try:
            self._transport = await secure.start_tls(self._transport, self, context)
        except OSError as fault:
            _log.info("no TLS", peer=self._peer.host, reason=str(fault))
            self._lost = self._closing = True  # asyncio tells of an end only those who have seen the beginning
        else:
            self._securing = self._paused = False
            self._session.secure = True

    # APPEND.

    async def _incoming(self, event: reader.Incoming) -> None:
        try:
            await append.admit(self._session, event)
        except (Malformed, Refusal) as fault:
            self._refuse_append(event.tag, fault)
            return
        self._reader.take()
        if event.waits:
            self.say(b"+ go on\r\n")

    def _keep(self, octets: bytes) -> None:
        parcel = self._session.parcel
        if parcel is None:  # refused meanwhile
            return
        try:
            parcel.write(octets)
        except (Refusal, OSError) as fault:
            self._refuse_append(parcel.tag, fault)

    async def _kept(self) -> None:
        parcel = self._session.parcel
        if parcel is None:
            return
        try:
            await parcel.finish()
        except (Refusal, OSError) as fault:
            self._refuse_append(parcel.tag, fault)

    def _refuse_append(self, tag: bytes, fault: Malformed | Refusal | OSError) -> None:
        text = fault.text if isinstance(fault, Malformed) else b"NO " + replies.for_refusal(append.as_refusal(fault))
        self._session.drop_parcel()
        self._reader.refuse()
        self.say(b"%b %b\r\n" % (tag, text))

    # IDLE, and news.

    async def _stop_idling(self, line: bytes) -> None:
        tag, self._idle_tag = self._idle_tag, b""
        self._heard_at = self._now()
        if self._session.view is not None:
            await updates.tell(self._session)
        if line.strip().upper() == b"DONE":
            self.say(b"%b OK idle no more\r\n" % tag)
        else:
            self.say(b"%b BAD DONE expected\r\n" % tag)

    async def _catch_up(self) -> None:
        self._stirred = False
        session = self._session
        quiet = self._now() > self._said_at + self._terms.heartbeat
        session.ask_anew()
        if self._idle_tag and session.view is not None:
            await updates.tell(session)
        else:
            await session.glance(_nothing)
        if self._idle_tag and quiet and not self._out:
            self.say(b"* OK still here\r\n")

    # What they share.

    def _hear_line(self) -> None:
        assert self._answer is not None
        if self._answer.done():
            return
        match self._next():
            case reader.Line(octets):
                self._answer.set_result(octets)
            case reader.Lost(text):
                self._answer.set_exception(Ended(text))

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self._terms.errors_most:
            self._bye(b"too many errors")

    def _bye(self, text: bytes) -> None:
        if not self._closing:
            self.say(b"* BYE %b\r\n" % text)
            self._close()

    def _close(self) -> None:
        self._flush()
        self._closing = True
        self._said_at = self._now()
        self._transport.close()

    def _rest(self) -> None:
        self._flush()
        self._pace()
        if self._closing:
            return
        if self._leaving and self._session.parcel is None:
            self._bye(b"[UNAVAILABLE] going down")
        elif self._ended and not self._choked:
            self._close()
        elif self._stirred and self._idle_tag and not self._choked:
            self._start(_News())

    def _flush(self) -> None:
        if self._out and not self._lost:
            octets = b"".join(self._out)
            self._said_at = self._now()
            self._transport.write(octets if self._deflate is None else self._deflate.deflate(octets))
        self._out.clear()
        self._out_size = 0

    def _pace(self) -> None:
        ahead = self._reader.held + (0 if self._deflate is None else self._deflate.held)
        full = self._choked or (self._task is not None and ahead > _AHEAD_MOST)
        if full is self._paused or self._securing or self._closing:
            return
        self._paused = full
        if full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _depart(self) -> None:
        self._session.leave()
        self._left(self)


def _nothing(_: Tx) -> None:
    """A look at nothing but whether the client may go on."""
