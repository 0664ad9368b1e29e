# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Automatic replies and refusals: to whom, what they say, and that machines never talk to each other."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailroom.core.clock import DAY
from mailroom.delivery import answers, rules
from mailroom.mime import headers
from mailroom.storage.ports import Store
from tests import make
from tests.delivery import town as town_
from tests.delivery.town import Town
from tests.stores import Watch


@pytest.fixture
async def town(store: Store, tmp_path: Path) -> Town:
    return await town_.found(store, tmp_path)


async def last_left(town: Town) -> EmailMessage:
    """The newest mail on its way to others."""
    _, content = (await town.left())[-1]
    assert content["from"] == ""
    return parsed(await town.text(content["mail"]))


def parsed(text: str) -> EmailMessage:
    return email.message_from_string(text, policy=email.policy.default)


NAMES = {"amy@corp.example", "a.li@corp.example"}
TO_AMY = "To: amy@corp.example\r\n"
REPLIED = {
    "to": TO_AMY,
    "cc, an alias, in capitals": "To: x@y.example\r\nCc: Li <A.Li@CORP.example>\r\n",
    "with a tag": "To: amy+shop@corp.example\r\n",
    "said to be by a person": TO_AMY + "Auto-Submitted: no\r\n",
    "precedence of today": TO_AMY + "Precedence: first-class\r\n",
    "resent": "To: x@y.example\r\nResent-To: amy@corp.example\r\n",
}
NOT_REPLIED = {
    "not to her": "To: all@corp.example\r\n",
    "to nobody": "",
    "a machine": TO_AMY + "Auto-Submitted: auto-generated\r\n",
    "a reply": TO_AMY + "Auto-Submitted: (x) auto-replied; y=z\r\n",
    "a list": TO_AMY + "List-Id: <all.corp.example>\r\n",
    "a list by another sign": TO_AMY + "List-Unsubscribe: <https://x.example>\r\n",
    "bulk": TO_AMY + "Precedence: Bulk\r\n",
    "junk": TO_AMY + "Precedence: junk\r\n",
    "list": TO_AMY + "Precedence: list\r\n",
    "asked not to": TO_AMY + "X-Auto-Response-Suppress: DR, OOF, AutoReply\r\n",
}


@pytest.mark.parametrize("case", REPLIED)
def test_a_person_who_wrote_to_her_is_replied_to(case: str) -> None:
    fields = headers.read(REPLIED[case].encode() + b"\r\n")
    assert answers.may_reply(fields, sender="bob@out.example", names=NAMES)


@pytest.mark.parametrize("case", NOT_REPLIED)
def test_anything_else_is_not(case: str) -> None:
    fields = headers.read(NOT_REPLIED[case].encode() + b"\r\n")
    assert not answers.may_reply(fields, sender="bob@out.example", names=NAMES)


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "amy@corp.example",
        "A.Li+x@corp.example",
        "MAILER-DAEMON@out.example",
        "no-reply@out.example",
        "donotreply@out.example",
        "noreply-123@out.example",
        "list-request@out.example",
        "owner-list@out.example",
        "list-bounces@out.example",
        "bounce+amy=corp.example@out.example",
        "postmaster@out.example",
        "LISTSERV@out.example",
        "not an address",
    ],
)
def test_nor_is_a_machine_or_oneself(sender: str) -> None:
    assert not answers.may_reply(headers.read(TO_AMY.encode() + b"\r\n"), sender=sender, names=NAMES)


async def test_an_automatic_reply(town: Town) -> None:
    await town.reply("amy", "I am away.\nWrite to Bob. 谢谢", subject="Away: 出差")
    await town.send("amy@corp.example", sender="bob@out.example")
    [(address, _)] = await town.left()
    reply = await last_left(town)
    assert address == "bob@out.example"
    assert reply["From"] == "Amy <amy@corp.example>"
    assert (reply["To"], reply["Subject"]) == ("bob@out.example", "Away: 出差")
    assert (reply["In-Reply-To"], reply["References"]) == ("<1@out.example>", "<1@out.example>")
    assert reply["Auto-Submitted"] == "auto-replied"
    assert reply["Message-ID"].endswith("@mx.corp.example>")
    assert reply.get_content() == "I am away.\r\nWrite to Bob. 谢谢\r\n"
    assert await town.kept() == {"amy": 1}
    assert await town.is_counted()


async def test_without_a_subject_it_is_about_the_mails(town: Town) -> None:
    await town.reply("amy")
    subject = "=?utf-8?B?5oql5Lu3?= " + "x" * 300
    await town.send("amy@corp.example", mail=make.mail(subject=subject, more=["References: <a@x> <b@x>"]))
    reply = await last_left(town)
    assert reply["Subject"].startswith("Auto: 报价 xxx")
    assert len(reply["Subject"]) <= 200
    assert reply["References"] == "<a@x> <b@x> <1@out.example>"


