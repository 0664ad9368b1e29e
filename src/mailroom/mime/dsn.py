# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Reports on the delivery of a mail as the standards have them (RFC 3461, RFC 3464, RFC 6533): values, and writing."""

from __future__ import annotations

import enum
import re
from base64 import encodebytes
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from mailroom.mime import headers
from mailroom.mime.reasons import Reason


class Action(enum.StrEnum):
    """What was done for a recipient (RFC 3464 §2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"  # to a server that will report nothing
    EXPANDED = "expanded"  # to the members of a list


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one recipient. `status` is a code of RFC 3463; `original` is the recipient as the sender knew it,
    empty where nobody has kept it.
    """

    recipient: str
    action: Action
    status: str = ""
    diagnostic: str = ""
    original: str = ""
    reason: Reason = Reason.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What a report begins with: its header fields and its words for people."""

    header: bytes  # without MIME fields and without the empty line
    text: str
    boundary: str  # occurs nowhere else


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The mail that is reported on: its header or all of it, as it was."""

    octets: bytes
    whole: bool


def build(
    head: Letterhead,
    fates: Sequence[Fate],
    returned: Returned,
    *,
    reporter: str,
    arrived_at: int,
    envid: str = "",
    retry_until: int | None = None,
) -> bytes:
    """The report as a mail. `reporter` is the name of our server; times in milliseconds; `envid` and the fates'
    `original` are in xtext as they came.
    """
    asciis = all((fate.recipient + fate.diagnostic + fate.original).isascii() for fate in fates)
    kind = "message/delivery-status" if asciis else "message/global-delivery-status"
    blocks = [_about_message(reporter, arrived_at, envid), *(_about(fate, retry_until) for fate in fates)]
    parts = [
        _part("text/plain; charset=utf-8", encodebytes(head.text.encode()).replace(b"\n", b"\r\n"), encoding="base64"),
        _part(kind, b"\r\n".join(blocks), encoding="7bit" if asciis else "8bit"),
        _returned(returned),
    ]
    mark = b"--" + head.boundary.encode()
    return b"".join(
        [
            head.header,
            b"MIME-Version: 1.0\r\n",
            b'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="%b"\r\n\r\n'
            % head.boundary.encode(),
            *(mark + b"\r\n" + part + b"\r\n" for part in parts),
            mark + b"--\r\n",
        ]
    )


def _part(kind: str, body: bytes, *, encoding: str) -> bytes:
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body


def _about_message(reporter: str, arrived_at: int, envid: str) -> bytes:
    lines = [f"Original-Envelope-Id: {_unxtext(envid)}"] if envid else []
    lines += [f"Reporting-MTA: dns; {reporter}", f"Arrival-Date: {formatdate(arrived_at / 1000)}"]
    return _block(lines)


def _about(fate: Fate, retry_until: int | None) -> bytes:
    kind = "rfc822" if fate.recipient.isascii() else "utf-8"
    lines = []
    if fate.original:
        form, _, address = fate.original.partition(";")
        lines.append(f"Original-Recipient: {form};{_unxtext(address)}")
    lines += [f"Final-Recipient: {kind};{fate.recipient}", f"Action: {fate.action}", f"Status: {fate.status}"]
    if fate.diagnostic:
        lines.append(f"Diagnostic-Code: smtp; {fate.diagnostic}")
    if retry_until is not None and fate.action is Action.DELAYED:
        lines.append(f"Will-Retry-Until: {formatdate(retry_until / 1000)}")
    return _block(lines)


_LINE_MOST: Final = 900


def _block(lines: Sequence[str]) -> bytes:
    return b"".join(headers.one_line(line)[:_LINE_MOST].encode("utf-8", "replace") + b"\r\n" for line in lines)


def _returned(returned: Returned) -> bytes:
    plain = returned.octets.isascii()
    if returned.whole:
        return _part("message/rfc822", returned.octets, encoding="7bit" if plain else "8bit")
    if plain:
        return _part("text/rfc822-headers", returned.octets, encoding="7bit")
    encoded = encodebytes(returned.octets).replace(b"\n", b"\r\n")
    return _part("message/global-headers", encoded, encoding="base64")  # RFC 6533 §4 lets it be encoded


def _unxtext(text: str) -> str:
    """Xtext decoded, and kept to one line; what is none stays as it is (RFC 3461 §4)."""
    octets = re.sub(rb"\+([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode())
    return headers.one_line(octets.decode("utf-8", "replace"))
