# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""From a mail handed in by SMTP to the phone that rings, on every store: the rows of spec 1.1, and what goes wrong."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from mailroom.core import clock
from mailroom.core.errors import Refusal
from mailroom.directory import members
from mailroom.messaging.states import State
from mailroom.notify import days, linking
from mailroom.notify.model import LinkState, Quiet, TicketState, Way
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.phones import Fate
from tests.walks.street import NUMBER, Street

ADDRESS = {
    Way.SMS: NUMBER,
    Way.WECHAT: "oAmy",
    Way.WECOM: "amy",
    Way.DINGTALK: "amy",
    Way.FEISHU: "ou_amy",
}
DOUBLE = {way: way.value for way in Way} | {Way.SMS: "sms_gateway"}
ON = {
    Way.SMS: {"mobile_transport": "sms_gateway"},
    Way.WECHAT: {"wechat_mode": "service_account"},
    Way.WECOM: {"wechat_mode": "wecom"},
    Way.DINGTALK: {"dingtalk.enabled": "yes"},
    Way.FEISHU: {"feishu.enabled": "yes"},
}
# Most receipts of DingTalk are asked for after a while; these are told at once.
TELLS = {Way.SMS: Fate.ARRIVED, Way.WECHAT: Fate.ARRIVED, Way.FEISHU: Fate.READ}
ARRIVED = (State.DELIVERED, State.READ)
OTHER = "+8613900000002"


async def ready(street: Street, *ways: Way, userid: str = "amy") -> None:
    """These ways are offered, and the member hears of his mail by them."""
    for way in ways:
        await street.set(ON[way])
        await street.link(userid, way, ADDRESS[way])


async def test_w1_a_mail_rings_in_four_ways(street: Street) -> None:
    await ready(street, Way.SMS, Way.WECHAT, Way.DINGTALK, Way.FEISHU)
    await street.mail("报价 Q2")
    for way in (Way.SMS, Way.WECHAT, Way.DINGTALK, Way.FEISHU):
        [arrival] = await street.rang(1, DOUBLE[way], ADDRESS[way])
        assert "报价 Q2" in arrival.raw or way is Way.SMS


async def test_w2_everybodys_sms_goes_out_by_the_systems_account(street: Street) -> None:
    await ready(street, Way.SMS)
    await street.link("bob", Way.SMS, OTHER)
    await street.mail("one")
    await street.mail("two", to="bob@corp.example")
    assert {one.to for one in await street.rang(2, "sms_gateway")} == {NUMBER, OTHER}
    assert {entry.sender for entry in await street.log()} == {"notice-sms_gateway"}


async def test_w3_who_is_not_permitted_hears_nothing_and_keeps_his_settings(street: Street) -> None:
    await ready(street, Way.WECHAT)
    await street.set({"user_scope": "listed", "user_list": "bob@corp.example"})
    await street.mail("one")
    await street.town.settled()
    assert await street.log() == []
    await street.set({"user_list": "bob@corp.example, amy@corp.example"})
    await street.mail("two")
    [arrival] = await street.rang(1, "wechat", "oAmy")
    assert "two" in arrival.text


async def test_w4_each_member_says_for_himself(street: Street) -> None:
    await ready(street, Way.SMS)
    await street.link("bob", Way.SMS, OTHER)
    await street.prefer("bob", on={Way.SMS: False})
    await street.mail("one", to="bob@corp.example")
    await street.town.settled()
    await street.mail("two")
    await street.rang(1, "sms_gateway", NUMBER)
    assert len(await street.log()) == 1


async def test_w4_a_number_is_proven_by_the_code_that_it_was_sent(street: Street) -> None:
    await street.set(ON[Way.SMS])
    app = street.town.app
    amy = await app.store.read(lambda tx: members.get(tx, "amy"))
    await app.linking.send_code(amy, "139 0000 0001")
    [arrival] = await street.rang(1, "sms_gateway", NUMBER)
    code = "".join(letter for letter in arrival.text if letter.isdigit())[:6]
    with pytest.raises(Refusal, match="code"):
        await app.linking.prove(amy, "000000" if code != "000000" else "000001")
    link = await app.linking.prove(amy, code)
    assert (link.way, link.address, link.state) == (Way.SMS, NUMBER, LinkState.VALID)


