# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in to a server, as the client. Each mechanism is a generator: it gives what to say, and is sent what the
server said. Pure but for the time that SCRAM is meant to take.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Collection, Generator
from typing import Final

from mailroom.core.secrets import Secret

Exchange = Generator[bytes, bytes, None]

_ITERATIONS_MOST: Final = 1_000_000  # about half a second; a hostile server may ask for hours


class Mistrust(Exception):
    """The server has not shown that it knows the password, or does not keep to the mechanism."""


def _plain(user: str, password: Secret, _nonce: str) -> Exchange:
    yield f"\0{user}\0{password.reveal()}".encode()  # RFC 4616


def _login(user: str, password: Secret, _nonce: str) -> Exchange:
    yield b""
    yield user.encode()
    yield password.reveal().encode()


def _scram(digest: str) -> Callable[[str, Secret, str], Exchange]:
    def exchange(user: str, password: Secret, nonce: str) -> Exchange:
        """RFC 5802 without channel binding."""
        name = user.replace("=", "=3D").replace(",", "=2C")
        bare = f"n={name},r={nonce}"
        first = yield f"n,,{bare}".encode()
        salt, iterations, both = _first(first, nonce)
        salted = hashlib.pbkdf2_hmac(digest, password.reveal().encode(), salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", digest)
        final = f"c=biws,r={both}"
        signed = b",".join((bare.encode(), first, final.encode()))
        signature = hmac.digest(hashlib.new(digest, client_key).digest(), signed, digest)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        last = yield f"{final},p={base64.b64encode(proof).decode()}".encode()
        expected = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
        if not hmac.compare_digest(last, b"v=" + base64.b64encode(expected)):
            raise Mistrust
        yield b""

    return exchange


def _first(message: bytes, nonce: str) -> tuple[bytes, int, str]:
    try:
        fields = dict(part.split("=", 1) for part in message.decode().split(","))
        salt, iterations, both = base64.b64decode(fields["s"], validate=True), int(fields["i"]), fields["r"]
    except (KeyError, ValueError, binascii.Error):
        raise Mistrust from None
    if not both.startswith(nonce) or both == nonce or not 0 < iterations <= _ITERATIONS_MOST:
        raise Mistrust
    return salt, iterations, both


# The best first.
_MECHANISMS: Final = {
    "SCRAM-SHA-256": _scram("sha256"),
    "SCRAM-SHA-1": _scram("sha1"),
    "PLAIN": _plain,
    "LOGIN": _login,
}


def choose(offered: Collection[str], user: str, password: Secret, *, nonce: str) -> tuple[str, Exchange] | None:
    """The best mechanism that both know; none: there is no such."""
    for name, exchange in _MECHANISMS.items():
        if name in offered:
            return name, exchange(user, password, nonce)
    return None


def answer(exchange: Exchange, challenge: bytes) -> bytes:
    """What to say to the server's challenge. Raises `Mistrust`."""
    try:
        return exchange.send(challenge)
    except (StopIteration, UnicodeError):
        raise Mistrust from None
