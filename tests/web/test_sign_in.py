# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Getting in, and being kept out."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import replace

import pytest

from mailroom.core.settings import Settings
from mailroom.directory import members
from mailroom.directory.model import SYSTEM, MemberStatus
from mailroom.web.auth import own_path
from tests.web.conftest import ORIGIN, PASSWORDS, Office


async def test_userid_or_own_address_and_the_password_open_a_session(office: Office) -> None:
    for name in ("amy", " amy@corp.example "):
        browser = office.browser()
        answer = await browser.post("/sign-in", data={"name": name, "password": PASSWORDS["amy"]})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        inbox = await browser.get("/", follow_redirects=True)
        assert "Inbox" in inbox.text


async def test_a_wrong_password_and_an_unknown_user_hear_the_same(office: Office) -> None:
    heard = set()
    for name in ("amy", "nobody"):
        answer = await office.browser().post("/sign-in", data={"name": name, "password": "wrong"})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        heard.add(answer.text.replace(name, "NAME"))
    assert len(heard) == 1
    assert "The user name or the password is wrong." in heard.pop()


async def test_the_session_is_a_cookie_that_no_script_and_no_other_site_can_use(office: Office) -> None:
    answer = await office.browser().post("/sign-in", data={"name": "amy", "password": PASSWORDS["amy"]})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("mailroom=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))


async def test_over_https_the_cookie_is_bound_to_the_host(office: Office) -> None:
    secure = replace(office, web=replace(office.web, settings=Settings(public_url="https://mail.corp.example")))
    answer = await secure.browser().post("/sign-in", data={"name": "amy", "password": PASSWORDS["amy"]})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-mailroom=")
    assert "Secure" in cookie.split("; ")


async def test_every_sign_in_gets_a_new_token_and_ends_the_old_session(office: Office) -> None:
    browser = await office.signed_in("amy")
    planted = browser.cookies["mailroom"]
    await browser.post("/sign-in", data={"name": "amy", "password": PASSWORDS["amy"]})
    assert browser.cookies["mailroom"] != planted
    thief = office.browser()
    thief.cookies.set("mailroom", planted)
    assert (await thief.get("/")).headers["location"] == "/sign-in"


async def test_signing_out_ends_the_session_on_the_server(office: Office) -> None:
    browser = await office.signed_in("amy")
    token = browser.cookies["mailroom"]
    assert (await browser.post("/sign-out")).headers["location"] == "/sign-in"
    assert "mailroom" not in browser.cookies
    browser.cookies.set("mailroom", token)
    assert (await browser.get("/")).headers["location"] == "/sign-in"


async def test_a_disabled_member_is_out_at_once(office: Office) -> None:
    browser = await office.signed_in("amy")
    await office.store.write(lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED))
    assert (await browser.get("/")).status_code == 303
    answer = await browser.post("/sign-in", data={"name": "amy", "password": PASSWORDS["amy"]})
    assert answer.status_code == 401


async def test_after_signing_in_one_is_where_one_wanted_to_be(office: Office) -> None:
    browser, inbox = office.browser(), await office.inbox("amy")
    sent = await browser.get(inbox)
    assert sent.headers["location"] == f"/sign-in?then={inbox}"
    form = await browser.get(sent.headers["location"])
    assert f'name="then" value="{inbox}"' in form.text
    answer = await browser.post("/sign-in", data={"name": "amy", "password": PASSWORDS["amy"], "then": inbox})
    assert answer.headers["location"] == inbox
    assert (await browser.get(sent.headers["location"])).headers["location"] == inbox


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/a\r\nX: y",
        "",
    ],
)
async def test_nobody_is_sent_to_another_site(office: Office, elsewhere: str) -> None:
    assert own_path(elsewhere) == "/"
    data = {"name": "amy", "password": PASSWORDS["amy"], "then": elsewhere}
    assert (await office.browser().post("/sign-in", data=data)).headers["location"] == "/"
    changed = await office.browser().post("/language", data={"language": "zh", "then": elsewhere})
    assert changed.headers["location"] == "/"


async def test_guessing_is_slowed_down_for_the_right_password_too(office: Office) -> None:
    browser = office.browser()
    for _ in range(5):
        await browser.post("/sign-in", data={"name": "amy", "password": "guess"})
    answer = await browser.post("/sign-in", data={"name": "amy", "password": PASSWORDS["amy"]})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert "Too many attempts" in answer.text


async def test_a_flood_of_sign_ins_is_turned_away_before_it_fills_the_line(office: Office) -> None:
    guesses = [
        office.browser(peer=f"2001:db8:0:{number:x}::1").post("/sign-in", data={"name": f"n{number}", "password": "x"})
        for number in range(40)
    ]
    answers = Counter([answer.status_code for answer in await asyncio.gather(*guesses)])
    assert answers == {401: 16, 503: 24}


async def test_who_is_turned_away_is_told_when_to_come_again(office: Office) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(16):
            await stack.enter_async_context(office.web.passwords._places)
        answer = await office.browser(language="zh").post("/sign-in", data={"name": "amy", "password": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "当前请求过多" in answer.text


async def test_a_form_is_small(office: Office) -> None:
    answer = await office.browser().post("/sign-in", data={"name": "a" * 20_000})
    assert answer.status_code == 413


async def test_origin_is_ours(office: Office) -> None:
    assert office.web.settings.public_url == ORIGIN
