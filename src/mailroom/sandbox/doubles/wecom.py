# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The double of WeCom's API, for one organisation with one application: whoever has a plausible userid is a member,
unless a knob says otherwise.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from aiohttp import web

from mailroom.core.clock import MINUTE, SECOND
from mailroom.sandbox import envelope
from mailroom.sandbox.double import Double, Handler
from mailroom.sandbox.login import Door, Logins
from mailroom.sandbox.phones import Phones

_LASTS: Final = 7200
_LONGEST: Final = 2048  # octets of a text; more is cut off
_TITLE: Final = 128
_DESCRIPTION: Final = 512
_REMEMBERED: Final = 10_000  # messages, to tell repeats
_LONGEST_CHECK: Final = 14_400  # seconds
_USERID: Final = re.compile(r"[A-Za-z0-9][\w.@-]{0,63}", re.ASCII)
_DOOR: Final = Door(
    title={"en": "WeCom", "zh": "企业微信"},
    hint={
        "en": "Anybody is a member of the organisation: a userid such as zhangsan.",
        "zh": "任何人都是企业成员：填写 userid，如 zhangsan。",
    },
    example="zhangsan",
    pattern=r"[A-Za-z0-9][A-Za-z0-9_.@\-]{0,63}",
)


class Fault(Exception):
    """What the API answers instead of doing it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class WeCom(Double):
    """See the module. `issued` counts access tokens."""

    name: ClassVar[str] = "wecom"
    knobs: ClassVar[dict[str, Any]] = {
        "corp_id": "ww-demo",
        "secret": "demo-secret",
        "agent_id": 1_000_002,
        "robot": "demo-robot",  # "": it was removed
        "token": "demo-token",
        "aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        "gone": [],
        "unlicensed": [],
        "strangers": [],  # sign in, and are no members
        "lenient": False,  # as it was once: nobody reached is no error
        "trusted_ip": "",  # "": any
        "trusted_domain": "",  # host and port to which a sign-in may lead back; "": any
        "calls": 10_000,  # a minute
        "member": 30,  # messages a minute to one member; more are dropped without a word
        "robot_rate": 20,  # a minute
    }

    def __init__(self, phones: Phones) -> None:
        super().__init__(phones)
        self._begin()

    def _begin(self) -> None:
        self.issued = 0
        self._tokens: dict[str, int] = {}  # until when
        self._ended: set[str] = set()
        self.logins = Logins(self.clock)
        self._counts: Counter[str] = Counter()  # in this minute
        self._minute = 0
        self._said: dict[str, int] = {}  # hashes of messages, and until when they may not be repeated
        self._serial = 0

    def reset(self) -> None:
        super().reset()
        self._begin()

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/cgi-bin/gettoken", self._answer(self._gettoken)),
            web.post("/cgi-bin/message/send", self._answer(self._send)),
            web.post("/cgi-bin/webhook/send", self._answer(self._robot)),
            web.get("/cgi-bin/auth/getuserinfo", self._answer(self._getuserinfo)),
            web.get("/wwlogin/sso/login", self._login),
        ]

    def end_tokens(self) -> None:
        """End all tokens before their time."""
        self._ended |= self._tokens.keys()
        self._tokens.clear()

    async def leave(self, userid: str) -> int:
        """Somebody is removed from the organisation; the status that the customer answered."""
        self.set["gone"] = [*self.set["gone"], userid]
        told = {
            "ToUserName": self.set["corp_id"],
            "FromUserName": "sys",
            "CreateTime": str(self.clock() // SECOND),
            "MsgType": "event",
            "Event": "change_contact",
            "ChangeType": "delete_user",
            "UserID": userid,
        }
        xml = f"<xml>{''.join(f'<{tag}><![CDATA[{text}]]></{tag}>' for tag, text in told.items())}</xml>"
        return (await self.send(xml))[0]

    async def send(self, xml: str) -> tuple[int, bytes]:
        """Call the customer with this XML, signed and sealed."""
        sealed = envelope.seal(self.set["aes_key"], xml, self.set["corp_id"])
        body = (
            f"<xml><ToUserName><![CDATA[{self.set['corp_id']}]]></ToUserName><AgentID></AgentID>"
            f"<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
        )
        return await self.call(params=self._signature(sealed), data=body.encode(), headers={"Content-Type": "text/xml"})

    async def verify(self) -> bool:
        """What WeCom does when a server's address is entered: it has to open what is sealed, and say just that."""
        echo = secrets.token_hex(8)
        sealed = envelope.seal(self.set["aes_key"], echo, self.set["corp_id"])
        status, body = await self.call(method="GET", params=self._signature(sealed) | {"echostr": sealed})
        return status == 200 and body == echo.encode()

    def _signature(self, sealed: str) -> dict[str, str]:
        stamp, nonce = str(self.clock() // SECOND), secrets.token_hex(5)
        signature = envelope.sign(self.set["token"], stamp, nonce, sealed)
        return {"msg_signature": signature, "timestamp": stamp, "nonce": nonce}

    def _answer(self, act: Callable[[web.Request], Awaitable[dict[str, Any]]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                said = {"errcode": 0, "errmsg": "ok"} | await act(request)
            except Fault as fault:
                hint = f"hint: [{secrets.randbelow(10**18)}], from ip: {request.remote}"
                said = {"errcode": fault.code, "errmsg": f"{fault.text}, {hint}"}
            return web.json_response(said, dumps=lambda value: json.dumps(value, ensure_ascii=False))

        return handle

    async def _gettoken(self, request: web.Request) -> dict[str, Any]:
        if request.query.get("corpid") != self.set["corp_id"]:
            raise Fault(40013, "invalid corpid")
        if request.query.get("corpsecret") != self.set["secret"]:
            raise Fault(40001, "invalid credential")
        now = self.clock()
        token = next((text for text, until in self._tokens.items() if until > now), "")
        if not token:
            token = secrets.token_urlsafe(96)
            self.issued += 1
            self._tokens[token] = now + _LASTS * SECOND
        return {"access_token": token, "expires_in": (self._tokens[token] - now) // SECOND}

    def _check(self, request: web.Request) -> None:
        token = request.query.get("access_token", "")
        if not token:
            raise Fault(41001, "access_token missing")
        if token in self._ended or self._tokens.get(token, self.clock()) < self.clock():
            raise Fault(42001, "access_token expired")
        if token not in self._tokens:
            raise Fault(40014, "invalid access_token")
        if self.set["trusted_ip"] and request.remote != self.set["trusted_ip"]:
            raise Fault(60020, "not allow to access from your ip")
        if self._count(request.path) > self.set["calls"]:
            raise Fault(45009, "api freq out of limit")

    def _count(self, what: str) -> int:
        if self._minute != (minute := self.clock() // MINUTE):
            self._minute, self._counts = minute, Counter()
        self._counts[what] += 1
        return self._counts[what]

    async def _send(self, request: web.Request) -> dict[str, Any]:
        self._check(request)
        raw = await request.read()
        asked = _read(request, raw)
        if asked.get("agentid") != self.set["agent_id"]:
            raise Fault(40056, "invalid agentid")
        to = asked.get("touser")
        if not isinstance(to, str) or not to:
            raise Fault(40003, "invalid userid")
        content = _content(asked)
        invalid, unlicensed, reached = self._sorted(to.split("|"))
        if invalid and not reached and not unlicensed and not self.set["lenient"]:
            raise Fault(81013, "user & party & tag all invalid")
        self._serial += 1
        id_ = f"msg-{self._serial}"
        if not self._is_repeat(asked, raw):
            for member in reached:
                if self._count(f"to {member.lower()}") <= self.set["member"]:
                    self.phones.show(self.name, member, **content, raw=raw.decode(), id=id_)
        said = {"invaliduser": invalid, "unlicenseduser": unlicensed}
        return {"msgid": id_} | {name: "|".join(one.lower() for one in ids) for name, ids in said.items()}

    def _sorted(self, members: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
        gone, unlicensed = ({one.lower() for one in self.set[knob]} for knob in ("gone", "unlicensed"))
        invalid = [one for one in members if one.lower() in gone or not _USERID.fullmatch(one)]
        bare = [one for one in members if one.lower() in unlicensed and one not in invalid]
        return invalid, bare, [one for one in members if one not in {*invalid, *bare}]

    def _is_repeat(self, asked: dict[str, Any], raw: bytes) -> bool:
        """Whether the same was said, and was to be said once for that time."""
        seconds = asked.get("duplicate_check_interval", 1800)
        if not isinstance(seconds, int) or not 0 < seconds <= _LONGEST_CHECK:
            raise Fault(40058, "invalid Request Parameter")
        if asked.get("enable_duplicate_check") != 1:
            return False
        digest = hashlib.sha256(raw).hexdigest()
        repeat = self._said.get(digest, 0) > self.clock()
        if not repeat:
            self._said[digest] = self.clock() + seconds * SECOND
            if len(self._said) > _REMEMBERED:
                del self._said[next(iter(self._said))]
        return repeat

    async def _robot(self, request: web.Request) -> dict[str, Any]:
        if not self.set["robot"] or request.query.get("key") != self.set["robot"]:
            raise Fault(93000, "invalid webhook url")
        raw = await request.read()
        content = _content(_read(request, raw))
        if self._count("robot") > self.set["robot_rate"]:
            raise Fault(45009, "api freq out of limit")
        self.phones.show(self.name, f"robot {self.set['robot']}", **content, raw=raw.decode())
        return {}

    async def _login(self, request: web.Request) -> web.Response:
        query, domain = request.query, self.set["trusted_domain"]
        if query.get("appid") != self.set["corp_id"] or query.get("agentid") != str(self.set["agent_id"]):
            raise web.HTTPBadRequest(text="no such application")
        if domain and urlsplit(query.get("redirect_uri", "")).netloc != domain:
            raise web.HTTPBadRequest(text="50001: redirect_url does not lead to the trusted domain")
        return self.logins.page(request, _DOOR, code="code")

    async def _getuserinfo(self, request: web.Request) -> dict[str, Any]:
        self._check(request)
        member = self.logins.redeem(request.query.get("code", ""))
        if not member:
            raise Fault(40029, "invalid code")
        if member in self.set["strangers"] or not _USERID.fullmatch(member):
            return {"openid": f"o-{member}", "external_userid": f"wm-{member}"}
        return {"userid": member}


def _read(request: web.Request, raw: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(raw)
    except ValueError as fault:
        raise Fault(47001, "data format error") from fault
    if not isinstance(asked, dict) or request.content_type != "application/json":
        raise Fault(47001, "data format error")
    return asked


def _content(asked: dict[str, Any]) -> dict[str, Any]:
    """What a phone shows of it."""
    kind = asked.get("msgtype")
    words = asked.get(kind) if isinstance(kind, str) else None
    if kind not in {"text", "markdown", "textcard"} or not isinstance(words, dict):
        raise Fault(40008, "invalid message type")
    if any(not isinstance(value, str) for key, value in words.items() if not key.startswith("mentioned_")):
        raise Fault(40058, "invalid Request Parameter")
    if kind != "textcard":
        if not words.get("content"):
            raise Fault(44004, "empty content")
        return {"text": _cut(words["content"], _LONGEST)}
    if not all(words.get(name) for name in ("title", "description", "url")):
        raise Fault(40058, "invalid Request Parameter")
    description = re.sub(r"<[^<>]*>", "", _cut(words["description"], _DESCRIPTION).replace("</div>", "\n"))
    text = html.unescape(description).strip()
    return {"title": _cut(words["title"], _TITLE), "text": text, "url": words["url"]}


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


DOUBLE: Final = WeCom
