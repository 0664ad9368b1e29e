# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The pages of notices without a browser: switches, a number and its code, accounts and whose they are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from mailroom.core.clock import MINUTE
from mailroom.directory.model import SYSTEM, Member
from mailroom.messaging.model import Origin
from mailroom.notify import linking, preferences, settings
from mailroom.notify.compose import CODES, Composer
from mailroom.notify.model import Link, Quiet, Way
from mailroom.notify.settings import NotifySettings
from mailroom.senders.contract import (
    Account,
    Field,
    Left,
    Linked,
    Manifest,
    Offer,
    Refused,
    Scanned,
    Shape,
    TryLater,
    Why,
    Words,
)
from mailroom.senders.webhook.manifest import MANIFEST as WEBHOOK
from tests.messaging.kinds import MANIFEST, Told, dispatch, round_
from tests.stores import Watch
from tests.web.conftest import ORIGIN, Office, open_office

HERE = "/settings/notices"
SMS, WECOM, WECHAT, DINGTALK = (f"{HERE}/links/{way}" for way in ("sms", "wecom", "wechat", "dingtalk"))
NUMBER = "+8613900000001"
FROM_CHINA = "139 0000 0001"
NAME = '<b>张三</b>"'
_W = Words("x", "x")
_FIELDS = (
    Field(name="key", shape=Shape.SECRET, title=_W, help=_W, required=True),
    Field(name="mode", shape=Shape.TEXT, title=_W, help=_W),
)


def manifest(kind: str, reach: str) -> Manifest:
    return replace(MANIFEST, kind=kind, reach=reach, fields=_FIELDS)


@dataclass(slots=True)
class Chat(Told):
    """A provider at which people prove their account: whoever comes back with a code has it as his userid."""

    scenes: list[str] = field(default_factory=list)
    backs: list[str] = field(default_factory=list)
    says: Refused | TryLater | None = None

    async def offer(self, account: Account, *, scene: str, back: str) -> Offer | Refused | TryLater:
        self.scenes.append(scene)
        self.backs.append(back)
        return self.says or Offer(f"https://login.example/?a=1&state={scene}", scan=self.manifest.reach == "wechat")

    async def linked(self, account: Account, *, said: Mapping[str, str], back: str) -> Linked | Refused | TryLater:
        return self.says or (
            Linked(said["code"], NAME) if "code" in said else Refused("denied", "says <b>10.0.0.1</b>")
        )


@dataclass(frozen=True)
class Desk:
    """An office whose administrator has set up notices, and the doubles of its providers."""

    office: Office
    sms: Told
    chats: Mapping[Way, Chat]
    settings: NotifySettings

    async def set(self, **values: str) -> None:
        """As the administrator does; `__` stands for a dot."""
        named = {name.replace("__", "."): value for name, value in values.items()}
        await self.office.store.write(lambda tx: self.settings.change_all(tx, SYSTEM, named))

    def member(self, userid: str) -> Member:
        return self.office.organisation.members[userid]

    async def links(self, userid: str) -> dict[Way, Link]:
        found = await self.office.store.read(lambda tx: preferences.links(tx, self.member(userid)))
        return {link.way: link for link in found}

    async def dispatched(self) -> None:
        """Let everything go out that is due."""
        web = self.office.web
        composer = Composer(ORIGIN, web.seal.derive(CODES))
        prepare = {Origin.NOTICE: composer.notices, Origin.CODE: composer.codes}
        await round_(dispatch(self.office.store, self.settings.senders, self.office.watch, prepare))

    async def code(self) -> str:
        """What the last SMS says."""
        await self.dispatched()
        return str(self.sms.parcels[-1].content["values"]["code"])

    async def linked(self, browser: httpx2.AsyncClient, way: Way = Way.WECOM, account: str = "zhangsan") -> None:
        """Link an account, all the way."""
        await browser.post(f"{HERE}/links/{way}")
        await browser.get(f"{HERE}/back/{way}", params={"code": account, "state": self.chats[way].scenes[-1]})
        await browser.post(f"{HERE}/links/{way}/confirm", data={"address": account})

    async def numbered(self, browser: httpx2.AsyncClient) -> None:
        """Prove a number, all the way."""
        await browser.post(f"{HERE}/number", data={"number": NUMBER})
        await browser.post(f"{HERE}/code", data={"code": await self.code()})


