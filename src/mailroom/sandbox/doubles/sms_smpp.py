# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An operator's message centre on a port of its own: SMPP 3.4, strict in what it takes.

Scripts: a step's `at` is found in `bind_transceiver`, `enquire_link`, `unbind` or `submit_sm`, as all are without one;
its `status` is the command_status, `hang` says nothing, `reset` breaks the connection, `garbage` is no SMPP.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from mailroom.core.clock import SECOND
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.double import Double
from mailroom.sandbox.phones import Arrival, Fate, Phones
from mailroom.sandbox.short_messages import Joiner, Part, Unreadable, read

_RESP: Final = 0x80000000
_SUBMIT, _DELIVER, _UNBIND, _ENQUIRE = 0x04, 0x05, 0x06, 0x15
_BINDS: Final = {0x01: "bind_receiver", 0x02: "bind_transmitter", 0x09: "bind_transceiver"}
_NAMES: Final = _BINDS | {_SUBMIT: "submit_sm", _UNBIND: "unbind", _ENQUIRE: "enquire_link"}
_PDU_MOST: Final = 65536
_PATIENCE: Final = 5 * SECOND
_STATES: Final = {Fate.ARRIVED: ("DELIVRD", 2), Fate.LOST: ("UNDELIV", 5), Fate.SENT: ("ENROUTE", 1)}
_TOLD: Final = (Fate.ARRIVED, Fate.LOST)


class _No(Exception):
    """A command_status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"0x{status:02X}")
        self.status = status


@dataclass(frozen=True, slots=True)
class _Message:
    source: str
    number: str
    part: Part
    wants_report: bool


class _Customer:
    """One connection of a customer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.bound = ""
        self.waiting = 0  # messages that have not been answered
        self.sequence = 0
        self.answers: dict[int, asyncio.Future[int]] = {}

    async def pdu(self) -> tuple[int, int, int, bytes]:
        length, command, status, sequence = struct.unpack(">4I", await self.reader.readexactly(16))
        if not 16 <= length <= _PDU_MOST:
            raise EOFError
        return command, status, sequence, await self.reader.readexactly(length - 16)

    def write(self, command: int, status: int, sequence: int, body: bytes = b"") -> None:
        self.writer.write(struct.pack(">4I", 16 + len(body), command, status, sequence) + body)

    async def ask(self, command: int, body: bytes = b"") -> int:
        """The status of the answer."""
        self.sequence += 1
        answer = self.answers[self.sequence] = asyncio.get_running_loop().create_future()
        self.write(command, 0, self.sequence, body)
        status: int = await asyncio.wait_for(answer, _PATIENCE / SECOND)
        return status


