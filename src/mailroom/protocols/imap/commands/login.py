# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in: STARTTLS, AUTHENTICATE, LOGIN; and COMPRESS, which comes after (RFC 9051 §6.2, RFC 4978)."""

from __future__ import annotations

import base64
from collections.abc import Awaitable

from mailroom.core.errors import Refusal
from mailroom.directory.model import Principal
from mailroom.protocols.imap import replies
from mailroom.protocols.imap.commands.capability import words
from mailroom.protocols.imap.grammar.values import Authenticate, Compress, Login, StartTls
from mailroom.protocols.imap.session import Ended, Session, Then
from mailroom.protocols.sasl import BadResponse, Cancelled, Challenge, NotOffered, decode

_PRIVACY = b"NO [PRIVACYREQUIRED] not without TLS"


async def start_tls(session: Session, _: StartTls) -> bytes:
    """STARTTLS."""
    if not session.tools.terms.offers_tls or session.secure:
        return b"BAD not offered"
    session.then = Then.START_TLS
    return b"OK begin TLS"


async def login(session: Session, command: Login) -> bytes:
    """LOGIN. Outside TLS only for clients from trusted networks: others would show the world their password."""
    sasl = session.tools.sasl
    if not sasl.takes_passwords(session.peer, secure=session.secure):
        return _PRIVACY
    return await _admit(
        session, sasl.by_password(command.name, command.password, peer=session.peer, secure=session.secure)
    )


async def authenticate(session: Session, command: Authenticate) -> bytes:
    """AUTHENTICATE, with an initial response or without (RFC 4959)."""
    try:
        return await _admit(session, _exchanged(session, command))
    except NotOffered:
        sasl = session.tools.sasl
        offered = command.mechanism in sasl.mechanisms(session.peer, secure=True)
        return _PRIVACY if offered else b"NO [CANNOT] unknown mechanism"
    except Cancelled:
        return b"BAD cancelled"
    except BadResponse:
        return b"BAD not base64, or not as the mechanism wants it"


async def _exchanged(session: Session, command: Authenticate) -> Principal:
    exchange = session.tools.sasl.exchange(session.peer, secure=session.secure)
    step = await exchange.begin(command.mechanism, command.initial)
    while isinstance(step, Challenge):
        line = await session.wire.ask(base64.b64encode(step.octets))
        step = await exchange.respond(decode(line))
    return step.principal


async def _admit(session: Session, proved: Awaitable[Principal]) -> bytes:
    try:
        principal = await proved
    except Refusal as refusal:
        session.failures += 1
        if session.failures >= session.tools.terms.failures_most:
            session.wire.say(b"%b NO %b\r\n" % (session.tag, replies.for_refusal(refusal)))
            raise Ended(b"too many failures to sign in") from refusal
        raise
    session.sign_in(principal)
    return b"OK [CAPABILITY %b] signed in" % words(session)


async def compress(session: Session, command: Compress) -> bytes:
    """COMPRESS."""
    if command.algorithm != "DEFLATE":
        return b"BAD unknown algorithm"
    if session.compressed:
        return b"NO [COMPRESSIONACTIVE] it is on already"
    session.compressed = True
    session.then = Then.COMPRESS
    return b"OK deflate from here on"
