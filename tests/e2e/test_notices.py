# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Notices in a real browser: accounts linked at the doubles of their providers, a number proven, every screen seen."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from mailroom.directory.model import SYSTEM
from mailroom.runtime.demo import accounts
from mailroom.sandbox.server import Sandbox
from tests.e2e.conftest import LOOKS, Site

HERE = "/settings/notices"
NUMBER = "+8613900000001"


@pytest_asyncio.fixture
async def sandbox(site: Site) -> AsyncIterator[Sandbox]:
    """Doubles that know the server, and a server that knows them."""
    sandbox = Sandbox()
    await sandbox.start()
    chosen = {"enabled": "yes", "mobile_transport": "sms_gateway", "wechat_mode": "wecom"}
    await _set(site, {**accounts(sandbox, site.url), **chosen})
    yield sandbox
    await sandbox.stop()


async def _set(site: Site, settings: dict[str, str]) -> None:
    await site.app.store.write(lambda tx: site.app.notify.change_all(tx, SYSTEM, settings))


async def _confirmed(page: Page, name: str) -> None:
    await expect(page.locator("h1")).to_have_text("Is this you?")
    await expect(page.locator(".pairs")).to_contain_text(name)
    await page.get_by_role("button", name="Yes, link it").click()


async def test_wecom_is_linked_tried_and_unlinked(site: Site, sandbox: Sandbox) -> None:
    async with site.looking() as context:
        page = await site.signed_in(context)
        await page.get_by_role("link", name="Notices").click()
        await page.get_by_role("button", name="Link WeCom").click()
        await expect(page.locator("h1")).to_have_text("WeCom")
        await page.get_by_label("Sign in as").fill("zhangsan")
        await page.get_by_role("button", name="Sign in").click()
        await _confirmed(page, "zhangsan")
        card = page.locator("#wecom")
        await expect(card.get_by_role("status")).to_have_text("Linked. You can try it with a test.")
        own = page.locator("section", has_text="amy@corp.example").get_by_role("switch", name="WeCom")
        await expect(own.first).to_be_checked()

        await card.get_by_role("button", name="Send a test by WeCom").click()
        for place in (card.get_by_role("status"), page.locator("#log tbody tr").first):
            await expect(place).to_contain_text("Sent")  # without a reload
        async with asyncio.timeout(20):
            await sandbox.phones.arrived(1, "wecom", "zhangsan")

        await card.get_by_text("Unlink", exact=True).click()
        await card.get_by_role("button", name="Yes, unlink WeCom").click()
        await expect(card.get_by_role("button", name="Link WeCom")).to_be_visible()
    site.faults[:] = [fault for fault in site.faults if sandbox.url not in fault]


@pytest.mark.parametrize(("way", "name", "account"), [("dingtalk", "DingTalk", "bob"), ("feishu", "Feishu", "ou_bob")])
async def test_an_account_is_linked_unless_he_thinks_better_of_it(
    site: Site, sandbox: Sandbox, way: str, name: str, account: str
) -> None:
    await _set(site, {f"{way}.enabled": "yes"})
    async with site.looking() as context:
        page = await site.signed_in(context)
        await page.goto(HERE)
        await page.get_by_role("button", name=f"Link {name}").click()
        await page.get_by_role("link", name="Cancel").click()
        await expect(page.locator("h1")).to_have_text("Nothing was linked")
        await page.get_by_role("link", name="To the notices").click()
        await page.get_by_role("button", name=f"Link {name}").click()
        await page.get_by_label("Sign in as").fill(account)
        await page.get_by_role("button", name="Sign in").click()
        await _confirmed(page, account)
        await expect(page.locator(f"#{way}")).to_contain_text("Linked.")
    theirs = re.compile(rf"{re.escape(sandbox.url)}|status of 403")
    site.faults[:] = [fault for fault in site.faults if not theirs.search(fault)]


async def test_wechat_is_linked_by_a_scan_and_the_page_goes_on_by_itself(site: Site, sandbox: Sandbox) -> None:
    await _set(site, {"wechat_mode": "service_account"})
    async with site.looking() as context:
        page = await site.signed_in(context)
        await page.goto(HERE)
        await page.get_by_role("button", name="Link WeChat").click()
        await expect(page.get_by_role("img", name="QR code")).to_be_visible()
        double = sandbox.doubles["wechat"]
        [scene] = double.scenes()
        await double.scan(scene, "oAmy-of-the-test-1234567890")
        await _confirmed(page, "oAmy")
        await expect(page.locator("#wechat")).to_contain_text("Linked.")


