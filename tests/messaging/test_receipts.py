# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What an outcome makes of a recipient, and of its sender."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.core.errors import InvalidValue, NotFound, NotResendable
from mailroom.core.ids import RecipientId, SenderId
from mailroom.core.secrets import Secret
from mailroom.events import outbox
from mailroom.events.facts import RecipientSettled, SenderDisabled
from mailroom.messaging import log, queries, receipts, send
from mailroom.messaging.model import Draft, Due, Origin, Sender, SenderState
from mailroom.messaging.receipts import Attempt, Receipt, next_attempt
from mailroom.messaging.send import Target
from mailroom.messaging.senders import Senders
from mailroom.messaging.states import News, State
from mailroom.senders.contract import Outcome, Refused, Scope, Sent, TryLater, Unknown
from mailroom.storage.ports import Store, Tx
from tests.messaging import kinds
from tests.messaging.kinds import MANIFEST
from tests.stores import Watch

LATER = TryLater("503", "busy")
FAILING = TryLater("503", "busy", Scope.SENDER)
GONE = Refused("410", "gone", Scope.SENDER)


@pytest.fixture
def ways(tmp_path: Path) -> Senders:
    return kinds.senders(tmp_path, kinds.Told())


def senders_due(tx: Tx) -> Sequence[Sender]:
    return queries.senders_due(tx, kinds=[MANIFEST.kind])


@pytest.fixture
async def sender_id(store: Store, ways: Senders) -> SenderId:
    return await store.write(lambda tx: kinds.save(tx, ways))


class Desk:
    """Claims recipients and records outcomes by hand."""

    def __init__(self, store: Store, watch: Watch, sender_id: SenderId) -> None:
        self.store, self.watch, self.sender_id = store, watch, sender_id
        self.leases = 0

    async def claim(self) -> tuple[Due, str]:
        self.leases += 1
        lease = f"lease-{self.leases}"
        [due] = await self.store.write(
            lambda tx: queries.claim(tx, self.sender_id, lease=lease, until=tx.now + MINUTE, limit=1)
        )
        return due, lease

    async def record(self, due: Due, lease: str, outcome: Outcome, *, chance: float = 0.5) -> None:
        attempt = Attempt(due, lease, self.watch.now, 7, outcome)
        await self.store.write(lambda tx: receipts.record(tx, attempt, manifest=MANIFEST, chance=lambda: chance))

    async def attempt(self, outcome: Outcome, *, chance: float = 0.5) -> None:
        await self.record(*(await self.claim()), outcome, chance=chance)

    async def fail(self, outcome: Outcome = FAILING) -> None:
        """A recipient of its own that fails."""
        await self.store.write(lambda tx: kinds.enqueue(tx, self.sender_id, "x"))
        await self.attempt(outcome)

    async def disabled(self) -> list[object]:
        facts = await self.store.write(lambda tx: outbox.claim(tx, lease="t", until=tx.now + DAY * 99, limit=99))
        return [each.fact for each in facts if isinstance(each.fact, SenderDisabled)]


@pytest.fixture
async def desk(store: Store, watch: Watch, sender_id: SenderId) -> Desk:
    await store.write(lambda tx: kinds.enqueue(tx, sender_id, "a"))
    return Desk(store, watch, sender_id)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Sent("id-1", "200", "ok"), (State.SENT, "id-1", "")),
        (Refused("400", "no such user"), (State.FAILED, "", "400 no such user")),
        (GONE, (State.FAILED, "", "410 gone")),
        (Unknown("cut_off", ""), (State.UNKNOWN, "", "cut_off")),
        (LATER, (State.QUEUED, "", "503 busy")),
        (FAILING, (State.QUEUED, "", "503 busy")),
    ],
)
async def test_an_outcome_decides_the_recipients_state(
    store: Store, watch: Watch, desk: Desk, outcome: Outcome, expected: tuple[State, str, str]
) -> None:
    await desk.attempt(outcome)
    [entry] = await kinds.entries(store)
    assert (entry.state, entry.provider_id, entry.reason) == expected
    assert entry.next_at == (watch.now + 10 * SECOND if entry.state is State.QUEUED else None)
    [attempt] = await store.read(lambda tx: log.attempts(tx, entry.id))
    assert (attempt.number, attempt.took, attempt.outcome) == (1, 7, type(outcome).__name__)
    assert (attempt.code, attempt.detail) == (outcome.code, outcome.text)


@pytest.mark.parametrize(
    ("attempts", "chance", "wait", "expected"),
    [
        (1, 0.5, None, 10 * SECOND),
        (1, 0.0, None, 5 * SECOND),
        (1, 1.0, None, 15 * SECOND),
        (2, 0.5, None, MINUTE),
        (3, 0.5, None, None),
        (1, 0.5, 0, 10 * SECOND),
        (1, 0.0, 7 * SECOND, 7 * SECOND),
        (1, 1.0, 7 * SECOND, 15 * SECOND),
        (2, 0.5, HOUR, HOUR),
        (3, 0.5, HOUR, None),
    ],
)
def test_the_next_attempt_is_by_schedule_and_not_before_the_others_wish(
    attempts: int, chance: float, wait: int | None, expected: int | None
) -> None:
    at = next_attempt(MANIFEST, attempts, 1000, wait=wait, chance=lambda: chance)
    assert at == (None if expected is None else 1000 + expected)


