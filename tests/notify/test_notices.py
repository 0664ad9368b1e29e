# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""From a new mail to what a phone is told of it: who hears, of what, when, how often, and what is taken back."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.core.errors import InvalidValue, NotFound, NotResendable, NumberNotPermitted
from mailroom.core.ids import RecipientId
from mailroom.directory import members
from mailroom.directory.model import SYSTEM, MemberStatus
from mailroom.events import outbox
from mailroom.events.facts import MailArrived
from mailroom.mailboxes import change, leave, read, reassign, recycle
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import Flag, FolderRole, Marks
from mailroom.mailboxes.uids import EVERY
from mailroom.messaging import log, queries, receipts, send
from mailroom.messaging.model import Origin
from mailroom.messaging.states import News, State
from mailroom.notify import linking, new_mail, preferences, settings
from mailroom.notify import log as notify_log
from mailroom.notify.log import Wanted
from mailroom.notify.model import LinkState, Quiet, Way
from mailroom.senders.contract import Outcome, Refused, Scope, TryLater, Unknown, Why
from mailroom.senders.note import Note
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Tx
from tests import make
from tests.mailboxes.test_locks import WAITING
from tests.messaging import kinds
from tests.notify import phones
from tests.notify.phones import NUMBER, Bureau
from tests.stores import Watch


async def see(bureau: Bureau, userid: str = "amy") -> None:
    """Read all that lies in the inbox."""

    def work(tx: Tx) -> None:
        folder = make.folder(tx, bureau.mailbox(userid))
        change.mark(tx, folder.id, EVERY, How.ADD, Marks(Flag.SEEN))

    await bureau.store.write(work)


async def test_nobody_who_has_not_asked_hears_anything(bureau: Bureau) -> None:
    await bureau.deliver()
    assert await bureau.round() == 0
    assert await bureau.entries() == []


async def test_a_mail_is_told_of_in_every_way_that_is_on(bureau: Bureau) -> None:
    for way in (Way.SMS, Way.WECOM, Way.DINGTALK, Way.FEISHU):
        await bureau.link("amy", way)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver(make.mail(subject="报价 Q2"))
    await bureau.round()
    inbox = await bureau.store.read(lambda tx: make.folder(tx, bureau.mailbox("amy")))
    for kind, address in (("wecom", "amy"), ("dingtalk", "amy"), ("feishu", "amy"), ("sms_gateway", NUMBER)):
        [parcel] = bureau.parcels(kind)
        assert parcel.address == address
        assert parcel.content["url"] == f"https://mail.corp.example/mail/{inbox.id}/1"
        assert parcel.content["values"]["subject"] == "报价 Q2"
        assert parcel.content["values"]["fromname"] == "Bob Li"
        assert parcel.content["values"]["sender"] == "bounce@out.example"
        assert parcel.content["values"]["count"] == "1"
    assert bureau.parcels("wecom")[0].content["text"] == "Bob Li 发来新邮件：报价 Q2"
    assert ("发件人", "Bob Li <bob@out.example>") in [tuple(row) for row in bureau.parcels("wecom")[0].content["rows"]]
    assert bureau.parcels("sms_gateway")[0].content["text"] == "您有新邮件，请登录邮箱查看。"
    [entry] = [one for one in await bureau.entries() if one.kind == "wecom"]
    assert (entry.state, entry.trace, entry.mailbox_id, entry.member_id) == (
        State.SENT, "<1@out.example>", bureau.mailbox("amy"), bureau.member("amy").id,
    )  # fmt: skip  # a table


