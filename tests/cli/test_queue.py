# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom queue`: what waits is seen, tried at once, and given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mailroom.core import clock
from mailroom.delivery.letters import written
from mailroom.delivery.posting import Addressee, Envelope
from mailroom.storage.engines import open_store
from tests import make
from tests.cli.conftest import Mailroom, caller

POSTED = ("bob@out.example", "eve@far.example")


async def post(url: str) -> None:
    """Amy writes to two who are elsewhere."""
    store = open_store(url, clock.now)
    try:
        await make.organisation(store)
        envelope = Envelope("amy@corp.example", tuple(Addressee(one) for one in POSTED))
        await store.write(lambda tx: make.posting().post(tx, written(make.mail()), envelope))
    finally:
        await store.close()


@pytest.fixture
def mailroom(store_url: str, tmp_path: Path) -> Mailroom:
    asyncio.run(post(store_url))
    call: Callable[..., object] = caller(store_url, tmp_path)
    return call  # type: ignore[return-value]  # it is one


def test_what_waits_is_listed_and_given_up(mailroom: Mailroom) -> None:
    listed = mailroom("queue", "list", "--json").json
    assert [(one["recipient"], one["domain"], one["state"], one["attempts"], one["mail"]) for one in listed] == [
        ("eve@far.example", "far.example", "queued", 0, "<1@out.example>"),
        ("bob@out.example", "out.example", "queued", 0, "<1@out.example>"),
    ]
    assert mailroom("notify", "log", "--json").json == []  # a mail is no notice
    first = str(listed[0]["id"])
    assert mailroom("queue", "retry", first).status == 0
    assert mailroom("queue", "cancel", first).status == 0
    assert [one["recipient"] for one in mailroom("queue", "list", "--json").json] == ["bob@out.example"]
    [gone] = mailroom("queue", "list", "--state", "cancelled", "--json").json
    assert gone["reason"] == "550 5.7.0 given up by the administrator"
    again = mailroom("queue", "cancel", first)
    assert (again.status, again.err) == (1, "not_queued: A recipient that is cancelled does not wait any more.\n")
    shown = mailroom("queue", "show", first)
    assert (shown.status, shown.err) == (1, f"not_found: There is no attempt for recipient {first}.\n")
    assert mailroom("notify", "resend", first).err.startswith("not_found:")
