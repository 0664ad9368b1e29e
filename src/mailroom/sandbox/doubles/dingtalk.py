# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""DingTalk: both its APIs, groups' robots, and where people sign in, all below one address.

A work notice is always taken; what became of it is told to who asks. Everybody whose ID has the right form is there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from aiohttp import web

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.sandbox import envelope
from mailroom.sandbox.double import Double, Handler
from mailroom.sandbox.login import Door, Logins
from mailroom.sandbox.phones import Arrival, Fate, Phones

_ID: Final = re.compile(r"[\w.@-]{1,64}", re.ASCII)
_DOOR: Final = Door(
    title={"en": "DingTalk", "zh": "钉钉"},
    hint={
        "en": "Anybody is in the organisation: a userid such as zhangsan.",
        "zh": "任何人都是企业成员：填写 userid，如 zhangsan。",
    },
    example="zhangsan",
    pattern=r"[A-Za-z0-9_.@\-]{1,64}",
)
_LONGEST: Final = 2048
_LOCK: Final = 10 * MINUTE
_FATES: Final = {Fate.ARRIVED: "unread", Fate.READ: "read", Fate.LOST: "failed"}

Fields = dict[str, Any]


class _No(Exception):
    """An error of one of its APIs."""

    def __init__(self, code: int | str, text: str = "", **more: Any) -> None:
        super().__init__(code)
        self.code, self.text, self.more = code, text, more

    def response(self) -> web.Response:
        if isinstance(self.code, str):
            said = {"code": self.code, "message": self.text, "requestid": secrets.token_hex(8).upper()}
            return web.json_response(said, status=400)
        return web.json_response({"errcode": self.code, "errmsg": self.text, **self.more})


@dataclass(slots=True)
class _Task:
    """One work notice, or what the robot wrote to one person."""

    user: str
    at: int
    verdict: str  # which list it is in: unread, read, invalid, forbidden, failed; "" in none yet
    code: str = ""
    serial: int = 0