@pytest.mark.parametrize("way", [Way.WECOM, Way.DINGTALK, Way.FEISHU])
async def test_w5_an_account_is_linked_by_signing_in_at_the_provider(street: Street, way: Way) -> None:
    await street.set(ON[way])
    app = street.town.app
    amy = await app.store.read(lambda tx: members.get(tx, "amy"))
    begun = await app.linking.begin(amy, way)
    said = await sign_in(begun.url, ADDRESS[way])
    ticket = await app.linking.back(amy, way, said)
    assert (ticket.state, ticket.address) == (TicketState.FOUND, ADDRESS[way])
    link = await app.store.write(lambda tx: linking.confirm(tx, amy, way))
    assert link.address == ADDRESS[way]
    await street.mail("one")
    await street.rang(1, DOUBLE[way], ADDRESS[way])
    with pytest.raises(Refusal):
        await app.linking.back(amy, way, said)


async def sign_in(url: str, account: str) -> dict[str, str]:
    """The member signs in on the provider's page; the parameters with which his browser is sent back."""
    async with aiohttp.ClientSession() as browser:
        async with browser.get(url) as page:
            assert page.status == 200
        async with browser.get(f"{url}&sign_in_as={account}", allow_redirects=False) as sent_back:
            assert sent_back.status == 302
            return dict(parse_qsl(urlsplit(sent_back.headers["Location"]).query))


async def test_w5_wechat_is_linked_by_scanning_a_code(street: Street) -> None:
    await street.set(ON[Way.WECHAT])
    app, wechat = street.town.app, street.double("wechat")
    amy = await app.store.read(lambda tx: members.get(tx, "amy"))
    begun = await app.linking.begin(amy, Way.WECHAT)
    assert begun.scan
    [scene] = wechat.scenes()
    await wechat.scan(scene, "oAmy")
    ticket = await app.store.read(lambda tx: linking.ticket(tx, amy, Way.WECHAT))
    assert ticket is not None
    assert (ticket.state, ticket.address) == (TicketState.FOUND, "oAmy")
    await app.store.write(lambda tx: linking.confirm(tx, amy, Way.WECHAT))
    await street.mail("one")
    await street.rang(1, "wechat", "oAmy")


async def test_w6_the_switch_is_the_master_of_all_phones(street: Street) -> None:
    await ready(street, Way.SMS, Way.WECHAT, Way.DINGTALK, Way.FEISHU)
    await street.set({"enabled": "no"})
    await street.mail("one")
    await street.town.settled()
    assert await street.log() == []
    await street.set({"enabled": "yes"})
    await street.mail("two")
    for way in (Way.SMS, Way.WECHAT, Way.DINGTALK, Way.FEISHU):
        await street.rang(1, DOUBLE[way])


async def test_w7_no_more_sms_a_day_than_the_maximum_and_the_mail_comes_all_the_same(street: Street) -> None:
    await ready(street, Way.SMS, Way.WECHAT)
    await street.link("bob", Way.SMS, OTHER)
    await street.set({"max_per_day": "1"})
    await street.mail("one")
    await street.rang(1, "sms_gateway", NUMBER)
    await street.logged(State.SENT, count=2)
    await street.mail("two")
    await street.mail("three", to="bob@corp.example")
    [over] = await street.logged(State.SUPPRESSED)
    assert (over.address, over.reason) == (NUMBER, "daily_limit")
    await street.rang(1, "sms_gateway", OTHER)
    assert len(street.town.sandbox.phones.at("sms_gateway", NUMBER)) == 1


async def test_w8_sms_go_out_by_the_gateway_or_by_the_modem(street: Street) -> None:
    await ready(street, Way.SMS)
    await street.mail("one")
    await street.rang(1, "sms_gateway", NUMBER)
    await street.set({"gsm_modem.port": street.double("sms_modem").where, "mobile_transport": "gsm_modem"})
    await street.link("bob", Way.SMS, OTHER)
    await street.mail("two", to="bob@corp.example")
    await street.rang(1, "sms_modem", OTHER)


async def test_w9_wechat_is_the_service_account_or_wecom(street: Street) -> None:
    await ready(street, Way.WECOM, Way.WECHAT)
    await street.mail("one")
    await street.rang(1, "wechat", "oAmy")
    await street.set(ON[Way.WECOM])
    await street.mail("two")
    [arrival] = await street.rang(1, "wecom", "amy")
    assert "two" in arrival.raw
    assert len(street.town.sandbox.phones.at("wechat")) == 1


