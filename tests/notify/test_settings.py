# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of notices: set in any order, shown without secrets, refused by their own names."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from mailroom.core.errors import EgressRefused, InvalidValue, Refusal
from mailroom.messaging.senders import Senders
from mailroom.notify import settings
from mailroom.notify.settings import NotifySettings
from mailroom.senders.catalogue import open_kinds
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from tests.senders.peers import tools

URL = "https://hook.example/new?key=1"
ALL = {"push_url": URL, "push_format": "xml", "push_verify_tls": "no", "push_secret": "s3cret-enough"}


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http(Egress((ip_network("10.1.0.0/16"),)))
    yield client
    await client.close()


@pytest.fixture
def notify(http: Http, tmp_path: Path) -> NotifySettings:
    return NotifySettings(Senders(open_kinds(tools(http)), Seal.open(tmp_path / "secret.key")))


async def change(store: Store, notify: NotifySettings, **values: str) -> None:
    for key, value in values.items():
        await store.write(lambda tx, key=key, value=value: notify.change(tx, key, value))  # type: ignore[misc]  # a lambda's default


async def pushes(store: Store) -> bool:
    sender = await store.read(settings.push_sender)
    return sender is not None and settings.pushes(sender)


async def test_before_anything_is_set_nothing_is_pushed(store: Store, notify: NotifySettings) -> None:
    assert await store.read(notify.show) == {
        "push_url": "", "push_format": "json", "push_verify_tls": "yes", "push_secret": "",
    }  # fmt: skip  # a table
    assert not await pushes(store)


async def test_the_order_of_setting_does_not_matter(store: Store, notify: NotifySettings) -> None:
    for order in itertools.permutations(ALL):
        await change(store, notify, **dict.fromkeys(ALL, ""))
        assert not await pushes(store)
        await change(store, notify, **{key: ALL[key] for key in order})
        assert await store.read(notify.show) == ALL | {"push_secret": "***"}
        assert await pushes(store)


async def test_an_empty_value_is_the_default_and_no_url_is_off(store: Store, notify: NotifySettings) -> None:
    await change(store, notify, **ALL)
    await change(store, notify, push_url="", push_format="", push_verify_tls="", push_secret="")
    assert await store.read(notify.show) == {
        "push_url": "", "push_format": "json", "push_verify_tls": "yes", "push_secret": "",
    }  # fmt: skip  # a table
    assert not await pushes(store)


REFUSED: list[tuple[str, str, type[Refusal], str]] = [
    ("push_uri", URL, InvalidValue, "push_uri: no such setting; there are: push_url, "),
    ("url", URL, InvalidValue, "url: no such setting"),
    ("push_format", "yaml", InvalidValue, "push_format: must be one of json, xml, form"),
    ("push_verify_tls", "maybe", InvalidValue, "push_verify_tls: must be one of"),
    ("push_secret", "whsec_!", InvalidValue, "push_secret: "),
    ("push_url", "ftp://hook.example/", InvalidValue, "push_url: "),
    ("push_url", "hook", InvalidValue, "push_url: "),
    ("push_url", "http://127.0.0.1/", EgressRefused, "127.0.0.1 is in a private network"),
    ("push_url", "http://[::1]:8080/", EgressRefused, "::1 is in a private network"),
    ("push_url", "http://localhost/", EgressRefused, "localhost is in a private network"),
    ("push_url", "http://10.2.0.1/", EgressRefused, "10.2.0.1 is in a private network"),
]


@pytest.mark.parametrize("before", [{}, ALL], ids=["unset", "set"])
async def test_what_cannot_be_is_refused_by_its_name_and_changes_nothing(
    store: Store, notify: NotifySettings, before: dict[str, str]
) -> None:
    await change(store, notify, **before)
    shown = await store.read(notify.show)
    for key, value, refusal, words in REFUSED:
        with pytest.raises(refusal) as refused:
            await change(store, notify, **{key: value})
        assert str(refused.value).startswith(words)
        assert await store.read(notify.show) == shown


async def test_a_private_network_that_is_allowed_may_be_pushed_to(store: Store, notify: NotifySettings) -> None:
    await change(store, notify, push_url=" http://10.1.2.3/hook ")
    assert (await store.read(notify.show))["push_url"] == "http://10.1.2.3/hook"


async def test_the_secret_is_not_in_the_database(store: Store, notify: NotifySettings) -> None:
    await change(store, notify, **ALL)
    sender = await store.read(settings.push_sender)
    assert sender is not None
    assert ALL["push_secret"] not in repr(sender)
    assert notify.senders.secrets(sender)["secret"].reveal() == ALL["push_secret"]
