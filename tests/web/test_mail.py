# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The webmail without a browser: lists, one mail, its pieces, and whose they are."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from functools import partial

import pytest

from mailroom.core.ids import MailboxId
from mailroom.directory.model import SYSTEM
from mailroom.mailboxes import quota
from mailroom.mailboxes.model import Flag, FolderRole, MailboxStatus
from tests import make
from tests.web.conftest import Office, paths

HTML = "Content-Type: text/html; charset=utf-8"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def _only_mail(office: Office, userid: str = "amy") -> str:
    browser = await office.signed_in(userid)
    inbox = await office.inbox(userid)
    return paths((await browser.get(inbox)).text, rf"{inbox}/\d+")[0]


async def test_the_inbox_lists_what_came_the_newest_first(office: Office) -> None:
    for number in range(3):
        await office.deliver(make.mail(subject=f"Number {number}", message_id=f"<{number}@out.example>"))
    page = (await (await office.signed_in("amy")).get("/", follow_redirects=True)).text
    assert page.index("Number 2") < page.index("Number 1") < page.index("Number 0")
    assert "3 mails" in page
    assert "<title>(3) Inbox" in page


async def test_a_long_folder_comes_in_pages(office: Office) -> None:
    inbox = await office.inbox("amy")
    folder = await office.store.read(lambda tx: make.folder(tx, office.organisation.mailboxes["amy"]))
    for number in range(1, 52):
        octets = make.mail(subject=f"Number {number}.")
        await office.store.write(partial(make.appended, into=folder.id, octets=octets, flags=Flag.SEEN))
    browser = await office.signed_in("amy")
    first = (await browser.get(inbox)).text
    assert "Number 51." in first
    assert "Number 2." in first
    assert "Number 1." not in first
    second = (await browser.get(paths(first, rf"{inbox}\?before=\d+")[0])).text
    assert "Number 1." in second
    assert "Number 2." not in second
    assert not paths(second, rf"{inbox}\?before=\d+")
    assert "No older mail" in (await browser.get(f"{inbox}?before=1")).text


async def test_an_empty_folder_says_what_to_do(office: Office) -> None:
    browser = await office.signed_in("amy")
    assert "New mail appears here by itself" in (await browser.get("/", follow_redirects=True)).text
    sent = await office.store.read(lambda tx: make.folder(tx, office.organisation.mailboxes["amy"], FolderRole.SENT))
    assert "Nothing in this folder" in (await browser.get(f"/mail/{sent.id}")).text


async def test_who_has_no_mailbox_is_told_whom_to_ask(office: Office) -> None:
    mailbox_id = office.organisation.mailboxes["bob"]
    await office.store.write(lambda tx: quota.change_status(tx, SYSTEM, mailbox_id, MailboxStatus.DISABLED))
    page = await (await office.signed_in("bob")).get("/")
    assert "Ask your administrator" in page.text


async def test_public_mailboxes_stand_beside_ones_own(office: Office) -> None:
    support = await office.inbox("support")
    await office.deliver(make.mail(subject="A question"), "support@corp.example")
    browser = await office.signed_in("amy")
    assert support in (await browser.get("/", follow_redirects=True)).text
    assert "A question" in (await browser.get(support)).text
    assert support not in (await (await office.signed_in("bob")).get("/", follow_redirects=True)).text


async def test_one_mail_with_its_people_in_any_script(office: Office) -> None:
    subject = "=?gb18030?B?" + base64.b64encode("会议通知".encode("gb18030")).decode() + "?="
    mail = make.mail(
        subject=subject,
        sender="=?utf-8?Q?=E5=BC=A0=E4=B8=89?= <zhang@out.example>",
        more=[
            "Cc: Di <di@out.example>, ed@out.example",
            "Reply-To: list@out.example",
            "Date: Fri, 13 Jun 2025 09:30:00 +0800",
        ],
        body="See https://example.com/a?b=1&c=2. <b>not bold</b>\r\n",
    )
    await office.deliver(mail)
    page = (await (await office.signed_in("amy")).get(await _only_mail(office))).text
    for shown in (
        "会议通知",
        "张三",
        "zhang@out.example",
        "ed@out.example",
        "list@out.example",
        "2025-06-13T01:30:00Z",
    ):
        assert shown in page
    assert '<a href="https://example.com/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer">' in page
    assert "&lt;b&gt;not bold" in page


async def test_signs_that_turn_the_writing_do_not_reach_the_page(office: Office) -> None:
    await office.deliver(
        make.multipart(
            (["Content-Type: text/plain"], "x"),
            (["Content-Disposition: attachment; filename*=utf-8''%E2%80%AEgpj.exe"], "x"),
            subject="a \u202e b",
        )
    )
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    for path in (mail, await office.inbox("amy")):
        assert "\u202e" not in (await browser.get(path)).text
    assert "<bdi>gpj.exe</bdi>" in (await browser.get(mail)).text
    assert (await browser.get(f"{mail}/parts/2")).headers["content-disposition"].endswith("''gpj.exe")


