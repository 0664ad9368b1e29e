# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What an outcome makes of a recipient, and of its sender."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from mailroom.core import ids
from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.core.errors import InvalidValue, NotFound, NotResendable
from mailroom.core.ids import RecipientId, SenderId
from mailroom.core.secrets import Secret
from mailroom.events import outbox
from mailroom.events.facts import Fact, NoticeFailed, RecipientSettled, SenderDisabled, SenderFaulty
from mailroom.messaging import calls, log, queries, receipts, send, senders
from mailroom.messaging.model import Draft, Due, Origin, Sender, SenderState
from mailroom.messaging.receipts import Attempt, next_attempt
from mailroom.messaging.send import Target
from mailroom.messaging.senders import Health, Senders
from mailroom.messaging.states import State
from mailroom.senders.contract import (
    Event,
    Heard,
    Left,
    Manifest,
    Outcome,
    Refused,
    Reply,
    Reported,
    Scanned,
    Scope,
    Sent,
    TryLater,
    Unknown,
    Why,
)
from mailroom.senders.contract import News as Says
from mailroom.storage import schema
from mailroom.storage.engines import open_store
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
    return queries.senders.due(tx, kinds=[MANIFEST.kind])


@pytest.fixture
async def sender_id(store: Store, ways: Senders) -> SenderId:
    return await store.write(lambda tx: kinds.save(tx, ways))


class Desk:
    """Claims recipients and records outcomes by hand."""

    def __init__(self, store: Store, watch: Watch, sender_id: SenderId, manifest: Manifest = MANIFEST) -> None:
        self.store, self.watch, self.sender_id, self.manifest = store, watch, sender_id, manifest
        self.leases = 0

    async def claim(self) -> tuple[Due, str]:
        self.leases += 1
        lease = f"lease-{self.leases}"
        [due] = await self.store.write(
            lambda tx: queries.recipients.claim(tx, self.sender_id, lease=lease, until=tx.now + MINUTE, limit=1)
        )
        return due, lease

    async def record(self, due: Due, lease: str, outcome: Outcome, *, chance: float = 0.5) -> None:
        attempt = Attempt(due, lease, self.watch.now, 7, outcome)
        await self.store.write(lambda tx: receipts.record(tx, attempt, manifest=self.manifest, chance=lambda: chance))

    async def attempt(self, outcome: Outcome, *, chance: float = 0.5) -> None:
        await self.record(*(await self.claim()), outcome, chance=chance)

    async def fail(self, outcome: Outcome = FAILING) -> None:
        """A recipient of its own that fails."""
        await self.store.write(lambda tx: kinds.enqueue(tx, self.sender_id, "x"))
        await self.attempt(outcome)

    async def hear(self, *said: Event, call: str = "") -> Sequence[Event]:
        """What the provider says in one call; those events that are not messaging's."""
        heard = Heard(Reply(), said, call)
        return await self.store.write(lambda tx: calls.hear(tx, "way", heard))

    async def facts(self, kind: type[Fact]) -> list[Fact]:
        """Those of that kind which have come since the last time."""
        facts = await self.store.write(lambda tx: outbox.claim(tx, lease=ids.new(), until=tx.now + DAY * 99, limit=99))
        return [each.fact for each in facts if isinstance(each.fact, kind)]

    async def disabled(self) -> list[object]:
        facts = await self.store.write(lambda tx: outbox.claim(tx, lease="t", until=tx.now + DAY * 99, limit=99))
        return [each.fact for each in facts if isinstance(each.fact, SenderDisabled)]


@pytest.fixture
def manifest() -> Manifest:
    return MANIFEST


@pytest.fixture
async def desk(store: Store, watch: Watch, sender_id: SenderId, manifest: Manifest) -> Desk:
    await store.write(lambda tx: kinds.enqueue(tx, sender_id, "a"))
    return Desk(store, watch, sender_id, manifest)


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
    queued = await store.write(lambda tx: send.enqueue(tx, Draft(origin, {}), [Target(sender_id, "b")]))
    due, lease = await desk.claim()
    await desk.record(due, lease, Sent("id"))
    facts = await store.write(lambda tx: outbox.claim(tx, lease="x", until=tx.now + 1, limit=10))
    settled = RecipientSettled(recipient_id=due.id, message_id=queued.message_id, state="sent")
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


