# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The envelope in which WeChat, WeCom and DingTalk call us: AES-256-CBC over 16 octets of chance, the length, the
words, and the name of whom they are for; signed with SHA-1 (developers.weixin.qq.com, "message encryption").
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret

_BLOCK: Final = 32  # octets that the padding fills up to
_CHANCE: Final = 16
_LENGTH: Final = 4


def signature(*parts: str) -> str:
    """The SHA-1, in hex, of the parts in their order as text."""
    return hashlib.sha1("".join(sorted(parts)).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def is_signed(shown: str, *parts: str) -> bool:
    """Whether `shown` is the signature of the parts."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), signature(*parts).encode())


def key(text: Secret) -> bytes:
    """The key that an EncodingAESKey of 43 characters is. Raises `InvalidValue`."""
    try:
        octets = base64.b64decode(text.reveal() + "=")
    except ValueError:
        octets = b""
    if len(octets) != 32:
        raise InvalidValue(name="aes_key", reason="must be the 43 characters that the provider shows")
    return octets


def unseal(key: bytes, sealed: str, *, receiver: str) -> bytes | None:
    """The words, if they were sealed with that key for us."""
    try:
        octets = base64.b64decode(sealed, validate=True)
    except ValueError:
        return None
    if not octets or len(octets) % 16:
        return None
    cipher = Cipher(AES(key), CBC(key[:16])).decryptor()
    plain = cipher.update(octets) + cipher.finalize()
    padding = plain[-1]
    if not 1 <= padding <= _BLOCK or plain[-padding:] != bytes([padding]) * padding:
        return None
    plain = plain[_CHANCE:-padding]
    length = int.from_bytes(plain[:_LENGTH])
    words, rest = plain[_LENGTH : _LENGTH + length], plain[_LENGTH + length :]
    return words if len(words) == length and rest == receiver.encode() else None


def seal(key: bytes, words: bytes, *, receiver: str) -> str:
    """The words as they are sent back."""
    plain = os.urandom(_CHANCE) + len(words).to_bytes(_LENGTH) + words + receiver.encode()
    padding = _BLOCK - len(plain) % _BLOCK
    cipher = Cipher(AES(key), CBC(key[:16])).encryptor()
    return base64.b64encode(cipher.update(plain + bytes([padding]) * padding) + cipher.finalize()).decode()
