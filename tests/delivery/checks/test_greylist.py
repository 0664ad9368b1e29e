# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Greylisting: who waits, for how long, and who need not wait any more."""

from __future__ import annotations

import ipaddress

from mailroom.core.clock import DAY, MINUTE
from mailroom.core.errors import ComeAgain
from mailroom.delivery.checks import greylist
from mailroom.storage.ports import Store
from tests.stores import Watch


async def come(store: Store, host: str = "192.0.2.1", recipient: str = "amy@corp.example") -> int:
    """How many seconds the client has to wait."""
    try:
        await greylist.ask(store, ipaddress.ip_address(host), sender="bob@out.example", recipient=recipient)
    except ComeAgain as later:
        return int(later.about["seconds"])
    return 0


async def test_who_comes_again_is_let_in_and_so_is_his_network(store: Store, watch: Watch) -> None:
    assert await come(store) == 300
    watch.now += 4 * MINUTE
    assert await come(store) == 60
    assert await come(store, recipient="eve@corp.example") == 300
    assert await come(store, "192.0.3.1") == 300
    watch.now += 1 * MINUTE
    assert await come(store, "192.0.2.77", "AMY@corp.example") == 0
    assert await come(store, "192.0.2.78", "eve@corp.example") == 0
    assert await come(store, "192.0.3.2", "eve@corp.example") == 300


async def test_ipv6_by_the_network_of_a_host(store: Store, watch: Watch) -> None:
    assert await come(store, "2001:db8::1") == 300
    watch.now += 5 * MINUTE
    assert await come(store, "2001:db8:0:1::1") == 300
    assert await come(store, "2001:db8::ffff:1") == 0


async def test_who_writes_now_and_then_is_remembered_and_others_are_forgotten(store: Store, watch: Watch) -> None:
    await come(store)
    watch.now += 5 * MINUTE
    assert await come(store) == 0
    for _ in range(3):
        watch.now += greylist.KEPT - DAY
        await store.write(greylist.forget)
        assert await come(store) == 0
    watch.now += greylist.KEPT + 1
    await store.write(greylist.forget)
    assert await come(store) == 300