async def test_w10_dingtalk_never_hears_the_same_twice(street: Street) -> None:
    await ready(street, Way.DINGTALK)
    await street.link("bob", Way.DINGTALK, "amy")  # one account may be linked by several
    await street.mail("the same")
    await street.mail("the same", to="bob@corp.example")
    one, other = await street.rang(2, "dingtalk", "amy")
    assert one.text != other.text


async def test_w11_feishu(street: Street) -> None:
    await ready(street, Way.FEISHU)
    await street.mail("报价 Q2")
    [arrival] = await street.rang(1, "feishu", "ou_amy")
    assert "报价 Q2" in f"{arrival.text} {arrival.rows}"
    assert arrival.url.startswith("http://127.0.0.1:8025/mail/")


@pytest.mark.parametrize(
    ("listed", "rings"), [("*", True), ("*@corp.example", True), ("*@out.example", False), ("", False)]
)
async def test_w12_the_user_list_is_of_patterns(street: Street, listed: str, *, rings: bool) -> None:
    await ready(street, Way.FEISHU)
    await street.set({"user_scope": "listed", "user_list": listed})
    await street.mail("one")
    await street.town.settled()
    assert bool(await street.log()) is rings


async def test_w13_the_contents_are_the_administrators(street: Street) -> None:
    await ready(street, Way.SMS, Way.WECOM)
    await street.set(
        {"content_sms": "{fromname}/{subject}/{to}/{attachnum}", "content_wecom": "{from}: {subject} ({body})"}
    )
    await street.mail("报价\u202e Q2\r\n\tx")
    [sms] = await street.rang(1, "sms_gateway")
    assert "Bob Li/报价 Q2 x/amy@corp.example/0" in sms.text
    [wecom] = await street.rang(1, "wecom")
    assert "Bob Li <bob@out.example>: 报价 Q2 x (Hi Amy, see you.)" in wecom.text
    with pytest.raises(Refusal, match="colour"):
        await street.set({"content_sms": "{colour}"})


async def test_w13_an_sms_is_of_one_part_unless_more_are_allowed(street: Street) -> None:
    await ready(street, Way.SMS)
    await street.set({"content_sms": "{subject}"})
    await street.mail("长" * 200)
    [arrival] = await street.rang(1, "sms_gateway")
    assert len(arrival.text) <= 70


async def test_w14_the_push_url_needs_neither_switch_nor_list(street: Street) -> None:
    await street.town.push_to("crm", enabled="no", user_scope="listed")
    await street.mail("one")
    [push] = await street.town.pushed(1)
    assert push.to == "amy@corp.example"


@pytest.mark.parametrize(
    ("form", "kind"),
    [("json", "application/json"), ("xml", "application/xml"), ("form", "application/x-www-form-urlencoded")],
)
async def test_w15_the_push_has_three_formats(street: Street, form: str, kind: str) -> None:
    await street.town.push_to("crm", push_format=form)
    await street.mail("报价 Q2")
    [push] = await street.town.pushed(1)
    assert push.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert push.problem == ""


async def test_w16_the_push_has_eight_fields(street: Street) -> None:
    await street.town.push_to("crm")
    await street.mail("报价 Q2")
    [push] = await street.town.pushed(1)
    assert push.push == {
        "to": "amy@corp.example",
        "msgid": "<报价 Q2@out.example>",
        "sender": "bounce@out.example",
        "from": "Bob Li <bob@out.example>",
        "subject": "报价 Q2",
        "body": "Hi Amy,\nsee you.",
        "attachnum": 0,
        "attachlist": "",
    }


async def test_a_burst_is_one_notice_that_counts(street: Street) -> None:
    await ready(street, Way.FEISHU)
    await street.mail("first")
    await street.rang(1, "feishu")
    for number in range(5):
        await street.mail(f"burst {number}")
    await street.town.settled()
    [waiting] = await street.logged(State.QUEUED)
    await street.at_once(waiting)
    _, burst = await street.rang(2, "feishu")
    assert burst.text.startswith("5 封新邮件") or "5" in str(burst.rows)
    assert "burst 4" in burst.raw
    assert [entry.state for entry in await street.logged(State.SENT, count=2)] == [State.SENT] * 2


