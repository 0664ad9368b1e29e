# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What providers tell us by themselves: receipts, and who has come or gone."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.messaging import receipts, senders
from mailroom.messaging.receipts import Receipt
from mailroom.messaging.states import News
from mailroom.senders.contract import Event, Reported
from mailroom.storage.ports import Store, Tx

_NEWS = {news.value: news for news in (News.ARRIVED, News.LOST)}


async def report(store: Store, code: str, events: Sequence[Event]) -> None:
    """Write down what the sender with that code has heard on a connection of its own; durable."""
    await store.write(lambda tx: hear(tx, code, events))


def hear(tx: Tx, code: str, events: Sequence[Event]) -> None:
    """Write down what a provider says."""
    sender = senders.by_code(tx, code)
    if sender is None:
        return
    for event in events:
        if isinstance(event, Reported) and event.news.value in _NEWS:
            receipts.receive(tx, sender.id, Receipt(event.provider_id, _NEWS[event.news.value], event.code, event.text))