class SmsSmpp(Double):
    """The message centre. `where` is its host and port."""

    name: ClassVar[str] = "sms_smpp"
    knobs: ClassVar[dict[str, Any]] = {
        "system_id": "demo",
        "password": "demo-pwd",
        "window": 10,
        "ids": "hex",  # or decimal: how submit_sm_resp spells them
        "receipt_ids": "hex",  # likewise, in receipts
        "receipts": "both",  # or text, tlv: where they name the message
        "reports": "",  # arrived or lost: told by itself
        "early": False,  # before submit_sm_resp
        "gone": [],  # numbers refused with 0x0B
    }

    def __init__(self, phones: Phones) -> None:
        super().__init__(phones)
        self.binds = 0  # that succeeded
        self.heard: list[str] = []  # what was asked
        self._server: asyncio.Server | None = None
        self._customers: set[_Customer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._joiner = Joiner()
        self._last_id = 0xA0F9
        self._sent: dict[int, tuple[tuple[str, ...], str, str]] = {}  # ids, number, source; by what arrived

    async def start(self, host: str) -> None:
        self._server = await asyncio.start_server(self._serve, host, 0)
        self.where = f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> None:
        super().reset()
        self._joiner = Joiner()

    def drop(self) -> None:
        """Break all connections."""
        for customer in self._customers:
            customer.writer.transport.abort()

    async def unbind(self) -> None:
        """Take leave of all customers."""
        for customer in tuple(self._customers):
            await customer.ask(_UNBIND)
            customer.writer.close()

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        ids, number, source = self._sent[arrival.serial]
        for id_ in ids:
            await self.report(int(id_), number, source, fate)
        await super().press(arrival, fate)

    async def report(self, id_: int, number: str, source: str, fate: Fate) -> None:
        """Tell what became of one part. Raises `ConnectionError` if nobody is bound, or does not take it."""
        customer = next((one for one in self._customers if one.bound in {"bind_transceiver", "bind_receiver"}), None)
        if customer is None:
            raise ConnectionError("nobody is bound")
        if status := await customer.ask(_DELIVER, self._receipt(id_, number, source, fate)):
            raise ConnectionError(f"the receipt was answered 0x{status:02X}")

    def spell(self, id_: int, knob: str) -> str:
        """An id, as the knob says."""
        return f"{id_:X}" if self.set[knob] == "hex" else str(id_)

    def _receipt(self, id_: int, number: str, source: str, fate: Fate) -> bytes:
        word, state = _STATES[fate]
        spelled = self.spell(id_, "receipt_ids")
        error = "000" if fate is Fate.ARRIVED else "017"
        named = f"id:{spelled} " if self.set["receipts"] in {"text", "both"} else ""
        text = (
            f"{named}sub:001 dlvrd:001 submit date:2603010000 done date:2603010000 stat:{word} err:{error} text:id:0 "
            "stat:DELIVRD"
        ).encode()
        body = b"\0" + _address(1, number) + _address(0, source) + bytes((4, 0, 0)) + b"\0\0" + bytes((0, 0, 0, 0))
        body += bytes((len(text),)) + text
        if self.set["receipts"] in {"tlv", "both"}:
            octets = spelled.encode() + b"\0"
            body += struct.pack(">HH", 0x001E, len(octets)) + octets + struct.pack(">HHB", 0x0427, 1, state)
        return body

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        customer = _Customer(reader, writer)
        self._customers.add(customer)
        try:
            while True:
                command, status, sequence, body = await customer.pdu()
                if command & _RESP:
                    answer = customer.answers.pop(sequence, None)
                    if answer is not None and not answer.done():
                        answer.set_result(status)
                    continue
                self.heard.append(_NAMES.get(command, hex(command)))
                if command == _SUBMIT:  # the window lets several be under way
                    customer.waiting += 1
                    self._spawn(self._submitted(customer, sequence, body))
                else:
                    await self._asked(customer, command, sequence, body)
        except (OSError, EOFError, asyncio.CancelledError):
            return
        finally:
            self._customers.discard(customer)
            writer.transport.abort()

    async def _submitted(self, customer: _Customer, sequence: int, body: bytes) -> None:
        try:
            await self._asked(customer, _SUBMIT, sequence, body)
        finally:
            customer.waiting -= 1

    async def _asked(self, customer: _Customer, command: int, sequence: int, body: bytes) -> None:
        name = _NAMES.get(command, "")
        meant = command == _SUBMIT or (self.script.steps and self.script.steps[0].at)
        behaviour = self.script.next(name) if meant else None
        if behaviour is not None:
            if behaviour.delay:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.script.closing.wait(), behaviour.delay / SECOND)
            if not behaviour.is_late:
                await self._misbehave(customer, command, sequence, body, behaviour)
                return
        said, answer = 0, b""
        try:
            answer = await self._do(customer, command, body)
        except _No as no:
            said = no.status
        if name:
            customer.write(command | _RESP, said, sequence, answer)
        else:
            customer.write(_RESP, 0x03, sequence)  # generic_nack: invalid command id
        if command == _UNBIND:
            raise EOFError

    async def _misbehave(
        self, customer: _Customer, command: int, sequence: int, body: bytes, behaviour: Behaviour
    ) -> None:
        if behaviour.taken:
            with contextlib.suppress(_No):
                await self._do(customer, command, body)
        match behaviour.does:
            case Does.RESET:
                customer.writer.transport.abort()
            case Does.GARBAGE | Does.DRIP:
                customer.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            case Does.ANSWER:
                customer.write(command | _RESP, behaviour.status, sequence)
            case Does.HANG:
                return

    async def _do(self, customer: _Customer, command: int, body: bytes) -> bytes:
        """The answer's body. Raises `_No`."""
        try:
            if command in _BINDS:
                return self._bind(customer, _BINDS[command], _Fields(body))
            if command == _SUBMIT:
                return await self._submit(customer, body)
        except (Unreadable, ValueError, IndexError, struct.error):
            raise _No(0x02) from None
        return b""

    def _bind(self, customer: _Customer, how: str, fields: _Fields) -> bytes:
        system_id, password, _, version = fields.text(16), fields.text(9), fields.text(13), fields.octet()
        if customer.bound:
            raise _No(0x05)
        if system_id != self.set["system_id"]:
            raise _No(0x0F)
        if password != self.set["password"]:
            raise _No(0x0E)
        if version != 0x34:
            raise _No(0x0D)
        customer.bound = how
        self.binds += 1
        return b"demo-smsc\0"

    async def _submit(self, customer: _Customer, body: bytes) -> bytes:
        if customer.bound not in {"bind_transceiver", "bind_transmitter"}:
            raise _No(0x04)
        if customer.waiting > self.set["window"]:
            raise _No(0x58)
        message = _read_submit(_Fields(body))
        if f"+{message.number}" in self.set["gone"]:
            raise _No(0x0B)
        self._last_id += 1
        id_ = self._last_id
        whole = self._joiner.add(message.number, message.part, str(id_))
        if whole is not None:
            text, ids = whole
            arrival = self.phones.show(
                self.name,
                f"+{message.number}",
                text,
                title=message.source,
                raw=body.hex(),
                id=self.spell(id_, "ids"),
                receipts=_TOLD if message.wants_report else (),
            )
            self._sent[arrival.serial] = ids, message.number, message.source
        if message.wants_report and self.set["reports"]:
            telling = self.report(id_, message.number, message.source, Fate(self.set["reports"]))
            if self.set["early"]:
                self._spawn(telling)
                await asyncio.sleep(0)  # its octets leave first
            else:
                asyncio.get_running_loop().call_soon(self._spawn, telling)
        return self.spell(id_, "ids").encode() + b"\0"

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _quietly(work: Awaitable[None]) -> None:
    with contextlib.suppress(OSError):  # the customer has left
        await work