@pytest_asyncio.fixture
async def bare(store_url: str, watch: Watch, tmp_path: Path) -> AsyncIterator[Desk]:
    sms = Told(manifest("sms_gateway", "sms"))
    chats = {way: Chat(manifest(way.value, way.value)) for way in (Way.WECHAT, Way.WECOM, Way.DINGTALK)}
    told = {kind.manifest.kind: kind for kind in (sms, *chats.values(), Told(WEBHOOK))}
    async with open_office(store_url, watch, tmp_path, told) as office:
        yield Desk(office, sms, chats, office.web.house.notify)


@pytest_asyncio.fixture
async def desk(bare: Desk) -> Desk:
    await bare.set(
        enabled="yes",
        mobile_transport="sms_gateway",
        sms_gateway__key="s3cret",
        wechat_mode="wecom",
        wecom__key="s3cret",
        service_account__key="s3cret",
    )
    return bare


def mailbox(desk: Desk, name: str) -> str:
    return f"{HERE}/mailboxes/{desk.office.organisation.mailboxes[name]}"


async def test_nothing_set_up_tells_an_administrator_where_to(bare: Desk) -> None:
    page = (await (await bare.office.signed_in("amy")).get(HERE)).text
    assert "has not set up any way" in page
    assert "mailroom notify settings show" in page
    assert "PATCH /api/v1/notify/settings" in page
    page = (await (await bare.office.signed_in("bob")).get(HERE)).text
    assert "has not set up any way" in page
    assert "mailroom notify" not in page


async def test_what_the_master_switch_has_switched_off_was_set_up(desk: Desk) -> None:
    await desk.set(enabled="no")
    page = (await (await desk.office.signed_in("bob")).get(HERE)).text
    assert "has switched notices off" in page
    assert "has not set up any way" not in page


async def test_a_groups_robot_is_not_offered(desk: Desk) -> None:
    await desk.set(wecom__mode="robot")
    assert "WeCom" not in (await (await desk.office.signed_in("amy")).get(HERE)).text


