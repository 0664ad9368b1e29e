# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Facts at rest, and the lease under which one worker sees to each."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mailroom.core.errors import NotFound
from mailroom.core.ids import ContentId, FolderId, MailboxId, SenderId, Uid
from mailroom.events import facts, outbox
from mailroom.events.facts import KINDS, Fact, MailArrived, SenderDisabled
from mailroom.events.outbox import LeaseLost
from mailroom.storage.ports import Store, Tx
from tests.stores import Watch

ARRIVED = MailArrived(
    mailbox_id=MailboxId(1), folder_id=FolderId(2), uid=Uid(3), content_id=ContentId(4), envelope_from="o'x\n王@例子"
)
DISABLED = SenderDisabled(sender_id=SenderId(7), code="push", reason='410 "gone" 完')


@dataclasses.dataclass(frozen=True)
class Unheard:
    """A fact of a later release."""

    uid: int


def test_every_kind_of_fact_has_its_name() -> None:
    assert {kind.__name__: kind for kind in Fact.__args__} == KINDS


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_fields_are_numbers_and_texts(kind: type[Any]) -> None:
    ids = {"MailboxId", "FolderId", "Uid", "ContentId", "SenderId", "RecipientId", "MessageId", "MemberId"}
    assert all(field.type in ids | {"str", "int"} for field in dataclasses.fields(kind))


@given(some.builds(MailArrived) | some.builds(SenderDisabled))
def test_a_fact_comes_back_from_rest_as_it_was(fact: Fact) -> None:
    assert facts.from_json(type(fact).__name__, facts.to_json(fact)) == fact


async def claim(store: Store, lease: str, until: int, limit: int = 100) -> list[outbox.Claimed]:
    return list(await store.write(lambda tx: outbox.claim(tx, lease=lease, until=until, limit=limit)))


async def test_facts_are_claimed_once_and_in_order(store: Store, watch: Watch) -> None:
    for fact in (ARRIVED, DISABLED, ARRIVED):
        await store.write(lambda tx, fact=fact: outbox.emit(tx, fact))  # type: ignore[misc]  # a lambda's default
    first = await claim(store, "a", watch.now + 10, limit=2)
    rest = await claim(store, "b", watch.now + 10)
    assert [each.fact for each in (*first, *rest)] == [ARRIVED, DISABLED, ARRIVED]
    assert {each.attempts for each in (*first, *rest)} == {1}
    assert await claim(store, "c", watch.now + 10) == []


async def test_a_fact_of_a_transaction_that_failed_did_not_happen(store: Store, watch: Watch) -> None:
    def fail(tx: Tx) -> None:
        outbox.emit(tx, ARRIVED)
        raise NotFound(what="mailbox", name="x")

    with pytest.raises(NotFound):
        await store.write(fail)
    assert await claim(store, "a", watch.now + 10) == []


async def test_an_expired_lease_is_lost_and_counts_as_an_attempt(store: Store, watch: Watch) -> None:
    await store.write(lambda tx: outbox.emit(tx, ARRIVED))
    [fact] = await claim(store, "slow", watch.now + 10)
    watch.now += 10
    [again] = await claim(store, "quick", watch.now + 10)
    assert (again.id, again.attempts) == (fact.id, 2)
    for work in (
        lambda tx: outbox.settle(tx, fact.id, lease="slow"),
        lambda tx: outbox.note(tx, fact.id, "push", lease="slow"),
    ):
        with pytest.raises(LeaseLost):
            await store.write(work)
    await store.write(lambda tx: outbox.again(tx, fact.id, lease="slow", at=0))
    assert await store.read(outbox.backlog) == (0, 1)
    await store.write(lambda tx: outbox.note(tx, fact.id, "push", lease="quick"))
    assert await store.read(lambda tx: outbox.reacted(tx, fact.id)) == {"push"}
    await store.write(lambda tx: outbox.settle(tx, fact.id, lease="quick"))
    assert await store.read(outbox.backlog) == (0, 0)
    assert await store.read(lambda tx: outbox.reacted(tx, fact.id)) == frozenset()


async def test_a_fact_given_back_is_due_at_its_time(store: Store, watch: Watch) -> None:
    await store.write(lambda tx: outbox.emit(tx, ARRIVED))
    [fact] = await claim(store, "a", watch.now + 10)
    await store.write(lambda tx: outbox.again(tx, fact.id, lease="a", at=tx.now + 500))
    watch.now += 499
    assert await claim(store, "b", watch.now + 10) == []
    watch.now += 1
    assert [each.id for each in await claim(store, "c", watch.now + 10)] == [fact.id]
    assert await store.read(outbox.backlog) == (0, 1)


async def test_a_fact_of_a_later_release_is_claimed_and_stands_in_nobodys_way(store: Store, watch: Watch) -> None:
    await store.write(lambda tx: outbox.emit(tx, Unheard(uid=7)))  # type: ignore[arg-type]  # that is the point
    await store.write(lambda tx: outbox.emit(tx, ARRIVED))
    unheard, arrived = await claim(store, "a", watch.now + 10)
    assert arrived.fact == ARRIVED
    with pytest.raises(KeyError):
        _ = unheard.fact
