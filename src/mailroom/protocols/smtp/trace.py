# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The trace fields that a mail gets on its way in (RFC 5321 §4.4). Pure."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

# A client may call itself anything; what could end a comment or a field does not get into ours.
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._:\[\]-]")


@dataclass(frozen=True, slots=True)
class Hop:
    """How a mail came: what the client calls itself, the protocol's name (RFC 3848, RFC 6531 §4.3), the sender, and
    the recipient if there is one only (others must not see who else got the mail).
    """

    hello: str
    protocol: str
    sender: str
    recipient: str | None


def fields(hop: Hop, *, peer: str | None, hostname: str, trace_id: str, now: int) -> bytes:
    """`Return-Path` and `Received`, with which the mail begins. `now` is in milliseconds. With no `peer` it is a mail
    of a member's: it has no return path yet, and nobody learns from it where he is; the log knows, by `trace_id`.
    """
    to = f"\r\n\tfor <{hop.recipient}>" if hop.recipient else ""
    by = f"by {hostname} with {hop.protocol} id {trace_id}{to};\r\n\t{_date(now // 1000)}\r\n"
    if peer is None:
        return f"Received: {by}".encode()
    address = f"[IPv6:{peer}]" if ":" in peer else f"[{peer or 'local'}]"
    return (
        f"Return-Path: <{hop.sender}>\r\nReceived: from {_UNSAFE.sub('?', hop.hello)} ({address})\r\n\t{by}"
    ).encode()


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))
