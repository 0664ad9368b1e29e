# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Policies: defaults, changes, and values that none of them may have."""

from __future__ import annotations

import pytest

from mailroom.core.errors import InvalidValue
from mailroom.directory import policies
from mailroom.directory.model import SYSTEM
from mailroom.storage.ports import Store


async def test_what_is_not_set_has_its_default_and_a_change_counts(store: Store) -> None:
    assert await store.read(lambda tx: policies.get(tx, "own_password")) == "yes"
    await store.write(lambda tx: policies.change(tx, SYSTEM, "own_password", " no "))
    await store.write(lambda tx: policies.change(tx, SYSTEM, "own_password", "no"))
    assert not await store.read(lambda tx: policies.is_on(tx, "own_password"))
    shown = await store.read(policies.shown)
    assert shown["own_password"] == "no"
    assert list(shown) == list(policies.CATALOGUE)


@pytest.mark.parametrize("policy", policies.CATALOGUE.values(), ids=lambda policy: policy.name)
def test_every_default_is_a_value_that_could_be_set(policy: policies.Policy) -> None:
    assert policy.check(policy.default) == policy.default


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("check.dnsbl", "Zen.Example., bl.example,zen.example", "zen.example,bl.example"),
        ("check.dnsbl", "", ""),
        ("check.rspamd", "http://127.0.0.1:11333", "http://127.0.0.1:11333"),
        ("check.clamav", "[::1]:3310", "[::1]:3310"),
        ("check.dmarc_fail", "refuse", "refuse"),
    ],
)
async def test_a_value_is_kept_in_its_canonical_form(store: Store, name: str, value: str, kept: str) -> None:
    await store.write(lambda tx: policies.change(tx, SYSTEM, name, value))
    assert await store.read(lambda tx: policies.get(tx, name)) == kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("colour", "red"),
        ("own_password", "perhaps"),
        ("check.dnsbl", "no domain"),
        ("check.dnsbl", ",".join(f"z{number}.example" for number in range(11))),
        ("check.rspamd", "ftp://127.0.0.1"),
        ("check.rspamd", "http://"),
        ("check.rspamd", "http://user:secret@127.0.0.1"),
        ("check.rspamd", "http://[::1"),
        ("check.clamav", "localhost"),
        ("check.clamav", "localhost:99999"),
        ("check.clamav", "localhost:0"),
    ],
)
async def test_what_a_policy_cannot_be_is_refused(store: Store, name: str, value: str) -> None:
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: policies.change(tx, SYSTEM, name, value))


def test_a_list_is_taken_apart() -> None:
    assert (policies.items(""), policies.items("a.example,b.example")) == ((), ("a.example", "b.example"))