async def test_a_number_is_proven_by_its_code(site: Site, sandbox: Sandbox) -> None:
    async with site.looking() as context:
        page = await site.signed_in(context)
        await page.goto(HERE)
        await page.get_by_label("Mobile number").fill("13900000001")
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Code")).to_be_focused()
        async with asyncio.timeout(20):
            [sms] = await sandbox.phones.arrived(1, "sms_gateway")
        found = re.search(r"\d{6}", sms.text)
        assert found is not None, sms.text
        await page.keyboard.type(found[0])
        await page.keyboard.press("Enter")
        await expect(page.locator("#sms")).to_contain_text(NUMBER)
        await expect(page.locator("#sms").get_by_role("status")).to_contain_text("Linked.")
        await page.get_by_role("switch", name="SMS").first.check()
        await page.get_by_role("button", name="Save for amy@corp.example").click()
        await expect(page.get_by_role("switch", name="SMS").first).to_be_checked()
        await expect(page.get_by_text("Saved.")).to_be_visible()


async def test_it_all_works_without_script(site: Site, sandbox: Sandbox) -> None:
    await _set(site, {"mobile_transport": "none"})
    async with site.looking(java_script_enabled=False) as context:
        page = await site.signed_in(context)
        await page.goto(HERE)
        await page.get_by_role("button", name="Link WeCom").click()
        await page.get_by_label("Sign in as").fill("zhangsan")
        await page.get_by_role("button", name="Sign in").click()
        await _confirmed(page, "zhangsan")
        await page.get_by_text("Only some senders").first.click()
        await page.get_by_label("Only for mail from").first.fill("nobody")
        await page.get_by_role("button", name="Save for amy@corp.example").click()
        await expect(page.locator("#fault")).to_be_focused()
        await expect(page.locator("#fault")).to_be_in_viewport()
        await page.get_by_label("Only for mail from").first.fill("*@out.example")
        await page.get_by_role("button", name="Save for amy@corp.example").click()
        await expect(page.get_by_text("Saved.")).to_be_visible()
        await _set(site, {"wechat_mode": "service_account"})
        await page.goto(HERE)
        await page.get_by_role("button", name="Link WeChat").click()
        await page.get_by_role("link", name="I have scanned it").click()
        await expect(page.get_by_role("link", name="Look again")).to_be_visible()
    site.faults[:] = [fault for fault in site.faults if sandbox.url not in fault and "status of 400" not in fault]


@pytest.mark.parametrize(("language", "width", "scheme"), LOOKS)
async def test_every_screen_is_fit_to_be_seen(
    site: Site, sandbox: Sandbox, language: str, width: int, scheme: str
) -> None:
    how = {"locale": language, "viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    suffix = f"{language[:2]}-{width}-{scheme}"
    async with site.looking(**how) as context:
        page = await site.signed_in(context)
        await _set(site, {"enabled": "no"})
        await page.goto(HERE)
        await site.fit(page, f"notices-none-{suffix}")
        await _set(site, {"enabled": "yes"})
        await page.goto(HERE)
        await site.fit(page, f"notices-fresh-{suffix}")
        await page.fill("#number", "12")
        await page.press("#number", "Enter")
        await expect(page.locator("#fault")).to_be_visible()
        await site.fit(page, f"notices-wrong-{suffix}")
        await page.fill("#number", NUMBER)
        await page.press("#number", "Enter")
        await site.fit(page, f"notices-code-{suffix}")
        await page.click("#wecom .btn-primary")
        await page.get_by_role("textbox").fill("zhangsan")
        await page.click("button")
        await page.locator(".pairs").wait_for()
        await site.fit(page, f"notices-confirm-{suffix}")
        await page.click(".btn-primary")
        await page.locator("#wecom .alert").wait_for()
        await page.click("#wecom form[action$=test] button")
        await expect(page.locator("#test-wecom .good")).to_be_visible()
        await page.locator("section details summary").last.click()
        await page.locator("#wecom details summary").click()
        await site.fit(page, f"notices-linked-{suffix}")
        await page.goto(f"{HERE}/links/dingtalk")
        await site.fit(page, f"notices-not-linked-{suffix}")
        await _set(site, {"user_scope": "listed", "wechat_mode": "service_account"})
        await page.goto(HERE)
        await site.fit(page, f"notices-not-permitted-{suffix}")
        await _set(site, {"user_scope": "all"})
        await page.goto(HERE)
        await page.click("#wechat .btn-primary")
        await site.fit(page, f"notices-scan-{suffix}")
        await page.goto(f"{HERE}/links/wechat")
        await site.fit(page, f"notices-waiting-{suffix}")
    theirs = re.compile(rf"{re.escape(sandbox.url)}|status of (400|409)")
    site.faults[:] = [fault for fault in site.faults if not theirs.search(fault)]
