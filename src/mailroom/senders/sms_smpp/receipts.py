# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Which message a receipt speaks of: it names parts, by ids that the message centre may spell in two ways. Pure.

What is known here is lost with the process. After that a receipt counts for the message whose last part it names.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from mailroom.senders.contract import News, Reported
from mailroom.senders.sms_smpp.pdu import Receipt

_PARTS_MOST: Final = 10_000
# Appendix B; what is not here (ENROUTE, ACCEPTD) is not the end.
_NEWS: Final = MappingProxyType(
    {
        "DELIVRD": News.ARRIVED,
        "EXPIRED": News.LOST,
        "DELETED": News.LOST,
        "UNDELIV": News.LOST,
        "UNKNOWN": News.LOST,
        "REJECTD": News.LOST,
    }
)


def _same(id_: str) -> str:
    return id_


def _as_decimal(id_: str) -> str:
    return str(int(id_, 16)) if _is_number(id_, 16) else id_


def _as_hexadecimal(id_: str) -> str:
    return f"{int(id_):x}" if _is_number(id_, 10) else id_


def _without_zeros(id_: str) -> str:
    return id_.lower().lstrip("0") or "0"


# By the setting `receipt_ids`: what an id of submit_sm_resp is in receipts, and one of those as it is kept.
SPELLING: Final[MappingProxyType[str, tuple[Callable[[str], str], Callable[[str], str]]]] = MappingProxyType(
    {
        "same": (_same, _same),
        "decimal": (_as_decimal, _without_zeros),
        "hexadecimal": (_as_hexadecimal, _without_zeros),
    }
)


@dataclass(slots=True)
class Sending:
    """A message of which parts are being sent."""

    number: str
    spelling: str
    id: str = ""  # that of its last part, once it has been taken
    left: set[str] = field(default_factory=set)  # parts whose receipts are awaited
    last: Receipt | None = None  # the receipt that says most
    told: bool = False  # what became of it


@dataclass(slots=True)
class Ledger:
    """The messages of one account that await receipts."""

    _parts: OrderedDict[str, Sending] = field(default_factory=OrderedDict)
    _under_way: Counter[str] = field(default_factory=Counter)

    def begin(self, number: str, spelling: str) -> Sending:
        """A message for that number is about to be sent."""
        self._under_way[number] += 1
        return Sending(number, spelling)

    def taken(self, sending: Sending, id_: str) -> str:
        """A part was taken, under an id as submit_sm_resp spells it; as it is kept and reported."""
        part = SPELLING[sending.spelling][0](id_)
        if part:
            sending.left.add(part)
            self._parts[part] = sending
        while len(self._parts) > _PARTS_MOST:
            self._parts.popitem(last=False)
        return part

    def end(self, sending: Sending) -> None:
        """Nothing more of it is sent."""
        self._under_way -= Counter((sending.number,))

    def complete(self, sending: Sending, id_: str) -> Reported | None:
        """All parts were taken, the last one as `id_`. Their receipts may have come already."""
        sending.id = id_
        return self._news(sending)

    def is_early(self, receipt: Receipt, spelling: str) -> bool:
        """Its message may be one that the centre has not answered yet."""
        return self._find(receipt, spelling) is None and receipt.source.lstrip("+") in self._under_way

    def heard(self, receipt: Receipt, spelling: str) -> Reported | None:
        """What follows from a receipt: nothing, before the last part has arrived or one is lost."""
        news = _NEWS.get(receipt.state)
        if news is None:
            return None
        part = self._find(receipt, spelling)
        if part is None:
            return Reported(SPELLING[spelling][1](receipt.id), news, receipt.state, _words(receipt))
        sending = self._parts.pop(part)
        sending.left.discard(part)
        if sending.last is None or _NEWS[sending.last.state] is News.ARRIVED:
            sending.last = receipt
        return self._news(sending)

    def _news(self, sending: Sending) -> Reported | None:
        if sending.last is None or not sending.id or sending.told:
            return None
        news = _NEWS[sending.last.state]
        if news is News.ARRIVED and sending.left:
            return None
        sending.told = True
        return Reported(sending.id, news, sending.last.state, _words(sending.last), f"+{sending.number}")

    def _find(self, receipt: Receipt, spelling: str) -> str | None:
        """The id under which the part is kept. Where the setting is wrong, the same number to the same phone is it."""
        exact = SPELLING[spelling][1](receipt.id)
        if exact in self._parts:
            return exact
        number, values = receipt.source.lstrip("+"), _values(receipt.id)
        return next(
            (
                part
                for part, sending in reversed(self._parts.items())
                if sending.number == number and values & _values(part)
            ),
            None,
        )


def _words(receipt: Receipt) -> str:
    return f"err:{receipt.error}" if receipt.error else ""


def _is_number(text: str, base: int) -> bool:
    digits = "0123456789abcdef"[:base]
    return bool(text) and all(one in digits for one in text.lower())


def _values(id_: str) -> set[int]:
    """The numbers that an id may mean."""
    return {int(id_, base) for base in (10, 16) if _is_number(id_, base)}
