# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What every store promises of hints: whoever listens hears after the commit, in this process and in others."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import bindparam, insert, select

from mailroom.core.errors import OverQuota
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Listener, Store, Tx

PUT = insert(schema.messages).values(msgid=bindparam("key"), content="", origin="", created_at=0)
KEYS = select(schema.messages.c.msgid)


async def heard(ear: Listener, *, within: float) -> bool:
    """Whether the wait ended before its time."""
    began = time.monotonic()
    await ear.wait(within)
    return time.monotonic() - began < within


async def quiet(ear: Listener) -> None:
    """Wait until there is nothing left to hear of what was before."""
    while await heard(ear, within=0.4):
        pass


async def test_who_listens_hears_and_finds_the_rows(store: Store) -> None:
    def work(tx: Tx) -> None:
        tx.hint("facts")
        tx.run(PUT, key="a")

    with store.hints.listen("facts") as ear:
        waiting = asyncio.ensure_future(heard(ear, within=10))
        await store.write(work)
        assert await waiting
        assert await store.read(lambda tx: tx.all(KEYS)) == [("a",)]


async def test_a_hint_before_the_wait_is_not_missed(store: Store) -> None:
    with store.hints.listen("facts") as ear:
        await store.write(lambda tx: tx.hint("facts"))
        assert await heard(ear, within=10)


async def test_everyone_who_listens_to_the_topic_hears(store: Store) -> None:
    with store.hints.listen("a") as one, store.hints.listen("a") as two:
        await store.write(lambda tx: tx.hint("a"))
        assert await heard(one, within=10)
        assert await heard(two, within=10)


async def test_who_wants_to_be_called_is_called_until_he_has_enough(store: Store) -> None:
    called = asyncio.Event()
    end = store.hints.call("a", called.set)
    await store.write(lambda tx: tx.hint("a"))
    async with asyncio.timeout(10):
        await called.wait()
    called.clear()
    end()
    with store.hints.listen("a") as ear:
        await store.write(lambda tx: tx.hint("a"))
        assert await heard(ear, within=10)
    assert not called.is_set()


async def test_another_topic_is_not_heard(store: Store) -> None:
    with store.hints.listen("mailbox:1") as ear:
        await quiet(ear)
        await store.write(lambda tx: tx.hint("mailbox:2"))
        assert not await heard(ear, within=0.1)


async def test_what_was_not_kept_is_not_hinted_at(store: Store) -> None:
    def refuse(tx: Tx) -> None:
        tx.hint("refused")
        raise OverQuota

    with store.hints.listen("refused") as ear:
        await quiet(ear)
        results = await asyncio.gather(
            *(store.write(refuse) for _ in range(3)), store.write(lambda tx: tx.hint("other")), return_exceptions=True
        )
        assert [type(result) for result in results] == [OverQuota] * 3 + [type(None)]
        with pytest.raises(OverQuota):
            await store.write(refuse)
        assert not await heard(ear, within=0.1)


async def test_a_commit_elsewhere_is_heard_soon(store: Store, store_url: str) -> None:
    def work(tx: Tx) -> None:
        tx.run(PUT, key="elsewhere")
        tx.hint("facts")

    other = open_store(store_url)
    try:
        with store.hints.listen("facts") as ear:
            await quiet(ear)
            await other.write(work)
            assert await heard(ear, within=10)
            assert await store.read(lambda tx: tx.all(KEYS)) == [("elsewhere",)]
    finally:
        await other.close()


async def test_a_thousand_topics_at_once_reach_another_process(store: Store, store_url: str) -> None:
    def work(tx: Tx) -> None:
        tx.run(PUT, key="elsewhere")
        for number in range(1000):
            tx.hint(f"mailbox:{number}")

    other = open_store(store_url)
    try:
        with store.hints.listen("mailbox:0") as first, store.hints.listen("mailbox:999") as last:
            await store.write(lambda tx: tx.run(PUT, key="here"))
            await quiet(first)
            await quiet(last)
            await other.write(work)
            assert await heard(first, within=10)
            assert await heard(last, within=10)
    finally:
        await other.close()


async def test_a_wait_ends_when_its_time_is_up_and_can_be_cancelled(store: Store) -> None:
    with store.hints.listen("nothing") as ear:
        await quiet(ear)
        await ear.wait(0.01)
        waiting = asyncio.ensure_future(ear.wait(60))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