async def test_looking_changes_nothing_and_the_page_itself_says_that_it_was_seen(office: Office) -> None:
    await office.deliver(make.mail())
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    page = (await browser.get(mail)).text
    assert f'hx-post="{mail}/seen" hx-trigger="load"' in page
    assert "1 unseen" in (await browser.get(await office.inbox("amy"))).text
    assert (await browser.post(f"{mail}/seen")).status_code == 204
    assert "unseen" not in (await browser.get(await office.inbox("amy"))).text
    assert "/seen" not in (await browser.get(mail)).text


async def test_html_is_shown_in_a_frame_that_can_do_nothing(office: Office) -> None:
    body = '<p onclick="x()">Hello <img src="http://spy.example/1.png"><script>alert(1)</script></p>'
    await office.deliver(make.mail(more=["MIME-Version: 1.0", HTML], body=body))
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    page = (await browser.get(mail)).text
    assert f'sandbox="allow-popups allow-popups-to-escape-sandbox" src="{mail}/html"' in page
    frame = await browser.get(f"{mail}/html")
    assert "<p>Hello <img></p>" in frame.text
    assert "1 remote picture blocked" in frame.text
    policy = frame.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert "script-src" not in policy
    assert "http" not in policy


async def test_the_same_text_in_two_forms_is_shown_once_and_either_way(office: Office) -> None:
    await office.deliver(
        make.multipart((["Content-Type: text/plain"], "Plain words"), ([HTML], "<b>Rich words</b>"), kind="alternative")
    )
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    assert "<iframe" in (await browser.get(mail)).text
    plain = (await browser.get(f"{mail}?view=text")).text
    assert "Plain words" in plain
    assert "<iframe" not in plain
    assert "attachment" not in plain


async def test_text_that_is_not_another_form_is_not_lost(office: Office) -> None:
    await office.deliver(
        make.multipart((["Content-Type: text/plain"], "The letter"), (["Content-Type: text/html"], "<p>A footer</p>"))
    )
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    page = (await browser.get(mail)).text
    assert "The letter" in page
    assert "1 attachment" in page
    assert "A footer" in (await browser.get(f"{mail}/parts/2")).text


async def test_pictures_of_the_mails_own_come_within_the_frame(office: Office) -> None:
    picture = base64.encodebytes(PNG).replace(b"\n", b"\r\n")
    await office.deliver(
        make.multipart(
            ([HTML], '<img src="cid:a%40b"><img src="CID:gone"><img src="cid:x">'),
            (["Content-Type: image/png", "Content-ID: <a@b>", "Content-Transfer-Encoding: base64"], picture),
            (["Content-Type: image/svg+xml", "Content-ID: <x>"], "<svg onload=alert(1)>"),
            kind="related",
        )
    )
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    frame = (await browser.get(f"{mail}/html")).text
    assert f'src="data:image/png;base64,{base64.b64encode(PNG).decode()}"' in frame
    assert "svg" not in frame
    assert "blocked" not in frame


async def test_an_attachment_is_only_for_keeping(office: Office) -> None:
    octets = bytes(range(256)) * 1000
    await office.deliver(
        make.multipart(
            (["Content-Type: text/plain"], "see"),
            (
                [
                    "Content-Type: text/html",
                    "Content-Disposition: attachment; filename*=utf-8''%E6%8A%A5%22%20%E8%A1%A8.html",
                    "Content-Transfer-Encoding: base64",
                ],
                base64.encodebytes(octets),
            ),
        )
    )
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    link = paths((await browser.get(mail)).text, rf"{mail}/parts/\d+")[0]
    answer = await browser.get(link)
    assert answer.content == octets
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%E6%8A%A5%22%20%E8%A1%A8.html"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_mail_within_the_mail_is_handed_out_whole(office: Office) -> None:
    inner = make.mail(subject="Inner").decode()
    await office.deliver(
        make.multipart((["Content-Type: text/plain"], "fwd"), (["Content-Type: message/rfc822"], inner))
    )
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    answer = await browser.get(f"{mail}/parts/2")
    assert "Subject: Inner" in answer.text
    assert answer.headers["content-disposition"].endswith("2.eml")


async def test_a_large_mail_goes_out_as_it_came(office: Office) -> None:
    octets = make.mail(size=3_000_000)
    await office.deliver(octets)
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    answer = await browser.get(f"{mail}/original")
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(octets).digest()
    assert answer.headers["content-length"] == str(len(octets))
    page = (await browser.get(mail)).text
    assert len(page) < 1_200_000
    assert "only its beginning is shown" in page


async def test_headers_as_they_came(office: Office) -> None:
    await office.deliver(make.mail(more=["X-Odd: <script>"]))
    answer = await (await office.signed_in("amy")).get(f"{await _only_mail(office)}/headers")
    assert "X-Odd: <script>\r\n" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