class DingTalk(Double):
    """See the module."""

    name = "dingtalk"
    knobs: ClassVar[dict[str, Any]] = {
        "app_key": "ding-demo",
        "app_secret": "demo-secret",
        "agent_id": 1001,
        "corp_id": "ding-corp-demo",
        "robot_token": "demo-robot",
        "robot_secret": "SECdemo",  # "": unsigned
        "callback_token": "demo-token",
        "aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        "token_ttl": 7200,  # seconds
        "unknown": [],  # IDs that look right, and are nobody's
        "outside": [],  # people who can sign in, and are not of the organisation
        "invalid": [],  # these three: to whom the robot does not write, and why
        "flow_controlled": [],
        "filtered": [],
        "pending": False,  # work notices stay in the queue until somebody presses
        "per_day": 500,  # work notices to one person
        "documented_names": False,  # as the documentation calls the lists, instead of as they are called
        "csv": False,  # lists are texts with commas
        "nested": False,  # the lists stand one level deeper
        "permission": True,
        "qps": 0,  # calls of the older API in a second; 0: however many
        "ip_allowed": True,
        "keyword": "",  # without which a group's robot says nothing
        "robot_per_minute": 20,
        "punish": False,  # something before the robot takes us for an attack
    }

    def __init__(self, phones: Phones) -> None:
        super().__init__(phones)
        self._clear()

    def reset(self) -> None:
        super().reset()
        self._clear()

    def _clear(self) -> None:
        self.tasks: dict[str, _Task] = {}
        self.logins = Logins(self.phones.clock)
        self.fetches = 0  # of tokens
        self._token, self._expires = "", 0
        self._users: dict[str, str] = {}  # by the token of who signed in
        self._told: set[tuple[int, str, str]] = set()
        self._counts: Counter[tuple[int, str]] = Counter()
        self._calls: deque[int] = deque()
        self._robot: deque[int] = deque()
        self._locked_until = 0

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            self._old("GET", "/gettoken", self._gettoken),
            self._new("POST", "/v1.0/oauth2/accessToken", self._access_token),
            self._old("POST", "/topapi/message/corpconversation/asyncsend_v2", self._asyncsend),
            self._old("POST", "/topapi/message/corpconversation/getsendresult", self._getsendresult),
            self._old("POST", "/topapi/user/getbyunionid", self._getbyunionid),
            self._old("POST", "/robot/send", self._robot_send),
            self._new("POST", "/v1.0/robot/oToMessages/batchSend", self._batch_send),
            self._new("GET", "/v1.0/robot/oToMessages/readStatus", self._read_status),
            web.get("/oauth2/auth", self._login),
            self._new("POST", "/v1.0/oauth2/userAccessToken", self._user_token),
            self._new("GET", "/v1.0/contact/users/me", self._me),
        ]

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        """It is not told: whoever asks hears it."""
        for task in self.tasks.values():
            if task.serial == arrival.serial:
                task.verdict = _FATES.get(fate, "")
        await super().press(arrival, fate)

    def revoke(self) -> None:
        """End the token before its time."""
        self._token = ""

    async def leave(self, *users: str) -> tuple[int, bytes]:
        """Tell the customer that people have left the organisation."""
        event = {"EventType": "user_leave_org", "TimeStamp": str(self.clock()), "UserId": list(users)}
        return await self.emit(event | {"CorpId": self.set["corp_id"]})

    async def emit(self, event: Mapping[str, Any], *, receiver: str = "", token: str = "") -> tuple[int, bytes]:
        """Call the customer with an event, sealed for the app unless it is for another, signed with the token."""
        words = envelope.seal(self.set["aes_key"], json.dumps(event), receiver or self.set["app_key"])
        stamp, nonce = str(self.clock()), secrets.token_hex(4)
        signature = envelope.sign(token or self.set["callback_token"], stamp, nonce, words)
        query = {"signature": signature, "msg_signature": signature, "timestamp": stamp, "nonce": nonce}
        return await self.call(params=query, json={"encrypt": words})

    def opened(self, reply: bytes) -> str:
        """What the customer's reply says. Raises `ValueError` for one that DingTalk would not take."""
        said = json.loads(reply)
        token, stamp = self.set["callback_token"], str(said["timeStamp"])
        if said["msg_signature"] != envelope.sign(token, stamp, said["nonce"], said["encrypt"]):
            raise ValueError("wrong signature")
        text, _receiver = envelope.unseal(self.set["aes_key"], said["encrypt"])
        return text

    # The two ways in which its APIs are asked.

    def _old(self, method: str, path: str, work: Callable[[web.Request, Fields], Fields]) -> web.RouteDef:
        async def handle(request: web.Request) -> Fields:
            if request.method != method:
                raise _No(43001 if method == "GET" else 43002, f"{method} is needed")
            body = await _json(request, 40035) if method == "POST" else {}
            return {"errcode": 0, "errmsg": "ok", **work(request, body)}

        return web.route("*", path, _answering(handle))

    def _new(self, method: str, path: str, work: Callable[[web.Request, Fields], Fields]) -> web.RouteDef:
        async def handle(request: web.Request) -> Fields:
            if request.method != method:
                raise _No("MethodNotAllowed", f"{method} is needed")
            return work(request, await _json(request, "invalidParameter.body") if method == "POST" else {})

        return web.route("*", path, _answering(handle))

    # Tokens: one for both APIs.

    def _fetched(self, key: str, secret: str) -> str:
        if key != self.set["app_key"] or not hmac.compare_digest(secret.encode(), self.set["app_secret"].encode()):
            raise _No("invalidClientIdOrSecret", "无效的clientId或者clientSecret")
        self.fetches += 1
        if not self._is_good(self._token):
            self._token = secrets.token_hex(16)
        self._expires = self.clock() + self.set["token_ttl"] * SECOND
        return self._token

    def _gettoken(self, request: web.Request, _body: Fields) -> Fields:
        try:
            token = self._fetched(request.query.get("appkey", ""), request.query.get("appsecret", ""))
        except _No as no:
            raise _No(40096, "不合法的appKey或appSecret") from no
        return {"access_token": token, "expires_in": self.set["token_ttl"]}

    def _access_token(self, _request: web.Request, body: Fields) -> Fields:
        token = self._fetched(str(body.get("appKey", "")), str(body.get("appSecret", "")))
        return {"accessToken": token, "expireIn": self.set["token_ttl"]}

    def _is_good(self, token: str) -> bool:
        return bool(token) and token == self._token and self.clock() < self._expires

    def _admit_old(self, request: web.Request) -> None:
        if not self._is_good(request.query.get("access_token", "")):
            raise _gateway("40014", "不合法的access_token")
        if not self.set["permission"]:
            raise _gateway("60011", "应用尚未开通所需的权限")
        if not self.set["ip_allowed"]:
            raise _gateway("60020", f"访问ip不在白名单之中, request ip={request.remote}")
        if self.set["qps"] and self._recent(self._calls, SECOND) >= self.set["qps"]:
            raise _gateway("90018", "您调用的接口超过了最大qps限制")
        self._calls.append(self.clock())

    def _admit_new(self, request: web.Request) -> None:
        if not self._is_good(request.headers.get("x-acs-dingtalk-access-token", "")):
            raise _No("InvalidAuthentication", "不合法的access_token")
        if not self.set["permission"]:
            raise _No("Forbidden.AccessDenied.AccessTokenPermissionDenied", "没有调用该接口的权限")

    def _recent(self, calls: deque[int], span: int) -> int:
        while calls and calls[0] <= self.clock() - span:
            calls.popleft()
        return len(calls)

    # Work notices.

    def _asyncsend(self, request: web.Request, body: Fields) -> Fields:
        self._admit_old(request)
        if body.get("agent_id") != self.set["agent_id"]:
            raise _No(40056, "不合法的agentid")
        users, msg = body.get("userid_list"), body.get("msg")
        if not isinstance(users, str) or not all(_ID.fullmatch(user) for user in users.split(",")):
            raise _No(40035, "不合法的参数: userid_list")
        shown = _shown(msg)
        if len(json.dumps(msg, ensure_ascii=False, separators=(",", ":")).encode()) > _LONGEST:
            raise _No(34016, "消息体过长")
        [user] = users.split(",")
        number = str(256_000_000_000 + len(self.tasks))
        task = self.tasks[number] = self._judged(user, json.dumps(msg, sort_keys=True))
        if task.verdict in {"", "unread"}:
            raw = json.dumps(body, ensure_ascii=False)
            receipts = (Fate.ARRIVED, Fate.READ, Fate.LOST)
            task.serial = self.phones.show(self.name, user, raw=raw, id=number, receipts=receipts, **shown).serial
        return {"task_id": int(number), "request_id": secrets.token_hex(6)}

    def _judged(self, user: str, words: str) -> _Task:
        now = self.clock()
        day = (now + 8 * HOUR) // DAY
        if user in self.set["unknown"]:
            return _Task(user, now, "invalid")
        if (day, user, words) in self._told:
            return _Task(user, now, "forbidden", "143106")
        if self._counts[day, user] >= self.set["per_day"]:
            return _Task(user, now, "forbidden", "143105")
        self._told.add((day, user, words))
        self._counts[day, user] += 1
        return _Task(user, now, "" if self.set["pending"] else "unread")

    def _getsendresult(self, request: web.Request, body: Fields) -> Fields:
        self._admit_old(request)
        task = self.tasks.get(str(body.get("task_id")))
        if body.get("agent_id") != self.set["agent_id"] or task is None or self.clock() - task.at >= DAY:
            raise _No(40035, "不合法的参数: task_id")
        lists: Fields = {
            f"{name}_user_id_list": self._list([task.user] if task.verdict == name else [])
            for name in ("read", "unread", "failed", "invalid")
        }
        held_back = task.verdict == "forbidden"
        if self.set["documented_names"]:
            lists["forbidden_user_id_list"] = self._list([task.user] if held_back else [])
        elif held_back:
            lists["forbidden_list"] = [{"code": task.code, "count": self.set["per_day"], "userid": task.user}]
        return {"result": {"send_result": lists}} if self.set["nested"] else {"send_result": lists}

    def _list(self, users: list[str]) -> list[str] | str:
        return ",".join(users) if self.set["csv"] else users

    # The app's robot.

    def _batch_send(self, request: web.Request, body: Fields) -> Fields:
        self._admit_new(request)
        users = body.get("userIds")
        if body.get("robotCode") != self.set["app_key"]:
            raise _No("resource.not.found", "robot 不存在")
        if not isinstance(users, list) or not 0 < len(users) <= 20:
            raise _No("invalidParameter.userIds", "userIds")
        if any(user in self.set["unknown"] or not _ID.fullmatch(str(user)) for user in users):
            raise _No("staffId.notExisted", "用户不存在")
        shown = _said(body.get("msgKey"), body.get("msgParam"))
        number = secrets.token_urlsafe(18)
        left_out = {user for name in ("invalid", "flow_controlled", "filtered") for user in self.set[name]}
        for user in users:
            if user not in left_out:
                raw = json.dumps(body, ensure_ascii=False)
                arrival = self.phones.show(
                    self.name, user, raw=raw, id=number, receipts=(Fate.ARRIVED, Fate.READ), **shown
                )
                self.tasks[number] = _Task(user, self.clock(), "unread", serial=arrival.serial)
        return {
            "processQueryKey": number,
            "invalidStaffIdList": [user for user in users if user in self.set["invalid"]],
            "flowControlledStaffIdList": [user for user in users if user in self.set["flow_controlled"]],
            "filteredStaffIdList": [user for user in users if user in self.set["filtered"]],
        }

    def _read_status(self, request: web.Request, _body: Fields) -> Fields:
        self._admit_new(request)
        task = self.tasks.get(request.query.get("processQueryKey", ""))
        if task is None or request.query.get("robotCode") != self.set["app_key"]:
            raise _No("resource.not.found", "processQueryKey")
        reader = {"userId": task.user, "name": task.user, "readStatus": task.verdict.upper(), "readTimestamp": 0}
        failed = task.verdict == "failed"
        return {"sendStatus": "FAILED" if failed else "SUCCESS", "messageReadInfoList": [] if failed else [reader]}

    # A group's robot.

    def _robot_send(self, request: web.Request, body: Fields) -> Fields:
        if self.set["punish"]:
            raise _Barred
        if request.query.get("access_token") != self.set["robot_token"]:
            raise _No(300001, "token is not exist")
        self._pace_robot()
        self._check_robot(request, json.dumps(body, ensure_ascii=False))
        shown = _shown(body)
        self.phones.show(self.name, "robot", raw=json.dumps(body, ensure_ascii=False), **shown)
        return {}

    def _pace_robot(self) -> None:
        now = self.clock()
        if now < self._locked_until:
            raise _No(410100, "发送速度太快而限流")
        if self._recent(self._robot, MINUTE) >= self.set["robot_per_minute"]:
            self._locked_until = now + _LOCK
            raise _No(130101, "send too fast, exceed 20 times per minute")
        self._robot.append(now)

    def _check_robot(self, request: web.Request, words: str) -> None:
        if not self.set["ip_allowed"]:
            raise _No(310000, f"ip {request.remote} not in whitelist")
        if self.set["keyword"] not in words:
            raise _No(310000, "keywords not in content, more: [https://ding-doc.dingtalk.com]")
        if secret := self.set["robot_secret"]:
            stamp = request.query.get("timestamp", "")
            if not stamp.isdecimal() or abs(int(stamp) - self.clock()) > HOUR:
                raise _No(310000, "invalid timestamp, more: [https://ding-doc.dingtalk.com]")
            code = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), digestmod=hashlib.sha256).digest()
            if request.query.get("sign") != base64.b64encode(code).decode():
                raise _No(310000, "sign not match, more: [https://ding-doc.dingtalk.com]")

    # Who signs in.

    async def _login(self, request: web.Request) -> web.Response:
        if request.query.get("client_id") != self.set["app_key"] or request.query.get("response_type") != "code":
            return web.Response(status=400, text="client_id")
        return self.logins.page(request, _DOOR, code="authCode")

    def _user_token(self, _request: web.Request, body: Fields) -> Fields:
        if (body.get("clientId"), body.get("clientSecret")) != (self.set["app_key"], self.set["app_secret"]):
            raise _No("invalidClientIdOrSecret", "无效的clientId或者clientSecret")
        user = self.logins.redeem(str(body.get("code", "")))
        if body.get("grantType") != "authorization_code" or not user:
            raise _No("invalidParameter.authCode.notFound", "不合法的临时授权码")
        token = secrets.token_hex(16)
        self._users[token] = user
        return {"accessToken": token, "refreshToken": secrets.token_hex(16), "expireIn": 7200}

    def _me(self, request: web.Request, _body: Fields) -> Fields:
        user = self._users.get(request.headers.get("x-acs-dingtalk-access-token", ""))
        if user is None:
            raise _No("InvalidAuthentication", "不合法的access_token")
        return {"nick": user.title(), "unionId": f"union-{user}", "openId": f"open-{user}"}

    def _getbyunionid(self, request: web.Request, body: Fields) -> Fields:
        self._admit_old(request)
        user = str(body.get("unionid", "")).removeprefix("union-")
        if user in {*self.set["outside"], *self.set["unknown"]}:
            raise _No(60121, "找不到该用户")
        return {"result": {"contact_type": 0, "userid": user}}