async def test_what_was_read_before_it_left_does_not_ring(street: Street) -> None:
    await ready(street, Way.SMS)
    await street.mail("first")
    await street.rang(1, "sms_gateway")
    await street.mail("second")
    [waiting] = await street.logged(State.QUEUED)
    assert await street.used("amy") == 2
    await street.read_all("amy")
    await street.at_once(waiting)
    [withdrawn] = await street.logged(State.CANCELLED)
    assert withdrawn.reason == "read"
    await street.town.settled()
    assert len(street.town.sandbox.phones.at("sms_gateway")) == 1
    assert await street.used("amy") == 1  # its place among today's is given back


async def test_a_dead_link_is_marked_and_not_used_again(street: Street) -> None:
    await ready(street, Way.WECHAT)
    street.double("wechat").turn(unfollowed=["oAmy"])
    await street.mail("one")
    [failed] = await street.logged(State.FAILED)
    assert failed.reason.startswith("43004")
    await street.town.settled()
    [link] = await street.links("amy")
    assert link.state is LinkState.BROKEN
    await street.mail("two")
    await street.town.settled()
    assert len(await street.log()) == 1


async def test_who_leaves_is_unlinked_at_once(street: Street) -> None:
    await ready(street, Way.FEISHU)
    double: Any = street.double("feishu")
    status, _ = await double.leave("ou_amy")
    assert status == 200
    [link] = await street.links("amy")
    assert link.state is LinkState.BROKEN


async def test_nobody_is_woken_in_his_quiet_hours(street: Street) -> None:
    await ready(street, Way.FEISHU)
    here = days.local(clock.now())
    minute = here.hour * 60 + here.minute
    quiet = Quiet((minute - 60) % 1440, (minute + 60) % 1440)
    await street.prefer("amy", quiet=quiet)
    await street.mail("one")
    [waiting] = await street.logged(State.QUEUED)
    assert waiting.next_at is not None
    assert 58 * clock.MINUTE < waiting.next_at - clock.now() <= 60 * clock.MINUTE
    assert street.town.sandbox.phones.at("feishu") == []


async def test_only_mail_from_those_who_matter_rings(street: Street) -> None:
    await ready(street, Way.FEISHU)
    await street.prefer("amy", only_from=["*@customer.example"])
    await street.mail("one")
    await street.town.settled()
    assert await street.log() == []
    await street.mail("two", sender="Eve <eve@customer.example>")
    await street.rang(1, "feishu")


async def test_a_public_mailbox_rings_for_those_who_chose_it(street: Street) -> None:
    await ready(street, Way.FEISHU)
    await street.link("bob", Way.FEISHU, "ou_bob")
    await street.mail("one", to="sales@corp.example")
    await street.town.settled()
    assert await street.log() == []
    await street.prefer("bob", on={Way.FEISHU: True}, mailbox="sales@corp.example")
    await street.mail("two", to="sales@corp.example")
    await street.rang(1, "feishu", "ou_bob")
    assert len(await street.log()) == 1


@pytest.mark.parametrize("way", TELLS)
async def test_the_provider_tells_what_became_of_it(street: Street, way: Way) -> None:
    await ready(street, way)
    await street.mail("one")
    [arrival] = await street.rang(1, DOUBLE[way])
    await street.logged(State.SENT)
    for _ in range(2):  # it may tell so twice
        await street.double(DOUBLE[way]).press(arrival, TELLS[way])
    [told] = await street.logged(*ARRIVED)
    assert told.state is (State.READ if TELLS[way] is Fate.READ else State.DELIVERED)


async def test_a_receipt_may_come_before_the_answer(street: Street) -> None:
    await ready(street, Way.WECHAT)
    street.double("wechat").turn(early=True)
    await street.mail("one")
    [told] = await street.logged(State.DELIVERED)
    assert told.attempts == 1


async def test_a_provider_that_tells_nothing_by_itself_is_asked(street: Street) -> None:
    await ready(street, Way.DINGTALK)
    await street.mail("one")
    [arrival] = await street.rang(1, "dingtalk")
    await street.double("dingtalk").press(arrival, Fate.READ)
    [told] = await street.logged(State.READ)  # asked after five seconds
    assert told.address == "amy"


