# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Asking providers what has become of what they took, where they do not tell by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mailroom.core import log
from mailroom.core.ids import SenderId
from mailroom.messaging import calls, queries
from mailroom.messaging.model import Sender
from mailroom.messaging.queries.inquiries import Asked
from mailroom.messaging.senders import Senders
from mailroom.senders.contract import Asks, Heard, Reply
from mailroom.storage.ports import Store, Tx

_LOG = log.get("inquiries")

_POLL: Final = 5.0  # seconds
_AT_ONCE: Final = 50
_LONGEST: Final = 60.0  # seconds for the questions of one sender


@dataclass(frozen=True, slots=True)
class Inquiries:
    """Asks when it is time to, by the manifests of the kinds."""

    store: Store
    senders: Senders

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            if await self.once() < _AT_ONCE:
                await asyncio.sleep(_POLL)

    async def once(self) -> int:
        """Ask what is due; of how many that was."""
        asking = {name: kind.manifest.asks for name, kind in self.senders.kinds.items() if isinstance(kind, Asks)}
        if not await self.store.glance(lambda tx: queries.inquiries.is_to_ask(tx, kinds=list(asking))):
            return 0
        claimed = await self.store.write(lambda tx: _claim(tx, asking))
        await asyncio.gather(*(self._ask(sender, asked) for sender, asked in claimed))
        return sum(len(asked) for _, asked in claimed)

    async def _ask(self, sender: Sender, asked: Sequence[Asked]) -> None:
        kind = self.senders.kind(sender.kind)
        assert isinstance(kind, Asks), "it was claimed as one"
        try:
            async with asyncio.timeout(_LONGEST):
                said = await kind.ask(self.senders.account(sender), [one.question for one in asked])
            if said:
                await self.store.write(lambda tx: calls.hear(tx, sender.code, Heard(Reply(), tuple(said))))
        except Exception:  # they are asked for again, if it is not the last time
            _LOG.exception("asking failed", sender=sender.code)


def _claim(tx: Tx, asking: Mapping[str, Sequence[int]]) -> Sequence[tuple[Sender, Sequence[Asked]]]:
    """Whom to ask for whom now. The next time is written down at once: who dies meanwhile has missed one."""
    by_sender: dict[SenderId, list[Asked]] = {}
    for asked in queries.inquiries.to_ask(tx, kinds=list(asking), limit=_AT_ONCE):
        by_sender.setdefault(asked.sender_id, []).append(asked)
    senders = [queries.senders.get(tx, sender_id) for sender_id in by_sender]
    for sender in senders:
        queries.inquiries.ask_again(tx, [_again(one, asking[sender.kind], tx.now) for one in by_sender[sender.id]])
    return [(sender, by_sender[sender.id]) for sender in senders]


def _again(asked: Asked, times: Sequence[int], now: int) -> Asked:
    """When to ask for it again: at the next of the times after it was sent that has not passed."""
    for number, after in enumerate(times):
        at = asked.question.sent_at + after
        if number > asked.asked and at > now:
            return replace(asked, asked=number, ask_at=at)
    return replace(asked, ask_at=None)