async def test_a_receipt_changes_the_state_once_and_is_kept_each_time(store: Store, desk: Desk) -> None:
    await desk.attempt(Sent("p-1"))
    for news, state, reason in (
        (Says.LOST, State.UNDELIVERED, "4001 no"),
        (Says.ARRIVED, State.DELIVERED, ""),
        (Says.ARRIVED, State.DELIVERED, ""),
        (Says.LOST, State.DELIVERED, ""),  # late, and out of order
        (Says.READ, State.READ, ""),
        (Says.ARRIVED, State.READ, ""),
    ):
        await desk.hear(Reported("p-1", news, "4001", "no"))
        [entry] = await kinds.entries(store)
        assert (entry.state, entry.reason) == (state, reason)
    assert await store.write(lambda tx: log.forget(tx, before=tx.now + 1, limit=9)) == 1
    assert await store.read(lambda tx: log.entries(tx, limit=9)) == []


async def test_what_waits_is_not_forgotten(store: Store, desk: Desk) -> None:
    await desk.attempt(LATER)
    assert await store.write(lambda tx: log.forget(tx, before=tx.now + 1, limit=9)) == 0


ACCOUNT = TryLater("60020", "not allowed from your ip", Scope.SENDER, why=Why.ACCOUNT)


async def test_what_is_wrong_with_the_account_costs_no_attempt_and_is_told_once(
    store: Store, watch: Watch, desk: Desk
) -> None:
    for _ in range(9):  # more than the schedule has
        await desk.attempt(ACCOUNT)
        [entry] = await kinds.entries(store)
        assert (entry.state, entry.attempts, entry.reason) == (State.QUEUED, 0, "60020 not allowed from your ip")
        found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
        assert (found.paused_until, entry.next_at) == (watch.now + MINUTE, watch.now + MINUTE)
        assert (senders.health(found), found.reason) == (Health.ERROR, "60020 not allowed from your ip")
        assert await store.read(senders_due) == []
        watch.now += MINUTE
    told = SenderFaulty(sender_id=desk.sender_id, code="way", reason="60020 not allowed from your ip")
    assert await desk.facts(SenderFaulty) == [told]
    await desk.attempt(Sent())
    found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
    assert (senders.health(found), found.reason, found.paused_until) == (Health.WORKING, "", None)
    # It may be wrong for some recipients only: nobody is told again on the same day.
    await desk.fail(ACCOUNT)
    assert await desk.facts(SenderFaulty) == []
    watch.now += DAY
    await desk.fail(ACCOUNT)
    assert await desk.facts(SenderFaulty) == [told]


async def test_an_account_that_is_wrong_is_never_disabled(watch: Watch, desk: Desk) -> None:
    for _ in range(30):
        await desk.fail(ACCOUNT)
        watch.now += DAY
    assert await desk.disabled() == []


async def test_a_used_up_share_waits_for_the_next(store: Store, watch: Watch, desk: Desk) -> None:
    await desk.attempt(TryLater("45009", "quota", Scope.SENDER, after=HOUR, why=Why.QUOTA))
    [entry] = await kinds.entries(store)
    found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
    assert (entry.attempts, entry.next_at, found.paused_until) == (0, watch.now + HOUR, watch.now + HOUR)
    assert (senders.health(found), found.reason) == (Health.FAILING, "45009 quota")
    assert await desk.facts(SenderFaulty) == []


async def test_a_recipients_own_share_is_none_of_the_sender(store: Store, watch: Watch, desk: Desk) -> None:
    await desk.attempt(TryLater("30/min", "", after=HOUR, why=Why.QUOTA))
    [entry] = await kinds.entries(store)
    assert (entry.attempts, entry.next_at) == (0, watch.now + HOUR)
    found = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
    assert (senders.health(found), found.paused_until) == (Health.WORKING, None)


