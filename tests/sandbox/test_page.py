# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the phones in a real browser: it fills by itself, quotes hostile mail harmlessly, and can be cleared."""

from __future__ import annotations

import json
from collections.abc import Callable

import aiohttp
import pytest
from playwright.async_api import async_playwright, expect

from mailroom.sandbox.server import Sandbox
from tests.sandbox.test_sandbox import JSON, PUSH


@pytest.mark.e2e
async def test_a_push_rings_on_the_page_without_a_reload(tool: Callable[[str], str]) -> None:
    sandbox = Sandbox()
    await sandbox.start()
    complaints: list[str] = []
    async with async_playwright() as playwright, aiohttp.ClientSession(sandbox.url) as client:
        browser = await playwright.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
        page = await browser.new_page(locale="zh-CN")
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        await page.goto(sandbox.url)
        await expect(page.locator("#empty")).to_be_visible()
        hostile = PUSH | {"subject": "<img src=x onerror=alert(1)>", "attachnum": 1, "attachlist": "报价.pdf"}
        await client.post("/webhook/x", data=json.dumps(hostile).encode(), headers={"Content-Type": JSON})
        phone = page.get_by_role("region", name="amy@corp.example")
        await expect(phone.locator(".subject")).to_have_text("<img src=x onerror=alert(1)>")
        await expect(phone.locator(".badge")).to_have_text("附件 1")
        await page.get_by_role("button", name="清空").click()
        await expect(page.locator("#empty")).to_be_visible()
        await browser.close()
    await sandbox.stop()
    assert complaints == []
