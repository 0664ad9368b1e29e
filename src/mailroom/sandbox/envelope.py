# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How Tencent and Alibaba seal the calls to their customers. Written apart from the opening side: an oracle."""

from __future__ import annotations

import base64
import hashlib
import secrets
import struct

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def sign(token: str, timestamp: str, nonce: str, *sealed: str) -> str:
    """`signature`, or with what is sealed `msg_signature`."""
    digest = hashlib.sha1(usedforsecurity=False)
    for part in sorted([token, timestamp, nonce, *sealed]):
        digest.update(part.encode())
    return digest.hexdigest()


def seal(aes_key: str, text: str, receiver: str) -> str:
    """The text for that receiver, under the EncodingAESKey of 43 characters."""
    octets = text.encode()
    plain = secrets.token_bytes(16) + struct.pack(">I", len(octets)) + octets + receiver.encode()
    padder = padding.PKCS7(256).padder()
    encryptor = _cipher(aes_key).encryptor()
    return base64.b64encode(encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()).decode()


def unseal(aes_key: str, sealed: str) -> tuple[str, str]:
    """The text, and for whom it is. Raises `ValueError`."""
    decryptor, unpadder = _cipher(aes_key).decryptor(), padding.PKCS7(256).unpadder()
    padded = decryptor.update(base64.b64decode(sealed)) + decryptor.finalize()
    plain = unpadder.update(padded) + unpadder.finalize()
    (length,) = struct.unpack(">I", plain[16:20])
    return plain[20 : 20 + length].decode(), plain[20 + length :].decode()


def _cipher(aes_key: str) -> Cipher[modes.CBC]:
    key = base64.b64decode(aes_key + "=")
    return Cipher(algorithms.AES(key), modes.CBC(key[:16]))