@pytest.mark.parametrize(("failure", "health"), [(ACCOUNT, Health.ERROR), (FAILING, Health.WORKING)])
async def test_what_began_before_a_pause_does_not_end_it(
    store: Store, watch: Watch, desk: Desk, failure: Outcome, health: Health
) -> None:
    await store.write(lambda tx: kinds.enqueue(tx, desk.sender_id, "b"))
    due, lease = await desk.claim()
    began = watch.now
    watch.now += SECOND
    await desk.attempt(failure)
    attempt = Attempt(due, lease, began, 2 * SECOND, Sent())
    await store.write(lambda tx: receipts.record(tx, attempt, manifest=MANIFEST, chance=lambda: 0.5))
    assert senders.health(await store.write(lambda tx: kinds.sender(tx, desk.sender_id))) is health


async def test_the_health_of_a_sender(store: Store, ways: Senders, desk: Desk) -> None:
    async def health() -> tuple[Health, str]:
        sender = await store.write(lambda tx: kinds.sender(tx, desk.sender_id))
        return senders.health(sender), sender.reason

    assert await health() == (Health.WORKING, "")
    await desk.fail()
    assert await health() == (Health.FAILING, "503 busy")
    await desk.fail(GONE)
    assert await health() == (Health.DISABLED, "410 gone")
    await store.write(lambda tx: kinds.save(tx, ways))
    await desk.fail(ACCOUNT)
    await store.write(lambda tx: senders.enable(tx, "way"))
    assert await health() == (Health.WORKING, "")


@pytest.mark.parametrize("origin", [Origin.NOTICE, Origin.CODE, Origin.TEST])
@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Refused("46004", "no such user", why=Why.GONE), ("failed", "gone")),
        (Refused("43101", "refused", why=Why.OPTED_OUT), ("failed", "opted_out")),
        (GONE, ("failed", "")),
        (Unknown("cut", ""), None),
        (Sent("p-1"), None),
    ],
)
async def test_a_notice_that_fails_is_a_fact(
    *,
    store: Store,
    sender_id: SenderId,
    watch: Watch,
    origin: Origin,
    outcome: Outcome,
    expected: tuple[str, str] | None,
) -> None:
    desk = Desk(store, watch, sender_id)
    queued = await store.write(lambda tx: send.enqueue(tx, Draft(origin, {}), [Target(sender_id, "b")]))
    await desk.attempt(outcome)
    facts = [NoticeFailed(recipient_id=queued.recipient_ids[0], state=expected[0], why=expected[1])] if expected else []
    assert await desk.facts(NoticeFailed) == facts


async def test_so_are_one_that_is_cancelled_one_that_is_given_up_and_one_that_does_not_arrive(
    store: Store, watch: Watch, desk: Desk
) -> None:
    [entry] = await kinds.entries(store)
    await store.write(lambda tx: receipts.cancel(tx, entry.id, reason="withdrawn"))
    await store.write(lambda tx: kinds.enqueue(tx, desk.sender_id, "b"))
    for _ in range(3):
        await desk.attempt(TryLater("1", "", why=Why.CONTENT))
        watch.now += HOUR
    await store.write(lambda tx: kinds.enqueue(tx, desk.sender_id, "c"))
    await desk.attempt(Sent("p-3"))
    for _ in range(2):  # the second one is no news
        await desk.hear(Reported("p-3", Says.LOST))
    said = [(one.state, one.why) for one in await desk.facts(NoticeFailed) if isinstance(one, NoticeFailed)]
    assert said == [("cancelled", ""), ("failed", "content"), ("undelivered", "")]