class _Barred(Exception):
    """What stands before the API turns us away."""


DOUBLE = DingTalk


def _answering(handle: Callable[[web.Request], Any]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(await handle(request))
        except _No as no:
            return no.response()
        except _Barred:
            return web.json_response({"status": 1111, "wait": 5, "punish": "deny", "source": "x5"})

    return answer


def _gateway(sub_code: str, text: str) -> _No:
    return _No(88, f"ding talk error[subcode={sub_code},submsg={text}]", sub_code=sub_code, sub_msg=text)


async def _json(request: web.Request, code: int | str) -> Fields:
    try:
        said = await request.json() if request.content_type == "application/json" else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise _No(code, "not a JSON object")
    return said


def _shown(msg: object) -> Fields:
    """A message of the older API as its receiver sees it. Raises `_No` for one that is not as it must be."""
    match msg:
        case {"msgtype": "text", "text": {"content": str(text)}} if text:
            return {"text": text}
        case {"msgtype": "markdown", "markdown": {"title": str(title), "text": str(text)}} if title and text:
            return {"title": title, "text": text}
        case {"msgtype": "link", "link": {"title": str(title), "text": str(text), "messageUrl": str(url)}} if url:
            return {"title": title, "text": text, "url": url}
        case {
            "msgtype": "oa",
            "oa": {
                "message_url": str(url),
                "head": {"text": str()},
                "body": {"title": str(title), "content": str(text)} as body,
            },
        } if url:
            form = body.get("form", [])
            if all(isinstance(row, dict) and isinstance(row.get("key"), str) for row in form):
                rows = tuple((row["key"].rstrip(": "), str(row["value"])) for row in form)
                return {"title": title, "text": text, "rows": rows, "url": url}
    raise _No(40035, "不合法的参数: msg")


def _said(key: object, param: object) -> Fields:
    """Likewise what the app's robot says; its parameters are JSON within JSON."""
    try:
        said = json.loads(param) if isinstance(param, str) else None
    except ValueError:
        said = None
    match key, said:
        case "sampleText", {"content": str(text)} if text:
            return {"text": text}
        case "sampleMarkdown", {"title": str(title), "text": str(text)}:
            return {"title": title, "text": text}
        case "sampleLink", {"title": str(title), "text": str(text), "messageUrl": str(url)}:
            return {"title": title, "text": text, "url": url}
        case "sampleActionCard", {"title": str(title), "text": str(text), "singleURL": str(url)}:
            return {"title": title, "text": text, "url": url}
    raise _No("invalidParameter.msgParam", "msgParam")
