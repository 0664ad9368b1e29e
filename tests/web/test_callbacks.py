# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where providers call us: what is really theirs is heeded and answered, what is not changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from mailroom.core.clock import MINUTE
from mailroom.core.secrets import Secret
from mailroom.messaging.model import SenderState
from mailroom.notify import linking, preferences
from mailroom.notify.model import LinkState, Way
from mailroom.storage.ports import Tx
from mailroom.web.http import application
from tests.messaging import kinds
from tests.messaging.kinds import MANIFEST, Talking, Told
from tests.stores import Watch
from tests.web.conftest import ORIGIN, Office, open_office

CODE, KEY = "notice-wecom", "s3cret"


@pytest.fixture
def kind() -> Talking:
    return Talking(replace(MANIFEST, kind="wecom", receipt=True))


@pytest_asyncio.fixture
async def office(store_url: str, watch: Watch, tmp_path: Path, kind: Talking) -> AsyncIterator[Office]:
    """With a way out that hears, one that does not, and a notice that has left."""
    async with open_office(store_url, watch, tmp_path, {"wecom": kind, "told": Told()}) as office:
        ways = office.web.house.linking.senders

        def work(tx: Tx) -> None:
            sender_id = ways.save(
                tx, code=CODE, name="W", kind="wecom", settings={"url": "x:"}, secrets={"secret": Secret(KEY)}
            )
            kinds.save(tx, ways)
            kinds.enqueue(tx, sender_id, "amy")
            linking.vouch(tx, office.organisation.members["amy"], Way.WECOM, "amy")

        await office.store.write(work)
        await kinds.round_(kinds.dispatch(office.store, ways, watch))
        yield office


def provider(office: Office) -> httpx2.AsyncClient:
    """A provider's server."""
    transport = httpx2.ASGITransport(office.app, client=("192.0.2.80", 50000))
    return httpx2.AsyncClient(transport=transport, base_url="http://10.0.0.1:8025")  # as a proxy names us


async def test_a_call_is_heeded_before_it_is_answered(office: Office, kind: Talking, watch: Watch) -> None:
    answer = await provider(office).post(
        f"/callbacks/{CODE}/{KEY}?a=1&b=%E7%8E%8B", content=b"id amy arrived", headers={"X-Signature": "abc"}
    )
    assert (answer.status_code, answer.content) == (202, b"heard")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert await kinds.states(office.store) == {"amy": "delivered"}
    [call] = kind.calls
    assert (call.method, call.rest, call.query, call.body) == ("POST", KEY, {"a": "1", "b": "王"}, b"id amy arrived")
    assert (call.url, call.peer, call.now) == (
        f"{ORIGIN}/callbacks/{CODE}/{KEY}?a=1&b=%E7%8E%8B",
        "192.0.2.80",
        watch.now,
    )
    assert call.headers["x-signature"] == call.headers["X-SIGNATURE"] == "abc"


async def test_the_url_is_the_one_that_the_provider_was_given(office: Office, kind: Talking) -> None:
    web = replace(office.web, settings=replace(office.web.settings, public_url=f"{ORIGIN}/"))
    transport = httpx2.ASGITransport(application(web))
    await httpx2.AsyncClient(transport=transport, base_url=ORIGIN).get(f"/callbacks/{CODE}/{KEY}")
    assert [call.url for call in kind.calls] == [f"{ORIGIN}/callbacks/{CODE}/{KEY}"]


async def test_a_question_without_news_is_answered(office: Office, kind: Talking) -> None:
    assert (await provider(office).get(f"/callbacks/{CODE}/{KEY}")).status_code == 202
    assert (await provider(office).get(f"/callbacks/{CODE}")).status_code == 403
    assert [(call.method, call.rest) for call in kind.calls] == [("GET", KEY), ("GET", "")]


async def test_a_browser_may_have_carried_it(office: Office) -> None:
    carried = {"Sec-Fetch-Site": "cross-site", "Origin": "https://provider.example"}
    answer = await provider(office).post(f"/callbacks/{CODE}/{KEY}", content=b"id amy read", headers=carried)
    assert answer.status_code == 202
    assert await kinds.states(office.store) == {"amy": "read"}


async def test_a_call_that_comes_twice_is_answered_and_heeded_once(office: Office) -> None:
    for news in ("lost", "arrived"):
        answer = await provider(office).post(
            f"/callbacks/{CODE}/{KEY}", content=f"id amy {news}".encode(), headers={"Call-Id": "7"}
        )
        assert answer.status_code == 202
    assert await kinds.states(office.store) == {"amy": "undelivered"}


async def test_what_is_not_messagings_goes_to_who_links(office: Office) -> None:
    answer = await provider(office).post(f"/callbacks/{CODE}/{KEY}?left=amy")
    assert answer.status_code == 202
    [link] = await office.store.read(lambda tx: preferences.links(tx, office.organisation.members["amy"]))
    assert (link.state, link.reason) == (LinkState.BROKEN, "opted_out")


async def test_what_is_forged_changes_nothing_and_shows_no_secret(
    office: Office, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await provider(office).post(f"/callbacks/{CODE}/guess?left=amy", content=b"id amy arrived")
    assert (answer.status_code, answer.content) == (403, b"")
    assert await kinds.states(office.store) == {"amy": "sent"}
    logged = "".join(capfd.readouterr())
    assert "forged" in logged
    assert KEY not in logged


async def test_forged_calls_fill_no_log(office: Office, watch: Watch, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(9):
        await provider(office).post(f"/callbacks/{CODE}/guess")
    watch.now += MINUTE
    await provider(office).post(f"/callbacks/{CODE}/guess")
    logged = [line for line in "".join(capfd.readouterr()).splitlines() if "forged" in line]
    assert len(logged) == 2
    assert "8" in logged[1]


async def test_a_bug_of_ours_shows_no_secret_either(office: Office, capfd: pytest.CaptureFixture[str]) -> None:
    transport = httpx2.ASGITransport(office.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as browser:
        answer = await browser.post(f"/callbacks/{CODE}/{KEY}", content=b"what the fake does not understand")
    assert answer.status_code == 500
    logged = "".join(capfd.readouterr())
    assert f"/callbacks/{CODE}" in logged
    assert KEY not in logged


@pytest.mark.parametrize("path", ["/callbacks/nobody/x", "/callbacks/way", "/callbacks/", "/callbacks/mail/x"])
async def test_who_does_not_hear_is_not_there(office: Office, path: str) -> None:
    assert (await provider(office).post(path, content=b"id amy arrived")).status_code == 404


async def test_large_calls_and_other_methods_are_refused(office: Office, kind: Talking) -> None:
    assert (await provider(office).post(f"/callbacks/{CODE}/{KEY}", content=b"x" * (64 * 1024 + 1))).status_code == 413
    assert (await provider(office).put(f"/callbacks/{CODE}/{KEY}")).status_code == 405
    assert kind.calls == []


async def test_a_way_that_is_switched_off_still_hears_of_what_it_sent(office: Office) -> None:
    ways = office.web.house.linking.senders
    await office.store.write(
        lambda tx: ways.save(
            tx,
            code=CODE,
            name="W",
            kind="wecom",
            settings={"url": "x:"},
            secrets={"secret": Secret(KEY)},
            state=SenderState.DISABLED,
        )
    )
    await provider(office).post(f"/callbacks/{CODE}/{KEY}", content=b"id amy arrived")
    assert await kinds.states(office.store) == {"amy": "delivered"}
