# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What `fuzz.guided` fuzzes. Each target takes any octets and must raise nothing but the refusal that it promises."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Final

from mailroom.core.errors import Refusal
from mailroom.delivery.sieve import grammar as sieve
from mailroom.mime import arc, bounce, dkim, fields
from mailroom.mime.scan import scan
from mailroom.protocols import proxy
from mailroom.protocols.imap.grammar.reader import BEFORE_LOGIN, Limits
from mailroom.protocols.managesieve import grammar as managesieve
from mailroom.protocols.pop3 import grammar as pop3
from mailroom.senders.sms_modem import tpdu
from mailroom.senders.sms_smpp import pdu
from tests.protocols.imap.drive import ROADS as IMAP_ROADS
from tests.protocols.imap.drive import Standing
from tests.protocols.imap.listen import SMALL, listen
from tests.protocols.smtp.drive import MEMBER_ROADS, ROADS, Driven, for_members

_ROOMY: Final = Limits(command=64 * 1024, skipped=1024 * 1024)
_IMAP: Final = (SMALL, BEFORE_LOGIN, _ROOMY)


def _imap(octets: bytes) -> None:
    listen([octets[1:]], _IMAP[octets[0] % len(_IMAP)])


@cache
def _standing() -> Standing:
    return Standing()


def _imap_session(octets: bytes) -> None:
    roads = list(IMAP_ROADS.values())
    _standing().attack(roads[octets[0] % len(roads)], [octets[1:]])


def _smtp(octets: bytes) -> None:
    roads = list(ROADS.values())
    driven = Driven()
    driven.hear(roads[octets[0] % len(roads)], octets[1:])


def _submission(octets: bytes) -> None:
    roads = list(MEMBER_ROADS.values())
    driven = for_members()
    driven.hear(roads[octets[0] % len(roads)], octets[1:])


def _pop3(octets: bytes) -> None:
    with contextlib.suppress(pop3.BadCommand):
        pop3.parse(octets)


def _managesieve(octets: bytes) -> None:
    with contextlib.suppress(managesieve.BadCommand):
        found, _ = managesieve.tokens(octets)
        managesieve.parse(found)


def _sieve(octets: bytes) -> None:
    with contextlib.suppress(Refusal):
        sieve.parse(octets.decode("utf-8", "replace"))


def _signatures(octets: bytes) -> None:
    found = fields.split(octets)
    dkim.signatures(found)
    arc.chain(found)


def _key(octets: bytes) -> None:
    with contextlib.suppress(dkim.Bad):
        dkim.key([octets])


def _bounce(octets: bytes) -> None:
    bounce.parse(scan(octets), lambda start, end: octets[start:end])


def _proxy(octets: bytes) -> None:
    with contextlib.suppress(proxy.Malformed):
        proxy.read(octets)


def _smpp(octets: bytes) -> None:
    with contextlib.suppress(pdu.Garbage):
        pdu.read_receipt(pdu.read_deliver(octets))


def _status_report(octets: bytes) -> None:
    with contextlib.suppress(tpdu.NoReport):
        tpdu.read_report(octets)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "imap": _imap,
    "imap-session": _imap_session,
    "smtp": _smtp,
    "submission": _submission,
    "pop3": _pop3,
    "managesieve": _managesieve,
    "sieve": _sieve,
    "signatures": _signatures,
    "key": _key,
    "bounce": _bounce,
    "proxy": _proxy,
    "smpp": _smpp,
    "status-report": _status_report,
}
