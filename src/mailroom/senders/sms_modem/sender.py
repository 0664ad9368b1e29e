# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends short messages by modem: the account's modems take turns, each with one message at a time.

The parcel's content is a `senders.note.Note`, of which the text is sent. No network tells a repeat, so that a message
is sent again only where a modem surely has not taken it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mailroom.core import log
from mailroom.core.clock import SECOND
from mailroom.core.errors import InvalidValue
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
from mailroom.senders.sms_modem.manifest import MANIFEST, PORTS_MOST, devices
from mailroom.senders.sms_modem.modem import Card, Job, Modem, Progress, Trouble

_PER_DAY_MOST: Final = 100_000
_NO_SECRET: Final = Secret("")
_LOG: Final = log.get("sms_modem")


@dataclass(slots=True)
class _Pool:
    """The modems of an account, the one that has waited longest first."""

    cards: tuple[Card, ...]
    modems: tuple[Modem, ...]
    free: asyncio.Queue[Modem] = field(default_factory=asyncio.Queue)
    closed: bool = False

    def __post_init__(self) -> None:
        for modem in self.modems:
            self.free.put_nowait(modem)

    def give_back(self, modem: Modem) -> None:
        if self.closed:
            modem.close()
        self.free.put_nowait(modem)

    def close(self) -> None:
        """Let go of the lines: at once where nothing is under way, and of the others afterwards."""
        self.closed = True
        while not self.free.empty():
            self.free.get_nowait().close()


@dataclass(frozen=True, slots=True)
class SmsModem:
    """The sender kind `sms_modem`."""

    tools: Tools
    manifest: Manifest = MANIFEST
    _pools: dict[str, _Pool] = field(default_factory=dict)
    _wrong_pins: set[tuple[str, Secret]] = field(default_factory=set)
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`. No device is opened."""
        self.manifest.check(settings, secrets)
        named = devices(settings)
        if not all(re.fullmatch(r"/dev/[\w./:+@-]{1,200}", name) and ".." not in name for name in named):
            raise InvalidValue(name="port", reason="must be a device below /dev")
        if not 0 < len(named) <= PORTS_MOST:
            raise InvalidValue(name="port", reason=f"must be from 1 to {PORTS_MOST} devices")
        parts = sms.number_of(self.manifest.value(settings, "max_parts"), "max_parts", most=sms.PARTS_MOST)
        if per_day := settings.get("per_day"):
            sms.number_of(per_day, "per_day", least=parts, most=_PER_DAY_MOST)
        if (centre := settings.get("smsc")) and sms.digits(centre) is None:
            raise InvalidValue(name="smsc", reason="must be a number such as +8613800100500")
        if not re.fullmatch(r"([0-9]{4,8})?", secrets.get("pin", _NO_SECRET).reveal()):
            raise InvalidValue(name="pin", reason="must be 4 to 8 digits")

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        number = sms.digits(parcel.address)
        if number is None:
            return Refused("number", "this is no number in its international form", why=Why.GONE)
        most = int(self.manifest.value(account.settings, "max_parts"))
        job = Job(parcel.code, sms.split(Note.read(parcel.content).text, most=most), number, parcel.now)
        pool = self._pool(account)
        progress = Progress(len(job.text.parts))
        outcome: Outcome = TryLater("busy", "all modems are busy", Scope.SENDER)
        try:
            async with asyncio.timeout(self.manifest.timeout / SECOND):
                for _ in pool.modems:
                    progress = Progress(len(job.text.parts))
                    outcome = await self._send(pool, job, progress)
                    if not isinstance(outcome, TryLater):
                        break  # else another modem may be in better health
        except TimeoutError:
            if progress.handed:
                return _in_doubt("timeout", "the modem did not answer in time", progress)
        return outcome

    async def close(self) -> None:
        """See `SenderKind`. What was heard until now is written down."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        while self._telling:
            await asyncio.gather(*self._telling, return_exceptions=True)

    async def _send(self, pool: _Pool, job: Job, progress: Progress) -> Outcome:
        modem = await pool.free.get()
        try:
            await modem.send(job, progress)
        except Trouble as trouble:
            lost = progress.handed > progress.taken and not trouble.said
            if progress.taken or lost:
                return _in_doubt(trouble.outcome.code, trouble.outcome.text, progress)
            return trouble.outcome
        finally:
            pool.give_back(modem)
        return Sent(job.id)

    def _pool(self, account: Account) -> _Pool:
        """The account's modems; others once its settings have changed."""
        cards = tuple(self._cards(account))
        pool = self._pools.get(account.code)
        if pool is None or pool.cards != cards:
            if pool is not None:
                pool.close()
            modems = tuple(Modem(card, self._teller(account.code), self._wrong_pins) for card in cards)
            pool = self._pools[account.code] = _Pool(cards, modems)
        return pool

    def _cards(self, account: Account) -> list[Card]:
        settings = account.settings
        return [
            Card(
                device=device,
                baud=int(self.manifest.value(settings, "baud")),
                centre=sms.digits(settings.get("smsc", "")) or "",
                pin=account.secrets.get("pin", _NO_SECRET),
                per_day=int(settings.get("per_day") or 0),
                report=self.manifest.value(settings, "report") == "yes",
            )
            for device in devices(settings)
        ]

    def _teller(self, code: str) -> Callable[[Reported | None, Callable[[], Awaitable[None]]], None]:
        def tell(said: Reported | None, acknowledge: Callable[[], Awaitable[None]]) -> None:
            task = asyncio.get_running_loop().create_task(self._tell(code, said, acknowledge))
            self._telling.add(task)
            task.add_done_callback(self._told)

        return tell

    async def _tell(self, code: str, said: Reported | None, acknowledge: Callable[[], Awaitable[None]]) -> None:
        if said is not None:
            await self.tools.report(code, (said,))
        with contextlib.suppress(OSError):  # a modem that does not hear it is begun with anew
            await acknowledge()

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            _LOG.error("a receipt could not be written down", exc_info=fault)


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return SmsModem(tools)


def _in_doubt(code: str, text: str, progress: Progress) -> Unknown:
    """Sending all of it again would send twice what has been taken."""
    if progress.total == 1:
        return Unknown(code, excerpt(f"the modem had the message: {text}"))
    told = f"of {progress.total} parts the modem had {progress.handed} and confirmed {progress.taken}: {text}"
    return Unknown(code, excerpt(told))
