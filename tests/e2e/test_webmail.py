# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The webmail as a person meets it, in a real browser, with mail that comes by real SMTP."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests import make
from tests.e2e.conftest import LOOKS, Site, crlf

HTML = "Content-Type: text/html; charset=utf-8"


async def test_a_mail_appears_without_a_reload_and_is_read(site: Site) -> None:
    async with site.looking() as context:
        page = await site.signed_in(context)
        await expect(page.locator(".nothing h2")).to_have_text("No mail yet")
        await site.send(make.mail(subject="Lunch?", body="At noon, see http://menu.example/\r\n"))
        mail = page.locator(".mails a")
        await expect(mail).to_contain_text("Lunch?")
        await expect(mail).to_have_class("unseen")
        await expect(page).to_have_title("(1) Inbox · Mailroom")

        await mail.click()
        await expect(page.locator("h1")).to_have_text("Lunch?")
        await expect(page.locator(".text a")).to_have_attribute("rel", "noopener noreferrer")
        # Looking at it marked it, which comes back as news of the mailbox.
        await expect(page.locator(".side .count")).to_have_count(0)
        await page.click(".bar a")
        await expect(mail).not_to_have_class("unseen")
        await expect(page).to_have_title("Inbox · Mailroom")


async def test_every_open_page_learns_of_a_mail_though_one_listens(site: Site) -> None:
    async with site.looking() as context:
        pages = [await site.signed_in(context)]
        for _ in range(7):
            pages.append(await context.new_page())
            await pages[-1].goto("/")
        await site.send(make.mail(subject="For all"))
        for page in pages:
            await expect(page.locator(".mails a")).to_contain_text("For all")