async def test_when_the_schedule_has_ended_the_recipient_has_failed(store: Store, watch: Watch, desk: Desk) -> None:
    for _ in range(3):
        assert (await kinds.states(store)) == {"a": "queued"}
        await desk.attempt(LATER)
        watch.now += HOUR
    [entry] = await kinds.entries(store)
    assert (entry.state, entry.attempts, entry.next_at, entry.reason) == (State.FAILED, 3, None, "503 busy")


async def test_a_stale_outcome_changes_nothing_unless_it_was_accepted(store: Store, watch: Watch, desk: Desk) -> None:
    slow = await desk.claim()
    watch.now += MINUTE
    quick = await desk.claim()
    assert (slow[0].attempts, slow[0].interrupted, quick[0].attempts, quick[0].interrupted) == (1, False, 2, True)
    for outcome in (Refused("400", "no"), Unknown("x", ""), LATER):
        await desk.record(*slow, outcome)
        [entry] = await kinds.entries(store)
        assert (entry.state, entry.next_at, entry.reason) == (State.QUEUED, watch.now + MINUTE, "")
    await desk.record(*slow, Sent("slow"))
    await desk.record(*quick, LATER)
    [entry] = await kinds.entries(store)
    assert (entry.state, entry.next_at, entry.provider_id) == (State.SENT, None, "slow")
    assert len(await store.read(lambda tx: log.attempts(tx, entry.id))) == 5


async def test_accepted_too_late_is_accepted_all_the_same(store: Store, watch: Watch, desk: Desk) -> None:
    slow = await desk.claim()
    watch.now += MINUTE
    await desk.attempt(Unknown("cut_off", ""))
    await desk.record(*slow, Sent("slow"))
    [entry] = await kinds.entries(store)
    assert (entry.state, entry.provider_id, entry.reason) == (State.SENT, "slow", "")
    await desk.record(*slow, Sent("again"))
    assert (await kinds.entries(store))[0].provider_id == "slow"


async def test_only_what_has_ended_badly_is_sent_again(store: Store, watch: Watch, desk: Desk) -> None:
    [entry] = await kinds.entries(store)
    with pytest.raises(NotResendable, match="queued"):
        await store.write(lambda tx: send.resend(tx, entry.id))
    for outcome in (Refused("400", "no"), Unknown("x", "")):
        await desk.attempt(outcome)
        await store.write(lambda tx: send.resend(tx, entry.id))
        [again] = await kinds.entries(store)
        assert (again.state, again.attempts, again.next_at) == (State.QUEUED, 0, watch.now)
    due, lease = await desk.claim()
    assert not due.interrupted
    watch.now += MINUTE
    due, lease = await desk.claim()
    assert due.interrupted  # though older attempts have left their traces
    await desk.record(due, lease, Sent())
    with pytest.raises(NotResendable, match="sent"):
        await store.write(lambda tx: send.resend(tx, entry.id))
    with pytest.raises(NotFound):
        await store.write(lambda tx: send.resend(tx, RecipientId(999)))


async def test_a_sender_is_paused_after_five_failures_in_a_row(store: Store, watch: Watch, desk: Desk) -> None:
    for count in range(1, 7):
        await desk.fail()
        found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
        paused = watch.now + MINUTE if count >= 5 else None
        assert (found.failures, found.failing_since, found.paused_until) == (count, watch.now, paused)
    assert await store.read(senders_due) == []
    watch.now += MINUTE
    assert [each.id for each in await store.read(senders_due)] == [desk.sender_id]
    await desk.attempt(Sent())
    found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
    assert (found.failures, found.failing_since, found.paused_until) == (0, None, None)


async def test_a_failure_of_the_recipient_is_none_of_the_sender(store: Store, desk: Desk) -> None:
    for outcome in (LATER, Refused("400", "no"), Unknown("x", "")):
        await desk.fail(outcome)
    assert (await store.write(lambda tx: kinds.sender(tx, desk.sender_id))).failures == 0


async def test_the_others_wish_pauses_the_sender_and_a_late_failure_does_not_end_the_pause(
    store: Store, watch: Watch, desk: Desk
) -> None:
    await store.write(lambda tx: kinds.enqueue(tx, desk.sender_id, "b"))
    began_before = [await desk.claim(), await desk.claim()]
    await desk.fail(TryLater("429", "slowly", Scope.SENDER, HOUR))
    await desk.record(*began_before[0], FAILING)
    await desk.record(*began_before[1], TryLater("429", "slowly", Scope.SENDER, MINUTE))
    found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
    assert (found.failures, found.paused_until) == (3, watch.now + HOUR)
    assert (await kinds.entries(store))[2].next_at == watch.now + HOUR


