# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of notices: set in any order, shown without secrets, refused by their own names."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest

from mailroom.core.errors import EgressRefused, InvalidValue, NoPermission, Refusal, UnknownVariable
from mailroom.directory import audit, rights
from mailroom.directory.model import SYSTEM
from mailroom.messaging.model import SenderState
from mailroom.messaging.senders import Senders
from mailroom.notify import settings, ways
from mailroom.notify.model import Way
from mailroom.notify.settings import HIDDEN, NotifySettings
from mailroom.senders.catalogue import open_kinds
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from tests.notify.phones import Bureau
from tests.senders.peers import tools

URL = "https://hook.example/new?key=1"
ALL = {"push_url": URL, "push_format": "xml", "push_verify_tls": "no", "push_secret": "s3cret-enough"}


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http(Egress((ip_network("10.1.0.0/16"),)))
    yield client
    await client.close()


@pytest.fixture
def notify(http: Http, tmp_path: Path) -> NotifySettings:
    return NotifySettings(Senders(open_kinds(tools(http)), Seal.open(tmp_path / "secret.key")))


async def change(store: Store, notify: NotifySettings, **values: str) -> None:
    for key, value in values.items():
        await store.write(partial(notify.change_all, by=SYSTEM, values={key: value}))


async def shown(store: Store, notify: NotifySettings) -> Mapping[str, str]:
    """The settings of the push."""
    return {key: value for key, value in (await store.read(notify.show)).items() if key in ALL}


async def pushes(store: Store) -> bool:
    sender = await store.read(settings.push_sender)
    return sender is not None and settings.pushes(sender)


async def test_before_anything_is_set_nothing_is_pushed(store: Store, notify: NotifySettings) -> None:
    assert await shown(store, notify) == {
        "push_url": "", "push_format": "json", "push_verify_tls": "yes", "push_secret": "",
    }  # fmt: skip  # a table
    assert not await pushes(store)


async def test_the_order_of_setting_does_not_matter(store: Store, notify: NotifySettings) -> None:
    for order in itertools.permutations(ALL):
        await change(store, notify, **dict.fromkeys(ALL, ""))
        assert not await pushes(store)
        await change(store, notify, **{key: ALL[key] for key in order})
        assert await shown(store, notify) == ALL | {"push_secret": "***"}
        assert await pushes(store)


async def test_an_empty_value_is_the_default_and_no_url_is_off(store: Store, notify: NotifySettings) -> None:
    await change(store, notify, **ALL)
    await change(store, notify, push_url="", push_format="", push_verify_tls="", push_secret="")
    assert await shown(store, notify) == {
        "push_url": "", "push_format": "json", "push_verify_tls": "yes", "push_secret": "",
    }  # fmt: skip  # a table
    assert not await pushes(store)


REFUSED: list[tuple[str, str, type[Refusal], str]] = [
    ("push_uri", URL, InvalidValue, "push_uri: there is no such setting"),
    ("url", URL, InvalidValue, "url: there is no such setting"),
    ("push_format", "yaml", InvalidValue, "push_format: must be one of json, xml, form"),
    ("push_verify_tls", "maybe", InvalidValue, "push_verify_tls: must be one of"),
    ("push_secret", "whsec_!", InvalidValue, "push_secret: "),
    ("push_url", "ftp://hook.example/", InvalidValue, "push_url: "),
    ("push_url", "hook", InvalidValue, "push_url: "),
    ("push_url", "http://127.0.0.1/", EgressRefused, "127.0.0.1 is in a private network"),
    ("push_url", "http://[::1]:8080/", EgressRefused, "::1 is in a private network"),
    ("push_url", "http://localhost/", EgressRefused, "localhost is in a private network"),
    ("push_url", "http://10.2.0.1/", EgressRefused, "10.2.0.1 is in a private network"),
]


@pytest.mark.parametrize("before", [{}, ALL], ids=["unset", "set"])
async def test_what_cannot_be_is_refused_by_its_name_and_changes_nothing(
    store: Store, notify: NotifySettings, before: dict[str, str]
) -> None:
    await change(store, notify, **before)
    before_ = await store.read(notify.show)
    for key, value, refusal, words in REFUSED:
        with pytest.raises(refusal) as refused:
            await change(store, notify, **{key: value})
        assert str(refused.value).startswith(words)
        assert await store.read(notify.show) == before_


