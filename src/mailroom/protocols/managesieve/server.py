# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The ManageSieve server: does for a client what the session says, with the scripts and the connection."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Final

from mailroom.core.errors import Refusal, TooLarge
from mailroom.delivery import rules
from mailroom.directory import logins
from mailroom.directory.model import Principal
from mailroom.directory.model import Service as Kind
from mailroom.protocols import sasl
from mailroom.protocols.contract import House
from mailroom.protocols.managesieve import grammar, replies, session
from mailroom.protocols.managesieve.grammar import Token
from mailroom.protocols.managesieve.session import Offer, Session
from mailroom.protocols.sasl import Sasl
from mailroom.protocols.wire import Farewells, LineTooLong, Service, Wire
from mailroom.storage.ports import Tx

# RFC 5804 §1.2: who has signed in may be silent for half an hour.
_PATIENCE: Final = 1800.0
_LITERAL_MOST: Final = 1024 * 1024  # octets; what a script may have is less
_STRANGERS_LITERAL_MOST: Final = sasl.RESPONSE_MOST
_FAREWELLS: Final = Farewells(replies.TOO_SLOW, replies.CLOSING, replies.BROKEN)


def managesieve(house: House) -> Service:
    """ManageSieve as the settings want it."""
    sasl_ = Sasl(house.logins, Kind.SIEVE, house.settings.trusted, house.new_id)
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

    def _offer(self) -> Offer:
        return Offer(
            self._sasl.mechanisms(self._wire.peer.host, secure=self._wire.is_secure),
            tls=self._house.tls is not None and not self._wire.is_secure,
            sieve=rules.EXTENSIONS,
        )

    async def run(self) -> None:
        """Talk until one of the two has had enough."""
        self._wire.say(self._session.greeting)
        action: session.Action = session.Say(b"")
        while not isinstance(action, session.Close):
            try:
                action = await self._do(self._session.obey(await self._command()))
            except (LineTooLong, _FarTooLarge):  # where the next command begins, nobody knows
                action = session.Close(replies.TOO_LARGE)
            if isinstance(action, session.Say | session.Close):
                self._wire.say(action.octets)

    async def _command(self) -> list[Token]:
        """The tokens of the client's next command, its literals among them. Raises `LineTooLong`, `_FarTooLarge`."""
        found, size = grammar.tokens(await self._wire.line(grammar.LINE_MOST))
        while size is not None:
            found.append(await self._literal(size))
            more, size = grammar.tokens(await self._wire.line(grammar.LINE_MOST))
            found = [*found, *more][: grammar.TOKENS_MOST + 1]  # more than any command has
        return found

    async def _literal(self, size: int) -> bytes:
        if size > (_LITERAL_MOST if self._principal else _STRANGERS_LITERAL_MOST):
            raise _FarTooLarge
        return await self._wire.octets(size)

    async def _do(self, action: session.Action) -> session.Action:
        """Do it; what is left to say then."""
        match action:
            case session.Exchange():
                return await self._sign_in(action)
            case session.Secure():
                return await self._secure()
            case session.Carry(command):
                return await self._carry(command)
            case _:
                return action

    # Signing in.

    async def _secure(self) -> session.Action:
        context = self._house.tls
        assert context is not None  # or it would not have been offered
        await self._wire.start_tls(replies.ok("begin TLS"), context)
        self._session.secured(self._offer())
        return session.Say(self._session.greeting)

    async def _sign_in(self, action: session.Exchange) -> session.Action:
        try:
            done = await self._prove(action)
        except Refusal as refusal:
            return self._session.refused(replies.for_refusal(refusal))
        except sasl.NotOffered:
            in_tls = self._sasl.mechanisms(self._wire.peer.host, secure=True)
            needs_tls = action.mechanism.upper() in in_tls
            return self._session.refused(replies.NEEDS_TLS if needs_tls else replies.NOT_OFFERED)
        except sasl.BadResponse:
            return self._session.refused(replies.BAD_RESPONSE)
        except sasl.Cancelled:
            return self._session.refused(replies.CANCELLED)
        self._principal = done.principal
        self._wire.patience = max(self._wire.patience, _PATIENCE)
        self._session.signed_in(done.principal.address)
        code = b"SASL " + replies.string(base64.b64encode(done.final)) if done.final else b""
        return session.Say(replies.ok("signed in", code=code))

    async def _prove(self, action: session.Exchange) -> sasl.Done:
        exchange = self._sasl.exchange(self._wire.peer.host, secure=self._wire.is_secure, final=True)
        step = await exchange.begin(action.mechanism, sasl.decode_initial(action.initial))
        while isinstance(step, sasl.Challenge):
            self._wire.say(replies.string(base64.b64encode(step.octets)) + b"\r\n")
            match await self._command():
                case [bytes() as response]:
                    step = await exchange.respond(sasl.decode(response))
                case _:
                    raise sasl.BadResponse
        return step

    # The scripts.

    async def _carry(self, command: grammar.OnScripts) -> session.Action:
        principal = self._principal
        assert principal is not None  # as the session's table has it
        run = self._house.store.read if isinstance(command, _LOOKING) else self._house.store.write
        try:
            if isinstance(command, grammar.PutScript | grammar.CheckScript):
                await _check(command.script)
            return self._session.done(await run(lambda tx: _carried_out(tx, principal, command)))
        except _Revoked:
            return session.Close(replies.REVOKED)
        except Refusal as refusal:
            return self._session.refused(replies.for_refusal(refusal))


_LOOKING: Final = (grammar.HaveSpace, grammar.CheckScript, grammar.ListScripts, grammar.GetScript)


class _FarTooLarge(Exception):
    """The client sends more than we care to read over."""


class _Revoked(Exception):
    """Who has signed in may not go on."""


async def _check(script: str) -> None:
    _ask_size(len(script.encode()))
    # A large one takes a while. It is not read again in the transaction that keeps it.
    await asyncio.to_thread(rules.check, script)


def _ask_size(size: int) -> None:
    if size > rules.SCRIPT_MOST:
        raise TooLarge(what="script", limit=rules.SCRIPT_MOST)


def _carried_out(tx: Tx, principal: Principal, command: grammar.OnScripts) -> bytes:
    """What to say once it is done."""
    if not logins.still_valid(tx, principal):
        raise _Revoked
    mailbox_id = principal.mailbox_id
    match command:
        case grammar.HaveSpace(name, size):
            _ask_size(size)
            rules.ask_room(tx, mailbox_id, name)
        case grammar.PutScript(name, script):
            rules.put(tx, mailbox_id, name, script)
        case grammar.ListScripts():
            return _listed(rules.scripts(tx, mailbox_id)) + replies.ok()
        case grammar.SetActive(name):
            rules.activate(tx, mailbox_id, name)
        case grammar.GetScript(name):
            script = rules.script(tx, mailbox_id, name)
            return replies.literal(script.encode()) + b"\r\n" + replies.ok()
        case grammar.DeleteScript(name):
            rules.delete(tx, mailbox_id, name)
        case grammar.RenameScript(old, new):
            rules.rename(tx, mailbox_id, old, new)
        case grammar.CheckScript():
            pass  # it has been
    return replies.ok()


def _listed(scripts: Mapping[str, bool]) -> bytes:
    return b"".join(replies.string(name) + b" ACTIVE" * active + b"\r\n" for name, active in sorted(scripts.items()))
