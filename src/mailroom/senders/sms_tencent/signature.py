# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Tencent Cloud's signature TC3-HMAC-SHA256 (cloud.tencent.com/document/api/382/52071)."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final

from mailroom.core.clock import SECOND
from mailroom.core.secrets import Secret

MEDIA_TYPE: Final = "application/json; charset=utf-8"
_ALGORITHM: Final = "TC3-HMAC-SHA256"
_NAMES: Final = "content-type;host"


def authorization(body: bytes, *, host: str, key_id: str, secret: Secret, now: int) -> str:
    """The header for a POST to `/` of this body, made at `now` (milliseconds)."""
    stamp = now // SECOND
    day = f"{datetime.fromtimestamp(stamp, UTC):%Y-%m-%d}"
    canonical = f"POST\n/\n\ncontent-type:{MEDIA_TYPE}\nhost:{host}\n\n{_NAMES}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{day}/sms/tc3_request"
    to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"TC3{secret.reveal()}".encode()
    for step in (day, "sms", "tc3_request"):
        key = hmac.digest(key, step.encode(), hashlib.sha256)
    signature = hmac.digest(key, to_sign.encode(), hashlib.sha256).hex()
    return f"{_ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={_NAMES}, Signature={signature}"