async def test_a_private_network_that_is_allowed_may_be_pushed_to(store: Store, notify: NotifySettings) -> None:
    await change(store, notify, push_url=" http://10.1.2.3/hook ")
    assert (await store.read(notify.show))["push_url"] == "http://10.1.2.3/hook"


async def test_the_secret_is_not_in_the_database(store: Store, notify: NotifySettings) -> None:
    await change(store, notify, **ALL)
    sender = await store.read(settings.push_sender)
    assert sender is not None
    assert ALL["push_secret"] not in repr(sender)
    assert notify.senders.secrets(sender)["secret"].reveal() == ALL["push_secret"]


async def test_a_way_is_set_up_in_any_order_and_switched_on_once_it_is_whole(bureau: Bureau) -> None:
    await bureau.change({"enabled": "no"})
    await bureau.change({"wechat_mode": "service_account"})
    await bureau.change({"service_account.secret": "s3cret"})
    with pytest.raises(InvalidValue, match=r"^service_account\.url: "):
        await bureau.change({"enabled": "yes"})
    assert (await bureau.store.read(bureau.settings.show))["enabled"] == "no"
    await bureau.change({"enabled": "yes", "service_account.url": "x:"})
    offered = await bureau.store.read(ways.offered)
    assert offered == {way: way is not Way.WECOM for way in Way}
    sender = await bureau.store.read(lambda tx: ways.sender_of(tx, Way.WECHAT))
    assert sender is not None
    assert (sender.code, sender.state) == ("notice-wechat", SenderState.ACTIVE)


async def test_what_is_in_use_is_not_broken(bureau: Bureau) -> None:
    with pytest.raises(InvalidValue, match=r"^wecom\.url: "):
        await bureau.change({"wecom.url": ""})
    with pytest.raises(InvalidValue, match=r"^sms_gateway\.url: "):
        await bureau.change({"sms_gateway.provider": "aliyun"})  # of which nothing is known yet
    await bureau.change({"sms_gateway.provider": "aliyun", "sms_gateway.url": "y:"})
    await bureau.change({"dingtalk.enabled": "no", "dingtalk.url": ""})
    sender = await bureau.store.read(lambda tx: settings.sender(tx, "dingtalk"))
    assert sender is not None
    assert sender.state is SenderState.DISABLED


async def test_each_gateway_keeps_its_own_account(bureau: Bureau) -> None:
    await bureau.change({"sms_gateway.secret": "first"})
    await bureau.change({"sms_gateway.provider": "aliyun", "sms_gateway.url": "y:"})
    values = await bureau.store.read(bureau.settings.show)
    assert (values["sms_gateway.url"], values["sms_gateway.secret"]) == ("y:", "")
    await bureau.change({"sms_gateway.provider": "http"})
    values = await bureau.store.read(bureau.settings.show)
    assert (values["sms_gateway.url"], values["sms_gateway.secret"]) == ("x:", "***")


async def test_several_are_changed_together_or_not_at_all(bureau: Bureau) -> None:
    before = await bureau.store.read(bureau.settings.show)
    for wrong in ({"max_per_day": "-1"}, {"wecom.nothing": "x"}, {"user_scope": "some"}, {"sms_segments": "4"}):
        with pytest.raises(InvalidValue) as refused:
            await bureau.change({"max_per_day": "5", "wecom.url": "z:"} | wrong)
        assert refused.value.about["name"] in wrong
    assert await bureau.store.read(bureau.settings.show) == before


async def test_what_was_shown_may_be_given_back(bureau: Bureau) -> None:
    await bureau.change({"wecom.secret": "s3cret-of-wecom"})
    await bureau.change({"dingtalk.enabled": "no"})
    shown = await bureau.store.read(bureau.settings.show)
    health = await bureau.store.read(bureau.settings.health)
    assert shown["wecom.secret"] == HIDDEN
    await bureau.change({**shown, "max_per_day": "3"})
    assert await bureau.store.read(bureau.settings.show) == {**shown, "max_per_day": "3"}
    assert await bureau.store.read(bureau.settings.health) == health  # what is not set up stays so
    sender = await bureau.store.read(lambda tx: settings.sender(tx, "wecom"))
    assert sender is not None
    assert bureau.senders.secrets(sender)["secret"].reveal() == "s3cret-of-wecom"


