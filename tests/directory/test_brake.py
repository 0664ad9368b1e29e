# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Guessing passwords: slower and slower, for whoever guesses, and not for those who know."""

from __future__ import annotations

import asyncio

import pytest

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.core.errors import NotFound, TooManyAttempts
from mailroom.directory import brake as brakes
from mailroom.directory import queries
from mailroom.directory.brake import Brake, client_key
from mailroom.storage.ports import Store
from tests.stores import Watch


async def fail(brake: Brake, name: str, peer: str = "192.0.2.1") -> None:
    async with brake.trying(name, peer) as attempt:
        await attempt.failed()


async def succeed(brake: Brake, name: str, peer: str = "192.0.2.1") -> None:
    async with brake.trying(name, peer) as attempt:
        await attempt.succeeded()


async def waits(brake: Brake, name: str, peer: str = "192.0.2.1") -> int:
    """How many seconds it has to wait now."""
    try:
        async with brake.trying(name, peer):
            return 0
    except TooManyAttempts as refusal:
        return int(refusal.about["seconds"])


async def test_the_wait_grows_and_is_forgotten(store: Store, watch: Watch) -> None:
    brake, heard = Brake(store), []
    for _ in range(9):
        await fail(brake, "amy")
        heard.append(await waits(brake, "amy"))
        watch.now += heard[-1] * SECOND
    assert heard == [0, 0, 0, 0, 1, 2, 4, 8, 16]
    watch.now += 2 * HOUR
    for _ in range(4):
        await fail(brake, "amy")
    assert await waits(brake, "amy") == 0


async def test_a_name_waits_a_minute_at_most_so_that_nobody_can_lock_a_member_out(store: Store, watch: Watch) -> None:
    brake = Brake(store)
    for number in range(20):
        await fail(brake, "amy", f"2001:db8:0:{number:x}::1")
        watch.now += MINUTE
    await fail(brake, "amy", "2001:db8:0:ffff::1")
    assert await waits(brake, "amy") == 60


async def test_strangers_do_not_keep_out_a_client_that_was_in_before(store: Store) -> None:
    brake = Brake(store)
    await succeed(brake, "amy", "198.51.100.7")
    for number in range(5):
        await fail(brake, "amy", f"2001:db8:0:{number:x}::1")
    assert await waits(brake, "amy", "203.0.113.1") == 1
    assert await waits(brake, "amy", "198.51.100.7") == 0
    await fail(brake, "amy", "198.51.100.7")  # and is a stranger again once it guesses
    assert await waits(brake, "amy", "198.51.100.7") > 0


async def test_many_names_from_one_address_are_slowed_down_and_ipv6_counts_by_network(store: Store) -> None:
    brake = Brake(store)
    for number in range(20):
        await fail(brake, f"name{number}", f"2001:db8::{number:x}")
    assert await waits(brake, "another", "2001:db8::ffff") == 1
    assert await waits(brake, "another", "2001:db8:0:1::1") == 0
    assert await waits(brake, "another", "unix:") == 0


async def test_an_address_waits_a_quarter_of_an_hour_at_most(store: Store, watch: Watch) -> None:
    brake = Brake(store)
    for number in range(32):
        await fail(brake, f"name{number}")
        watch.now += 14 * MINUTE if number < 31 else 0
        watch.now += (await waits(brake, "x")) * SECOND if number < 31 else 0
    assert await waits(brake, "another") == 15 * 60


async def test_one_program_with_an_old_password_does_not_keep_its_office_out(store: Store, watch: Watch) -> None:
    brake = Brake(store)
    for _ in range(100):
        await fail(brake, "amy")
        watch.now += MINUTE
    assert await waits(brake, "bob") == 0


async def test_many_at_once_get_no_more_tries_than_many_in_a_row(store: Store) -> None:
    brake = Brake(store)
    answers = await asyncio.gather(*(fail(brake, "amy") for _ in range(40)), return_exceptions=True)
    assert answers.count(None) == 5