@pytest.mark.parametrize("origin", Origin)
async def test_only_how_a_mail_ends_is_a_fact(store: Store, sender_id: SenderId, desk: Desk, origin: Origin) -> None:
    await desk.attempt(Sent("id"))
    message_id = await store.write(lambda tx: send.enqueue(tx, Draft(origin, {}), [Target(sender_id, "b")]))
    due, lease = await desk.claim()
    await desk.record(due, lease, Sent("id"))
    facts = await store.write(lambda tx: outbox.claim(tx, lease="x", until=tx.now + 1, limit=10))
    settled = RecipientSettled(recipient_id=due.id, message_id=message_id, state="sent")
    assert [one.fact for one in facts] == ([settled] if origin is Origin.MAIL else [])


async def test_gone_disables_the_sender_once_and_tells(store: Store, desk: Desk) -> None:
    await store.write(lambda tx: kinds.enqueue(tx, desk.sender_id, "b"))
    first, second = await desk.claim(), await desk.claim()
    await desk.record(*first, GONE)
    await desk.record(*second, GONE)
    found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
    assert (found.state, found.reason) == (SenderState.DISABLED, "410 gone")
    assert await desk.disabled() == [SenderDisabled(sender_id=desk.sender_id, code="way", reason="410 gone")]
    await store.write(lambda tx: kinds.enqueue(tx, desk.sender_id, "c"))
    assert await store.read(senders_due) == []  # its queue is kept


async def test_five_days_of_failures_and_twenty_of_them_disable(watch: Watch, desk: Desk) -> None:
    for _ in range(19):
        await desk.fail()
    watch.now += 5 * DAY - 1
    await desk.fail()
    assert await desk.disabled() == []
    watch.now += 1
    await desk.fail()
    assert [type(each) for each in await desk.disabled()] == [SenderDisabled]


async def test_few_failures_in_many_days_disable_nothing(store: Store, watch: Watch, desk: Desk) -> None:
    for _ in range(19):
        await desk.fail()
        watch.now += DAY
    assert await desk.disabled() == []
    found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
    assert found.state is SenderState.ACTIVE


async def test_new_settings_bring_a_sender_back_and_its_queue_goes_on(store: Store, ways: Senders, desk: Desk) -> None:
    await desk.attempt(GONE)
    await store.write(lambda tx: kinds.enqueue(tx, desk.sender_id, "b"))
    assert await store.write(lambda tx: kinds.save(tx, ways)) == desk.sender_id
    found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
    assert (found.state, found.reason, found.failures, found.paused_until) == (SenderState.ACTIVE, "", 0, None)
    await desk.attempt(Sent())
    assert await kinds.states(store) == {"a": "failed", "b": "sent"}


def saved(tx: Tx, ways: Senders, state: SenderState, **settings: str) -> SenderId:
    return ways.save(tx, code="w", name="W", kind="told", settings=settings, secrets={}, state=state)


async def test_an_active_senders_settings_are_checked(store: Store, ways: Senders) -> None:
    with pytest.raises(InvalidValue, match="url: is missing"):
        await store.write(lambda tx: saved(tx, ways, SenderState.ACTIVE))
    await store.write(lambda tx: saved(tx, ways, SenderState.DISABLED))
    with pytest.raises(InvalidValue, match="one of: told"):
        ways.kind("telegram")


async def test_secrets_are_sealed_at_rest(store: Store, ways: Senders, sender_id: SenderId) -> None:
    found = await store.write(lambda tx: kinds.sender(tx, sender_id))
    assert b"s3cret" not in found.sealed
    assert "s3cret" not in repr(found)
    assert ways.account(found).secrets == {"secret": Secret("s3cret")}


async def test_a_receipt_changes_the_state_once_and_is_kept_each_time(
    store: Store, sender_id: SenderId, desk: Desk
) -> None:
    await desk.attempt(Sent("p-1"))
    for news, state in (
        (News.LOST, State.UNDELIVERED),
        (News.ARRIVED, State.DELIVERED),
        (News.ARRIVED, State.DELIVERED),
        (News.LOST, State.DELIVERED),  # late, and out of order
    ):
        said = Receipt("p-1", news, "4001", "ok")
        assert await store.write(lambda tx, said=said: receipts.receive(tx, sender_id, said)) is state  # type: ignore[misc]  # mypy takes the default for an argument
    with pytest.raises(NotFound):
        await store.write(lambda tx: receipts.receive(tx, sender_id, Receipt("p-2", News.ARRIVED)))
    assert await store.write(lambda tx: log.forget(tx, before=tx.now + 1, limit=9)) == 1
    assert await store.read(lambda tx: log.entries(tx, limit=9)) == []


async def test_what_waits_is_not_forgotten(store: Store, desk: Desk) -> None:
    await desk.attempt(LATER)
    assert await store.write(lambda tx: log.forget(tx, before=tx.now + 1, limit=9)) == 0
