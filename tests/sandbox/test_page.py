# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the phones in a browser: it fills by itself, quotes hostile texts harmlessly, and commands doubles."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it has no py.typed
from playwright.async_api import Page, async_playwright, expect

from mailroom.sandbox.phones import Fate
from mailroom.sandbox.server import Sandbox
from tests.sandbox.pigeon import loft
from tests.sandbox.test_sandbox import JSON, PUSH

HOSTILE = "<img src=x onerror=alert(1)>"
NOTICE = {
    "title": "新邮件 New mail",
    "rows": (("发件人", "Bob Li <bob@out.example>"), ("主题", HOSTILE), ("时间", "2026-03-01 08:00")),
    "url": "https://mail.corp.example/mail/inbox/7",
}

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def looking(chromium: str, sandbox: Sandbox, language: str, *, width: int = 1280) -> AsyncIterator[Page]:
    """The page before somebody who speaks this; whatever it complains of fails the test."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page(locale=language, viewport={"width": width, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(sandbox.url)
        try:
            yield page
        finally:
            await browser.close()
    assert complaints == []


async def test_a_push_rings_on_the_page_without_a_reload(tool: Callable[[str], str]) -> None:
    async with (
        loft() as sandbox,
        looking(tool("chromium"), sandbox, "zh-CN") as page,
        aiohttp.ClientSession(sandbox.url) as client,
    ):
        await expect(page.locator("#empty")).to_be_visible()
        hostile = PUSH | {"subject": HOSTILE, "attachnum": 1, "attachlist": "报价.pdf"}
        await client.post("/webhook/x", data=json.dumps(hostile).encode(), headers={"Content-Type": JSON})
        phone = page.get_by_role("region", name="amy@corp.example")
        await expect(phone.locator(".subject")).to_have_text(HOSTILE)
        await expect(phone.locator(".badge")).to_have_text("附件 1")
        await page.get_by_role("button", name="清空").click()
        await expect(page.locator("#empty")).to_be_visible()


@pytest.mark.parametrize("language", ["zh-CN", "en-GB"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_every_provider_as_its_receiver_sees_it(
    tool: Callable[[str], str], tmp_path: Path, language: str, width: int
) -> None:
    async with loft() as sandbox, looking(tool("chromium"), sandbox, language, width=width) as page:
        phones, fates = sandbox.phones, (Fate.ARRIVED, Fate.READ, Fate.LOST)
        for provider in ("wechat", "wecom", "dingtalk", "feishu"):
            phones.show(provider, "alice", "", receipts=fates, **NOTICE)
        phones.show("sms_aliyun", "+8613900000001", f"【Corp】您有一封新邮件 {HOSTILE}", receipts=fates, raw="{}")
        phones.show("sms_modem", "+8613900000001", "汉" * 200)
        phones.show("wecom", "robot", "New mail from Bob Li", url="javascript:alert(1)")
        alice = page.get_by_role("region", name="alice", exact=True)
        await expect(alice.get_by_role("article")).to_have_count(4)
        await expect(alice.locator("dd").nth(1)).to_have_text(HOSTILE)
        await expect(page.locator("a")).to_have_count(4)
        await page.locator("#providers > summary").click()
        await page.locator(".knobs > summary").last.click()
        await expect(page.get_by_label("per_day").last).to_have_value("5")
        await page.screenshot(path=tmp_path / "phones.png", full_page=True)
        found = await Axe().run(page, options={"resultTypes": ["violations"]})
        assert [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]] == []
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_buttons_command_the_doubles(tool: Callable[[str], str]) -> None:
    async with loft() as sandbox, looking(tool("chromium"), sandbox, "en") as page:
        pigeon = sandbox.doubles["pigeon"]
        pigeon.callback = sandbox.webhook("customer")
        await page.locator("#providers > summary").click()
        double = page.get_by_role("region", name="pigeon")
        await double.get_by_role("checkbox", name="all from now on").check()
        await double.get_by_role("button", name="Take it, then break off").click()
        await expect(double.locator(".bad")).to_have_text("Take it, then break off (all from now on)")
        assert [(step.taken, step.times) for step in pigeon.script.steps] == [(True, 0)]
        await double.get_by_text("Settings").click()
        await double.get_by_role("spinbutton", name="per_day").fill("7")
        await double.get_by_role("textbox", name="loft").fill("south")
        await double.get_by_role("checkbox", name="tired").check()
        await expect(double.get_by_role("checkbox", name="tired")).to_be_checked()
        await double.get_by_role("button", name="Scan").click()
        phone = page.get_by_role("region", name="customer")
        await expect(phone.get_by_role("article")).to_have_count(1)
        assert (pigeon.set["per_day"], pigeon.set["loft"], pigeon.set["tired"]) == (7, "south", True)
        await double.get_by_role("button", name="As new").click()
        await expect(double.get_by_role("spinbutton", name="per_day")).to_have_value("5")
        await expect(double.locator(".bad")).to_have_count(0)
        sandbox.phones.show("pigeon", "amy", "coo", receipts=(Fate.READ,))
        read = page.get_by_role("region", name="amy").get_by_role("button", name="Report to the sender: read")
        await read.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("region", name="amy").locator(".badge")).to_have_text("read")
        await expect(read).to_be_focused()
        await expect(phone.get_by_role("article")).to_have_count(2)
