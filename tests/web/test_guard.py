# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every request: where unsafe ones may come from, the headers, the look of refusals, health."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message

from mailroom.core.errors import Kind, NotFound, TooManyAttempts, Unavailable
from mailroom.storage.ports import Store
from mailroom.web import refusals
from mailroom.web.http import application
from tests.web.conftest import ORIGIN, PASSWORDS, Office

FOREIGN = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://mail.corp.example.evil.example"},
)


@pytest.mark.parametrize("said", FOREIGN)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/language", "/mail/1/1/seen"])
async def test_another_site_cannot_change_anything(office: Office, path: str, said: dict[str, str]) -> None:
    browser = await office.signed_in("amy")
    del browser.headers["Origin"]
    answer = await browser.post(path, headers=said)
    assert answer.status_code == 403
    assert "This request came from another site." in answer.text
    assert (await browser.get("/")).headers["location"].startswith("/mail/")


@pytest.mark.parametrize(
    "said", [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": ORIGIN}, {}]
)
async def test_our_own_pages_and_what_is_no_browser_can(office: Office, said: dict[str, str]) -> None:
    browser = office.browser()
    del browser.headers["Origin"]
    answer = await browser.post("/sign-in", data={"name": "amy", "password": PASSWORDS["amy"]}, headers=said)
    assert answer.status_code == 303


async def test_behind_a_proxy_that_renames_the_host_the_public_origin_is_ours(office: Office) -> None:
    browser = office.browser(origin="http://127.0.0.1:8025")
    answer = await browser.post("/language", data={"language": "zh"}, headers={"Origin": ORIGIN})
    assert answer.status_code == 303


@pytest.mark.parametrize("path", ["/sign-in", "/livez", "/nowhere", "/static/app.css"])
async def test_every_answer_says_what_a_browser_may_do_with_it(office: Office, path: str) -> None:
    headers = (await office.browser().get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"


async def test_pages_are_not_kept_but_files_with_a_digest_are(office: Office) -> None:
    browser = office.browser()
    page = await browser.get("/sign-in")
    assert page.headers["cache-control"] == "no-store"
    asset = re.findall(r'href="(/static/app\.css\?v=\w+)"', page.text)[0]
    assert "immutable" in (await browser.get(asset)).headers["cache-control"]
    assert (await browser.get("/static/app.css?v=old")).headers["cache-control"] == "no-cache"
    assert (await browser.get("/static/../http.py")).status_code == 404


async def test_no_page_has_script_or_style_within_it(office: Office) -> None:
    browser = await office.signed_in("amy")
    for path in ("/sign-in", await office.inbox("amy"), "/nowhere"):
        page = (await browser.get(path, follow_redirects=True)).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)


def test_every_kind_of_refusal_has_a_status() -> None:
    assert set(refusals.STATUS) == set(Kind)


async def test_a_program_gets_a_problem_document_with_the_stable_code(office: Office) -> None:
    answer = await office.browser().get("/mail/1", headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": "Please sign in.", "status": 401, "code": "not_signed_in"}


async def test_part_of_a_page_is_not_answered_with_the_sign_in_page(office: Office) -> None:
    assert (await office.browser().get("/mail/1", headers={"HX-Request": "true"})).status_code == 401


async def test_a_page_that_is_not_there_and_a_wrong_method(office: Office) -> None:
    assert (await office.browser().get("/nowhere")).status_code == 404
    assert (await office.browser().get("/sign-out")).status_code == 405
    assert "页面不存在" in (await office.browser(language="zh").get("/nowhere")).text


def test_a_refusal_says_when_to_come_again() -> None:
    refusal = TooManyAttempts(seconds=7)
    assert (refusals.status(refusal), refusals.headers(refusal)) == (429, {"Retry-After": "7"})
    assert refusals.status(NotFound(what="mail", name="1")) == 404


class Away:
    """A store whose database is away, or whose driver has a bug."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        raise self._fault


def _away(office: Office, fault: Exception) -> Office:
    store: Store = Away(fault)
    return replace(office, web=replace(office.web, store=store))


async def test_when_the_database_is_away_a_page_says_so(office: Office) -> None:
    answer = await _away(office, Unavailable(what="database")).browser(language="zh").get("/")
    assert answer.status_code == 503
    assert "数据库暂时不可用" in answer.text


async def test_a_bug_is_an_answer_that_tells_nothing(office: Office) -> None:
    import httpx2  # noqa: PLC0415 -- only here

    app = application(_away(office, ZeroDivisionError("secret detail")).web)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as browser:
        answer = await browser.get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_health(office: Office) -> None:
    assert (await office.browser().get("/livez")).text == "ok\n"
    assert (await office.browser().get("/readyz")).status_code == 200

    async def never() -> bool:
        return False

    sick = replace(office, web=replace(office.web, ready=never))
    assert (await sick.browser().get("/readyz")).status_code == 503


async def test_the_process_lives_though_its_database_is_away(office: Office) -> None:
    away = _away(office, Unavailable(what="database"))
    assert (await away.browser().get("/livez")).text == "ok\n"


async def test_a_form_that_is_cut_short_is_no_fault_of_ours(office: Office) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/sign-in", "headers": [], "query_string": b""}
    await application(office.web)(scope, receive, send)
    assert sent[0]["status"] == 400