async def test_a_member_is_spoken_to_in_his_language(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.store.write(lambda tx: tx.run(schema.members.update().values(language="en")))
    await bureau.deliver()
    await bureau.round()
    [parcel] = bureau.parcels("wecom")
    assert parcel.content["text"] == "New mail from Bob Li: Hello"


async def test_sms_of_ones_own_mailbox_and_any_of_a_public_one_begin_when_they_are_chosen(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver(None, "amy@corp.example", "sales@corp.example")
    await bureau.round()
    assert [len(bureau.parcels(kind)) for kind in ("sms_gateway", "wecom")] == [0, 1]
    await bureau.switch("amy", "sales", Way.WECOM)
    await bureau.deliver(None, "sales@corp.example")
    bureau.later(MINUTE)
    await bureau.round()
    assert bureau.parcels("wecom")[-1].content["values"]["to"] == "sales@corp.example"


async def test_everybody_who_uses_a_public_mailbox_hears_for_himself(bureau: Bureau) -> None:
    for userid in ("amy", "bob"):
        await bureau.link(userid, Way.WECOM)
        await bureau.switch(userid, "sales", Way.WECOM)
    await bureau.deliver(None, "sales@corp.example")
    await bureau.round()
    assert sorted(one.address for one in bureau.parcels("wecom")) == ["amy", "bob"]


async def test_what_is_no_new_mail_tells_nobody(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)

    def work(tx: Tx) -> None:
        for role in (FolderRole.INBOX, FolderRole.DRAFTS, FolderRole.SENT, FolderRole.TRASH, FolderRole.JUNK):
            make.appended(tx, make.folder(tx, bureau.mailbox("amy"), role).id)

    await bureau.store.write(work)
    await bureau.settle()
    assert await bureau.entries() == []


async def test_a_burst_becomes_one_notice_with_its_count(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver(make.mail(subject="first"))
    await bureau.round()
    for number in range(5):
        bureau.later(SECOND)
        await bureau.deliver(make.mail(subject=f"then {number}", message_id=f"<{number}@out.example>"))
    assert await bureau.round() == 0
    bureau.later(10 * SECOND)
    assert await bureau.round() == 1
    parcel = bureau.parcels("wecom")[-1]
    assert parcel.content["values"]["count"] == "5"
    assert parcel.content["text"] == "您有 5 封新邮件，最近一封来自 Bob Li：then 4"
    assert ("新邮件数", "5") in [tuple(row) for row in parcel.content["rows"]]
    inbox = await bureau.store.read(lambda tx: make.folder(tx, bureau.mailbox("amy")))
    assert parcel.content["url"] == f"https://mail.corp.example/mail/{inbox.id}"


async def test_words_without_a_place_for_the_count_say_it_where_the_subject_stands(bureau: Bureau) -> None:
    await bureau.change({"content_sms": "{fromname}: {subject}"})
    for way in (Way.SMS, Way.WECOM):
        await bureau.link("amy", way)
    await bureau.switch("amy", "amy", Way.SMS)
    for number in range(3):
        await bureau.deliver(make.mail(subject=f"mail {number}", message_id=f"<{number}@out.example>"))
        await bureau.round()
    bureau.later(MINUTE)
    await bureau.round()
    texts = [one.content["text"] for one in bureau.parcels("sms_gateway")]
    assert texts == ["Bob Li: mail 0", "Bob Li: （2 封新邮件）mail 2"]
    assert bureau.parcels("wecom")[-1].content["values"]["subject"] == "（2 封新邮件）mail 2"


async def test_numbers_of_other_countries_are_told_nothing(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver()
    await bureau.change({"sms_prefixes": "+852, +1"})
    await bureau.round()
    assert await bureau.states() == [("sms_gateway", "cancelled", "not_permitted")]
    assert await bureau.used("amy") == 0
    bureau.later(MINUTE)
    with pytest.raises(NumberNotPermitted):
        await bureau.linking.send_code(bureau.member("amy"), NUMBER)
    await bureau.change({"sms_prefixes": "+852,+86"})
    await bureau.linking.send_code(bureau.member("amy"), NUMBER)


async def test_what_waits_for_a_sender_that_does_not_work_is_given_up(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver()
    give_up = partial(log.give_up, limit=9)
    assert await bureau.store.write(lambda tx: give_up(tx, before=tx.now)) == 0
    bureau.later(DAY)
    assert await bureau.store.write(lambda tx: give_up(tx, before=tx.now)) == 1
    await bureau.settle()
    assert await bureau.states() == [("sms_gateway", "cancelled", "late")]
    assert await bureau.used("amy") == 0


async def test_what_is_sent_again_goes_to_nobody_who_is_unlinked(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    bureau.kind("wecom").answers["amy"] = [Refused("1", "no")]
    await bureau.deliver()
    await bureau.round()
    [entry] = await bureau.entries()
    await bureau.store.write(lambda tx: preferences.unlink(tx, bureau.member("amy"), Way.WECOM))
    await bureau.store.write(lambda tx: notify_log.resend(tx, SYSTEM, entry.id))
    await bureau.round()
    assert await bureau.states() == [("wecom", "cancelled", "unlinked")]


async def test_a_chat_account_is_told_no_more_often_than_its_provider_allows(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    for name in ("amy", "sales"):
        await bureau.switch("amy", name, Way.WECOM)
    for _ in range(30):  # half a minute of a mail a second, to each of two mailboxes
        bureau.later(SECOND)
        await bureau.deliver(None, "amy@corp.example", "sales@corp.example")
        await bureau.round()
    assert 3 <= len(bureau.parcels("wecom")) <= 4


async def test_what_has_been_read_meanwhile_is_not_told(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver()
    assert await bureau.used("amy") == 1
    await see(bureau)
    await bureau.round()
    assert bureau.parcels("sms_gateway") == []
    assert await bureau.states() == [("sms_gateway", "cancelled", "read")]
    assert await bureau.used("amy") == 0


async def test_of_a_burst_only_what_is_unread_is_counted(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver(make.mail(subject="old"))
    await see(bureau)
    await bureau.deliver(make.mail(subject="new"))
    await bureau.round()
    [parcel] = bureau.parcels("wecom")
    assert (parcel.content["values"]["count"], parcel.content["values"]["subject"]) == ("1", "new")


async def test_what_was_moved_or_removed_is_not_told(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver()

    def work(tx: Tx) -> None:
        folder = make.folder(tx, bureau.mailbox("amy"))
        change.mark(tx, folder.id, EVERY, How.ADD, Marks(Flag.DELETED))
        change.expunge(tx, folder.id)

    await bureau.store.write(work)
    await bureau.round()
    assert await bureau.states() == [("wecom", "cancelled", "read")]


async def test_a_retry_says_the_same_unless_the_mail_has_been_read(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    bureau.kind("wecom").answers["amy"] = [TryLater("45009", "busy"), TryLater("45009", "busy")]
    await bureau.deliver(make.mail(subject="first"))
    await bureau.round()
    await bureau.deliver(make.mail(subject="second"))  # too late to join it
    bureau.later(11 * SECOND)
    await bureau.round()
    one, again, other = bureau.parcels("wecom")
    assert again.code == one.code != other.code
    assert Note.read(again.content) == Note.read(one.content)
    assert other.content["values"]["subject"] == "second"
    await see(bureau)
    bureau.later(HOUR)
    await bureau.round()
    assert await bureau.states() == [("wecom", "cancelled", "read"), ("wecom", "sent", "")]


async def test_what_waited_for_half_a_day_is_no_news(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver()
    bureau.later(13 * HOUR)
    await bureau.round()
    assert await bureau.states() == [("wecom", "cancelled", "late")]


@pytest.mark.usefixtures("shanghai")
async def test_nobody_is_woken_in_his_quiet_hours(bureau: Bureau) -> None:
    bureau.watch.now = int(datetime(2026, 3, 1, 15, 0, tzinfo=UTC).timestamp()) * SECOND  # 23:00 there
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS, quiet=Quiet(22 * 60, 7 * 60 + 30))
    await bureau.deliver()
    await bureau.deliver()
    assert await bureau.round() == 0
    assert await bureau.used("amy") == 0  # it will be tomorrow's
    bureau.later(8 * HOUR + 29 * MINUTE)
    assert await bureau.round() == 0
    bureau.later(MINUTE)
    assert await bureau.round() == 1
    assert bureau.parcels("sms_gateway")[0].content["values"]["count"] == "2"
    assert await bureau.used("amy") == 1


async def test_only_those_senders_are_told_of_whom_he_names(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.switch("amy", "amy", Way.WECOM, only_from=["boss@corp.example", "*@BIG.example"])
    for sender in ("Bob <bob@out.example>", "*@big.example <x@out.example>", "=?utf-8?B?546L?= <w@big.example>"):
        await bureau.deliver(make.mail(sender=sender))
    await bureau.round()
    [parcel] = bureau.parcels("wecom")
    assert (parcel.content["values"]["from"], parcel.content["values"]["count"]) == ("王 <w@big.example>", "1")


async def test_the_cap_of_a_day_holds_and_a_new_day_begins(bureau: Bureau) -> None:
    await bureau.change({"max_per_day": "2"})
    await bureau.link("amy", Way.SMS)
    await bureau.link("amy", Way.WECOM)
    await bureau.switch("amy", "amy", Way.SMS)
    for _ in range(4):
        await bureau.deliver()
        await bureau.round()
        bureau.later(2 * MINUTE)
    states = [(kind, state, reason) for kind, state, reason in await bureau.states() if kind == "sms_gateway"]
    assert states == [("sms_gateway", "sent", "")] * 2 + [("sms_gateway", "suppressed", "daily_limit")] * 2
    assert len(bureau.parcels("wecom")) == 4
    bureau.later(24 * HOUR)
    await bureau.deliver()
    await bureau.round()
    assert len(bureau.parcels("sms_gateway")) == 3
    assert await bureau.used("amy") == 1
    await bureau.change({"max_per_day": "0"})
    for _ in range(3):
        bureau.later(2 * MINUTE)
        await bureau.deliver()
        await bureau.round()
    assert len(bureau.parcels("sms_gateway")) == 6


@pytest.mark.parametrize(
    ("answer", "used"),
    [
        (Refused("4004", "no such number", why=Why.GONE), 0),
        (Refused("4010", "word", why=Why.CONTENT), 0),
        (Unknown("timeout", "the answer was lost"), 1),
    ],
)
async def test_an_sms_that_was_not_taken_is_not_counted(bureau: Bureau, answer: Refused | Unknown, used: int) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    bureau.kind("sms_gateway").answers[NUMBER] = [answer]
    await bureau.deliver()
    assert await bureau.used("amy") == 1
    await bureau.round()
    assert await bureau.used("amy") == used


async def test_a_failure_gives_back_once_however_often_it_is_sent_again(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver()
    await bureau.round()
    await see(bureau)
    bureau.later(2 * MINUTE)
    bureau.kind("sms_gateway").answers[NUMBER] = [Refused("4010", "word")] * 3
    await bureau.deliver()
    for _ in range(3):
        await bureau.round()
        entry = (await bureau.entries())[-1]
        assert entry.state is State.FAILED
        assert await bureau.used("amy") == 1
        await bureau.store.write(lambda tx, entry=entry: send.resend(tx, entry.id))  # type: ignore[misc]  # a lambda's default


@pytest.mark.parametrize("why", [Why.GONE, Why.OPTED_OUT])
async def test_a_dead_link_is_marked_and_used_no_more(bureau: Bureau, why: Why) -> None:
    await bureau.link("amy", Way.WECOM)
    bureau.kind("wecom").answers["amy"] = [Refused("81013", "gone", why=why)]
    await bureau.deliver()
    await bureau.round()
    [link] = await bureau.store.read(lambda tx: preferences.links(tx, bureau.member("amy")))
    assert (link.state, link.reason) == (LinkState.BROKEN, why.value)
    bureau.later(MINUTE)
    await bureau.deliver()
    assert await bureau.round() == 0
    await bureau.link("amy", Way.WECOM, "amy.new")
    bureau.later(MINUTE)
    await bureau.deliver()
    await bureau.round()
    assert bureau.parcels("wecom")[-1].address == "amy.new"


async def test_what_is_the_accounts_fault_breaks_no_link_and_tells_the_administrator(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    bureau.kind("wecom").answers["amy"] = [TryLater("40001", "bad secret", Scope.SENDER, why=Why.ACCOUNT)]
    await bureau.deliver()
    await bureau.round()
    [link] = await bureau.store.read(lambda tx: preferences.links(tx, bureau.member("amy")))
    assert link.state is LinkState.VALID
    health = await bureau.store.read(bureau.settings.health)
    assert health["notice-wecom"][0].value == "error"
    assert "bad secret" in health["notice-wecom"][1]
    inbox = await bureau.store.read(lambda tx: make.folder(tx, bureau.mailbox("amy")))
    lines = await bureau.store.read(lambda tx: read.headlines(tx, inbox.id, limit=10))
    assert [line.subject for line in lines if "notice-wecom" in line.subject] == [
        "Messages wait, since an account does not work (notice-wecom) / 账号异常，消息正在等待发送（notice-wecom）"
    ]
    bureau.later(2 * MINUTE)
    await bureau.round()
    assert [state for _, state, _ in await bureau.states()] == ["sent"]


async def test_what_waits_for_the_account_takes_up_what_comes_meanwhile(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    bureau.kind("wecom").answers["amy"] = [TryLater("40001", "bad secret", Scope.SENDER, why=Why.ACCOUNT)] * 2
    await bureau.deliver(make.mail(subject="first"))
    await bureau.round()
    bureau.later(2 * MINUTE)
    await bureau.deliver(make.mail(subject="second"))
    await bureau.round()
    bureau.later(2 * MINUTE)
    await bureau.round()
    assert [one.content["values"]["count"] for one in bureau.parcels("wecom")] == ["1", "2", "2"]
    assert await bureau.states() == [("wecom", "sent", "")]


async def test_the_log_says_when_what_waits_goes_on_and_what_for(bureau: Bureau) -> None:
    async def listed() -> list[tuple[str, int | None, str]]:
        found = await bureau.store.read(lambda tx: notify_log.entries(tx, SYSTEM, Wanted(), limit=9))
        for one in found:
            assert (await bureau.store.read(lambda tx, id_=one.id: notify_log.entry(tx, SYSTEM, id_)))[0] == one  # type: ignore[misc]  # a lambda's default
        return [(one.address, one.next_at, one.reason) for one in reversed(found) if one.origin is Origin.NOTICE]

    for userid in ("amy", "bob"):
        await bureau.link(userid, Way.WECOM)
    bureau.kind("wecom").answers["amy"] = [TryLater("40001", "bad secret", Scope.SENDER, why=Why.ACCOUNT)]
    await bureau.deliver()
    await bureau.round()
    await bureau.deliver(None, "bob@corp.example")
    sender = await bureau.store.read(lambda tx: settings.sender(tx, "wecom"))
    assert sender is not None
    assert sender.paused_until is not None
    assert await listed() == [(userid, sender.paused_until, "40001 bad secret") for userid in ("amy", "bob")]
    await bureau.change({"wechat_mode": "none", "wecom.url": ""})
    assert await listed() == [("amy", None, "40001 bad secret"), ("bob", None, "off")]


async def test_the_log_knows_no_other_kinds_and_speaks_of_notices(bureau: Bureau) -> None:
    with pytest.raises(InvalidValue, match=r"^kind: must be one of sms_gateway, .*wecom, .*webhook$"):
        await bureau.store.read(lambda tx: notify_log.entries(tx, SYSTEM, Wanted(kinds=["pigeon"]), limit=9))
    with pytest.raises(NotFound, match=r"^There is no notice 9999\.$"):
        await bureau.store.write(lambda tx: notify_log.resend(tx, SYSTEM, RecipientId(9999)))
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver()
    [entry] = await bureau.entries()
    with pytest.raises(NotResendable, match=r"^A notice that is queued cannot be sent again\.$"):
        await bureau.store.write(lambda tx: notify_log.resend(tx, SYSTEM, entry.id))


async def test_a_sample_looks_like_no_mail_of_anybodys(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.store.write(lambda tx: linking.test(tx, bureau.member("amy"), Way.WECOM))
    await bureau.round()
    values = bureau.parcels("wecom")[0].content["values"]
    assert (values["fromname"], values["subject"]) == ("Mailroom", "测试")
    assert values["from"].startswith("Mailroom <mailroom@")


async def test_a_sender_that_is_dead_is_told_to_the_administrator(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    bureau.kind("wecom").answers["amy"] = [Refused("40013", "no such corp", Scope.SENDER)]
    await bureau.deliver()
    await bureau.round()
    inbox = await bureau.store.read(lambda tx: make.folder(tx, bureau.mailbox("amy")))
    lines = await bureau.store.read(lambda tx: read.headlines(tx, inbox.id, limit=10))
    assert lines[0].subject == "Notices no longer go out (notice-wecom) / 通知已停止发送（notice-wecom）"
    await bureau.change({"wecom.secret": "new"})
    health = await bureau.store.read(bureau.settings.health)
    assert health["notice-wecom"][0].value == "working"


async def test_who_has_given_up_his_mailbox_hears_no_more_of_it(bureau: Bureau) -> None:
    await bureau.link("bob", Way.WECOM)
    await bureau.deliver(None, "bob@corp.example")
    await bureau.store.write(lambda tx: reassign.reassign(tx, SYSTEM, bureau.mailbox("bob"), bureau.member("carol")))
    await bureau.link("carol", Way.WECOM)
    await bureau.deliver(None, "bob@corp.example")
    await bureau.round()
    assert [one.address for one in bureau.parcels("wecom")] == ["carol"]
    assert ("wecom", "cancelled", "switched_off") in await bureau.states()


async def test_the_master_switch_holds_back_what_waits_and_what_comes(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver()
    await bureau.change({"enabled": "no"})
    await bureau.deliver()
    await bureau.round()
    assert await bureau.states() == [("sms_gateway", "cancelled", "off")]
    assert await bureau.used("amy") == 0


async def test_what_waits_goes_by_the_way_that_it_was_queued_for(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.link("amy", Way.WECOM)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver()
    await bureau.change(
        {
            "mobile_transport": "gsm_modem",
            "gsm_modem.url": "x:",
            "wechat_mode": "service_account",
            "service_account.url": "x:",
        }
    )
    await bureau.round()
    assert [len(bureau.parcels(kind)) for kind in ("sms_gateway", "sms_modem", "wecom")] == [1, 0, 1]
    bureau.later(2 * MINUTE)
    await bureau.deliver()
    await bureau.round()
    assert [len(bureau.parcels(kind)) for kind in ("sms_gateway", "sms_modem", "wecom")] == [1, 1, 1]


async def test_a_gateway_that_is_dead_holds_up_no_mail_that_comes_after_the_change(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver()
    await bureau.change({"mobile_transport": "gsm_modem", "gsm_modem.url": "x:"})
    await bureau.deliver()
    assert [(one.kind, one.state) for one in await bureau.entries()] == [
        ("sms_gateway", State.QUEUED),
        ("sms_modem", State.QUEUED),
    ]


async def test_another_number_is_told_of_what_comes_after_it_was_given(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver()
    await bureau.link("amy", Way.WECOM, "amy.new")
    await bureau.deliver(make.mail(subject="second"))
    await bureau.round()
    bureau.later(MINUTE)
    await bureau.round()
    [parcel] = bureau.parcels("wecom")
    assert (parcel.address, parcel.content["values"]["subject"]) == ("amy.new", "second")


async def test_the_list_of_users_keeps_the_others_settings_and_lets_them_hear_nothing(bureau: Bureau) -> None:
    for userid in ("amy", "bob"):
        await bureau.link(userid, Way.WECOM)
    await bureau.deliver(None, "bob@corp.example")
    await bureau.change({"user_scope": "listed", "user_list": "AMY@corp.example"})
    await bureau.deliver(None, "amy@corp.example", "bob@corp.example")
    await bureau.round()
    assert [one.address for one in bureau.parcels("wecom")] == ["amy"]
    assert ("wecom", "cancelled", "not_permitted") in await bureau.states()
    await bureau.change({"user_list": "*@corp.example"})
    bureau.later(MINUTE)
    await bureau.deliver(None, "bob@corp.example")
    await bureau.round()
    assert bureau.parcels("wecom")[-1].address == "bob"


async def test_who_uses_the_mailbox_no_more_hears_no_more_of_it(bureau: Bureau) -> None:
    await bureau.link("bob", Way.WECOM)
    await bureau.switch("bob", "sales", Way.WECOM)
    await bureau.deliver(None, "sales@corp.example")
    bob = bureau.member("bob")
    await bureau.store.write(lambda tx: tx.run(schema.access.delete().where(schema.access.c.member_id == bob.id)))
    await bureau.deliver(None, "sales@corp.example")
    await bureau.round()
    assert await bureau.states() == [("wecom", "cancelled", "no_access")]


async def test_who_is_disabled_hears_nothing(bureau: Bureau) -> None:
    await bureau.link("bob", Way.WECOM)
    await bureau.deliver(None, "bob@corp.example")
    await bureau.store.write(lambda tx: members.change_status(tx, SYSTEM, "bob", MemberStatus.DISABLED))
    await bureau.round()
    assert await bureau.states() == [("wecom", "cancelled", "no_access")]


async def test_who_has_left_leaves_no_number_behind(bureau: Bureau) -> None:
    await bureau.link("bob", Way.SMS)
    await bureau.link("bob", Way.WECOM)
    await bureau.switch("bob", "sales", Way.WECOM)
    await bureau.store.write(lambda tx: leave.member(tx, SYSTEM, "bob"))
    await bureau.settle()
    for table in (schema.links, schema.switches, schema.preferences, schema.link_tickets):
        assert await bureau.store.read(lambda tx, table=table: tx.all(select(table))) == [], table.name  # type: ignore[misc]  # a lambda's default


async def test_unlinked_or_switched_off_meanwhile_he_is_not_told(bureau: Bureau) -> None:
    for userid in ("amy", "bob"):
        await bureau.link(userid, Way.WECOM)
    await bureau.deliver(None, "amy@corp.example", "bob@corp.example")
    await bureau.store.write(lambda tx: preferences.unlink(tx, bureau.member("amy"), Way.WECOM))
    await bureau.switch("bob", "bob", Way.WECOM, to=False)
    await bureau.round()
    assert sorted(await bureau.states()) == [("wecom", "cancelled", "switched_off"), ("wecom", "cancelled", "unlinked")]


async def test_strangers_words_do_not_break_out(bureau: Bureau) -> None:
    await bureau.change({"content_wecom": "[{fromname}] {subject} {body} {count}"})
    await bureau.link("amy", Way.WECOM)
    hostile = "=?utf-8?B?" + "e3NlbmRlcn0K4oCueOKAqHkbWzMxbQ==" + "?="  # {sender}\n<RLO>x<LS>y<ESC>[31m
    await bureau.deliver(make.mail(subject=hostile, sender="Bob <b@out.example>", body="one\r\n\r\ntwo"))
    await bureau.round()
    [parcel] = bureau.parcels("wecom")
    assert parcel.content["text"] == "[Bob] {sender} x y [31m one two 1"


@pytest.mark.parametrize(("segments", "most"), [("1", 70), ("2", 134), ("3", 201)])
async def test_an_sms_is_cut_to_its_segments(bureau: Bureau, segments: str, most: int) -> None:
    await bureau.change({"content_sms": "{fromname}: {subject}", "sms_segments": segments})
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver(make.mail(subject="报" * 199))
    await bureau.round()
    [parcel] = bureau.parcels("sms_gateway")
    assert len(parcel.content["text"]) == most
    assert parcel.content["text"].startswith("Bob Li: 报报")


async def test_nobody_but_the_administrator_signs_an_sms(bureau: Bureau) -> None:
    await bureau.change({"content_sms": "【Corp】{fromname}: {subject}"})
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver(make.mail(subject="【Bank】 call us"))
    await bureau.round()
    assert [one.content["text"] for one in bureau.parcels("sms_gateway")] == ["【Corp】Bob Li: [Bank] call us"]


async def test_wecom_is_cut_to_its_octets(bureau: Bureau) -> None:
    await bureau.change({"content_wecom": "{body}{body}{body}"})
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver(make.mail(body="报" * 600))
    await bureau.round()
    [parcel] = bureau.parcels("wecom")
    assert parcel.content["text"] == "报" * (2048 // 3)


async def test_a_mailbox_that_goes_takes_its_switches_along(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.switch("amy", "sales", Way.WECOM)
    sales = bureau.mailbox("sales")

    def kept(tx: Tx) -> int:
        tables = (schema.switches, schema.preferences)
        return sum(len(tx.all(select(table).where(table.c.mailbox_id == sales))) for table in tables)

    assert await bureau.store.read(kept) == 2
    await bureau.store.write(lambda tx: recycle.remove(tx, SYSTEM, sales))
    assert await bureau.store.read(kept) == 0


async def test_the_log_finds_what_is_a_members(bureau: Bureau) -> None:
    for userid in ("amy", "bob"):
        await bureau.link(userid, Way.WECOM)
    await bureau.deliver(None, "amy@corp.example", "bob@corp.example")
    await bureau.round()
    of_bob = await bureau.store.read(lambda tx: log.entries(tx, member_id=bureau.member("bob").id, limit=9))
    assert [one.address for one in of_bob] == ["bob"]


@pytest.mark.usefixtures("shanghai")
async def test_quiet_hours_of_one_mailbox_hold_up_nothing_of_another(bureau: Bureau) -> None:
    bureau.watch.now = int(datetime(2026, 3, 1, 15, 0, tzinfo=UTC).timestamp()) * SECOND  # 23:00 there
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS, quiet=Quiet(22 * 60, 7 * 60 + 30))
    await bureau.switch("amy", "sales", Way.SMS)
    await bureau.deliver(None, "amy@corp.example")
    await bureau.deliver(None, "sales@corp.example")
    assert await bureau.round() == 1
    assert bureau.parcels("sms_gateway")[0].content["values"]["to"] == "sales@corp.example"
    await bureau.deliver(None, "sales@corp.example")
    assert await bureau.round() == 0  # the pause after a notice is kept


async def test_a_clock_that_was_put_back_holds_up_no_notice(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver()
    await bureau.round()
    bureau.later(-12 * HOUR)
    await bureau.deliver()
    assert await bureau.round() == 1


async def test_what_was_tried_and_then_waited_for_half_a_day_is_no_news(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    bureau.kind("wecom").answers["amy"] = [
        TryLater("45009", "busy"),
        TryLater("40001", "bad secret", Scope.SENDER, why=Why.ACCOUNT),
    ]
    await bureau.deliver()
    await bureau.round()
    bureau.later(MINUTE)
    await bureau.round()
    bureau.later(13 * HOUR)
    await bureau.round()
    assert len(bureau.parcels("wecom")) == 2
    assert await bureau.states() == [("wecom", "cancelled", "late")]


async def test_a_sender_that_stays_away_collects_no_mails_for_ever(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    bureau.kind("sms_gateway").answers[NUMBER] = [Refused("401", "closed", Scope.SENDER)]
    await bureau.deliver()
    await bureau.round()
    for hours in (1, 40, 20, 1):
        bureau.later(hours * HOUR)
        await bureau.deliver()
        await bureau.round()
    states = [(state, reason) for _, state, reason in await bureau.states()]
    assert states == [("failed", "401 closed"), ("cancelled", "late"), ("queued", "")]
    assert await bureau.used("amy") == 1


@pytest.mark.parametrize("again", [Refused("4010", "word"), Unknown("timeout", "the answer was lost")])
async def test_an_sms_of_which_nobody_knows_counts_also_when_it_is_sent_again(bureau: Bureau, again: Outcome) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    bureau.kind("sms_gateway").answers[NUMBER] = [Unknown("timeout", "the answer was lost"), again]
    await bureau.deliver()
    await bureau.round()
    bureau.later(13 * HOUR)  # it is an administrator who wants it: it is late for nobody
    day = bureau.watch.now
    [entry] = await bureau.entries()
    await bureau.store.write(lambda tx: notify_log.resend(tx, SYSTEM, entry.id))
    await bureau.round()
    assert len(bureau.parcels("sms_gateway")) == 2
    bureau.watch.now = day - 13 * HOUR
    assert await bureau.used("amy") == 1


async def test_what_failed_and_has_arrived_all_the_same_counts(bureau: Bureau) -> None:
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    bureau.kind("sms_gateway").answers[NUMBER] = [Refused("4010", "word")]
    await bureau.deliver()
    await kinds.round_(bureau.dispatch)
    [entry] = await bureau.entries()
    await bureau.store.write(lambda tx: receipts.hear(tx, entry.id, receipts.Receipt("", News.ARRIVED)))
    await bureau.settle()
    assert await bureau.used("amy") == 1


async def test_who_died_before_the_words_were_made_has_told_nobody(bureau: Bureau) -> None:
    await bureau.link("amy", Way.WECOM)
    await bureau.deliver(make.mail(subject="first"))

    def die(tx: Tx) -> None:
        [sender] = queries.senders.due(tx, kinds=["wecom"])
        assert queries.recipients.claim(tx, sender.id, lease="dead", until=tx.now + MINUTE, limit=9)

    await bureau.store.write(die)
    bureau.later(MINUTE)
    await bureau.round()
    [parcel] = bureau.parcels("wecom")
    assert Note.read(parcel.content).values["subject"] == "first"


@pytest.mark.parametrize(("segments", "most"), [("1", 70), ("2", 134)])
async def test_an_sms_of_pictures_is_cut_to_its_segments(bureau: Bureau, segments: str, most: int) -> None:
    await bureau.change({"content_sms": "{subject}", "sms_segments": segments})
    await bureau.link("amy", Way.SMS)
    await bureau.switch("amy", "amy", Way.SMS)
    await bureau.deliver(make.mail(subject="😀" * 199))
    await bureau.round()
    [parcel] = bureau.parcels("sms_gateway")
    assert most - 1 <= len(parcel.content["text"].encode("utf-16-be")) // 2 <= most


async def test_two_nodes_make_one_notice_of_a_burst(postgres_url: str, watch: Watch, tmp_path: Path) -> None:
    store = open_store(postgres_url, watch)
    bureau = await phones.bureau(store, watch, tmp_path)
    await bureau.link("amy", Way.WECOM)
    mails = []
    for number in range(2):
        await make.delivered(bureau.acceptance, make.mail(message_id=f"<{number}@out.example>"), "amy@corp.example")
        [fact] = await store.write(lambda tx: outbox.claim(tx, lease="x", until=tx.now + HOUR, limit=9))
        assert isinstance(fact.fact, MailArrived)
        mails.append(fact.fact)
    began, go = threading.Event(), threading.Event()

    def first(tx: Tx) -> None:
        new_mail.notice(tx, mails[0])
        began.set()
        assert go.wait(10)

    with psycopg.connect(postgres_url, autocommit=True) as watcher:
        one = asyncio.ensure_future(store.write(first))
        while not began.is_set():  # noqa: ASYNC110  # another thread's
            await asyncio.sleep(0.01)
        other = asyncio.ensure_future(store.write(lambda tx: new_mail.notice(tx, mails[1])))
        async with asyncio.timeout(4):
            while watcher.execute(WAITING, [watcher.info.dbname]).fetchone() != (1,):  # noqa: ASYNC110  # another process's
                await asyncio.sleep(0.01)
        go.set()
        await asyncio.gather(one, other)
    await bureau.round()
    assert [parcel.content["values"]["count"] for parcel in bureau.parcels("wecom")] == ["2"]
    assert len(await bureau.entries()) == 1
    await store.close()
