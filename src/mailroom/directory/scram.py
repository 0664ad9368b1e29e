# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's half: what is kept of a password, and how a proof is judged. Pure.

Channel binding is not offered: `n` and `y` are taken, `p` is not.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Self

# One for all, because all passwords of a login must share it (ADR 9). RFC 7677 wants 4,096 at least; the Cyrus library,
# which many programs sign in with, refuses more than 65,536.
ITERATIONS: Final = 60_000

_FIRST: Final = re.compile(rb"([ny]),(?:a=([^,]{1,960}))?,(n=([^,]{1,960}),r=([!-+\--~]{1,512})(?:,.*)?)", re.DOTALL)
_FINAL: Final = re.compile(rb"(c=([A-Za-z0-9+/=]{1,2000}),r=([!-+\--~]{1,1024})(?:,[^,]*)*?),p=([A-Za-z0-9+/]{43}=)")
_ESCAPED: Final = re.compile(r"=(2C|3D|)", re.ASCII)
_KEY: Final = 32
_SALT: Final = 16


class Malformed(ValueError):
    """The client's message does not have the form that the RFC gives it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What is kept of one password: enough to judge a proof, not to make one."""

    iterations: int
    salt: bytes
    stored: bytes
    server: bytes

    def __str__(self) -> str:
        encoded = (base64.b64encode(part).decode() for part in (self.salt, self.stored, self.server))
        return "$".join((str(self.iterations), *encoded))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The keys from the form in which they are kept."""
        iterations, *parts = text.split("$")
        salt, stored, server = (base64.b64decode(part) for part in parts)
        return cls(int(iterations), salt, stored, server)


def salt(key: bytes, identity: str) -> bytes:
    """The salt of whoever has that identity: the same each time, and nothing to those who have not the key."""
    return hmac.digest(key, identity.encode(), "sha256")[:_SALT]


def keys(password: str, salt: bytes) -> Keys:
    """What to keep of a password. Takes a while. Raises `Malformed` for one that SCRAM cannot carry."""
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt, ITERATIONS)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return Keys(ITERATIONS, salt, stored, _hmac(salted, b"Server Key"))


def prepared(text: str) -> str:
    """A name or password in the form in which both sides compute: SASLprep (RFC 4013) without its tables of old
    Unicode. Raises `Malformed` for control characters and surrogates.
    """
    spaced = "".join(" " if unicodedata.category(one) == "Zs" else one for one in text)
    normal = unicodedata.normalize("NFKC", spaced.replace("\u00ad", ""))
    if not normal or any(unicodedata.category(one) in {"Cc", "Cs"} for one in normal):
        raise Malformed
    return normal


@dataclass(frozen=True, slots=True)
class First:
    """The client's first message. `header` is what it says of channel binding and `authzid`; `bare` all after it."""

    header: bytes
    authzid: str
    name: str
    nonce: bytes
    bare: bytes


def read_first(message: bytes) -> First:
    """Raises `Malformed`."""
    # `m=` before the name asks for what we do not know (RFC 5802 §5.1): it does not match.
    match = _FIRST.fullmatch(message)
    if match is None:
        raise Malformed
    bare, name, nonce = match[3], match[4], match[5]
    return First(message[: match.start(3)], _name(match[2] or b""), prepared(_name(name)), nonce, bare)


def _name(octets: bytes) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError as fault:
        raise Malformed from fault
    return _ESCAPED.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    try:
        return {"2C": ",", "3D": "="}[match[1]]
    except KeyError as fault:
        raise Malformed from fault


@dataclass(frozen=True, slots=True)
class Offer:
    """The server's first message, as an answer to the client's."""

    first: First
    nonce: bytes  # ours
    salt: bytes

    @property
    def message(self) -> bytes:
        salt = base64.b64encode(self.salt)
        return b"r=%b%b,s=%b,i=%d" % (self.first.nonce, self.nonce, salt, ITERATIONS)

    def read_final(self, message: bytes) -> Proof:
        """The client's last word. Raises `Malformed`, also when it was not said to this offer."""
        match = _FINAL.fullmatch(message)
        if match is None or match[3] != self.first.nonce + self.nonce:
            raise Malformed
        try:
            header, proof = (base64.b64decode(part, validate=True) for part in match.group(2, 4))
        except binascii.Error as fault:
            raise Malformed from fault
        if header != self.first.header or len(proof) != _KEY:
            raise Malformed
        return Proof(b",".join((self.first.bare, self.message, match[1])), proof)


@dataclass(frozen=True, slots=True)
class Proof:
    """That a client knows a password."""

    exchange: bytes  # AuthMessage: all that was said
    octets: bytes

    def signature(self, kept: Keys) -> bytes | None:
        """Our proof to the client that we know the password too, if its own is right."""
        mask = _hmac(kept.stored, self.exchange)
        key = bytes(a ^ b for a, b in zip(self.octets, mask, strict=True))
        if not hmac.compare_digest(hashlib.sha256(key).digest(), kept.stored):
            return None
        return b"v=" + base64.b64encode(_hmac(kept.server, self.exchange))


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