class TestEarly:
    """A receipt may overtake the answer to the request that it is about."""

    @pytest.fixture
    def manifest(self) -> Manifest:
        return replace(MANIFEST, receipt=True)

    async def test_it_is_heeded_once_the_attempt_is_written_down(self, store: Store, desk: Desk) -> None:
        due, lease = await desk.claim()
        await desk.hear(
            Reported("p-1", Says.LOST, "1", "early"), Reported("p-1", Says.ARRIVED), Reported("p-2", Says.READ)
        )
        assert [entry.state for entry in await kinds.entries(store)] == [State.QUEUED]
        await desk.record(due, lease, Sent("p-1"))
        assert [entry.state for entry in await kinds.entries(store)] == [State.DELIVERED]
        assert await store.read(early) == ["p-2"]

    async def test_of_several_under_one_id_the_address_tells_who_is_meant(self, store: Store, desk: Desk) -> None:
        await store.write(lambda tx: kinds.enqueue(tx, desk.sender_id, "+8613900000001", "openid-B"))
        claimed = [await desk.claim() for _ in range(3)]
        await desk.record(*claimed[0], Sent("p-1"))
        await desk.record(*claimed[1], Sent("p-1"))
        await desk.hear(Reported("p-1", Says.LOST, address="OPENID-b"))
        assert await kinds.states(store) == {"a": "sent", "+8613900000001": "sent", "openid-B": "queued"}
        await desk.record(*claimed[2], Sent("p-1"))
        await desk.hear(Reported("p-1", Says.ARRIVED, address="13900000001"), Reported("p-1", Says.READ, address="a"))
        assert await kinds.states(store) == {"a": "read", "+8613900000001": "delivered", "openid-B": "undelivered"}
        assert await store.read(early) == []

    async def test_it_is_forgotten_after_a_day(self, store: Store, watch: Watch, desk: Desk) -> None:
        await desk.hear(Reported("p-1", Says.LOST), call="1")
        watch.now += DAY
        await store.write(calls.forget)
        assert await store.read(early) == ["p-1"]
        watch.now += 1
        await store.write(calls.forget)
        assert await store.read(early) == []

    async def test_it_is_not_overlooked_when_both_come_at_once(
        self, store: Store, store_url: str, watch: Watch, desk: Desk
    ) -> None:
        addresses = [f"{number}" for number in range(20)]
        await store.write(lambda tx: kinds.enqueue(tx, desk.sender_id, *addresses))
        other = Desk(open_store(store_url, watch), watch, desk.sender_id)  # of another node
        try:
            for turn in range(1 + len(addresses)):
                due, lease = await desk.claim()
                said = other.hear(Reported(f"p-{turn}", Says.ARRIVED))
                recorded = desk.record(due, lease, Sent(f"p-{turn}"))
                await asyncio.gather(*((said, recorded) if turn % 2 else (recorded, said)))
        finally:
            await other.store.close()
        assert {entry.state for entry in await kinds.entries(store)} == {State.DELIVERED}


async def test_a_call_that_comes_twice_says_nothing_new(store: Store, ways: Senders, desk: Desk) -> None:
    left, scanned = Left("openid-1"), Scanned("s", "openid-2")
    await desk.attempt(Sent("p-1"))
    assert await desk.hear(Reported("p-1", Says.LOST), left, scanned, call="7") == [left, scanned]
    assert list(await desk.hear(Reported("p-1", Says.ARRIVED), left, call="7")) == []
    assert [entry.state for entry in await kinds.entries(store)] == [State.UNDELIVERED]
    assert await desk.hear(left, call="8") == [left]
    assert [await desk.hear(left, call="\0" * 9999), await desk.hear(left, call="\0" * 9999)] == [[left], ()]
    assert [await desk.hear(left), await desk.hear(left)] == [[left], [left]]
    await store.write(lambda tx: kinds.save(tx, ways, "other"))
    other = Heard(Reply(), (left,), "7")
    assert await store.write(lambda tx: calls.hear(tx, "other", other)) == [left]
    assert list(await store.write(lambda tx: calls.hear(tx, "nobody", other))) == []


async def test_of_two_that_come_at_once_one_is_heeded(desk: Desk) -> None:
    heard = await asyncio.gather(*(desk.hear(Left("x"), call="7") for _ in range(8)))
    assert sorted(len(events) for events in heard) == [0] * 7 + [1]


def early(tx: Tx) -> list[str]:
    """The ids of receipts that wait for their recipients."""
    return [row[0] for row in tx.all(_EARLY)]


_EARLY = select(schema.early_receipts.c.provider_id).order_by(schema.early_receipts.c.id)


async def test_what_is_said_of_the_first_one_is_not_said_of_one_sent_again(store: Store, desk: Desk) -> None:
    await desk.attempt(Sent("p-1"))
    await desk.hear(Reported("p-1", Says.LOST))
    [entry] = await kinds.entries(store)
    await store.write(lambda tx: send.resend(tx, entry.id))
    await desk.hear(Reported("p-1", Says.LOST))
    await desk.attempt(Sent("p-2"))
    assert await kinds.states(store) == {"a": "sent"}