class _Fields:
    """A body, field by field."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def octet(self) -> int:
        first, self.body = self.body[0], self.body[1:]
        return first

    def text(self, most: int) -> str:
        octets, end, self.body = self.body.partition(b"\0")
        if not end or len(octets) + 1 > most:
            raise Unreadable("a string that is too long")
        return octets.decode("ascii")

    def octets(self, count: int) -> bytes:
        octets, self.body = self.body[:count], self.body[count:]
        if len(octets) != count:
            raise Unreadable("an early end")
        return octets

    def options(self) -> dict[int, bytes]:
        found = {}
        while self.body:
            tag, length = struct.unpack(">HH", self.octets(4))
            found[tag] = self.octets(length)
        return found


def _read_submit(fields: _Fields) -> _Message:
    fields.text(6)
    fields.octets(2)
    source = fields.text(21)
    if fields.octets(2) != b"\x01\x01" or not (number := fields.text(21)).isdecimal():
        raise _No(0x0B)
    esm_class = fields.octet()
    fields.octets(2)
    if fields.text(17) or fields.text(17):
        raise _No(0x61)  # nobody here schedules
    report, _, coding, _, length = fields.octets(5)
    if length > 254:
        raise _No(0x01)
    octets = fields.octets(length)
    options = fields.options()
    if (payload := options.get(0x0424)) is not None:
        if octets:
            raise _No(0x01)
        octets = payload
    header = b""
    if esm_class & 0x40:
        header, octets = octets[1 : 1 + octets[0]], octets[1 + octets[0] :]
    part = _joined(read(coding, octets, header), options)
    room = (153 if coding == 0 else 134) if part.total > 1 else (160 if coding == 0 else 140)
    if payload is None and len(octets) > room:
        raise _No(0x01)
    return _Message(source, number, part, bool(report & 1))


def _joined(part: Part, options: dict[int, bytes]) -> Part:
    """With the options for parts, if it has them."""
    if 0x020C not in options:
        return part
    reference, total, number = (int.from_bytes(options[tag]) for tag in (0x020C, 0x020E, 0x020F))
    return Part(part.text, reference, total, number)


def _address(ton: int, text: str) -> bytes:
    return bytes((ton, 1)) + text.encode() + b"\0"


DOUBLE = SmsSmpp
