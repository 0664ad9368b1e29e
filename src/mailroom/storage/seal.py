# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest: who has the database, or a backup of it, has not the passwords in it.

Sealed text is the first four octets of the key's SHA-256 (which key it was, once there is more than one), a nonce of
twelve octets, and AES-256-GCM's ciphertext.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret

_KEY = 32
_ID = 4
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Seal:
    """Seals and unseals with one key."""

    _id: bytes
    _cipher: AESGCM

    @classmethod
    def open(cls, path: Path) -> Self:
        """The key in the file, which is made (readable by us only, durable) when there is none.

        Two processes that make it at once get the same. Raises `InvalidValue`, `OSError`.
        """
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            key = _make(path)
        if len(key) != _KEY:
            raise InvalidValue(name=str(path), reason=f"a key has {_KEY} octets, not {len(key)}")
        return cls(hashlib.sha256(key).digest()[:_ID], AESGCM(key))

    def seal(self, text: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return self._id + nonce + self._cipher.encrypt(nonce, text.encode(), self._id)

    def unseal(self, sealed: bytes) -> Secret:
        """The text. Raises `InvalidValue` when it was sealed with another key, or changed since."""
        key, nonce, text = sealed[:_ID], sealed[_ID : _ID + _NONCE], sealed[_ID + _NONCE :]
        if key != self._id:
            raise InvalidValue(name="sealed secret", reason="it was sealed with another key than ours")
        try:
            return Secret(self._cipher.decrypt(nonce, text, key).decode())
        except InvalidTag as fault:
            raise InvalidValue(name="sealed secret", reason="it has been changed") from fault


def _make(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(_KEY))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was quicker: its key holds
            os.link(draft, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        Path(draft).unlink()
    return path.read_bytes()
