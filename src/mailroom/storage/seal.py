# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest: who has the database, or a backup of it, has not the passwords in it.

Sealed text is the first four octets of the key's SHA-256 (which key it was, once there is more than one), a nonce of
twelve octets, and AES-256-GCM's ciphertext.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret, keep_private

_KEY = 32
_ID = 4
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Seal:
    """Seals and unseals with one key."""

    _id: bytes
    _cipher: AESGCM
    _root: bytes = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The key in the file, which is made (readable by us only, durable) when there is none.

        Two processes that make it at once get the same. Raises `InvalidValue`, `OSError`.
        """
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            key = keep_private(path, os.urandom(_KEY))
        if len(key) != _KEY:
            raise InvalidValue(name=str(path), reason=f"a key has {_KEY} octets, not {len(key)}")
        return cls(hashlib.sha256(key).digest()[:_ID], AESGCM(key), hmac.digest(key, b"root", "sha256"))

    def derive(self, label: str) -> bytes:
        """A key of 32 octets for another purpose, the same at each call."""
        return hmac.digest(self._root, label.encode(), "sha256")

    def is_ours(self, sealed: bytes) -> bool:
        """Whether it was sealed with this key."""
        return sealed[:_ID] == self._id

    def seal(self, text: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return self._id + nonce + self._cipher.encrypt(nonce, text.encode(), self._id)

    def unseal(self, sealed: bytes) -> Secret:
        """The text. Raises `InvalidValue` when it was sealed with another key, or changed since."""
        key, nonce, text = sealed[:_ID], sealed[_ID : _ID + _NONCE], sealed[_ID + _NONCE :]
        if not self.is_ours(sealed):
            raise InvalidValue(name="sealed secret", reason="it was sealed with another key than ours")
        try:
            return Secret(self._cipher.decrypt(nonce, text, key).decode())
        except InvalidTag as fault:
            raise InvalidValue(name="sealed secret", reason="it has been changed") from fault
