# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A GSM modem at the other end of a pseudo terminal, strict in what it takes (3GPP TS 27.005, TS 27.007, TS 23.040).

Scripts: a step's `at` is found in the command, or in `PDU` for a message that was handed over, as all are without one;
its `status` is the error's number, `hang` says nothing, `reset` pulls the modem out, `garbage` is noise on the line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import tty
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from mailroom.core.clock import SECOND
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.double import Double
from mailroom.sandbox.phones import Arrival, Fate, Phones
from mailroom.sandbox.short_messages import Joiner, Part, Unreadable, read, unpack

_LINKS: Final = "/dev/shm"  # noqa: S108  # below /dev, where anybody may make a link
_STAMP: Final = bytes.fromhex("62301000000000")  # 2026-03-01 00:00:00
_STATUS: Final = {Fate.ARRIVED: 0x00, Fate.LOST: 0x45, Fate.SENT: 0x30}
_TOLD: Final = (Fate.ARRIVED, Fate.LOST)


@dataclass(frozen=True, slots=True)
class _Message:
    number: str
    part: Part
    wants_report: bool


class _No(Exception):
    """A final answer other than OK."""


class SmsModem(Double):
    """The modem. `where` is a link to its line, as udev makes them, which is there while it is plugged in: the system
    gives the line's own name to the next who wants one.
    """

    name: ClassVar[str] = "sms_modem"
    knobs: ClassVar[dict[str, Any]] = {
        "pin": "",  # of the SIM card; "" none
        "sim": "",  # another state of it, such as SIM PUK
        "network": 1,  # the registration, as AT+CREG? tells it
        "reference": 0,  # of the next message
        "hung": False,  # says nothing until it is told to begin anew
        "takes": 0,  # milliseconds to send a message
        "news": [],  # lines that come in between, before each answer
        "reports": "",  # arrived or lost: told by itself
        "early": False,  # before the answer to the message
        "gone": [],  # numbers that the network refuses with error 28
    }

    def __init__(self, phones: Phones) -> None:
        super().__init__(phones)
        self.heard: list[str] = []  # the commands
        self.starts = 0  # how often it was told to begin anew
        self._master = self._slave = -1
        self._unread = b""
        self._commands: asyncio.Queue[str] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._joiner = Joiner()
        self._sent: dict[int, tuple[tuple[str, ...], str]] = {}  # by the serial of what arrived: references, and number
        self._begin()

    async def start(self, host: str) -> None:
        self._worker = asyncio.get_running_loop().create_task(self._work())
        self.where = f"{_LINKS}/mailroom-modem-{secrets.token_hex(8)}"
        self.plug()

    async def stop(self) -> None:
        self.unplug()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    def reset(self) -> None:
        super().reset()
        self._joiner = Joiner()

    def plug(self) -> None:
        """Put it in."""
        self._begin()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        Path(self.where).symlink_to(os.ttyname(self._slave))
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def restart(self) -> None:
        """Let it start again by itself, as after a dip of its power."""
        self._begin()

    def unplug(self) -> None:
        """Pull it out."""
        if self._master >= 0:
            Path(self.where).unlink()
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        references, number = self._sent[arrival.serial]
        for reference in references:
            self.report(int(reference), number, fate)
        await super().press(arrival, fate)

    def report(self, reference: int, number: str, fate: Fate) -> None:
        """Tell what became of one part, once the report before it has been acknowledged (TS 27.005 §3.4.1)."""
        even = number + "F" * (len(number) % 2)
        swapped = "".join(even[at + 1] + even[at] for at in range(0, len(even), 2))
        stamps = _STAMP.hex() * 2
        self._reports.append(f"06{reference:02X}{len(number):02X}91{swapped}{stamps}{_STATUS[fate]:02X}".upper())
        self._tell()

    def say(self, *lines: str) -> None:
        """Say something that nobody asked for."""
        for line in lines:
            self._write(f"\r\n{line}\r\n")

    def _begin(self) -> None:
        self._echo, self._pdu_mode, self._unlocked, self._phase, self._tells = True, False, False, 0, False
        self._length = 0  # of the message that it waits for
        self._reports: deque[str] = deque()
        self._acknowledged = True
        self._unread = b""

    def _read(self) -> None:
        try:
            octets = os.read(self._master, 4096)
        except OSError:
            return
        if self._echo and not self._length:
            self._write_octets(octets.replace(b"\x1b", b""))
        self._unread += octets
        while found := re.match(
            rb"(?s)([^\x1a\x1b]*)([\x1a\x1b])" if self._length else rb"(?s)([^\r]*)(\r)", self._unread
        ):
            self._unread = self._unread[found.end() :]
            text = found[1].replace(b"\x1b", b"").decode("latin-1").strip()
            if self._length:
                self._commands.put_nowait(f"PDU {text}" if found[2] == b"\x1a" else "ESC")
                self._expected, self._length = self._length, 0
            elif text:
                if cmgs := re.fullmatch(r"(?i)AT\+CMGS=([0-9]+)", text):
                    self._length = int(cmgs[1])
                self._commands.put_nowait(text)
        if not self._length and self._unread == b"\x1b":
            self._unread = b""

    async def _work(self) -> None:
        while True:
            command = await self._commands.get()
            self.heard.append(command)
            hung = self.set["hung"] and command.upper() != "AT+CFUN=1,1"
            if command == "ESC" or hung:
                self._length = 0
                continue
            behaviour = self.script.next(command) if command.startswith("PDU") or self._is_meant() else None
            if behaviour is None or behaviour.is_late:
                await self._pause(behaviour.delay if behaviour else 0)
                await self._answer(command)
            else:
                await self._misbehave(command, behaviour)

    def _is_meant(self) -> bool:
        """The script's next step says at what."""
        return bool(self.script.steps and self.script.steps[0].at)

    async def _answer(self, command: str) -> None:
        try:
            said = await self._do(command)
        except _No as no:
            said = str(no)
            self._length = 0
        self.say(*self.set["news"])
        if said:
            self.say(said)

    async def _misbehave(self, command: str, behaviour: Behaviour) -> None:
        await self._pause(behaviour.delay)
        if behaviour.taken:
            with contextlib.suppress(_No):
                await self._do(command)
        self._length = 0
        match behaviour.does:
            case Does.RESET:
                self.unplug()
            case Does.GARBAGE | Does.DRIP:
                self._write_octets(b"\xff\x00+CMGS" * 1000 + b"\r\n\r\n> \r\nNO CARRIER\r\n")
            case Does.ANSWER:
                family = "CMS" if "CMGS" in command or command.startswith("PDU") else "CME"
                self.say(f"+{family} ERROR: {behaviour.status}")
            case Does.HANG:
                return

    async def _do(self, command: str) -> str:
        """The final answer; what comes before it is said."""
        if command.startswith("PDU "):
            return await self._take(command[4:])
        name, _, value = command.upper().partition("=")
        known: dict[str, Callable[[str], None]] = {
            "AT+CPIN": self._unlock,
            "AT+CFUN": self._restart,
            "AT+CMGF": self._choose_mode,
            "AT+CSMS": self._choose_phase,
            "AT+CNMI": self._choose_news,
            "AT+CMGS": self._prompt,
            "AT+CNMA": self._acknowledge,
            "AT+CPIN?": lambda _: self.say(f"+CPIN: {self._sim}"),
            "AT+CREG?": lambda _: self.say(f"+CREG: 0,{self.set['network']}"),
            "AT+CGMI": lambda _: self.say("Mailroom"),
            "AT+CGMM": lambda _: self.say("Double"),
            "AT+CGMR": lambda _: self.say("1"),
            "ATE0": lambda _: setattr(self, "_echo", False),
            "ATE1": lambda _: setattr(self, "_echo", True),
        }
        if name in known:
            known[name](value)
        elif not re.fullmatch(r"AT(&F|Z|\+CMEE|\+CMMS|\+CSQ)?", name):
            raise _No("ERROR")
        return "" if name == "AT+CMGS" else "OK"

    def _unlock(self, value: str) -> None:
        if value.strip('"') != self.set["pin"]:
            raise _No("+CME ERROR: 16")
        self._unlocked = True

    def _restart(self, value: str) -> None:
        if value != "1,1":
            return
        self.starts += 1
        self.set["hung"] = False
        self._begin()

    def _choose_mode(self, value: str) -> None:
        self._pdu_mode = value == "0"

    def _choose_phase(self, value: str) -> None:
        self._phase = int(value)
        self.say("+CSMS: 1,1,1")

    def _choose_news(self, value: str) -> None:
        self._tells = value.split(",")[3:4] == ["1"]
        self._tell()

    def _acknowledge(self, _: str) -> None:
        if self._acknowledged:
            raise _No("+CMS ERROR: 340")
        self._acknowledged = True
        self._tell()

    @property
    def _sim(self) -> str:
        return self.set["sim"] or ("SIM PIN" if self.set["pin"] and not self._unlocked else "READY")

    def _prompt(self, _: str) -> None:
        if self._sim != "READY":
            raise _No("+CMS ERROR: 311")
        if self.set["network"] not in {1, 5}:
            raise _No("+CMS ERROR: 331")
        if not self._pdu_mode:
            raise _No("+CMS ERROR: 304")
        self._write("\r\n> ")

    async def _take(self, pdu: str) -> str:
        try:
            message = _read_submit(bytes.fromhex(pdu), self._expected)
        except (Unreadable, ValueError, IndexError):
            raise _No("+CMS ERROR: 304") from None
        if f"+{message.number}" in self.set["gone"]:
            raise _No("+CMS ERROR: 28")
        await self._pause(self.set["takes"])
        reference = self.set["reference"]
        self.set["reference"] = (reference + 1) % 256
        whole = self._joiner.add(message.number, message.part, str(reference))
        if whole is not None:
            receipts = _TOLD if message.wants_report else ()
            text, references = whole
            arrival = self.phones.show(
                self.name, f"+{message.number}", text, raw=pdu, id=str(reference), receipts=receipts
            )
            self._sent[arrival.serial] = references, message.number
        fate = self.set["reports"] if message.wants_report else ""
        if fate and self.set["early"]:
            self.report(reference, message.number, Fate(fate))
        self.say(f"+CMGS: {reference}")
        if fate and not self.set["early"]:
            asyncio.get_running_loop().call_soon(self.report, reference, message.number, Fate(fate))
        return "OK"

    def _tell(self) -> None:
        while self._reports and self._tells and self._acknowledged:
            tpdu = self._reports.popleft()
            self._write(f"\r\n+CDS: {len(tpdu) // 2}\r\n00{tpdu}\r\n")
            self._acknowledged = self._phase == 0

    async def _pause(self, milliseconds: int) -> None:
        if milliseconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.script.closing.wait(), milliseconds / SECOND)

    def _write(self, text: str) -> None:
        self._write_octets(text.encode("latin-1"))

    def _write_octets(self, octets: bytes) -> None:
        if self._master >= 0:
            with contextlib.suppress(BlockingIOError):  # nobody reads: it is gone
                os.write(self._master, octets)


