# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The octets that go over the air (3GPP TS 23.040 §9.2): what is submitted, and the reports that come back. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mailroom.senders.sms import Alphabet, Text, header, packed

_SUBMIT: Final = 0x01 | 0x10  # §9.2.2.2, with a relative validity
_HAS_HEADER: Final = 0x40
_WANTS_REPORT: Final = 0x20
_A_DAY: Final = 0xA7  # §9.2.3.12.1
_INTERNATIONAL: Final = 0x91  # §9.1.2.5
_STATUS_REPORT: Final = 0x02  # of the message type's two bits
_STAMP: Final = 7  # octets


class NoReport(ValueError):
    """The octets are no status report."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a message, by the reference that the modem gave it and the digits of its number."""

    reference: int
    number: str
    status: int  # §9.2.3.15

    @property
    def pending(self) -> bool:
        """The network still tries."""
        return 0x20 <= self.status < 0x40

    @property
    def arrived(self) -> bool:
        """The phone has it."""
        return self.status < 0x20


def submits(text: Text, number: str, *, reference: int, report: bool) -> tuple[bytes, ...]:
    """One TPDU for each part of the text; `number` is digits of E.164."""
    total = len(text.parts)
    first = _SUBMIT | (_WANTS_REPORT if report else 0) | (_HAS_HEADER if total > 1 else 0)
    head = bytes((first, 0)) + _address(number) + bytes((0, text.alphabet.value, _A_DAY))
    return tuple(
        head + _user_data(text.alphabet, part, header(reference, total, at) if total > 1 else b"")
        for at, part in enumerate(text.parts, 1)
    )


def centre(number: str) -> bytes:
    """The message centre's address before a TPDU (TS 27.005 §3.1); "" leaves it to the SIM card."""
    if not number:
        return b"\0"
    address = _address(number)[1:]
    return bytes((len(address),)) + address


def read_report(octets: bytes) -> Report:
    """A status report with the centre's address before it (§9.2.2.3). Raises `NoReport`."""
    tpdu = octets[1 + octets[0] :] if octets else b""
    if len(tpdu) < 4 or tpdu[0] & 0x03 != _STATUS_REPORT:
        raise NoReport
    count = tpdu[2]
    end = 4 + (count + 1) // 2
    status = tpdu[end + 2 * _STAMP : end + 2 * _STAMP + 1]
    if not status:
        raise NoReport
    number = "".join(f"{octet & 0x0F:x}{octet >> 4:x}" for octet in tpdu[4:end])[:count]
    return Report(tpdu[1], number, status[0])


def _address(number: str) -> bytes:
    even = number + "f" * (len(number) % 2)
    pairs = (even[at + 1] + even[at] for at in range(0, len(even), 2))
    return bytes((len(number), _INTERNATIONAL)) + bytes.fromhex("".join(pairs))


def _user_data(alphabet: Alphabet, part: bytes, udh: bytes) -> bytes:
    head = bytes((len(udh),)) + udh if udh else b""
    if alphabet is Alphabet.UCS2:
        return bytes((len(head) + len(part),)) + head + part
    septets = (8 * len(head) + 6) // 7
    return bytes((septets + len(part),)) + head + packed(part, fill=7 * septets - 8 * len(head))
