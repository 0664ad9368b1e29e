# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The MTA-STS policies of other domains, kept between restarts and shared by all nodes."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.delivery import queries
from mailroom.senders.contract import Kept
from mailroom.storage.ports import Store


@dataclass(frozen=True, slots=True)
class StsPolicies:
    """See `senders.contract.Policies`."""

    store: Store

    async def get(self, domain: str) -> Kept | None:
        """The one that is kept, unless it has expired."""
        return await self.store.read(lambda tx: queries.sts_policy(tx, domain))

    async def keep(self, domain: str, kept: Kept) -> None:
        """Keep this one from now on."""
        await self.store.write(lambda tx: queries.keep_sts_policy(tx, domain, kept))
