# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The octets of SMPP 3.4, so far as one who sends needs them. Pure; whatever comes in, memory and time are bounded."""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PDU_MOST: Final = 64 * 1024  # octets
_HEAD: Final = struct.Struct(">IIII")
HEAD: Final = _HEAD.size
_RESPONSE: Final = 0x8000_0000

OK: Final = 0
INVALID_COMMAND: Final = 0x03
TEMPORARY: Final = 0x64  # ESME_RX_T_APPN: deliver it again


class Command(enum.IntEnum):
    """§5.1.2.1."""

    GENERIC_NACK = 0x8000_0000
    SUBMIT_SM = 0x04
    SUBMIT_SM_RESP = 0x8000_0004
    DELIVER_SM = 0x05
    DELIVER_SM_RESP = 0x8000_0005
    UNBIND = 0x06
    UNBIND_RESP = 0x8000_0006
    BIND_TRANSCEIVER = 0x09
    BIND_TRANSCEIVER_RESP = 0x8000_0009
    OUTBIND = 0x0B
    ENQUIRE_LINK = 0x15
    ENQUIRE_LINK_RESP = 0x8000_0015
    ALERT_NOTIFICATION = 0x0102


class Tag(enum.IntEnum):
    """§5.3.2."""

    RECEIPTED_MESSAGE_ID = 0x001E
    SAR_MSG_REF_NUM = 0x020C
    SAR_TOTAL_SEGMENTS = 0x020E
    SAR_SEGMENT_SEQNUM = 0x020F
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


class Garbage(ValueError):
    """What came is not SMPP."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """One protocol data unit; the body is not read yet."""

    command: int
    status: int
    sequence: int
    body: bytes = b""

    @property
    def answers(self) -> bool:
        """It is a response."""
        return bool(self.command & _RESPONSE)

    def octets(self) -> bytes:
        """As it goes over the wire."""
        return _HEAD.pack(HEAD + len(self.body), self.command, self.status, self.sequence) + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Somebody's address, with its type of number and numbering plan (§5.2.5, §5.2.6)."""

    text: str
    ton: int = 1
    npi: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A message on its way out (§4.4.1)."""

    source: Address
    target: Address
    text: bytes  # with its user data header, if it has one
    coding: int
    has_header: bool = False
    report: bool = True
    options: Mapping[int, bytes] = field(default_factory=dict)

    def body(self) -> bytes:
        """The PDU's body."""
        return b"".join(
            (
                b"\0",  # service_type
                _address(self.source),
                _address(self.target),
                bytes((0x40 if self.has_header else 0, 0, 0)),  # esm_class, protocol_id, priority_flag
                b"\0\0",  # schedule_delivery_time, validity_period
                bytes((int(self.report), 0, self.coding, 0, len(self.text))),
                self.text,
                *(struct.pack(">HH", tag, len(value)) + value for tag, value in self.options.items()),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """What the other side brings: a receipt, or somebody's message (§4.6.1)."""

    source: str
    esm_class: int
    text: bytes
    options: Mapping[int, bytes]

    @property
    def is_receipt(self) -> bool:
        """§5.2.12."""
        return self.esm_class & 0x3C == 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a message; `state` in the letters of appendix B."""

    id: str
    state: str
    error: str
    source: str  # digits of the phone


def bind(*, system_id: str, password: str, system_type: str) -> bytes:
    """The body of bind_transceiver (§4.1.5)."""
    words = b"".join(_c_string(word) for word in (system_id, password, system_type))
    return words + bytes((0x34, 0, 0)) + b"\0"  # interface_version, addr_ton, addr_npi, address_range


def read_head(octets: bytes) -> tuple[int, Pdu]:
    """How many octets of body follow, and the PDU without it. Raises `Garbage`."""
    length, command, status, sequence = _HEAD.unpack(octets)
    if not HEAD <= length <= PDU_MOST:
        raise Garbage("a PDU of impossible length")
    return length - HEAD, Pdu(command, status, sequence)


def read_id(body: bytes) -> str:
    """The message_id of a submit_sm_resp; "" if there is none (§4.4.2)."""
    return body.split(b"\0", 1)[0][:65].decode("latin-1")


def read_deliver(body: bytes) -> Deliver:
    """The body of deliver_sm. Raises `Garbage`."""
    reader = _Reader(body)
    reader.c_string()  # service_type
    reader.octets(2)
    source = reader.c_string()
    reader.octets(2)
    reader.c_string()  # destination_addr
    esm_class = reader.octet()
    reader.octets(2)  # protocol_id, priority_flag
    reader.c_string()
    reader.c_string()
    reader.octets(4)  # registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id
    text = reader.octets(reader.octet())
    options = reader.options()
    return Deliver(
        source=source, esm_class=esm_class, text=text or options.get(Tag.MESSAGE_PAYLOAD, b""), options=options
    )


_IN_TEXT: Final = re.compile(r"\b(id|stat|err):([!-~]{0,65})", re.IGNORECASE)
# §5.2.28, in the letters of appendix B.
_STATES: Final = ("", "ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD")


def read_receipt(deliver: Deliver) -> Receipt | None:
    """The receipt that it is: its options count, else its text. None: it names no message."""
    # An intermediary may wrap the text; the keys stand before the words of the message itself.
    told = deliver.text[:400].decode("latin-1")
    found: dict[str, str] = {}
    for key, value in _IN_TEXT.findall(told.split(" text:")[0].split(" Text:")[0]):
        found.setdefault(key.lower(), value)
    id_ = read_id(deliver.options.get(Tag.RECEIPTED_MESSAGE_ID, b"")) or found.get("id", "")
    if not id_:
        return None
    state = deliver.options.get(Tag.MESSAGE_STATE, b"")
    known = _STATES[state[0]] if len(state) == 1 and state[0] < len(_STATES) else ""
    said = known or found.get("stat", "").upper()[:7]
    return Receipt(id=id_, state=said, error=found.get("err", ""), source=deliver.source)


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def octets(self, count: int) -> bytes:
        if self._at + count > len(self._body):
            raise Garbage("a PDU that ends early")
        self._at += count
        return self._body[self._at - count : self._at]

    def octet(self) -> int:
        return self.octets(1)[0]

    def c_string(self) -> str:
        end = self._body.find(b"\0", self._at, self._at + 66)
        if end < 0:
            raise Garbage("a string without an end")
        return self.octets(end + 1 - self._at)[:-1].decode("latin-1")

    def options(self) -> Mapping[int, bytes]:
        found: dict[int, bytes] = {}
        while self._at < len(self._body):
            tag, length = struct.unpack(">HH", self.octets(4))
            found[tag] = self.octets(length)
        return found


def _c_string(text: str) -> bytes:
    return text.encode("latin-1") + b"\0"


def _address(address: Address) -> bytes:
    return bytes((address.ton, address.npi)) + _c_string(address.text)
