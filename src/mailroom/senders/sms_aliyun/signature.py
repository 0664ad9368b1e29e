# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Alibaba Cloud's signature ACS3-HMAC-SHA256 (help.aliyun.com, "request syntax and signature method V3")."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from mailroom.core.clock import iso
from mailroom.core.secrets import Secret

_ALGORITHM: Final = "ACS3-HMAC-SHA256"
_NO_BODY: Final = hashlib.sha256(b"").hexdigest()


def query(parameters: Mapping[str, str]) -> str:
    """The parameters as a query, in the one order and writing that is signed."""
    return "&".join(f"{_quoted(name)}={_quoted(parameters[name])}" for name in sorted(parameters))


def headers(
    asked: str, *, host: str, action: str, version: str, key_id: str, secret: Secret, now: int, nonce: str
) -> dict[str, str]:
    """The headers of a POST to `/?<asked>` without a body, made at `now` (milliseconds)."""
    signed = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": _NO_BODY,
        "x-acs-date": iso(now),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    names = ";".join(signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
    canonical = f"POST\n/\n{asked}\n{lines}\n{names}\n{_NO_BODY}"
    to_sign = f"{_ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(secret.reveal().encode(), to_sign.encode(), hashlib.sha256).hex()
    return signed | {"Authorization": f"{_ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"}


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~", errors="replace")
