# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The double of DingTalk is as strict as DingTalk: asked here as our own code would never ask it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from yarl import URL

from mailroom.core.clock import HOUR, SECOND
from mailroom.sandbox.phones import Fate
from tests.senders.dingtalk.conftest import World

TEXT = {"msgtype": "text", "text": {"content": "x"}}
NOTICE = {"agent_id": 1001, "userid_list": "amy", "to_all_user": False, "msg": TEXT}


async def ask(world: World, method: str, path: str, **request: Any) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, world.double.where + path, **request) as got:
        said: dict[str, Any] = await got.json()
        return said | {"status": got.status}


async def token(world: World) -> str:
    said = await ask(world, "GET", "/gettoken?appkey=ding-demo&appsecret=demo-secret")
    return str(said["access_token"])


def robot(stamp: int, sign: str) -> str:
    return f"/robot/send?access_token=demo-robot&timestamp={stamp}&sign={sign}"


def signature(stamp: int) -> str:
    code = hmac.new(b"SECdemo", f"{stamp}\nSECdemo".encode(), hashlib.sha256).digest()
    return quote(base64.b64encode(code).decode(), safe="")


async def test_both_apis_give_the_same_token_and_renew_it(world: World) -> None:
    old = await token(world)
    world.watch.now += 7000 * SECOND
    new = await ask(world, "POST", "/v1.0/oauth2/accessToken", json={"appKey": "ding-demo", "appSecret": "demo-secret"})
    assert (new["accessToken"], new["expireIn"]) == (old, 7200)
    world.watch.now += 7000 * SECOND
    assert await token(world) == old
    world.watch.now += 7200 * SECOND
    assert await token(world) != old
    said = await ask(world, "GET", "/gettoken?appkey=ding-demo&appsecret=wrong")
    assert said["errcode"] == 40096


@pytest.mark.parametrize("path", ["/topapi/message/corpconversation/asyncsend_v2", "/robot/send"])
async def test_the_older_api_refuses_what_is_not_asked_as_it_must_be(world: World, path: str) -> None:
    assert (await ask(world, "GET", path))["errcode"] == 43002
    assert (await ask(world, "POST", path, data=b"{}"))["errcode"] == 40035
    json_type = {"Content-Type": "application/json"}
    assert (await ask(world, "POST", path, data=b"[]", headers=json_type))["errcode"] == 40035
    assert (await ask(world, "POST", "/gettoken", json={}))["errcode"] == 43001


async def test_the_newer_api_refuses_with_its_own_words(world: World) -> None:
    path = "/v1.0/robot/oToMessages/batchSend"
    assert (await ask(world, "GET", path))["code"] == "MethodNotAllowed"
    assert (await ask(world, "POST", path, data=b"{}"))["code"] == "invalidParameter.body"
    said = await ask(world, "POST", path, json={})
    assert (said["status"], said["code"]) == (400, "InvalidAuthentication")
    headers = {"x-acs-dingtalk-access-token": await token(world)}
    body = {"robotCode": "ding-demo", "userIds": ["amy"], "msgKey": "sampleText", "msgParam": {"content": "x"}}
    assert (await ask(world, "POST", path, json=body, headers=headers))["code"] == "invalidParameter.msgParam"
    nobody = body | {"userIds": []}
    assert (await ask(world, "POST", path, json=nobody, headers=headers))["code"] == "invalidParameter.userIds"
    other = body | {"robotCode": "x"}
    assert (await ask(world, "POST", path, json=other, headers=headers))["code"] == "resource.not.found"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"agent_id": "1001"}, 40056),
        ({"userid_list": ["amy"]}, 40035),
        ({"userid_list": "a b"}, 40035),
        ({"msg": json.dumps(TEXT)}, 40035),
        ({"msg": {"msgtype": "text", "text": {"content": ""}}}, 40035),
        ({"msg": {"msgtype": "oa", "oa": {}}}, 40035),
        ({"msg": {"msgtype": "text", "text": {"content": "x" * 2048}}}, 34016),
    ],
)
async def test_a_work_notice_must_be_of_its_form(world: World, change: dict[str, Any], code: int) -> None:
    path = "/topapi/message/corpconversation/asyncsend_v2?" + urlencode({"access_token": await token(world)})
    assert (await ask(world, "POST", path, json=NOTICE | change))["errcode"] == code
    assert world.phone() == []
    assert (await ask(world, "POST", path, json=NOTICE))["errcode"] == 0


async def test_after_a_day_nothing_is_known_of_a_notice(world: World) -> None:
    query = urlencode({"access_token": await token(world)})
    sent = await ask(world, "POST", f"/topapi/message/corpconversation/asyncsend_v2?{query}", json=NOTICE)
    asked = {"agent_id": 1001, "task_id": sent["task_id"]}
    path = "/topapi/message/corpconversation/getsendresult?"
    assert (await ask(world, "POST", path + query, json=asked))["send_result"]["unread_user_id_list"] == ["amy"]
    world.watch.now += 24 * HOUR
    query = urlencode({"access_token": await token(world)})
    assert (await ask(world, "POST", path + query, json=asked))["errcode"] == 40035


async def test_a_signature_is_written_for_the_url_once_and_ends_after_an_hour(world: World) -> None:
    now = world.watch()
    sign = signature(now)
    assert (await _robot(world, robot(now, sign)))["errcode"] == 0
    twice = await _robot(world, robot(now, quote(sign, safe="")))
    assert (twice["errcode"], "sign" in twice["errmsg"]) == (310000, True)
    old = now - HOUR - SECOND
    late = await _robot(world, robot(old, signature(old)))
    assert (late["errcode"], "timestamp" in late["errmsg"]) == (310000, True)
    assert len(world.phone("robot")) == 1


async def _robot(world: World, path: str) -> dict[str, Any]:
    url = URL(world.double.where + path, encoded=True)
    async with aiohttp.ClientSession() as session, session.post(url, json=TEXT) as got:
        said: dict[str, Any] = await got.json()
        return said


async def test_as_new_it_knows_nothing(world: World) -> None:
    await world.send()
    world.double.turn(per_day=1)
    with pytest.raises(KeyError):
        world.double.turn(wings=2)
    world.double.reset()
    assert world.double.set == world.double.knobs
    assert world.double.tasks == {}
    [arrival] = world.phone()
    await world.double.press(arrival, Fate.READ)
    assert world.phone()[0].fate is Fate.READ