class Canary:
    """A server that ought never to hear of anything."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.readline())
        writer.close()


async def test_hostile_html_neither_runs_nor_calls_home(site: Site) -> None:
    canary = Canary()
    server = await asyncio.start_server(canary, "127.0.0.1", 0)
    spy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    body = f"""
        <script>parent.document.title = "owned"; fetch("{spy}/script")</script>
        <link rel=stylesheet href="{spy}/link">
        <style>@import "{spy}/import"; body {{ background: url({spy}/style) }}</style>
        <img src="{spy}/img" onerror="fetch('{spy}/error')"><img srcset="{spy}/srcset 1x">
        <table background="{spy}/table"><tr><td style="background:url({spy}/css)">Dear friend</td></tr></table>
        <iframe src="{spy}/frame"></iframe><object data="{spy}/object"></object><video src="{spy}/video"></video>
        <form action="{spy}/form"><button id=send>Send</button><input type=image src="{spy}/input"></form>
        <meta http-equiv=refresh content="0;url={spy}/meta">
        <svg><image href="{spy}/svg" /></svg><a id=out href="javascript:parent.location='{spy}/js'">Click</a>
    """
    async with server, site.looking() as context:
        page = await site.signed_in(context)
        await site.send(make.mail(subject="Offer", more=["MIME-Version: 1.0", HTML], body=body))
        await page.locator(".mails a").click()
        frame = page.frame_locator("iframe.frame")
        await expect(frame.locator("main")).to_contain_text("Dear friend")
        await expect(frame.locator(".mailroom-note")).to_contain_text("remote picture")
        await expect(frame.locator("script, form, iframe, svg, object, [onerror]")).to_have_count(0)
        await frame.get_by_text("Click").click()
        await expect(page.locator("h1")).to_have_text("Offer")
        assert "owned" not in await page.title()
        await page.wait_for_load_state("networkidle")
    assert canary.heard == []


async def test_what_cleaning_might_miss_is_held_by_the_frame(site: Site) -> None:
    # The answer's own policy and the sandbox, tried with markup that never went through the cleaner.
    async with site.looking() as context:
        page = await site.signed_in(context)
        await site.send(make.mail(more=["MIME-Version: 1.0", HTML], body="<p>Hello</p>"))
        await page.locator(".mails a").click()
        await page.locator("iframe.frame").wait_for()

        async def hostile(route: Any) -> None:
            answer = await route.fetch()
            script = "<script>document.getElementById('p').textContent = 'ran'</script>"
            await route.fulfill(response=answer, body=f"<p id=p>still</p>{script}<img src=/static/mailroom.svg>")

        await page.route("**/html", hostile)
        await page.reload()
        frame = page.frame_locator("iframe.frame")
        await expect(frame.locator("#p")).to_have_text("still")
        assert await page.locator("iframe.frame").evaluate("frame => frame.contentDocument") is None
    blocked = [fault for fault in site.faults if "Content Security Policy" in fault or "sandboxed" in fault]
    assert blocked
    assert site.faults == blocked
    site.faults.clear()


async def test_attachments_and_the_original_are_downloaded(site: Site) -> None:
    report = bytes(range(256)) * 2000
    octets = make.multipart(
        (["Content-Type: text/plain; charset=utf-8"], "The report."),
        (
            [
                "Content-Type: application/pdf",
                "Content-Transfer-Encoding: base64",
                "Content-Disposition: attachment; filename*=utf-8''%E6%8A%A5%E5%91%8A.pdf",
            ],
            base64.encodebytes(report),
        ),
    )
    async with site.looking() as context:
        page = await site.signed_in(context)
        await site.send(octets)
        await page.locator(".mails a").click()
        async with page.expect_download() as started:
            await page.click(".attachments a")
        download = await started.value
        assert download.suggested_filename == "报告.pdf"
        assert (await download.path()).read_bytes() == report
        async with page.expect_download() as started:
            await page.get_by_text("Download original").click()
        original = (await (await started.value).path()).read_bytes()
        assert original.rstrip().endswith(crlf(octets))
    site.faults[:] = [fault for fault in site.faults if "ERR_ABORTED" not in fault]


async def test_signing_out_in_one_page_ends_the_others(site: Site) -> None:
    async with site.looking() as context:
        page, other = await site.signed_in(context), await context.new_page()
        await other.goto("/")
        await page.get_by_text("Sign out").click()
        await expect(page.locator("form.sign-in")).to_be_visible()
        await site.send(make.mail())
        await expect(other.locator("form.sign-in")).to_be_visible()


async def test_it_can_be_used_with_the_keyboard_alone(site: Site) -> None:
    async with site.looking() as context:
        await site.send(make.mail(subject="Typed"))
        page = await context.new_page()
        await page.goto("/")
        await expect(page.locator("#name")).to_be_focused()
        for keys in ("amy", "Tab", "amy's password", "Enter"):
            await (page.keyboard.press(keys) if keys in {"Tab", "Enter"} else page.keyboard.type(keys))
        mail = page.locator(".mails a")
        await expect(mail).to_be_visible()
        for _ in range(20):
            if await mail.evaluate("element => element === document.activeElement"):
                break
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Typed")


LETTER = """<h2 style="color:#0b6b9c">Quarterly report</h2><p>Dear Amy, the figures are attached.</p>
<table border="1" cellpadding="6"><tr><th>Month</th><th>Sales</th></tr><tr><td>May</td><td>1,204</td></tr></table>
<p><a href="https://out.example/report">Read online</a></p><img src="https://out.example/pixel.png">"""


@pytest.mark.parametrize(("language", "width", "scheme"), LOOKS)
async def test_every_screen_is_fit_to_be_seen(site: Site, language: str, width: int, scheme: str) -> None:
    how = {"locale": language, "viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    suffix = f"{language[:2]}-{width}-{scheme}"
    async with site.looking(**how) as context:
        page = await context.new_page()
        await page.goto("/sign-in")
        await site.fit(page, f"sign-in-{suffix}")
        await page.fill("#name", "amy")
        await page.fill("#password", "wrong")
        await page.click("form.sign-in button")
        await expect(page.locator(".alert")).to_be_visible()
        await site.fit(page, f"wrong-{suffix}")

        page = await site.signed_in(context)
        await site.fit(page, f"empty-{suffix}")
        await _fill(site)
        await expect(page.locator(".mails a")).to_have_count(6)
        await site.fit(page, f"list-{suffix}")
        await page.get_by_text("Quarterly report").click()
        await expect(page.frame_locator("iframe.frame").locator("table")).to_be_visible()
        await site.fit(page, f"html-{suffix}")
        await page.goto(page.url + "?view=text")
        await page.locator(".text").wait_for()
        await site.fit(page, f"text-{suffix}")
        await page.goto("/mail/777")
        await site.fit(page, f"error-{suffix}")
    site.faults[:] = [fault for fault in site.faults if not re.search(r"status of (401|404)", fault)]


async def _fill(site: Site) -> None:
    for number, (sender, subject) in enumerate(
        [
            ("GitForge <noreply@forge.example>", "Build 4711 passed"),
            ("=?utf-8?B?5byg5LiJ?= <zhang@out.example>", "=?utf-8?B?5Lya6K6u6YCa55+l77ya5piO5aSp5LiL5Y2I5Lik54K5?="),
            ("a-very-long-local-part-that-goes-on-and-on@a-very-long-domain.example", "Re: " + "a long subject " * 12),
            ("", ""),
            ("Di <di@out.example>", "Unbreakable" * 20),
        ]
    ):
        await site.send(make.mail(sender=sender, subject=subject, message_id=f"<{number}@out.example>"))
    await site.send(
        make.multipart(
            ([f"{'Content-Type'}: multipart/alternative; boundary=c"], _alternative()),
            (["Content-Type: application/pdf", 'Content-Disposition: attachment; filename="report.pdf"'], "x" * 70_000),
            (["Content-Type: text/csv", f'Content-Disposition: attachment; filename="{"long-name" * 12}.csv"'], "1,2"),
            subject="Quarterly report",
        )
    )


def _alternative() -> str:
    plain = "Dear Amy,\r\n\r\nthe figures are attached.\r\nhttps://out.example/report\r\n"
    return f"--c\r\nContent-Type: text/plain\r\n\r\n{plain}\r\n--c\r\n{HTML}\r\n\r\n{LETTER}\r\n--c--"