def _read_submit(octets: bytes, length: int) -> _Message:
    """An SMS-SUBMIT (TS 23.040 §9.2.2.2) behind the centre's address; `length` is what was announced."""
    tpdu = octets[1 + octets[0] :]
    if len(tpdu) != length or tpdu[0] & 0x03 != 0x01:
        raise Unreadable("not what was announced")
    digits = tpdu[2]
    at = 4 + (digits + 1) // 2
    number = "".join(f"{octet % 16:X}{octet // 16:X}" for octet in tpdu[4:at])[:digits]
    if tpdu[3] != 0x91 or not number.isdecimal():
        raise Unreadable("no international number")
    coding = tpdu[at + 1]
    at += 2 + {0x00: 0, 0x10: 1, 0x08: 7, 0x18: 7}[tpdu[0] & 0x18]
    count, data = tpdu[at], tpdu[at + 1 :]
    head = 1 + data[0] if tpdu[0] & 0x40 else 0
    if coding == 0:
        if len(data) != (7 * count + 7) // 8:
            raise Unreadable("another length of user data than was announced")
        body = unpack(data, count, (8 * head + 6) // 7)
    else:
        if len(data) != count or count > 140:
            raise Unreadable("another length of user data than was announced")
        body = data[head:]
    if len(data) > 140:
        raise Unreadable("too long for the air")
    return _Message(number, read(coding, body, data[1:head]), bool(tpdu[0] & 0x20))


DOUBLE = SmsModem
