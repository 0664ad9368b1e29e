# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Greylisting: who is unknown is asked to come again; who only wants to be rid of his mail does not (RFC 6647)."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Final

from mailroom.core.clock import DAY, MINUTE, SECOND
from mailroom.core.errors import ComeAgain
from mailroom.delivery import queries
from mailroom.delivery.checks.spf import Address
from mailroom.storage.ports import Store, Tx

WAIT: Final = 5 * MINUTE
KEPT: Final = 36 * DAY


async def ask(store: Store, client: Address, *, sender: str, recipient: str) -> None:
    """Let the client pass that has come again, or whose network has done so before. Raises `ComeAgain`."""
    network = _network(client)
    whole, triple = _key(network), _key(network, sender.casefold(), recipient.casefold())
    if await store.read(lambda tx: _is_known(tx, whole)):
        return
    seconds = await store.write(lambda tx: _come(tx, whole, triple))
    if seconds:
        raise ComeAgain(seconds=seconds)


def forget(tx: Tx) -> None:
    """Forget whom we have not seen for long."""
    queries.forget_greylist(tx, before=tx.now - KEPT)


def _is_known(tx: Tx, whole: str) -> bool:
    """Whether the network has passed; written down again once a day, so that it is not forgotten while it writes."""
    seen = queries.greylisted(tx, whole)
    return seen is not None and seen[1] > tx.now - DAY


def _come(tx: Tx, whole: str, triple: str) -> int:
    """Note the attempt; how many seconds are left to wait."""
    seen = queries.greylisted(tx, triple)
    is_known = queries.greylisted(tx, whole) is not None
    if not is_known:
        first = tx.now if seen is None else seen[0]
        queries.greylist(tx, triple, passed=0)
        if (left := first + WAIT - tx.now) > 0:
            return max(1, left // SECOND)
    queries.greylist(tx, whole, passed=1)
    return 0


def _network(client: Address) -> str:
    return str(ipaddress.ip_network((client, 24 if client.version == 4 else 64), strict=False))


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