async def test_a_secret_that_is_not_there_is_not_hidden(bureau: Bureau) -> None:
    await bureau.change({"wecom.secret": HIDDEN})
    assert (await bureau.store.read(bureau.settings.show))["wecom.secret"] == ""


async def test_yes_and_no_are_also_true_and_false(store: Store, notify: NotifySettings) -> None:
    await change(store, notify, **{"feishu.enabled": "true", "push_verify_tls": "False"})
    values = await store.read(notify.show)
    assert (values["feishu.enabled"], values["push_verify_tls"]) == ("yes", "no")
    with pytest.raises(InvalidValue, match=r"^user_scope: must be one of all, listed$"):
        await change(store, notify, user_scope="true")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{from", "has a { that"),
        ("from} {to}", "has a } that"),
        ("{{from}}", "has a { that"),
        ("x" * 1001, "is longer than 1000 characters"),
    ],
)
async def test_words_that_nobody_meant_are_refused(bureau: Bureau, text: str, words: str) -> None:
    with pytest.raises(InvalidValue, match=rf"^content_wecom: {words}"):
        await bureau.change({"content_wecom": text})
    await bureau.change({"content_wecom": "x" * 1000})


async def test_an_unknown_variable_is_refused_by_its_name(bureau: Bureau) -> None:
    with pytest.raises(UnknownVariable, match=r"^content_sms: there is no variable betreff\.$"):
        await bureau.change({"content_sms": "{fromname}: {betreff}"})
    await bureau.change({"content_sms": "{from}{fromname}{sender}{to}{subject}{date}{size}{attachnum}{body}{count}"})


async def test_a_list_that_names_nobody_is_taken_with_a_warning(bureau: Bureau) -> None:
    assert await bureau.store.read(bureau.settings.warnings) == []
    await bureau.change({"user_scope": "listed"})
    assert len(await bureau.store.read(bureau.settings.warnings)) == 1
    assert not await bureau.store.read(lambda tx: ways.permitted(tx, bureau.member("amy")))
    await bureau.change({"user_list": " *@CORP.example; bob@corp.example\n"})
    assert await bureau.store.read(bureau.settings.warnings) == []
    assert (await bureau.store.read(bureau.settings.show))["user_list"] == "*@corp.example,bob@corp.example"
    assert await bureau.store.read(lambda tx: ways.permitted(tx, bureau.member("amy")))


async def test_only_administrators_of_the_whole_organisation_change_them_and_it_is_written_down(bureau: Bureau) -> None:
    bob = await bureau.store.read(lambda tx: rights.of(tx, bureau.member("bob")))
    with pytest.raises(NoPermission):
        await bureau.store.write(lambda tx: bureau.settings.change_all(tx, bob, {"enabled": "no"}))
    await bureau.change({"wecom.secret": "s3cret-that-is-new", "max_per_day": "3"})
    [entry] = await bureau.store.read(lambda tx: audit.entries(tx, before=1 << 40, limit=1))
    assert (entry.action, entry.before, entry.after) == (
        "notify.settings", {"max_per_day": "10", "wecom.secret": ""}, {"max_per_day": "3", "wecom.secret": "***"},
    )  # fmt: skip  # a table


async def test_the_push_may_be_for_some_domains_only(bureau: Bureau) -> None:
    await bureau.change({"push_url": "https://hook.example/", "push_domains": "OUT.example, corp.example"})
    assert await bureau.store.read(lambda tx: settings.pushes_for(tx, "amy@corp.example"))
    await bureau.change({"push_domains": "out.example"})
    assert not await bureau.store.read(lambda tx: settings.pushes_for(tx, "amy@corp.example"))
    await bureau.deliver()
    assert await bureau.entries() == []


async def test_every_field_of_every_real_kind_has_its_key(store: Store, notify: NotifySettings) -> None:
    values = await store.read(notify.show)
    for prefix, kind in {"gsm_modem": "sms_modem", "service_account": "wechat", "wecom": "wecom"}.items():
        for field in notify.senders.kind(kind).manifest.fields:
            assert f"{prefix}.{field.name}" in values
    for provider, kind in {"aliyun": "sms_aliyun", "twilio": "sms_twilio"}.items():
        await change(store, notify, **{"sms_gateway.provider": provider})
        values = await store.read(notify.show)
        for field in notify.senders.kind(kind).manifest.fields:
            assert f"sms_gateway.{field.name}" in values