async def test_an_encrypted_mail_says_that_it_has_no_text(office: Office) -> None:
    parts = (
        (["Content-Type: application/pgp-encrypted"], "Version: 1"),
        (["Content-Type: application/octet-stream"], "x"),
    )
    await office.deliver(make.multipart(*parts, kind="encrypted"))
    page = (await (await office.signed_in("amy")).get(await _only_mail(office))).text
    assert "This mail has no text to show" in page
    assert "2 attachments" in page


PIECES = ("", "/html", "/headers", "/original", "/parts/0", "/parts/1")


@pytest.mark.parametrize("piece", PIECES)
async def test_another_members_mail_is_not_there(office: Office, piece: str) -> None:
    await office.deliver(make.multipart(([HTML], "<p>secret</p>")), "amy@corp.example")
    path, bob = await _only_mail(office) + piece, await office.signed_in("bob")
    answer = await bob.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text
    # It says no more than for a folder that there never was.
    folder = path.split("/")[2]
    nowhere = (await bob.get(path.replace(f"/mail/{folder}", "/mail/777777777"))).text
    assert nowhere.replace("777777777", folder) == answer.text
    assert (await office.browser().get(path)).status_code == 303


async def test_another_members_folder_marks_and_news_are_not_there(office: Office) -> None:
    await office.deliver(make.mail(), "amy@corp.example")
    mail, inbox = await _only_mail(office), await office.inbox("amy")
    bob = await office.signed_in("bob")
    assert (await bob.get(inbox)).status_code == 404
    assert (await bob.post(f"{mail}/seen")).status_code == 404
    assert (await bob.get(f"/mail/events?mailbox={office.organisation.mailboxes['amy']}")).status_code == 404
    assert (await bob.get(f"/mail/events?mailbox={office.organisation.mailboxes['support']}")).status_code == 404
    assert "1 unseen" in (await (await office.signed_in("amy")).get(inbox)).text


@pytest.mark.parametrize("odd", ["0", "99999999999999999999", "-1", "1e3", "٣", "x"])
async def test_numbers_that_are_none(office: Office, odd: str) -> None:
    browser = await office.signed_in("amy")
    inbox = await office.inbox("amy")
    for path in (f"/mail/{odd}", f"{inbox}/{odd}", f"{inbox}/{odd}/html", f"/mail/events?mailbox={odd}"):
        assert (await browser.get(path)).status_code == 404
    if odd != "0":
        assert (await browser.get(f"{inbox}?before={odd}")).status_code == 404


async def test_a_part_that_is_not_there(office: Office) -> None:
    await office.deliver(make.mail())
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    assert (await browser.get(f"{mail}/parts/5")).status_code == 404
    assert (await browser.get(f"{mail}/html")).status_code == 404


async def test_a_disabled_public_mailbox_is_gone_from_the_side(office: Office) -> None:
    support, mailbox_id = await office.inbox("support"), MailboxId(office.organisation.mailboxes["support"])
    await office.store.write(lambda tx: quota.change_status(tx, SYSTEM, mailbox_id, MailboxStatus.DISABLED))
    browser = await office.signed_in("amy")
    assert support not in (await browser.get("/", follow_redirects=True)).text
    assert (await browser.get(support)).status_code == 404


async def test_a_very_long_subject_and_sender_are_cut(office: Office) -> None:
    folded = "\r\n ".join(["<" * 70] * 1000)
    await office.deliver(make.mail(subject=folded, sender=f'"{folded}" <bob@out.example>'))
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    for path in (await office.inbox("amy"), mail):
        page = (await browser.get(path)).text
        assert "…</bdi>" in page
        assert len(page) < 50_000


async def test_a_header_that_names_its_sender_without_end_is_read_only_so_far(office: Office) -> None:
    await office.deliver(make.mail(sender="", more=[f"From: a{number}@out.example" for number in range(5000)]))
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    page = (await browser.get(mail)).text
    assert "a9@out.example" in page
    assert "a10@out.example" not in page


async def test_a_very_long_text_is_shown_in_part(office: Office) -> None:
    await office.deliver(make.mail(body="http://a.example/ \r\n" * 50_000))
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    page = (await browser.get(mail)).text
    assert "only its beginning is shown" in page
    assert len(page) < 1_000_000


async def test_html_that_names_very_many_pictures_of_very_many_is_shown_soon(office: Office) -> None:
    html = "".join(f'<img src="cid:q{number}">' for number in range(5000))
    parts = [([HTML], html), *((["Content-Type: image/png", f"Content-ID: <a{number}>"], "") for number in range(5000))]
    await office.deliver(make.multipart(*parts, kind="related"))
    browser, mail = await office.signed_in("amy"), await _only_mail(office)
    async with asyncio.timeout(5):
        assert (await browser.get(f"{mail}/html")).status_code == 200
