# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends short messages over SMPP 3.4, and hears on the same connection what became of them.

The parcel's content is a `senders.note.Note`, of which the text is sent. The message centre cannot tell a repeat, so
that whatever it was given and did not answer is in doubt.
"""

from __future__ import annotations

import asyncio
import re
import secrets as chances
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from mailroom.core import log
from mailroom.core.clock import SECOND
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.senders import sms
from mailroom.senders.contract import (
    Account,
    Manifest,
    Outcome,
    Parcel,
    Refused,
    Reported,
    Scope,
    SenderKind,
    Sent,
    Tools,
    TryLater,
    Unknown,
    Why,
    excerpt,
)
from mailroom.senders.note import Note
from mailroom.senders.sms import Text
from mailroom.senders.sms_smpp import errors, pdu
from mailroom.senders.sms_smpp.link import Centre, Keeper, Unbound, Way
from mailroom.senders.sms_smpp.manifest import MANIFEST, WINDOW_MOST
from mailroom.senders.sms_smpp.pdu import Address, Command, Deliver, Submit, Tag
from mailroom.senders.sms_smpp.receipts import Ledger, Sending

_EARLY: Final = 2.0  # seconds for which a receipt may wait for the answer to what it speaks of
_NO_SECRET: Final = Secret("")
_LOG: Final = log.get("sms_smpp")
_LENGTHS: Final = {"system_id": 15, "system_type": 12, "source_addr": 20}


@dataclass(slots=True)
class _Place:
    """What is kept of an account."""

    keeper: Keeper
    ledger: Ledger
    spelling: str = "same"  # the setting `receipt_ids`
    reference: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell_change(self) -> None:
        """The ledger knows more than before."""
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass(slots=True)
class _Progress:
    """How far a message has got."""

    total: int
    handed: int = 0
    taken: int = 0

    def hand(self) -> None:
        self.handed += 1


@dataclass(frozen=True, slots=True)
class SmsSmpp:
    """The sender kind `sms_smpp`."""

    tools: Tools
    way: Way
    manifest: Manifest = MANIFEST
    _places: dict[str, _Place] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`."""
        self.manifest.check(settings, secrets)
        host = settings["host"]
        if not re.fullmatch(r"[\w.:\[\]-]{1,255}", host):
            raise InvalidValue(name="host", reason="must be a name or an address")
        if not self.way.egress.permits_host(host):
            raise EgressRefused(host=host)
        sms.number_of(self.manifest.value(settings, "port"), "port", most=65535)
        sms.number_of(self.manifest.value(settings, "window"), "window", most=WINDOW_MOST)
        sms.number_of(self.manifest.value(settings, "max_parts"), "max_parts", most=sms.PARTS_MOST)
        for name, most in _LENGTHS.items():
            if not re.fullmatch(rf"[ -~]{{0,{most}}}", settings.get(name, "")):
                raise InvalidValue(name=name, reason=f"must be at most {most} characters of ASCII")
        # SMPP says 8; message centres that take more are common.
        if not re.fullmatch(r"[ -~]{0,64}", secrets.get("password", _NO_SECRET).reveal()):
            raise InvalidValue(name="password", reason="must be at most 64 characters of ASCII")

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        number = sms.digits(parcel.address)
        if number is None:
            return Refused("number", "this is no number in its international form", why=Why.GONE)
        text = sms.split(Note.read(parcel.content).text, most=int(self.manifest.value(account.settings, "max_parts")))
        place = self._place(account)
        place.reference += 1
        bodies = self._bodies(account.settings, text, number, place.reference)
        progress = _Progress(len(bodies))
        sending = place.ledger.begin(number, self.manifest.value(account.settings, "receipt_ids"))
        outcome: Outcome
        try:
            async with asyncio.timeout(self.manifest.timeout / SECOND):
                outcome = await self._submit(place, bodies, sending, progress)
        except TimeoutError:
            outcome = _unanswered("timeout", "no answer in time", progress)
        except OSError as fault:
            outcome = _unanswered("cut_off", str(fault), progress)
        finally:
            place.ledger.end(sending)
            place.tell_change()
        if isinstance(outcome, Sent) and (said := place.ledger.complete(sending, outcome.provider_id)):
            self._report_aside(account.code, said)
        return outcome

    async def close(self) -> None:
        """See `SenderKind`. Unbinds; what was heard until now is written down."""
        await asyncio.gather(*(place.keeper.close() for place in self._places.values()))
        self._places.clear()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _submit(self, place: _Place, bodies: tuple[bytes, ...], sending: Sending, progress: _Progress) -> Outcome:
        """Raises `OSError`, `TimeoutError`."""
        id_ = ""
        try:
            for body in bodies:
                link = await place.keeper.link()
                answer = await link.submit(body, progress.hand)
                if answer.command not in {Command.SUBMIT_SM_RESP, Command.GENERIC_NACK}:
                    raise ConnectionError("another answer than to what was asked")
                if answer.command == Command.GENERIC_NACK or answer.status != pdu.OK:
                    return _said_no(errors.of_submit(answer.status), progress)
                progress.taken += 1
                id_ = place.ledger.taken(sending, pdu.read_id(answer.body))
                place.tell_change()
        except Unbound as unbound:
            return _said_no(unbound.outcome, progress)
        return Sent(id_, errors.code(pdu.OK))

    def _bodies(self, settings: Mapping[str, str], text: Text, number: str, reference: int) -> tuple[bytes, ...]:
        """What is submitted: one body a part, or a single one that the message centre is to split."""
        source = Address(
            text=settings.get("source_addr", ""),
            ton=int(self.manifest.value(settings, "source_ton")),
            npi=int(self.manifest.value(settings, "source_npi")),
        )
        submit = partial(Submit, source=source, target=Address(text=number), coding=text.alphabet.value)
        total = len(text.parts)
        if total == 1:
            return (submit(text=text.parts[0]).body(),)
        way = self.manifest.value(settings, "long")
        if way == "payload":
            return (submit(text=b"", options={Tag.MESSAGE_PAYLOAD: b"".join(text.parts)}).body(),)
        if way == "sar":
            joined: dict[int, bytes] = {
                Tag.SAR_MSG_REF_NUM: (reference & 0xFFFF).to_bytes(2),
                Tag.SAR_TOTAL_SEGMENTS: bytes((total,)),
            }
            return tuple(
                submit(text=part, options=joined | {Tag.SAR_SEGMENT_SEQNUM: bytes((at,))}).body()
                for at, part in enumerate(text.parts, 1)
            )
        heads = (sms.header(reference, total, at) for at in range(1, total + 1))
        return tuple(
            submit(text=bytes((len(head),)) + head + part, has_header=True).body()
            for head, part in zip(heads, text.parts, strict=True)
        )

    def _place(self, account: Account) -> _Place:
        """The account's connection; another once its settings have changed. What awaits receipts stays known."""
        settings = account.settings
        centre = Centre(
            host=settings["host"],
            port=int(self.manifest.value(settings, "port")),
            tls=self.manifest.value(settings, "tls") == "yes",
            system_id=settings["system_id"],
            password=account.secrets.get("password", _NO_SECRET),
            system_type=settings.get("system_type", ""),
            window=int(self.manifest.value(settings, "window")),
        )
        place = self._places.get(account.code)
        if place is None or place.keeper.centre != centre:
            keeper = Keeper(self.way, centre, partial(self._hear, account.code))
            if place is None:
                place = self._places[account.code] = _Place(keeper, Ledger())
            else:
                keeper.before, place.keeper = place.keeper, keeper
        place.spelling = self.manifest.value(settings, "receipt_ids")
        return place

    async def _hear(self, code: str, deliver: Deliver) -> None:
        receipt = pdu.read_receipt(deliver) if deliver.is_receipt else None
        if receipt is None:  # somebody writes back: nothing here reads it
            return
        place = self._places[code]
        try:
            async with asyncio.timeout(_EARLY):
                while place.ledger.is_early(receipt, place.spelling):
                    await place.changed.wait()
        except TimeoutError:
            _LOG.debug("a receipt of nothing that we know", sender=code)
        if said := place.ledger.heard(receipt, place.spelling):
            await self._report(code, said)

    async def _report(self, code: str, said: Reported) -> None:
        await self.tools.report(code, (said,))

    def _report_aside(self, code: str, said: Reported) -> None:
        task = asyncio.get_running_loop().create_task(self._report(code, said))
        self._tasks.add(task)
        task.add_done_callback(self._reported)

    def _reported(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            _LOG.error("a receipt could not be written down", exc_info=fault)


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    way = Way(tools.http.egress, tools.http.resolver, tools.mails.trust, chances.SystemRandom().random)
    return SmsSmpp(tools, way)


def _said_no(outcome: Outcome, progress: _Progress) -> Outcome:
    if not progress.taken:
        return outcome
    return _doubt(outcome.code, outcome.text, progress)


def _unanswered(code: str, text: str, progress: _Progress) -> Outcome:
    """The connection broke, or time ran out."""
    if not progress.handed:
        return TryLater(code, excerpt(text), Scope.SENDER)
    return _doubt(code, text, progress)


def _doubt(code: str, text: str, progress: _Progress) -> Unknown:
    """Sending all of it again would send twice what has been taken."""
    if progress.total == 1:
        return Unknown(code, excerpt(f"the message centre had the message: {text}"))
    told = f"of {progress.total} parts the centre had {progress.handed} and confirmed {progress.taken}: {text}"
    return Unknown(code, excerpt(told))
