# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in by SASL (RFC 4422), as all mail protocols do it: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 (RFC 7677) and
OAUTHBEARER (RFC 7628). Octets in and out; how they are framed on the wire is each protocol's own.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.errors import LoginBlocked, WrongCredentials
from mailroom.core.ids import NewId
from mailroom.core.secrets import Secret
from mailroom.core.settings import Network
from mailroom.directory import scram
from mailroom.directory.logins import Logins
from mailroom.directory.model import Principal, Service

RESPONSE_MOST: Final = 12_288  # octets of one line in base64 (RFC 4954 §4)

_BEARER: Final = re.compile(rb"n,(?:a=([^,]{1,960}))?,\x01((?:[^\x01]*\x01)*)\x01", re.DOTALL)
_TOKEN: Final = re.compile(rb"auth=bearer +([!-~]+)", re.IGNORECASE)


class NotOffered(Exception):
    """The mechanism is none of those that this client may use now."""


class BadResponse(Exception):
    """What the client says does not have the form that it must have."""


class Cancelled(Exception):
    """The client has had enough: it sent `*`."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Say this (it may be nothing at all) and give the client's answer to `respond`."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The client is signed in. `final` goes with the success; it is empty unless the exchange was made for that."""

    principal: Principal
    final: bytes = b""


_Step = Callable[[bytes], Awaitable[Challenge | Done]]


@dataclass(frozen=True, slots=True)
class Sasl:
    """Signing in to one service. Clients from `trusted` networks may send passwords outside TLS."""

    logins: Logins
    service: Service
    trusted: Sequence[Network]
    new_id: NewId

    def takes_passwords(self, peer: str, *, secure: bool) -> bool:
        """Whether passwords may be sent as they are: in TLS, or from a trusted network."""
        return secure or _is_in(peer, self.trusted)

    def mechanisms(self, peer: str, *, secure: bool) -> Sequence[str]:
        """What is offered to this client now, the best first."""
        offered = ["SCRAM-SHA-256"]
        if self.takes_passwords(peer, secure=secure):
            offered += ["PLAIN", "LOGIN"]
            if self.logins.introspect is not None:
                offered.append("OAUTHBEARER")
        return offered

    def exchange(self, peer: str, *, secure: bool, final: bool = False) -> Exchange:
        """One attempt to sign in. With `final` the protocol can carry a mechanism's last word with the success."""
        return Exchange(self, peer, self.mechanisms(peer, secure=secure), final=final)

    async def by_password(self, name: str, password: Secret, *, peer: str, secure: bool) -> Principal:
        """Signing in by a command that carries name and password (LOGIN of IMAP, PASS of POP3). Raises as
        `Logins.by_password`, and `LoginBlocked` where passwords may not be sent as they are.
        """
        if not self.takes_passwords(peer, secure=secure):
            raise LoginBlocked
        return await self.logins.by_password(name, password, service=self.service, peer=peer)


