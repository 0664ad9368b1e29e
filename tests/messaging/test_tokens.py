# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Access tokens: fetched by one at a time, kept for all, never fetched more often than providers like it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.core.secrets import Secret
from mailroom.messaging import queries, tokens
from mailroom.messaging.tokens import EARLY, SharedTokens
from mailroom.senders.contract import Refused, Scope, Token, TryLater
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from tests.stores import Watch

KEY = "wecom/ww-1/3f"
WRONG = TryLater("40001", "wrong secret", Scope.SENDER)


@dataclass
class Provider:
    """Gives token after token, or the answers in turn; `gate` holds it back."""

    lasts: int = 2 * HOUR
    fetches: int = 0
    answers: list[Refused | TryLater | Exception] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def fetch(self) -> Token | Refused | TryLater:
        self.fetches += 1
        number = self.fetches
        self.began.set()
        await self.gate.wait()
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return Token(Secret(f"token-{number}"), self.lasts)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def node(store: Store, tmp_path: Path, watch: Watch) -> Callable[[], SharedTokens]:
    """Each call is another process."""
    seal = Seal.open(tmp_path / "secret.key")
    return lambda: SharedTokens(store, seal, watch)


async def soon(work: Awaitable[object]) -> object:
    async with asyncio.timeout(20):
        return await work


async def test_many_callers_on_two_nodes_cost_one_fetch(node: Callable[[], SharedTokens], provider: Provider) -> None:
    nodes = [node(), node()]
    provider.gate.clear()
    callers = [asyncio.create_task(each.get(KEY, provider.fetch)) for each in nodes * 10]
    await soon(provider.began.wait())
    provider.gate.set()
    assert set(await asyncio.gather(*callers)) == {Secret("token-1")}
    assert await nodes[0].get(KEY, provider.fetch) == Secret("token-1")
    assert provider.fetches == 1


async def test_it_is_kept_sealed_between_restarts(
    store: Store, node: Callable[[], SharedTokens], provider: Provider
) -> None:
    await node().get(KEY, provider.fetch)
    assert await node().get(KEY, provider.fetch) == Secret("token-1")
    held, _ = await store.write(lambda tx: queries.tokens.begin(tx, KEY, until=0))
    assert held.sealed is not None
    assert b"token-1" not in held.sealed


async def test_it_is_fetched_anew_some_time_before_its_end(
    node: Callable[[], SharedTokens], provider: Provider, watch: Watch
) -> None:
    tokens = node()
    await tokens.get(KEY, provider.fetch)
    watch.now += 2 * HOUR - EARLY - 1
    assert await tokens.get(KEY, provider.fetch) == Secret("token-1")
    watch.now += 1
    assert await tokens.get(KEY, provider.fetch) == Secret("token-2")


async def test_one_that_ends_soon_is_not_fetched_at_every_use(
    node: Callable[[], SharedTokens], provider: Provider, watch: Watch
) -> None:
    provider.lasts = MINUTE
    for each in (node(), node()):
        assert await each.get(KEY, provider.fetch) == Secret("token-1")
    watch.now += 30 * SECOND
    assert await node().get(KEY, provider.fetch) == Secret("token-2")
    provider.lasts = 10 * SECOND
    watch.now += 30 * SECOND
    await node().get(KEY, provider.fetch)
    watch.now += 10 * SECOND  # it has ended
    assert await node().get(KEY, provider.fetch) == Secret("token-4")


async def test_one_that_is_refused_is_fetched_anew_once_for_all(
    node: Callable[[], SharedTokens], provider: Provider, watch: Watch
) -> None:
    here, there = node(), node()
    old = await here.get(KEY, provider.fetch)
    await there.get(KEY, provider.fetch)
    assert isinstance(old, Secret)
    watch.now += MINUTE
    got = await asyncio.gather(*(each.get(KEY, provider.fetch, stale=old) for each in [here, there] * 5))
    assert set(got) == {Secret("token-2")}
    assert provider.fetches == 2


async def test_a_new_one_that_is_refused_is_not_fetched_again_at_once(
    node: Callable[[], SharedTokens], provider: Provider, watch: Watch
) -> None:
    here, there = node(), node()
    new = await here.get(KEY, provider.fetch)
    assert isinstance(new, Secret)
    for each in (here, there, here):
        later = await each.get(KEY, provider.fetch, stale=new)
        assert isinstance(later, TryLater)
        assert (later.scope, later.after) == (Scope.SENDER, 30 * SECOND)
    watch.now += 30 * SECOND
    assert await there.get(KEY, provider.fetch, stale=new) == Secret("token-2")


async def test_another_secret_is_another_token(node: Callable[[], SharedTokens], provider: Provider) -> None:
    tokens = node()
    assert await tokens.get(KEY, provider.fetch) == Secret("token-1")
    assert await tokens.get("wecom/ww-1/77", provider.fetch) == Secret("token-2")
    assert await tokens.get(KEY, provider.fetch) == Secret("token-1")


async def test_who_dies_while_he_fetches_holds_up_the_others_for_a_while_only(
    store: Store, node: Callable[[], SharedTokens], provider: Provider, watch: Watch
) -> None:
    await store.write(lambda tx: queries.tokens.begin(tx, KEY, until=tx.now + 15 * SECOND))
    waiting = asyncio.create_task(node().get(KEY, provider.fetch))
    await asyncio.sleep(0)
    assert provider.fetches == 0
    watch.now += 15 * SECOND
    assert await soon(waiting) == Secret("token-1")


async def test_a_failure_is_for_all_who_waited_and_for_nobody_after(
    node: Callable[[], SharedTokens], provider: Provider
) -> None:
    tokens = node()
    provider.answers = [WRONG, Refused("1", "no")]
    provider.gate.clear()
    callers = [asyncio.create_task(tokens.get(KEY, provider.fetch)) for _ in range(5)]
    await soon(provider.began.wait())
    provider.gate.set()
    assert await asyncio.gather(*callers) == [WRONG] * 5
    assert provider.fetches == 1
    assert await tokens.get(KEY, provider.fetch) == Refused("1", "no")
    assert await node().get(KEY, provider.fetch) == Secret("token-3")


async def test_a_bug_of_who_fetches_is_his_own(
    node: Callable[[], SharedTokens], provider: Provider, watch: Watch
) -> None:
    tokens = node()
    provider.answers = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await tokens.get(KEY, provider.fetch)
    watch.now += 15 * SECOND
    assert await soon(tokens.get(KEY, provider.fetch)) == Secret("token-2")


async def test_one_that_was_sealed_with_a_lost_key_is_fetched_anew(
    *, store: Store, tmp_path: Path, node: Callable[[], SharedTokens], provider: Provider, watch: Watch
) -> None:
    await SharedTokens(store, Seal.open(tmp_path / "another.key"), watch).get(KEY, provider.fetch)
    assert await node().get(KEY, provider.fetch) == Secret("token-2")


async def test_those_that_have_ended_are_forgotten(
    store: Store, node: Callable[[], SharedTokens], provider: Provider, watch: Watch
) -> None:
    await node().get(KEY, provider.fetch)
    watch.now += 2 * HOUR + DAY
    for expected in (True, False):
        await store.write(tokens.forget)
        held, _ = await store.write(lambda tx: queries.tokens.begin(tx, KEY, until=0))
        assert (held.sealed is not None) is expected
        watch.now += 1
