# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The dialogue with one server: greeting, TLS, signing in, and one mail after the other.

Each wait has a limit of its own; they are those of RFC 5321 §4.5.3.2, but for the ones before the mail itself, which
are shorter: a server that takes minutes to say hello is tried again later.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from mailroom.core.secrets import Secret
from mailroom.senders.contract import Scope, excerpt
from mailroom.senders.email import auth, dane
from mailroom.senders.email.envelope import Envelope, commands
from mailroom.senders.email.replies import Garbage, Reply, Trouble, capabilities
from mailroom.senders.email.security import Demand, Level
from mailroom.senders.email.stuffing import Stuffer
from mailroom.senders.email.wire import Wire

_WORDS: Final = 400  # characters of a reply that are kept

# Seconds.
GREETING: Final = 60.0
COMMAND: Final = 60.0
HANDSHAKE: Final = 30.0
DATA: Final = 120.0
BLOCK: Final = 180.0
END: Final = 600.0  # a server may look into the mail before it answers, and giving up early makes a second one


@dataclass(slots=True)
class Session:
    """A conversation that has been opened. Methods raise `Trouble`."""

    wire: Wire
    server: str  # its name or address, for people
    offered: Mapping[str, str] = field(default_factory=dict)
    mails: int = 0
    _sound: bool = True  # both sides agree on whose turn it is

    @property
    def fit(self) -> bool:
        """It can take another mail."""
        return self._sound and self.wire.quiet

    async def greet(self, hostname: str) -> None:
        """Hear the greeting, and say hello."""
        with self._trouble("its greeting", elsewhere=True):
            async with asyncio.timeout(GREETING):
                greeting = await self.wire.reply()
        if greeting.code != 220:
            raise self.refused(greeting, elsewhere=True)
        called = greeting.text.partition(" ")[0].lower()
        if called == hostname.lower():
            raise Trouble(554, f"5.4.6 {self.server} is this server itself")
        await self.hello(hostname)

    async def hello(self, hostname: str) -> None:
        """Say who we are; learn what the server can do."""
        reply = await self.ask(f"EHLO {hostname}\r\n".encode(), elsewhere=True)
        if reply.good:
            self.offered = capabilities(reply)
            return
        if reply.code >= 500:
            reply = await self.ask(f"HELO {hostname}\r\n".encode(), elsewhere=True)
        if not reply.good:
            raise self.refused(reply, elsewhere=True)
        self.offered = {}

    async def secure(self, demand: Demand, context: ssl.SSLContext, hostname: str, *, name: str) -> None:
        """Change over to TLS as the demand says. Raises `ssl.SSLError` when it fails."""
        reply = await self.ask(b"STARTTLS\r\n", elsewhere=True) if "STARTTLS" in self.offered else None
        if reply is None or not reply.good:
            if demand.level is Level.MAY:
                return
            raise Trouble(451, f"4.7.5 {self.server} offers no TLS, and must", elsewhere=True)
        try:
            await self.wire.start_tls(context, name, seconds=HANDSHAKE)
        except ssl.SSLError:
            raise
        except (OSError, Garbage) as fault:
            raise ssl.SSLError(str(fault)) from fault
        # RFC 3207 §4.2: what was offered in the clear counts for nothing.
        await self.hello(hostname)

    def authenticate(self, demand: Demand, *, name: str, now: datetime) -> None:
        """Hold the certificates that were shown against DANE's records."""
        if demand.level is Level.DANE and not dane.authentic(
            self.wire.certificates, demand.tlsa, names=[name], now=now
        ):
            raise Trouble(451, f"4.7.5 the certificate of {self.server} is not the one in the DNS", elsewhere=True)

    async def sign_in(self, user: str, password: Secret, *, nonce: str) -> None:
        """Sign in by the best mechanism. What goes wrong here holds up the whole account."""
        mechanisms = self.offered.get("AUTH", "").upper().split()
        chosen = auth.choose(mechanisms, user, password, nonce=nonce)
        if chosen is None:
            raise Trouble(451, f"4.7.0 {self.server} offers no way of signing in that we know", scope=Scope.SENDER)
        mechanism, exchange = chosen
        reply = await self.ask(f"AUTH {mechanism} {_base64(next(exchange))}".rstrip().encode() + b"\r\n")
        try:
            while reply.code == 334:
                challenge = base64.b64decode(reply.text)
                answer = await asyncio.to_thread(auth.answer, exchange, challenge)
                reply = await self.ask(_base64(answer).encode() + b"\r\n")
        except (auth.Mistrust, binascii.Error):
            raise Trouble(
                451, f"4.7.0 {self.server} does not sign in as {mechanism} says", scope=Scope.SENDER
            ) from None
        if reply.code != 235:
            said = excerpt(reply.text, hide=[password])
            # Not for good, whatever the code: the mail must not come back because a password was changed.
            raise Trouble(451, f"4.7.8 signing in failed: {reply.code} {said} ({self.server})", scope=Scope.SENDER)

    async def deliver(self, envelope: Envelope, octets: AsyncIterator[bytes]) -> Reply:
        """Hand over one mail; the reply that takes it. Raises what `octets` raises too; then nothing was delivered."""
        mail, rcpt = commands(envelope, self.offered)
        self.mails += 1
        steps = [mail, rcpt, b"DATA\r\n"]
        replies = await (self._pipeline(steps) if "PIPELINING" in self.offered else self._in_turn(steps))
        refused = next((reply for reply in replies if not reply.good), None)
        if refused is not None or replies[-1].code != 354:
            trouble = self.refused(refused or replies[-1])
            await self._give_up(replies)
            raise trouble
        reply = await self._data(octets)
        if not reply.good:
            raise self.refused(reply)
        return reply

    async def _give_up(self, replies: Sequence[Reply]) -> None:
        """End a transaction whose envelope was refused, so that the server does not wait for its mail."""
        if not self.fit:
            return
        # RFC 2920 §3.1: with 354 it waits for a mail already, which nobody gets.
        end = b".\r\n" if replies[-1].code == 354 else b"RSET\r\n"
        with contextlib.suppress(Trouble):  # what was said before counts
            await self.ask(end, seconds=END)

    async def _in_turn(self, steps: Sequence[bytes]) -> Sequence[Reply]:
        replies = []
        for step in steps:
            seconds = DATA if step == steps[-1] else COMMAND
            replies.append(await self.ask(step, seconds=seconds, elsewhere=True))
            if not replies[-1].good:
                break
        return replies

    async def _pipeline(self, steps: Sequence[bytes]) -> Sequence[Reply]:
        with self._trouble("an answer", elsewhere=True):
            async with asyncio.timeout(DATA * len(steps)):
                await self.wire.write(b"".join(steps))
                return [await self.wire.reply() for _ in steps]

    async def _data(self, octets: AsyncIterator[bytes]) -> Reply:
        stuffer = Stuffer()
        self._sound = False  # for whatever may interrupt the mail
        held = b""  # back, so that a small mail goes out with its end, at one stroke
        async for piece in octets:
            if held:
                with self._trouble("the mail to be taken"):
                    async with asyncio.timeout(BLOCK):
                        await self.wire.write(held)
            held = stuffer.feed(piece)
        with self._trouble("an answer after the mail, which may have arrived"):
            async with asyncio.timeout(END):
                await self.wire.write(held + stuffer.end())
                reply = await self.wire.reply()
        self._sound = True
        return reply

    async def ask(self, command: bytes, *, seconds: float = COMMAND, elsewhere: bool = False) -> Reply:
        """One command and its reply."""
        with self._trouble("an answer", elsewhere=elsewhere):
            async with asyncio.timeout(seconds):
                await self.wire.write(command)
                return await self.wire.reply()

    @contextlib.contextmanager
    def _trouble(self, awaited: str, *, elsewhere: bool = False) -> Iterator[None]:
        """What the network does while we wait for something is trouble."""
        sound, self._sound = self._sound, False
        try:
            yield
        except TimeoutError:
            text = f"4.4.2 {self.server} kept us waiting for {awaited} for too long"
        except Garbage:
            text = f"4.5.0 {self.server} does not speak SMTP"
        except OSError as fault:
            text = f"4.4.2 the connection to {self.server} broke while we waited for {awaited} ({fault})"
        else:
            self._sound = sound
            return
        raise Trouble(451, text, elsewhere=elsewhere) from None

    def refused(self, reply: Reply, *, elsewhere: bool = False) -> Trouble:
        """The server's no. RFC 5321 §3.8: after 421 it hangs up; another one may not."""
        if reply.code == 421:
            self._sound = False
        code = reply.code if reply.code >= 400 else 451
        return Trouble(code, self.said(reply), elsewhere=elsewhere or reply.code == 421)

    def said(self, reply: Reply) -> str:
        """The reply's words, and whose they are."""
        return f"{reply.text[:_WORDS]} ({self.server})"

    def close(self) -> None:
        """Say goodbye, and do not wait for an answer."""
        self.wire.close(b"QUIT\r\n")


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