class Exchange:
    """One attempt to sign in: `begin`, then `respond` until it is `Done`. A refusal ends it."""

    def __init__(self, sasl: Sasl, peer: str, mechanisms: Sequence[str], *, final: bool) -> None:
        self._sasl = sasl
        self._peer = peer
        self._mechanisms = mechanisms
        self._final = final
        self._step: _Step | None = None

    async def begin(self, mechanism: str, initial: bytes | None = None) -> Challenge | Done:
        """Start with a mechanism, and with the client's initial response if it sent one (b"" is one: `=`). Raises
        `NotOffered`, and as `respond` does.
        """
        name = mechanism.upper()
        if name not in self._mechanisms:
            raise NotOffered
        prompt, self._step = self._first_steps()[name]
        return Challenge(prompt) if initial is None else await self.respond(initial)

    async def respond(self, response: bytes) -> Challenge | Done:
        """What follows from the client's response. Raises `BadResponse`, `WrongCredentials`, `TooManyAttempts`,
        `LoginBlocked`, `AccountDisabled`, `Busy`, `Unavailable`.
        """
        step, self._step = self._step, None
        if step is None or len(response) > RESPONSE_MOST:
            raise BadResponse
        return await step(response)

    def _first_steps(self) -> Mapping[str, tuple[bytes, _Step]]:
        return {
            "PLAIN": (b"", self._plain),
            "LOGIN": (b"Username:", self._login_name),
            "SCRAM-SHA-256": (b"", self._scram_first),
            "OAUTHBEARER": (b"", self._bearer),
        }

    def _then(self, challenge: bytes, step: _Step) -> Challenge:
        self._step = step
        return Challenge(challenge)

    async def _plain(self, response: bytes) -> Done:
        authzid, nul, rest = _text(response).partition("\0")
        name, second_nul, password = rest.partition("\0")
        if not nul or not second_nul or not name or "\0" in password:
            raise BadResponse
        return await self._by_password(authzid, name, password)

    async def _by_password(self, authzid: str, name: str, password: str) -> Done:
        principal = await self._sasl.logins.by_password(
            name, Secret(password), service=self._sasl.service, peer=self._peer
        )
        return await self._authorised(authzid, name, Done(principal))

    async def _authorised(self, authzid: str, name: str, done: Done) -> Done:
        """Nobody acts for another: who is named to act as must be the same."""
        if authzid not in {"", name} and not await self._sasl.logins.is_name_of(authzid, done.principal):
            raise WrongCredentials
        return done

    async def _login_name(self, response: bytes) -> Challenge:
        name = _text(response)

        async def password(response: bytes) -> Done:
            return await self._by_password("", name, _text(response))

        return self._then(b"Password:", password)

    async def _scram_first(self, response: bytes) -> Challenge:
        try:
            first = scram.read_first(response)
        except scram.Malformed as fault:
            raise BadResponse from fault
        offer = await self._sasl.logins.offer(first, nonce=self._sasl.new_id().encode(), peer=self._peer)

        async def final(response: bytes) -> Challenge | Done:
            return await self._scram_final(offer, response)

        return self._then(offer.message, final)

    async def _scram_final(self, offer: scram.Offer, response: bytes) -> Challenge | Done:
        try:
            proof = offer.read_final(response)
        except scram.Malformed as fault:
            raise BadResponse from fault
        name = offer.first.name
        principal, signature = await self._sasl.logins.by_proof(
            name, proof, service=self._sasl.service, peer=self._peer
        )
        done = await self._authorised(offer.first.authzid, name, Done(principal, signature))
        if self._final:
            return done

        async def heard(_: bytes) -> Done:
            return Done(principal)

        return self._then(signature, heard)

    async def _bearer(self, response: bytes) -> Challenge | Done:
        match = _BEARER.fullmatch(response)
        token = match and next(filter(None, map(_TOKEN.fullmatch, match[2].split(b"\x01"))), None)
        if match is None or token is None:
            raise BadResponse
        name = _text((match[1] or b"").replace(b"=2C", b",").replace(b"=3D", b"="))
        try:
            principal = await self._sasl.logins.by_token(
                Secret(token[1].decode()), name=name, service=self._sasl.service, peer=self._peer
            )
        except WrongCredentials as refusal:
            return self._then(_TOKEN_REFUSED, _refuser(refusal))
        return Done(principal)


_TOKEN_REFUSED: Final = json.dumps({"status": "invalid_token"}).encode()


def _refuser(refusal: WrongCredentials) -> _Step:
    # RFC 7628 §3.2.3: the client has to say something to the error before we fail.
    async def refuse(_: bytes) -> Done:
        raise refusal

    return refuse


def decode(line: bytes) -> bytes:
    """A response as the line protocols frame it: base64. Raises `Cancelled` for `*`, `BadResponse`."""
    if line == b"*":
        raise Cancelled
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error as fault:
        raise BadResponse from fault


def decode_initial(argument: bytes | None) -> bytes | None:
    """An initial response beside its command: base64, `=` for an empty one (RFC 4954 §4, RFC 5034 §4, RFC 9051
    §6.2.2), None for none. Raises `BadResponse`.
    """
    if argument is None:
        return None
    try:
        return b"" if argument == b"=" else decode(argument)
    except Cancelled as fault:
        raise BadResponse from fault


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as fault:
        raise BadResponse from fault


def _is_in(peer: str, networks: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)