async def test_a_late_receipt_that_it_was_lost_is_believed(street: Street) -> None:
    await ready(street, Way.SMS)
    await street.mail("one")
    [arrival] = await street.rang(1, "sms_gateway")
    await street.logged(State.SENT)
    await street.double("sms_gateway").press(arrival, Fate.LOST)
    await street.logged(State.UNDELIVERED)
    assert await street.used("amy") == 1  # the gateway took it


async def test_a_forged_receipt_is_not_believed(street: Street) -> None:
    await ready(street, Way.SMS, Way.WECHAT, Way.FEISHU)
    await street.mail("one")
    [sms] = await street.rang(1, "sms_gateway")
    await street.logged(State.SENT, count=3)
    told = {"msgid": sms.id, "mobile": NUMBER.removeprefix("+86"), "status": "DELIVRD"}
    here = street.double("sms_gateway").callback.rpartition("/callbacks/")[0]
    async with aiohttp.ClientSession(here) as forger:
        for path in ("notice-sms_gateway", "notice-sms_gateway/guess", "notice-wechat?signature=x", "notice-feishu"):
            async with forger.post(f"/callbacks/{path}", json=told) as answer:
                assert answer.status == 403, path
        async with forger.post("/callbacks/push", json=told) as answer:
            assert answer.status == 404
    assert {entry.state for entry in await street.log()} == {State.SENT}


@pytest.mark.parametrize("way", [Way.WECHAT, Way.WECOM, Way.DINGTALK, Way.FEISHU])
async def test_an_answer_that_is_lost_makes_no_second_notice(street: Street, way: Way) -> None:
    await ready(street, way)
    await street.link("bob", way, {Way.WECHAT: "oBob", Way.FEISHU: "ou_bob"}.get(way, "bob"))
    await street.mail("one", to="bob@corp.example")  # now there is an access token
    await street.rang(1, DOUBLE[way])
    await street.logged(State.SENT)
    street.double(DOUBLE[way]).script.begin(Behaviour(does=Does.RESET, taken=True))
    await street.mail("two")
    await street.rang(1, DOUBLE[way], ADDRESS[way])
    [waiting] = await street.logged(State.QUEUED)
    await street.at_once(waiting)
    sent = await street.logged(State.SENT, count=2)
    assert max(entry.attempts for entry in sent) == 2
    assert len(street.town.sandbox.phones.at(DOUBLE[way], ADDRESS[way])) == 1


async def test_an_sms_is_never_doubled_when_the_answer_is_lost(street: Street) -> None:
    await ready(street, Way.SMS)
    street.double("sms_gateway").script.begin(Behaviour(does=Does.RESET, taken=True))
    await street.mail("one")
    [unknown] = await street.logged(State.UNKNOWN)
    assert (unknown.attempts, unknown.next_at) == (1, None)
    assert len(street.town.sandbox.phones.at("sms_gateway")) == 1
    assert await street.used("amy") == 1


@pytest.mark.parametrize("fault", [{"does": Does.HANG}, {"does": Does.RESET}, {"status": 502}], ids=str)
async def test_a_provider_that_is_down_neither_delays_nor_loses_a_mail(street: Street, fault: dict[str, Any]) -> None:
    await ready(street, Way.FEISHU, Way.WECHAT)
    feishu = street.double("feishu")
    feishu.script.begin(Behaviour(times=0, **fault))
    for number in range(20):
        await street.mail(f"mail {number}")
    await street.rang(1, "wechat")  # the others go on
    assert await street.count("amy") == 20
    assert street.town.sandbox.phones.at("feishu") == []
    if fault != {"does": Does.HANG}:  # that ends with the time limit
        [waiting] = [entry for entry in await street.logged(State.QUEUED) if entry.kind == "feishu" and entry.attempts]
        assert waiting.next_at is not None


async def test_a_wrong_secret_waits_for_the_administrator_who_is_told(street: Street) -> None:
    await ready(street, Way.FEISHU)
    await street.set({"feishu.app_secret": "wrong"})
    await street.mail("one")
    await street.until(lambda: street.faulty("notice-feishu"))
    await street.town.settled()
    assert await street.count("amy") == 2  # she is the administrator, and has a letter
    [waiting] = await street.logged(State.QUEUED)
    assert waiting.attempts == 0
    await street.set({"feishu.app_secret": "demo-secret"})
    await street.at_once(waiting)
    await street.rang(1, "feishu")
    [sent] = await street.logged(State.SENT)
    assert sent.attempts == 1
    assert not await street.faulty("notice-feishu")
