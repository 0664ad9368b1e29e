# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signatures over a push's raw octets: as Standard Webhooks says, and the plain `X-Signature` of the push URL."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret

_PREFIX: Final = "whsec_"


def keys(secret: Secret) -> tuple[bytes, ...]:
    """The keys in a secret, the current one first; none in an empty one. Raises `InvalidValue`."""
    return tuple(_key(word) for word in secret.reveal().split())


def headers(signing: Sequence[bytes], body: bytes, *, code: str, now: int) -> dict[str, str]:
    """The headers that say which push it is and that it is ours; `now` in milliseconds.

    Without a key only the first half. A repeat has the same `webhook-id`: a receiver that remembers it sees each
    push once. Several keys give several signatures, so that a receiver may change over without losing one.
    """
    stamp = str(now // 1000)
    said = {"webhook-id": code, "webhook-timestamp": stamp}
    if not signing:
        return said
    signed = b".".join((code.encode(), stamp.encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in signing)
    return said | {
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        "X-Signature": f"sha256={hmac.digest(signing[0], body, hashlib.sha256).hex()}",
    }


def _key(word: str) -> bytes:
    if not word.startswith(_PREFIX):
        return word.encode()
    try:
        return base64.b64decode(word.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise InvalidValue(name="secret", reason="what follows whsec_ is not base64") from None
