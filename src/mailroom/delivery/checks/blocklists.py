# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""DNS blocklists: whether others have reason not to hear a client (RFC 5782)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

from mailroom.delivery.checks.names import Names, NoIdea
from mailroom.delivery.checks.spf import Address

_PATIENCE = 3.0  # seconds
_LISTED = ipaddress.ip_network("127.0.0.0/8")
# What lists answer that do not want to be asked by us, or were asked wrongly.
_NOT_LISTED = ipaddress.ip_network("127.255.255.0/24")


async def listed(names: Names, client: Address, zones: Sequence[str]) -> str:
    """The first of the zones that lists the client; "" when none does, or none says so in time."""
    answers = await asyncio.gather(*(_is_listed(names, client, zone) for zone in zones))
    return next((zone for zone, is_listed in zip(zones, answers, strict=True) if is_listed), "")


async def _is_listed(names: Names, client: Address, zone: str) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            answers = (await names.ask(f"{_reversed(client)}.{zone}", "A")).texts
    except (NoIdea, TimeoutError):
        return False
    found = [ipaddress.ip_address(text) for text in answers]
    return any(one in _LISTED and one not in _NOT_LISTED for one in found)


def _reversed(client: Address) -> str:
    return client.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
