# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The conversation with one modem: 3GPP TS 27.005 in PDU mode, one message at a time."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from mailroom.core.clock import DAY
from mailroom.core.secrets import Secret
from mailroom.senders.contract import News, Outcome, Reported, Scope, TryLater, Why
from mailroom.senders.sms import Text
from mailroom.senders.sms_modem import errors
from mailroom.senders.sms_modem.line import PROMPT, Line, Unusable
from mailroom.senders.sms_modem.tpdu import NoReport, Report, centre, read_report, submits

_COMMAND: Final = 5.0  # seconds
_PROBE: Final = 2.0
_PROBES: Final = 3
_SIM: Final = 20.0
_SUBMIT: Final = 60.0
_ANSWERS_MOST: Final = 100  # lines to one command
_AWAITED_MOST: Final = 2000
_ALIKE: Final = 7  # digits at the end by which two spellings of a number are known for the same

_ESCAPE: Final = b"\x1b"
_END: Final = b"\x1a"


class Trouble(Exception):
    """The message did not get through. With `said` the modem refused the part that it was given last; without, nobody
    knows what became of it, if it was given one.
    """

    def __init__(self, outcome: Outcome, *, said: bool = False) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome
        self.said = said


class _Failed(Exception):
    """A final answer other than OK."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer

    @property
    def outcome(self) -> Outcome:
        if code := re.fullmatch(r"\+CM([ES]) ERROR: *([0-9]{1,4})", self.answer):
            of = errors.of_message if code[1] == "S" else errors.of_modem
            return of(int(code[2]))
        return errors.unwell("ERROR", "the modem says no")


@dataclass(slots=True)
class Progress:
    """How far a message has got."""

    total: int
    handed: int = 0  # parts that the modem was given
    taken: int = 0  # of them, those that it said it took


@dataclass(frozen=True, slots=True)
class Job:
    """A message to be sent."""

    id: str  # by which its receipt will speak of it
    text: Text
    number: str  # digits
    now: int


@dataclass(slots=True)
class _Awaited:
    """A message of whose parts reports are awaited: by reference, as the modem counts."""

    id: str
    number: str
    left: set[int]


@dataclass(frozen=True, slots=True)
class Card:
    """What is set of a modem and its SIM card."""

    device: str
    baud: int
    centre: str
    pin: Secret
    per_day: int  # 0: no limit
    report: bool


@dataclass(slots=True)
class Modem:
    """One modem. `tell` is given what a report says, if it says anything new, and how to acknowledge it;
    `wrong_pins` are those that cards have refused, by device.
    """

    card: Card
    tell: Callable[[Reported | None, Callable[[], Awaitable[None]]], None]
    wrong_pins: set[tuple[str, Secret]]
    _line: Line | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _answers: deque[str] = field(default_factory=lambda: deque(maxlen=_ANSWERS_MOST))
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _reference: int = 0
    _day: int = 0
    _sent_that_day: int = 0
    _begun: bool = False
    _acknowledges: bool = False
    _report_follows: bool = False
    _under_way: str = ""  # the number whose message is being sent: its references are not all known
    _early: list[Report] = field(default_factory=list)
    _awaited: deque[_Awaited] = field(default_factory=lambda: deque(maxlen=_AWAITED_MOST))

    async def send(self, job: Job, progress: Progress) -> None:
        """Send all parts. Raises `Trouble`; the line is closed where the modem is no longer in step."""
        self._may_send(job)
        async with self._lock:
            self._under_way = job.number
            try:
                await self._be_ready()
                await self._submit_all(job, progress)
            except _Failed as failed:
                self._begun = False  # it may have started again by itself, and forgotten what it was told
                raise Trouble(failed.outcome, said=True) from None
            except Trouble:
                raise
            except TimeoutError:
                self.close()
                raise Trouble(errors.unwell("silent", f"{self.card.device} does not answer")) from None
            except OSError as fault:
                self.close()
                raise Trouble(errors.broken("unplugged", f"{self.card.device}: {fault}")) from None
            except BaseException:
                self.close()
                raise
            finally:
                self._under_way = ""
                early, self._early = self._early, []
                for report in early:
                    self._settle(report)

    def close(self) -> None:
        """Let go of the line."""
        if self._line is not None:
            self._line.close()
            self._line = None
        self._news.set()

    def _may_send(self, job: Job) -> None:
        today = job.now // DAY
        if today != self._day:
            self._day, self._sent_that_day = today, 0
        if self.card.per_day and self._sent_that_day + len(job.text.parts) > self.card.per_day:
            text = f"the SIM card in {self.card.device} has sent all that it may today"
            raise Trouble(TryLater("per_day", text, Scope.SENDER, (today + 1) * DAY - job.now, Why.QUOTA))

    async def _be_ready(self) -> None:
        """Raises `Trouble`, `_Failed`, `OSError`."""
        if self._line is None or not await self._is_still_there():
            self._open()
        if not await self._answers_at_all():
            await self._restart()
            raise Trouble(errors.unwell("silent", f"{self.card.device} does not answer; it was told to start again"))
        if not self._begun:
            await self._begin()
            self._begun = True
        await self._find_network()
        if self.card.report:
            # Each time: a modem whose report was not acknowledged in time sends no more of them.
            await self._attempt("AT+CNMI=2,1,0,1,0")

    async def _is_still_there(self) -> bool:
        """It has not been pulled out, and perhaps put in again, while nobody looked."""
        try:
            await self._sure().write(_ESCAPE)
        except OSError:
            self.close()
            return False
        return True

    def _open(self) -> None:
        try:
            self._line = Line.at(self.card.device, self.card.baud, hear=self._hear, lose=self.close)
        except Unusable as fault:
            raise Trouble(errors.broken("port", f"{self.card.device}: {fault}")) from None
        self._report_follows = self._begun = False

    async def _answers_at_all(self) -> bool:
        await self._sure().write(_ESCAPE)  # it may still wait for a message that somebody began
        for _ in range(_PROBES):
            with contextlib.suppress(TimeoutError):
                if await self._attempt("AT", seconds=_PROBE):
                    return True
        return False

    async def _restart(self) -> None:
        """Open the line anew, and let the modem begin anew: both halves of what may hang."""
        self.close()
        self._open()
        with contextlib.suppress(TimeoutError):
            await self._attempt("AT+CFUN=1,1", seconds=_PROBE)
        self.close()

    async def _begin(self) -> None:
        await self._attempt("ATE0")
        await self._attempt("AT+CMEE=1")
        await self._unlock()
        await self._command("AT+CMGF=0")
        self._acknowledges = self.card.report and await self._attempt("AT+CSMS=1")
        await self._attempt("AT+CMMS=1")

    async def _unlock(self) -> None:
        state = await self._command("AT+CPIN?", r"\+CPIN: *(.+)", seconds=_SIM)
        if state == "READY":
            return
        if state != "SIM PIN":
            raise Trouble(errors.broken("SIM", f"the SIM card in {self.card.device} says “{state[:40]}”"))
        pin = (self.card.device, self.card.pin)
        if not self.card.pin.reveal():
            raise Trouble(errors.broken("SIM PIN", f"the SIM card in {self.card.device} wants a PIN, and none is set"))
        refused = Trouble(errors.broken("SIM PIN", f"the SIM card in {self.card.device} refuses the PIN"))
        if pin in self.wrong_pins:  # three wrong ones, and it is locked
            raise refused
        self.wrong_pins.add(pin)
        if not await self._attempt(f'AT+CPIN="{self.card.pin.reveal()}"', seconds=_SIM):
            raise refused
        self.wrong_pins.discard(pin)

    async def _find_network(self) -> None:
        # Two numbers: with one alone a modem tells by itself of a change.
        match await self._command("AT+CREG?", r"\+CREG: *[0-9]+, *([0-9]+)"):
            case "1" | "5" | "6" | "7":  # TS 27.007 §7.2; 6 and 7 are for messages only
                return
            case "3":
                raise Trouble(errors.broken("CREG 3", f"the network refuses the SIM card in {self.card.device}"))
            case other:
                raise Trouble(errors.unwell(f"CREG {other}", f"{self.card.device} has no network"))

    async def _submit_all(self, job: Job, progress: Progress) -> None:
        self._reference = (self._reference + 1) % 256
        awaited = _Awaited(job.id, job.number, set())
        for tpdu in submits(job.text, job.number, reference=self._reference, report=self.card.report):
            awaited.left.add(await self._submit(tpdu, progress))
            self._sent_that_day += 1
        if self.card.report:
            self._awaited.append(awaited)

    async def _submit(self, tpdu: bytes, progress: Progress) -> int:
        """Hand over one part; the reference that the modem gave it."""
        self._answers.clear()
        await self._sure().write(f"AT+CMGS={len(tpdu)}\r".encode())
        async with asyncio.timeout(_SUBMIT):
            while (answer := await self._answer()) != PROMPT:
                _judge(answer)
        progress.handed += 1
        octets = (centre(self.card.centre) + tpdu).hex().upper().encode() + _END
        reference = await self._command(octets, r"\+CMGS: *([0-9]{1,3})\b", seconds=_SUBMIT)
        if not reference:
            raise TimeoutError  # OK without a reference is no answer to what was asked
        progress.taken += 1
        return int(reference)

    async def _command(self, said: str | bytes, wanted: str = "", *, seconds: float = _COMMAND) -> str:
        """What the modem answers before its OK: the group in the pattern `wanted`, or "". Raises `_Failed`,
        `TimeoutError`, `OSError`.
        """
        self._answers.clear()
        octets = said if isinstance(said, bytes) else said.encode() + b"\r"
        found = ""
        async with asyncio.timeout(seconds):
            await self._sure().write(octets)
            while (answer := await self._answer()) != "OK":
                _judge(answer)
                if wanted and (answered := re.match(wanted, answer)):
                    found = answered[1]
        return found

    async def _attempt(self, said: str, *, seconds: float = _COMMAND) -> bool:
        """Whether a modem does what not all modems do."""
        try:
            await self._command(said, seconds=seconds)
        except _Failed:
            return False
        return True

    async def _answer(self) -> str:
        while not self._answers:
            self._sure()
            self._news.clear()
            await self._news.wait()
        return self._answers.popleft()

    def _sure(self) -> Line:
        if self._line is None:
            raise ConnectionResetError("the modem is gone")
        return self._line

    def _hear(self, text: str) -> None:
        if self._report_follows:
            self._report_follows = False
            self._hear_report(text)
        elif text.startswith("+CDS:"):
            self._report_follows = True
        else:
            self._answers.append(text)
            self._news.set()

    def _hear_report(self, text: str) -> None:
        try:
            report = read_report(bytes.fromhex(text))
        except (NoReport, ValueError):
            return
        if self._under_way and _alike(self._under_way, report.number):
            self._early = [*self._early[-_ANSWERS_MOST:], report]
        else:
            self._settle(report)

    def _settle(self, report: Report) -> None:
        self.tell(self._said_by(report), self._acknowledge)

    def _said_by(self, report: Report) -> Reported | None:
        """What follows from a report: nothing before the last part of its message has arrived, or one is lost."""
        for awaited in reversed(self._awaited):
            if report.reference in awaited.left and _alike(awaited.number, report.number):
                break
        else:
            return None
        if report.pending:
            return None
        awaited.left.discard(report.reference)
        if report.arrived and awaited.left:
            return None
        self._awaited.remove(awaited)
        news = News.ARRIVED if report.arrived else News.LOST
        return Reported(awaited.id, news, f"TP-ST {report.status}", address=f"+{awaited.number}")

    async def _acknowledge(self) -> None:
        """Say that a report was heard: a modem in phase 2+ wants that (TS 27.005 §3.4.4)."""
        async with self._lock:
            if self._acknowledges and self._line is not None:
                await self._attempt("AT+CNMA")


def _judge(answer: str) -> None:
    if answer == "ERROR" or answer.startswith(("+CMS ERROR", "+CME ERROR")):
        raise _Failed(answer)


def _alike(one: str, other: str) -> bool:
    """Two spellings of a number: networks drop the country's code, or put zeros before it."""
    one, other = one.lstrip("0"), other.lstrip("0")
    short, long = sorted((one, other), key=len)
    return one == other or (len(short) >= _ALIKE and long.endswith(short))
