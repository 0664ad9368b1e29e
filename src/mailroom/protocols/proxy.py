# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol, versions 1 and 2: a load balancer in front tells the client's real address. Pure.

Source: the HAProxy project's "The PROXY protocol", sections 2.1 and 2.2.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

_V1 = b"PROXY "
_V1_MOST = 107  # section 2.1: the longest line, with its CRLF
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_V2_MOST = 4096  # octets after the fixed part that we bear; addresses and TLVs need a few hundred
_FIXED = 16


class Malformed(Exception):
    """The octets are no PROXY header."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the header says. `host` is "" when the proxy speaks for itself; `length` is how many octets it took."""

    host: str
    port: int
    length: int


def read(data: bytes) -> Told | None:
    """The header that `data` begins with; None while it is not complete. Raises `Malformed`."""
    if data[:12] == _V2[: len(data)]:
        return _read_v2(data)
    if data[:6] == _V1[: len(data)]:
        return _read_v1(data)
    raise Malformed


def _read_v1(data: bytes) -> Told | None:
    end = data.find(b"\r\n", 0, _V1_MOST)
    if end < 0:
        if len(data) >= _V1_MOST:
            raise Malformed
        return None
    match data[:end].split(b" "):
        case [_, b"UNKNOWN", *_]:
            return Told("", 0, end + 2)
        case [_, b"TCP4" | b"TCP6" as family, source, _, port, _]:
            return Told(_host(source, 4 if family == b"TCP4" else 6), _port(port), end + 2)
        case _:
            raise Malformed


def _host(text: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError as fault:
        raise Malformed from fault
    if address.version != version:
        raise Malformed
    return str(address)


def _port(text: bytes) -> int:
    if not text.isdigit() or len(text) > 5 or int(text) > 0xFFFF:
        raise Malformed
    return int(text)


def _read_v2(data: bytes) -> Told | None:
    if len(data) < _FIXED:
        return None
    command, family, length = struct.unpack_from("!BBH", data, 12)
    if command not in (0x20, 0x21) or length > _V2_MOST:
        raise Malformed
    if len(data) < _FIXED + length:
        return None
    if command == 0x20:  # LOCAL: the proxy's own health check
        return Told("", 0, _FIXED + length)
    match family, length:
        case 0x11, n if n >= 12:
            host, port = ipaddress.IPv4Address(data[16:20]).compressed, data[24:26]
        case 0x21, n if n >= 36:
            host, port = ipaddress.IPv6Address(data[16:32]).compressed, data[48:50]
        case 0x11 | 0x21, _:
            raise Malformed
        case _:  # a family we cannot name: the connection is good, its address is unknown
            return Told("", 0, _FIXED + length)
    return Told(host, int.from_bytes(port), _FIXED + length)
