# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""From a mail handed over by SMTP to the push that tells of it, on every store (spec 1.3, field by field)."""

from __future__ import annotations

import json
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest

from mailroom.sandbox.behaviour import Behaviour
from tests.walks.town import Town

PUSH_KEYS = ["to", "msgid", "sender", "from", "subject", "body", "attachnum", "attachlist"]


def letter(**headers: str) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    named = {"From": "Bob Li <bob@out.example>", "To": "amy@corp.example", "Message-ID": "<20240501.1@out.example>"}
    for name, value in (named | headers).items():
        mail[name.replace("_", "-")] = value
    return mail


@pytest.mark.parametrize("form", ["json", "xml", "form"])
async def test_each_format_carries_the_eight_fields(town: Town, form: str) -> None:
    await town.push_to("crm", push_format=form)
    mail = letter(Subject="报价 Q2")
    mail.set_content("Hi Amy,\nplease find …\n")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="报价.pdf")
    mail.add_attachment(b"PK", maintype="application", subtype="zip", filename="terms.docx")
    await town.send(mail.as_bytes(), ["amy@corp.example"])

    [received] = await town.pushed(1)

    assert received.problem == ""
    assert received.push == {
        "to": "amy@corp.example",
        "msgid": "<20240501.1@out.example>",
        "sender": "bounce@out.example",
        "from": "Bob Li <bob@out.example>",
        "subject": "报价 Q2",
        "body": "Hi Amy,\nplease find …",
        "attachnum": 2,
        "attachlist": "报价.pdf||terms.docx",
    }
    match form:
        case "json":
            assert list(json.loads(received.body)) == PUSH_KEYS
        case "xml":
            assert [child.tag for child in ET.fromstring(received.body)] == [  # our own server's
                "To",
                "MsgId",
                "Sender",
                "From",
                "Subject",
                "Body",
                "AttachNum",
                "AttachList",
            ]
        case _:
            assert [key for key, _ in parse_qsl(received.body.decode())] == [f"wm_{key}" for key in PUSH_KEYS]


async def test_an_html_only_mail_is_pushed_as_text(town: Town) -> None:
    await town.push_to("crm")
    mail = letter(Subject="News")
    mail.set_content(
        "<html><head><style>p{}</style></head><body><p>Price &lt; 5&nbsp;€</p><script>x()</script></body></html>",
        subtype="html",
    )
    await town.send(mail.as_bytes(), ["amy@corp.example"])
    [received] = await town.pushed(1)
    assert received.push
    body = str(received.push["body"])
    assert "Price < 5" in body
    assert "x()" not in body
    assert "p{}" not in body


async def test_headers_in_raw_eight_bit_are_read(town: Town) -> None:
    await town.push_to("crm")
    utf8 = "From: 李雷 <li@out.example>\r\nSubject: 会议 A\r\nMessage-ID: <u@x>\r\n\r\n明天见\r\n".encode()
    gbk = "From: 李雷 <li@out.example>\r\nSubject: 关于明天下午的会议安排\r\nMessage-ID: <g@x>\r\n\r\n你好\r\n".encode(
        "gb18030"
    )
    for mail in (utf8, gbk):
        await town.send(mail, ["amy@corp.example"])
    pushes = {str(one.push["msgid"]): one.push for one in await town.pushed(2) if one.push}
    assert pushes["<u@x>"]["from"] == "李雷 <li@out.example>"
    assert pushes["<u@x>"]["subject"] == "会议 A"
    assert pushes["<u@x>"]["body"] == "明天见"
    assert pushes["<g@x>"]["subject"] == "关于明天下午的会议安排"


async def test_a_mail_without_message_id_is_given_one(town: Town) -> None:
    await town.push_to("crm")
    await town.send(b"From: bob@out.example\r\n\r\nhi\r\n", ["amy@corp.example"])
    [received] = await town.pushed(1)
    assert received.push
    msgid = str(received.push["msgid"])
    assert msgid.startswith("<")
    assert msgid.endswith("@mx.corp.example>")
    assert received.push["subject"] == ""


async def test_each_mailbox_of_a_mail_to_several_is_told_of_once(town: Town) -> None:
    await town.push_to("crm")
    mail = letter(Subject="All", To="Team: amy@corp.example, bob@corp.example;")
    mail.set_content("Hello")
    await town.send(
        mail.as_bytes(),
        ["amy@corp.example", "AMY@Corp.Example", "amy+lists@corp.example", "bob@corp.example", "sales@corp.example"],
        sender="",
    )
    received = await town.pushed(3)
    assert sorted(one.to for one in received) == ["amy@corp.example", "bob@corp.example", "sales@corp.example"]
    assert {one.push["msgid"] for one in received if one.push} == {"<20240501.1@out.example>"}
    assert {one.push["sender"] for one in received if one.push} == {""}
    assert len({one.headers["webhook-id"] for one in received}) == 3


async def test_the_body_ends_after_512_code_points(town: Town) -> None:
    await town.push_to("crm")
    mail = letter(Subject="Long")
    mail.set_content("汉😀" * 1000, cte="base64")
    await town.send(mail.as_bytes(), ["amy@corp.example"])
    [received] = await town.pushed(1)
    assert received.push
    assert received.push["body"] == "汉😀" * 256


async def test_a_push_is_signed_and_repeated_under_the_same_id_until_it_is_taken(town: Town) -> None:
    town.sandbox.receivers.trust("crm", "a-secret-of-ours")
    town.sandbox.receivers.behave("crm", Behaviour(status=500))
    await town.push_to("crm", push_secret="a-secret-of-ours")
    mail = letter(Subject="Twice")
    mail.set_content("Hello")
    await town.send(mail.as_bytes(), ["amy@corp.example"])
    first, second = await town.pushed(2)
    assert first.signed
    assert second.signed
    assert second.repeat
    assert first.body == second.body


async def test_no_push_url_no_push_and_no_harm(town: Town) -> None:
    mail = letter(Subject="Quiet")
    mail.set_content("Hello")
    await town.send(mail.as_bytes(), ["amy@corp.example"])
    await town.settled()
    await town.push_to("crm")
    mail.replace_header("Subject", "Loud")
    await town.send(mail.as_bytes(), ["amy@corp.example"])
    [received] = await town.pushed(1)
    assert received.push
    assert received.push["subject"] == "Loud"