async def test_every_page_leads_here_and_a_stranger_signs_in_first(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    assert f'href="{HERE}"' in (await browser.get("/", follow_redirects=True)).text
    answer = await desk.office.browser().get(HERE)
    assert answer.headers["location"] == f"/sign-in?then={HERE}"


async def test_only_what_is_offered_is_shown_own_mailbox_first(desk: Desk) -> None:
    page = (await (await desk.office.signed_in("amy")).get(HERE)).text
    assert f'action="{WECOM}"' in page
    assert f'action="{HERE}/number"' in page
    assert "WeChat" not in page
    assert "DingTalk" not in page
    assert page.index("amy@corp.example") < page.index("support@corp.example")
    assert "support@corp.example" not in (await (await desk.office.signed_in("bob")).get(HERE)).text
    await desk.set(mobile_transport="none")
    assert "SMS" not in (await (await desk.office.signed_in("amy")).get(HERE)).text


async def test_a_number_is_proven_by_the_code_that_it_gets(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    sent = await browser.post(f"{HERE}/number", data={"number": FROM_CHINA})
    assert (sent.status_code, sent.headers["location"]) == (303, f"{HERE}?done=coded")
    page = (await browser.get(HERE)).text
    assert f"on its way to {NUMBER}" in page
    assert 'autocomplete="one-time-code"' in page
    code = await desk.code()
    wrong = await browser.post(f"{HERE}/code", data={"code": f"{(int(code) + 1) % 1_000_000:06}"})
    assert wrong.status_code == 400
    assert "The code is wrong." in _alert(wrong.text)
    assert await desk.links("amy") == {}
    proven = await browser.post(f"{HERE}/code", data={"code": f" {code} "}, follow_redirects=True)
    assert "Linked. Now switch SMS on below." in proven.text
    assert (await desk.links("amy"))[Way.SMS].address == NUMBER
    assert re.search(r'name="on-sms"\s+>', proven.text)  # SMS cost money: not on by themselves
    assert "0 of today's 10 SMS are used." in proven.text
    assert code not in proven.text
    await browser.post(mailbox(desk, "amy"), data={"has-sms": "1", "on-sms": "on"})
    assert "Linked. You can try it" in (await browser.get(str(proven.url))).text


async def test_what_is_wrong_with_a_number_is_said_at_it(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    answer = await browser.post(f"{HERE}/number", data={"number": '12"<x>'})
    assert "is not a mobile number" in _alert(answer.text)
    assert 'value="12&#34;&lt;x&gt;"' in answer.text
    await browser.post(f"{HERE}/number", data={"number": NUMBER})
    await browser.post(f"{SMS}/drop")
    assert 'id="number"' in (await browser.get(HERE)).text
    answer = await browser.post(f"{HERE}/number", data={"number": NUMBER})
    assert "Try again in 60 seconds" in _alert(answer.text)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


async def test_a_code_that_is_too_old_or_tried_too_often_is_good_for_nothing(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    await browser.post(f"{HERE}/number", data={"number": NUMBER})
    code = await desk.code()
    answers = [await browser.post(f"{HERE}/code", data={"code": "x"}) for _ in range(5)]
    assert "tried too often" in _alert(answers[-1].text)
    answer = await browser.post(f"{HERE}/code", data={"code": code})
    assert "tried too often" in _alert(answer.text)
    for said in (answer.text, (await browser.get(HERE)).text):
        assert "on its way" not in said
        assert 'id="number"' in said
    desk.office.watch.now += 5 * MINUTE
    await browser.post(f"{HERE}/number", data={"number": NUMBER})
    code = await desk.code()
    desk.office.watch.now += 5 * MINUTE
    answer = await browser.post(f"{HERE}/code", data={"code": code})
    assert "Ask for another one" in _alert(answer.text)
    assert 'id="number"' in answer.text
    assert await desk.links("amy") == {}


async def test_an_account_is_linked_once_its_owner_says_that_it_is_his(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    going = await browser.post(WECOM)
    chat = desk.chats[Way.WECOM]
    url = f"https://login.example/?a=1&amp;state={chat.scenes[0]}"
    assert f'<meta http-equiv="refresh" content="0;url={url}">' in going.text
    assert f'href="{url}"' in going.text
    assert chat.backs == [f"{ORIGIN}{HERE}/back/wecom"]
    came = await browser.get(f"{HERE}/back/wecom", params={"code": "zhangsan", "state": chat.scenes[0]})
    assert (came.status_code, came.headers["location"]) == (303, WECOM)
    page = (await browser.get(WECOM)).text
    for shown in ("WeCom", "&lt;b&gt;张三&lt;/b&gt;", "zhangsan", "<bdi>Amy</bdi>"):
        assert shown in page
    assert await desk.links("amy") == {}
    await _not_linked(await browser.post(f"{WECOM}/confirm", data={"address": "lisi"}))
    done = await browser.post(f"{WECOM}/confirm", data={"address": "zhangsan"}, follow_redirects=True)
    assert "Linked." in done.text
    assert (await desk.links("amy"))[Way.WECOM].address == "zhangsan"
    own, public = await desk.office.store.read(lambda tx: preferences.of(tx, desk.member("amy")))
    assert (own.on[Way.WECOM], public.on[Way.WECOM]) == (True, False)
    assert len(re.findall(r'name="on-wecom" checked', done.text)) == 1


async def test_cancelling_links_nothing(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    await browser.post(WECOM)
    await browser.get(f"{HERE}/back/wecom", params={"code": "x", "state": desk.chats[Way.WECOM].scenes[0]})
    done = await browser.post(f"{WECOM}/drop", follow_redirects=True)
    assert "Nothing was linked." in done.text
    await _not_linked(await browser.get(WECOM))
    await _not_linked(await browser.post(f"{WECOM}/confirm", data={"address": "x"}))
    assert await desk.links("amy") == {}


async def test_nobody_takes_another_members_proof_nor_a_used_old_or_forged_one(desk: Desk) -> None:
    amy, bob = await desk.office.signed_in("amy"), await desk.office.signed_in("bob")
    chat, back = desk.chats[Way.WECOM], f"{HERE}/back/wecom"
    await amy.post(WECOM)
    said = {"code": "zhangsan", "state": chat.scenes[0]}
    await _not_linked(await bob.get(back, params=said))
    await _not_linked(await bob.get(WECOM))
    await _not_linked(await bob.post(f"{WECOM}/confirm", data={"address": "zhangsan"}))
    for forged in ({"code": "x"}, {"code": "x", "state": ""}, {"code": "x", "state": "0" * 32}, {}):
        await _not_linked(await amy.get(back, params=forged))
    assert (await amy.get(f"{HERE}/back/dingtalk", params=said)).status_code == 409
    assert (await amy.get(back, params=said)).status_code == 303
    await _not_linked(await amy.get(back, params=said))
    assert (await amy.post(f"{WECOM}/confirm", data={"address": "zhangsan"})).status_code == 303
    await _not_linked(await amy.post(f"{WECOM}/confirm", data={"address": "zhangsan"}))
    assert list(await desk.links("amy")) == [Way.WECOM]
    await amy.post(f"{WECOM}/unlink")
    await amy.post(WECOM)
    desk.office.watch.now += 10 * MINUTE
    await _not_linked(await amy.get(back, params={"code": "x", "state": chat.scenes[1]}))
    assert await desk.links("amy") == await desk.links("bob") == {}


async def test_what_the_provider_refuses_is_shown_and_ends_the_proof(desk: Desk) -> None:
    browser, chat = await desk.office.signed_in("amy"), desk.chats[Way.WECOM]
    chat.says = TryLater("503", "away")
    assert "is not available at the moment" in _alert((await browser.post(WECOM)).text)
    chat.says = None
    await browser.post(WECOM)
    said = {"error": "access_denied", "state": chat.scenes[-1]}
    answer = await browser.get(f"{HERE}/back/wecom", params=said)
    assert "The account was not confirmed: nobody signed in there" in answer.text
    assert "10.0.0.1" not in answer.text
    await _not_linked(answer)
    await _not_linked(await browser.get(f"{HERE}/back/wecom", params={**said, "code": "x"}))


async def test_a_code_is_shown_until_somebody_has_scanned_it(desk: Desk) -> None:
    await desk.set(wechat_mode="service_account")
    browser = await desk.office.signed_in("amy")
    page = (await browser.post(WECHAT)).text
    assert re.search(r'role="img" aria-label="QR code"[^>]*><svg [^>]*viewBox="0 0 (\d+) \1"', page)
    assert f'hx-get="{WECHAT}/state" hx-trigger="every 2s"' in page
    assert "style=" not in page
    assert (await browser.get(f"{WECHAT}/state")).status_code == 204
    assert "not heard from WeChat yet" in (await browser.get(WECHAT)).text
    await _heard(desk, Scanned(desk.chats[Way.WECHAT].scenes[0], "oAmy", "小明"))
    assert (await browser.get(f"{WECHAT}/state")).headers["hx-redirect"] == WECHAT
    assert "小明" in (await browser.get(WECHAT)).text
    await browser.post(f"{WECHAT}/confirm", data={"address": "oAmy"})
    assert (await desk.links("amy"))[Way.WECHAT].address == "oAmy"
    for who in (browser, desk.office.browser()):
        assert (await who.get(f"{WECHAT}/state")).headers["hx-redirect"] == WECHAT


async def test_a_visit_changes_nothing(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    await desk.linked(browser)
    before = await desk.links("amy"), await desk.office.store.read(lambda tx: preferences.of(tx, desk.member("amy")))
    for path in (HERE, WECOM, f"{WECOM}/state", f"{HERE}/back/wecom"):
        await browser.get(path)
    for path in (
        f"{HERE}/number",
        f"{HERE}/code",
        mailbox(desk, "amy"),
        *(f"{WECOM}/{act}" for act in ("confirm", "drop", "test", "unlink")),
    ):
        assert (await browser.get(path)).status_code == 405
        cross = await browser.post(path, headers={"Origin": "https://evil.example"})
        assert "came from another site" in cross.text
    assert before == (
        await desk.links("amy"),
        await desk.office.store.read(lambda tx: preferences.of(tx, desk.member("amy"))),
    )
    for way in ("telegram", "sms"):
        assert (await browser.post(f"{HERE}/links/{way}")).status_code == 404


async def test_each_mailbox_has_its_switches_senders_and_quiet_hours(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    await desk.linked(browser)
    said = {"has-wecom": "1", "on-wecom": "on", "only_from": "Boss@Corp.example, *@out.example\r\n\r\n"}
    said |= {"begin": "22:00", "end": "07:00"}
    done = await browser.post(mailbox(desk, "support"), data=said, follow_redirects=True)
    assert "Saved." in done.text
    own, public = await desk.office.store.read(lambda tx: preferences.of(tx, desk.member("amy")))
    assert own.on[Way.WECOM]
    assert public.on[Way.WECOM]
    assert not public.on[Way.SMS]
    assert len(public.only_from) == 2
    assert public.quiet == Quiet(22 * 60, 7 * 60)
    assert "*@out.example</textarea>" in done.text
    assert 'value="22:00"' in done.text
    assert 'value="07:00"' in done.text
    await browser.post(mailbox(desk, "support"), data={"has-wecom": "1"})
    _, public = await desk.office.store.read(lambda tx: preferences.of(tx, desk.member("amy")))
    assert (public.on[Way.WECOM], public.only_from, public.quiet) == (False, (), None)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"only_from": "nobody at all"}, "Only addresses, or *@ and a domain"),
        ({"only_from": "\n".join(f"a{number}@out.example" for number in range(101))}, "at most 100"),
        ({"begin": "22:00"}, "a beginning and an end"),
        ({"begin": "22:00", "end": "22:00"}, "a beginning and an end that differ"),
        ({"begin": "25:00", "end": "07:00"}, "a beginning and an end"),
        ({"has-sms": "1", "on-sms": "on"}, "Link your number or account first"),
    ],
)
async def test_what_is_wrong_is_said_where_it_is_and_kept(desk: Desk, said: dict[str, str], words: str) -> None:
    browser = await desk.office.signed_in("amy")
    answer = await browser.post(mailbox(desk, "amy"), data=said)
    assert words in _alert(answer.text)
    assert answer.text.index("amy@corp.example") < answer.text.index(words) < answer.text.index("support@corp.example")
    for value in (said.get("only_from"), said.get("begin")):
        assert value is None or value in answer.text
    own, _ = await desk.office.store.read(lambda tx: preferences.of(tx, desk.member("amy")))
    assert (own.only_from, own.quiet, any(own.on.values())) == ((), None, False)


async def test_a_mailbox_that_is_not_his_is_none(desk: Desk) -> None:
    browser = await desk.office.signed_in("bob")
    assert (await browser.post(mailbox(desk, "amy"))).status_code == 404
    assert (await browser.post(mailbox(desk, "support"))).status_code == 404


async def test_who_is_not_listed_sees_his_settings_and_cannot_use_them(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    await desk.linked(browser)
    await desk.set(user_scope="listed", user_list="bob@corp.example")
    page = (await browser.get(HERE)).text
    assert "Not permitted by the administrator" in page
    assert "<fieldset disabled>" in page
    assert "to be linked first" not in page
    assert f"{WECOM}/test" not in page
    assert f'action="{HERE}/number"' not in page
    assert "does not permit you" in _alert((await browser.post(WECOM)).text)
    assert "does not permit you" in (await browser.post(f"{HERE}/number", data={"number": NUMBER})).text
    assert Way.WECOM in await desk.links("amy")
    assert "Not permitted" not in (await (await desk.office.signed_in("bob")).get(HERE)).text


async def test_a_dead_link_says_why_and_how_to_mend_it(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    await desk.linked(browser)
    await _heard(desk, Left("zhangsan", Why.GONE))
    page = (await browser.get(HERE)).text
    assert "does not work any more" in page
    assert "nobody is there" in page
    assert "Link it anew" in page
    assert f'action="{WECOM}"' in page
    assert f"{WECOM}/test" not in page
    await desk.linked(browser)
    assert "does not work any more" not in (await browser.get(HERE)).text


async def test_a_test_shows_what_became_of_it(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    await desk.linked(browser)
    waiting = await browser.post(f"{WECOM}/test", follow_redirects=True)
    assert re.search(r'id="test-wecom" role="status" hx-get="[^"]+" hx-trigger="every 2s"', waiting.text)
    desk.chats[Way.WECOM].answers["zhangsan"] = [Refused("60011", "no <privilege>", why=Why.GONE)]
    await desk.dispatched()
    page = (await browser.get(str(waiting.url))).text
    assert "every 2s" not in page
    assert "privilege" not in page
    said = page.partition("test-wecom")[2]
    assert "The provider did not take it; the administrator can see why. <code>60011</code>" in said
    assert "Recent notices" in page
    assert "Recent notices" not in (await (await desk.office.signed_in("bob")).get(HERE)).text
    assert "Link your number or account first" in _alert((await browser.post(f"{SMS}/test")).text)


async def test_unlinking_forgets_and_something_not_offered_can_still_be_unlinked(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    await desk.linked(browser)
    await desk.numbered(browser)
    await desk.set(wechat_mode="none")
    page = (await browser.get(HERE)).text
    assert "does not offer this at the moment" in page
    for link in (SMS, WECOM):
        assert f'action="{link}/unlink"' in page
        assert (await browser.post(f"{link}/unlink")).status_code == 303
    assert await desk.links("amy") == {}
    assert (await browser.post(f"{WECOM}/unlink")).status_code == 404


async def test_another_number_takes_the_place_of_the_first_only_when_proven(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy")
    await desk.numbered(browser)
    desk.office.watch.now += MINUTE
    await browser.post(f"{HERE}/number", data={"number": "+4915112345678"})
    page = (await browser.get(HERE)).text
    assert NUMBER in page
    assert "on its way to +4915112345678" in page
    assert (await desk.links("amy"))[Way.SMS].address == NUMBER
    await browser.post(f"{HERE}/code", data={"code": await desk.code()})
    assert (await desk.links("amy"))[Way.SMS].address == "+4915112345678"


async def test_in_chinese_too(desk: Desk) -> None:
    browser = await desk.office.signed_in("amy", language="zh")
    page = (await browser.get(HERE)).text
    for shown in ("新邮件通知", "短信", "绑定企业微信", "通知方式", "您的邮箱"):
        assert shown in page
    answer = await browser.post(mailbox(desk, "amy"), data={"begin": "22:00"})
    assert "免打扰时段需要不同的开始和结束时间" in _alert(answer.text)


async def _heard(desk: Desk, event: Scanned | Left) -> None:
    kind = "wechat" if isinstance(event, Scanned) else "wecom"
    sender = await desk.office.store.read(lambda tx: settings.sender(tx, kind))
    assert sender is not None
    await desk.office.store.write(partial(linking.heard, sender=sender, event=event))


async def _not_linked(answer: httpx2.Response) -> None:
    assert answer.status_code in {403, 409}, answer.text
    assert "<h1>Nothing was linked</h1>" in answer.text


def _alert(page: str) -> str:
    """The one thing that is said to be wrong."""
    [said] = re.findall(r'role="alert" id="fault"[^>]*>(.*?)</p>', page)
    return str(said)