async def test_nobody_is_replied_to_twice_in_a_week(town: Town, watch: Watch) -> None:
    await town.reply("amy")
    await town.send("amy@corp.example", sender="bob@out.example")
    watch.now += 7 * DAY - 1
    await town.send("amy@corp.example", sender="Bob@Out.example")
    await town.send("amy@corp.example", sender="eve@out.example")
    assert [address for address, _ in await town.left()] == ["bob@out.example", "eve@out.example"]
    watch.now += 1
    await town.send("amy@corp.example", sender="bob@out.example")
    assert len(await town.left()) == 3
    watch.now += 400 * DAY
    await town.store.write(rules.forget)
    await town.send("amy@corp.example", sender="bob@out.example")
    assert len(await town.left()) == 4


async def test_only_in_its_time(town: Town, watch: Watch) -> None:
    await town.reply("amy", begins_at=watch.now + DAY, ends_at=watch.now + 2 * DAY)
    for step, replies in ((0, 0), (DAY - 1, 0), (1, 1), (DAY - 1, 2), (1, 2)):
        watch.now += step
        await town.send("amy@corp.example", sender=f"s{step}x{watch.now}@out.example")
        assert len(await town.left()) == replies
    await town.store.write(lambda tx: rules.reply(tx, town.made.mailboxes["amy"], None))
    assert (await town.acceptance.find("amy@corp.example", size=0)).whom == town.plain("amy")


async def test_two_who_are_away_do_not_talk_to_each_other(town: Town) -> None:
    await town.reply("amy")
    await town.reply("bob")
    mail = make.mail(sender="amy@corp.example", to="bob@corp.example")
    await town.send("bob@corp.example", mail=mail, sender="amy@corp.example")
    # Bob's reply lies with Amy, and that is all.
    assert (await town.kept(), await town.left()) == ({"amy": 1, "bob": 1}, [])
    [reply] = await town.mails("amy")
    assert (reply.subject, reply.sender) == ("Auto: Hello", "Bob <bob@corp.example>")
    assert await town.is_counted()


async def test_a_reply_to_who_forwards_goes_on_and_ends(town: Town) -> None:
    await town.reply("amy")
    await town.forward("bob", "amy@corp.example", "zoe@out.example", keeps=False)
    await town.send("amy@corp.example", sender="bob@corp.example")
    assert await town.kept() == {"amy": 2}
    assert [(address, content["from"]) for address, content in await town.left()] == [("zoe@out.example", "")]


async def test_a_group_is_not_replied_to_for_its_members(town: Town) -> None:
    await town.group("all", "amy@corp.example", "bob@corp.example")
    await town.reply("amy")
    await town.send("all@corp.example")
    assert (await town.kept(), await town.left()) == ({"amy": 1, "bob": 1}, [])


async def test_a_sender_who_is_nobody_stops_nothing(town: Town) -> None:
    await town.reply("amy")
    await town.send("amy@corp.example", sender="gone@corp.example")
    assert (await town.kept(), await town.left()) == ({"amy": 1}, [])


async def test_a_rejected_mail_goes_back_with_the_reason(town: Town) -> None:
    await town.filter("amy", 'require "reject"; reject "No, 谢谢.";')
    await town.send("amy@corp.example", sender="bob@out.example")
    [(address, _)] = await town.left()
    report = await last_left(town)
    assert (await town.kept(), address) == ({}, "bob@out.example")
    assert report.get_content_type() == "multipart/report"
    text, status, returned = report.iter_parts()
    assert isinstance(status, EmailMessage)
    assert "No, 谢谢." in text.get_content()
    assert "Action: failed" in str(status)
    assert "Subject: Hello" in str(returned)
    # Who has no sender cannot be told: the mail is kept.
    await town.send("amy@corp.example", sender="")
    assert (await town.kept(), len(await town.left())) == ({"amy": 1}, 1)


async def test_a_vacation_with_a_mime_entity(town: Town) -> None:
    script = (
        'require "vacation"; vacation :mime :days 1 :subject "x" :from "Bob <bob@corp.example>" text:\r\n'
        "Content-Type: text/html; charset=utf-8\r\nBcc: eve@out.example\r\n x\r\nContent-Language: zh\r\n\r\n"
        "<p>我</p>\r\n..\r\n.\r\n;"
    )
    await town.filter("amy", script)
    await town.send("amy@corp.example")
    reply = await last_left(town)
    assert (reply["From"], reply["Bcc"], reply["Content-Language"]) == ("Amy <amy@corp.example>", None, "zh")
    assert reply.get_content_type() == "text/html"
    assert "<p>我</p>\r\n.\r\n" in await town.text((await town.left())[-1][1]["mail"])
