# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Requests that are sent twice, on every engine."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from mailroom.core.clock import DAY
from mailroom.storage import repeats
from mailroom.storage.ports import Store, Tx
from mailroom.storage.repeats import OtherRequest, Request
from tests.stores import Watch

REQUEST = Request("key:crm", "4711", "a digest")


def answer(tx: Tx, text: bytes, request: Request = REQUEST) -> bytes:
    """The answer that counts, if this one is not the first."""
    kept = repeats.begin(tx, request)
    if kept is None:
        repeats.keep(tx, request, text)
    return kept or text


async def test_the_first_answer_counts_for_a_day(store: Store, watch: Watch) -> None:
    assert await store.read(lambda tx: repeats.earlier(tx, REQUEST)) is None
    assert await store.write(partial(answer, text=b"first")) == b"first"
    assert await store.write(partial(answer, text=b"second")) == b"first"
    assert await store.read(lambda tx: repeats.earlier(tx, REQUEST)) == b"first"
    watch.now += DAY
    await store.write(repeats.forget)
    assert await store.write(partial(answer, text=b"third")) == b"first"
    watch.now += 1
    await store.write(repeats.forget)
    assert await store.write(partial(answer, text=b"fourth")) == b"fourth"


async def test_another_request_is_not_answered_with_it_and_another_caller_has_keys_of_his_own(store: Store) -> None:
    await store.write(partial(answer, text=b"first"))
    other = Request(REQUEST.actor, REQUEST.key, "another")
    with pytest.raises(OtherRequest):
        await store.write(partial(answer, text=b"x", request=other))
    mine = Request("key:other", REQUEST.key, REQUEST.digest)
    assert await store.write(partial(answer, text=b"mine", request=mine)) == b"mine"


async def test_what_fails_keeps_nothing(store: Store) -> None:
    def fail(tx: Tx) -> None:
        answer(tx, b"first")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.write(fail)
    assert await store.write(partial(answer, text=b"second")) == b"second"


async def test_of_many_at_once_one_is_the_first(store: Store) -> None:
    answers = await asyncio.gather(*(store.write(partial(answer, text=b"%d" % number)) for number in range(20)))
    assert len(set(answers)) == 1