async def test_nor_do_many_names_at_once_once_a_network_has_been_guessing(store: Store, watch: Watch) -> None:
    brake = Brake(store)
    for number in range(20):
        await fail(brake, f"name{number}", f"2001:db8::{number:x}")
    for _ in range(2):
        watch.now += MINUTE
        tries = (fail(brake, f"other{number}", f"2001:db8::{number:x}") for number in range(40))
        answers = await asyncio.gather(*tries, return_exceptions=True)
        assert answers.count(None) == 1


@pytest.mark.parametrize(
    "spelling",
    ["AMY@corp.example", '"amy"@corp.example', '"a\\my"@corp.example', "amy@CORP.example.", "amy@ｃorp.example"],
)
async def test_every_spelling_of_a_name_counts_as_that_name(store: Store, spelling: str) -> None:
    brake = Brake(store)
    for number in range(5):
        await fail(brake, "amy@corp.example", f"2001:db8:0:{number:x}::1")
    assert await waits(brake, spelling) == 1


async def test_a_name_of_any_octets_is_counted(store: Store) -> None:
    brake = Brake(store)
    for _ in range(5):
        await fail(brake, "\0\ud800" + "x" * 5000)
    assert await waits(brake, "x" * 5000) == 1


def test_an_ipv4_address_written_as_ipv6_stays_one_address() -> None:
    assert client_key("::ffff:192.0.2.1") == client_key("192.0.2.1") != client_key("::ffff:192.0.2.2")


async def test_a_right_password_forgives_the_name(store: Store) -> None:
    brake = Brake(store)
    for _ in range(4):
        for _ in range(4):
            await fail(brake, "amy")
        await succeed(brake, "amy")
    assert await waits(brake, "amy", "198.51.100.7") == 0


async def test_who_comes_in_writes_nothing(store: Store) -> None:
    brake = Brake(store)
    await succeed(brake, "amy")
    assert await store.read(lambda tx: queries.brakes.get(tx, ["name:amy", "address:192.0.2.1"])) == {}


async def test_another_node_knows_of_it_and_an_administrator_may_end_it(store: Store, watch: Watch) -> None:
    await fail(Brake(store), "bob", "198.51.100.7")  # once is not enough to be shown
    for _ in range(5):
        await fail(Brake(store), "amy")
    assert await waits(Brake(store), "amy") == 1
    (held,) = await store.read(brakes.blocked)
    assert (held.key, held.tries, held.again_at) == ("name:amy", 5, watch.now + SECOND)
    await store.write(lambda tx: brakes.unblock(tx, held.key))
    assert await waits(Brake(store), "amy") == 0
    assert not await store.read(brakes.blocked)
    with pytest.raises(NotFound):
        await store.write(lambda tx: brakes.unblock(tx, held.key))


async def test_what_is_long_past_is_removed(store: Store, watch: Watch) -> None:
    await fail(Brake(store), "amy")
    watch.now += 2 * HOUR
    await fail(Brake(store), "bob", "198.51.100.7")
    await store.write(brakes.forget)
    left = await store.read(lambda tx: queries.brakes.get(tx, ["name:amy", "name:bob", "address:192.0.2.1"]))
    assert list(left) == ["name:bob"]


async def test_a_token_has_no_name_and_counts_for_its_address_only(store: Store) -> None:
    brake = Brake(store)
    for _ in range(20):
        await fail(brake, "")
    assert await waits(brake, "") == 1
    assert await waits(brake, "", "198.51.100.7") == 0


async def test_those_who_came_in_lately_are_remembered_up_to_a_bound(store: Store) -> None:
    brake = Brake(store)
    for number in range(20_001):
        brake.welcome(f"name:{number}", "address:192.0.2.1")
    assert len(brake.guests) == 20_000
    assert ("name:0", "address:192.0.2.1") not in brake.guests
