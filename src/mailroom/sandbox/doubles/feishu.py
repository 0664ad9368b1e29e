# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Feishu: its API, a group's bot, its events, and where people sign in, all below one address.

Everybody whose open_id has the right form is there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.sandbox.double import Double, Handler
from mailroom.sandbox.login import Door, Logins
from mailroom.sandbox.phones import Arrival, Fate, Phones

_OPEN_ID: Final = re.compile(r"ou_[\w-]{1,60}", re.ASCII)
_RENEWED: Final = 30 * MINUTE  # a token that has less left is replaced by a new one; both work
_LONGEST_CARD: Final = 30 * 1024
_LONGEST_TEXT: Final = 150 * 1024
_LONGEST_HOOK: Final = 20 * 1024
_DOOR: Final = Door(
    title={"en": "Feishu", "zh": "飞书"},
    hint={
        "en": "Anybody is there: an open_id such as ou_zhangsan, or the name alone, zhangsan.",
        "zh": "任何人都可登录：填写 open_id（如 ou_zhangsan），或只填名字（如 zhangsan）。",
    },
    example="ou_zhangsan",
    pattern=r"(ou_)?[A-Za-z0-9_\-]{1,60}",
)

Fields = dict[str, Any]


class _No(Exception):
    """An error of its API."""

    def __init__(self, code: int, text: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.code, self.text, self.status, self.headers = code, text, status, headers


class Feishu(Double):
    """See the module."""

    name = "feishu"
    knobs: ClassVar[dict[str, Any]] = {
        "app_id": "cli_demo",
        "app_secret": "demo-secret",
        "robot_token": "demo-bot",
        "robot_secret": "SECdemo",  # "": unsigned
        "encrypt_key": "demo-encrypt-key",  # "": events are neither sealed nor signed
        "verification_token": "demo-token",
        "token_ttl": 7200,  # seconds
        "outside": [],  # for whom the app has not been released, or who have left
        "stopped": [],  # who want nothing more of the bot
        "sensitive": "",  # a word that nobody may send
        "cards": True,  # whether cards are taken
        "ability": True,  # the app has a bot
        "per_second": 50,
        "per_minute": 1000,
        "per_user": 5,  # in a second
        "old_limit": False,  # the limit is told with 400 instead of 429
        "keyword": "",  # without which a group's bot says nothing
        "ip_allowed": True,
        "hook_per_minute": 100,
        "hook_per_second": 5,
    }

    def __init__(self, phones: Phones) -> None:
        super().__init__(phones)
        self._clear()

    def reset(self) -> None:
        super().reset()
        self._clear()

    def _clear(self) -> None:
        self.logins = Logins(self.phones.clock)
        self.undelivered: list[Fields] = []  # events that the customer has not taken yet
        self.fetches = 0  # of tokens
        self._tokens: dict[str, int] = {}  # when each ends
        self._users: dict[str, str] = {}  # by the token of who signed in
        self._sent: dict[tuple[str, str], tuple[int, str]] = {}  # by receiver and uuid: when, and as which message
        self._calls: deque[int] = deque()
        self._to: dict[str, deque[int]] = {}
        self._hook: deque[int] = deque()

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            self._route("POST", "/open-apis/auth/v3/tenant_access_token/internal", self._token),
            self._route("POST", "/open-apis/im/v1/messages", self._message),
            self._route("POST", "/open-apis/bot/v2/hook/{token}", self._bot),
            web.get("/open-apis/authen/v1/authorize", self._login),
            self._route("POST", "/open-apis/authen/v2/oauth/token", self._user_token),
            self._route("GET", "/open-apis/authen/v1/user_info", self._user_info),
        ]

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        """Tell the customer that a message has been read."""
        if fate is Fate.READ:
            await self.read(arrival.id, arrival.to)
        await super().press(arrival, fate)

    def revoke(self) -> None:
        """End all tokens before their time."""
        self._tokens.clear()

    async def read(self, message_id: str, open_id: str) -> tuple[int, bytes]:
        """Somebody has read a message."""
        reader = {"reader_id": {"open_id": open_id, "union_id": f"on_{open_id}"}, "read_time": str(self.clock())}
        event = {"reader": reader, "message_id_list": [message_id]}
        return await self.emit(self.event("im.message.message_read_v1", event))

    async def leave(self, open_id: str) -> tuple[int, bytes]:
        """Somebody has left the organisation."""
        return await self.emit(self.event("contact.user.deleted_v3", {"object": {"open_id": open_id}}))

    def event(self, kind: str, about: Mapping[str, Any]) -> Fields:
        """An event, with an id of its own."""
        header = {
            "event_id": secrets.token_hex(16),
            "event_type": kind,
            "create_time": str(self.clock()),
            "token": self.set["verification_token"],
            "app_id": self.set["app_id"],
            "tenant_key": "demo",
        }
        return {"schema": "2.0", "header": header, "event": dict(about)}

    async def verify(self) -> tuple[int, bytes]:
        """Ask whether the customer is there, as when his URL is entered."""
        asked = {
            "type": "url_verification",
            "challenge": secrets.token_hex(16),
            "token": self.set["verification_token"],
        }
        status, reply = await self._post(asked, signed=False)
        if status != 200 or json.loads(reply).get("challenge") != asked["challenge"]:
            raise ValueError("the challenge was not answered")
        return status, reply

    async def emit(self, event: Fields) -> tuple[int, bytes]:
        """Call the customer with an event; what is not taken waits for `redeliver`."""
        try:
            status, reply = await self._post(event, signed=True)
        except (aiohttp.ClientError, TimeoutError):
            status, reply = 0, b""
        if status != 200 and event not in self.undelivered:
            self.undelivered.append(event)
        return status, reply

    async def redeliver(self) -> None:
        """Call with everything that was not taken, as happens after 15 s, 5 min, 1 h and 6 h."""
        waiting, self.undelivered = self.undelivered, []
        for event in waiting:
            await self.emit(event)

    async def _post(self, said: Mapping[str, Any], *, signed: bool) -> tuple[int, bytes]:
        key = self.set["encrypt_key"]
        body = json.dumps({"encrypt": self.seal(json.dumps(said).encode())} if key else said).encode()
        headers = {"Content-Type": "application/json"}
        if key and signed:
            stamp, nonce = str(self.clock() // SECOND), secrets.token_hex(5)
            digest = hashlib.sha256((stamp + nonce + key).encode() + body).hexdigest()
            headers |= {
                "X-Lark-Request-Timestamp": stamp,
                "X-Lark-Request-Nonce": nonce,
                "X-Lark-Signature": digest,
            }
        return await self.call(data=body, headers=headers)

    def seal(self, plain: bytes) -> str:
        """Words as they are sent with an encrypt key."""
        padder = padding.PKCS7(128).padder()
        key, start = hashlib.sha256(self.set["encrypt_key"].encode()).digest(), os.urandom(16)
        cipher = Cipher(algorithms.AES(key), modes.CBC(start)).encryptor()
        filled = padder.update(plain) + padder.finalize()
        return base64.b64encode(start + cipher.update(filled) + cipher.finalize()).decode()

    def _route(self, method: str, path: str, work: Callable[[web.Request, Fields], Fields]) -> web.RouteDef:
        return web.route("*", path, _answering(method, work))

    # Tokens.

    def _token(self, _request: web.Request, body: Fields) -> Fields:
        if body.get("app_id") != self.set["app_id"]:
            raise _No(10003, "invalid param", status=200)
        if body.get("app_secret") != self.set["app_secret"]:
            raise _No(10014, "app secret invalid", status=200)
        self.fetches += 1
        now = self.clock()
        good = [token for token, end in self._tokens.items() if end - now > _RENEWED]
        token = good[-1] if good else f"t-{secrets.token_hex(16)}"
        self._tokens.setdefault(token, now + self.set["token_ttl"] * SECOND)
        return {"tenant_access_token": token, "expire": (self._tokens[token] - now) // SECOND}

    def _admit(self, request: web.Request) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            raise _No(99991661, "Missing access token for authorization")
        if self._tokens.get(token, 0) <= self.clock():
            raise _No(99991663, "Invalid access token for authorization. Please make a request with token attached.")

    # An app's messages.

    def _message(self, request: web.Request, body: Fields) -> Fields:
        self._admit(request)
        self._pace()
        to, kind, content = body.get("receive_id"), body.get("msg_type"), body.get("content")
        if request.query.get("receive_id_type") != "open_id" or not isinstance(to, str) or not _OPEN_ID.fullmatch(to):
            raise _No(230001, "Your request contains an invalid request parameter, ext=invalid receive_id")
        shown = _shown(str(kind), content)
        self._may_have(to, str(content))
        now, uuid = self.clock(), body.get("uuid", "")
        if not isinstance(uuid, str) or len(uuid) > 50:
            raise _No(230001, "Your request contains an invalid request parameter, ext=uuid")
        at, known = self._sent.get((to, uuid), (0, ""))
        if uuid and known and now - at < HOUR:
            return {"data": {"message_id": known, "create_time": str(at)}}
        number = f"om_{secrets.token_hex(16)}"
        self._sent[to, uuid] = (now, number)
        raw = json.dumps(body, ensure_ascii=False)
        self.phones.show(self.name, to, raw=raw, id=number, receipts=(Fate.READ,), **shown)
        return {"data": {"message_id": number, "create_time": str(now)}}

    def _may_have(self, to: str, content: str) -> None:
        if not self.set["ability"]:
            raise _No(230006, "Bot ability is not activated.")
        if to in self.set["outside"]:
            raise _No(230013, "Bot has NO availability to this user.")
        if to in self.set["stopped"]:
            raise _No(230053, "The user has stopped the bot from sending messages.")
        if self.set["sensitive"] and self.set["sensitive"] in content:
            raise _No(230022, "The content of the message contains sensitive information.")
        if not self.set["cards"] and "elements" in content:
            raise _No(230099, "Failed to create card content, ext=ErrCode: 200621; ErrMsg: parse card json err")
        recent = self._to.setdefault(to, deque())
        if self._recent(recent, SECOND) >= self.set["per_user"]:
            raise _No(230020, "This operation triggers the frequency limit.")
        recent.append(self.clock())

    def _pace(self) -> None:
        minute = self._recent(self._calls, MINUTE)
        second = sum(1 for at in self._calls if at > self.clock() - SECOND)
        if minute >= self.set["per_minute"] or second >= self.set["per_second"]:
            span = MINUTE if minute >= self.set["per_minute"] else SECOND
            first = next(at for at in self._calls if at > self.clock() - span)
            reset = -((self.clock() - first - span) // SECOND)
            headers = {"x-ogw-ratelimit-limit": str(self.set["per_minute"]), "x-ogw-ratelimit-reset": str(reset)}
            status = 400 if self.set["old_limit"] else 429
            raise _No(99991400, "request trigger frequency limit", status=status, headers=headers)
        self._calls.append(self.clock())

    def _recent(self, calls: deque[int], span: int) -> int:
        while calls and calls[0] <= self.clock() - span:
            calls.popleft()
        return len(calls)

    # A group's bot.

    def _bot(self, request: web.Request, body: Fields) -> Fields:
        if request.match_info["token"] != self.set["robot_token"]:
            raise _No(19001, "param invalid: incoming webhook access token invalid", status=200)
        words = json.dumps(body, ensure_ascii=False)
        shown = _shown_by_bot(body)
        if shown is None or len(words.encode()) > _LONGEST_HOOK:
            raise _No(9499, "Bad Request", status=200)
        self._check_bot(body, words)
        second = sum(1 for at in self._hook if at > self.clock() - SECOND)
        if self._recent(self._hook, MINUTE) >= self.set["hook_per_minute"] or second >= self.set["hook_per_second"]:
            raise _No(11232, "frequency limited psm[lark.oapi.app_platform_runtime]", status=200)
        self._hook.append(self.clock())
        self.phones.show(self.name, "robot", raw=words, **shown)
        return {"data": {}, "StatusCode": 0, "StatusMessage": "success"}

    def _check_bot(self, body: Fields, words: str) -> None:
        if not self.set["ip_allowed"]:
            raise _No(19022, "Ip Not Allowed", status=200)
        if self.set["keyword"] not in words:
            raise _No(19024, "Key Words Not Found", status=200)
        if secret := self.set["robot_secret"]:
            stamp = body.get("timestamp", "")
            is_now = isinstance(stamp, str) and stamp.isdecimal() and abs(int(stamp) * SECOND - self.clock()) <= HOUR
            code = hmac.new(f"{stamp}\n{secret}".encode(), digestmod=hashlib.sha256).digest()
            if not is_now or body.get("sign") != base64.b64encode(code).decode():
                raise _No(19021, "sign match fail or timestamp is not within one hour from current time", status=200)

    # Who signs in.

    async def _login(self, request: web.Request) -> web.Response:
        if request.query.get("client_id") != self.set["app_id"] or request.query.get("response_type") != "code":
            return web.Response(status=400, text="client_id")
        return self.logins.page(request, _DOOR, code="code")

    def _user_token(self, _request: web.Request, body: Fields) -> Fields:
        if (body.get("client_id"), body.get("client_secret")) != (self.set["app_id"], self.set["app_secret"]):
            raise _No(20002, "The client secret is invalid.")
        user = self.logins.redeem(str(body.get("code", "")))
        if body.get("grant_type") != "authorization_code" or not user:
            raise _No(20003, "The authorization code is not found.")
        user = f"ou_{user.removeprefix('ou_')}"
        if user in self.set["outside"]:
            raise _No(20010, "The user has no permission to use this app.")
        token = f"u-{secrets.token_hex(16)}"
        self._users[token] = user
        return {"access_token": token, "expires_in": 7200, "token_type": "Bearer"}

    def _user_info(self, request: web.Request, _body: Fields) -> Fields:
        user = self._users.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if user is None:
            raise _No(20005, "The user access token passed is invalid.")
        name = user.removeprefix("ou_").title()
        return {"data": {"name": name, "open_id": user, "union_id": f"on_{user}"}}


DOUBLE = Feishu


def _answering(method: str, work: Callable[[web.Request, Fields], Fields]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            if request.method != method:
                raise _No(404, "404 page not found", status=404)
            body = await _json(request) if method == "POST" else {}
            return web.json_response({"code": 0, "msg": "success", **work(request, body)})
        except _No as no:
            said = {"code": no.code, "msg": no.text, "log_id": secrets.token_hex(8).upper()}
            return web.json_response(said, status=no.status, headers=no.headers)

    return answer


async def _json(request: web.Request) -> Fields:
    try:
        said = await request.json() if request.content_type == "application/json" else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise _No(9499, "Bad Request")
    return said


def _shown(kind: str, content: object) -> Fields:
    """An app's message as its receiver sees it. Raises `_No` for one that is not as it must be."""
    if not isinstance(content, str):
        raise _No(230001, "Your request contains an invalid request parameter, ext=content is not a string")
    if len(content.encode()) > (_LONGEST_TEXT if kind == "text" else _LONGEST_CARD):
        raise _No(230025, "The length of the message content reaches its limit.")
    try:
        said = json.loads(content)
    except ValueError:
        said = None
    shown = _seen(kind, said)
    if shown is None:
        code = 230099 if kind == "interactive" else 230001
        raise _No(code, "Failed to create message content, ext=ErrCode: 200621")
    return shown


def _shown_by_bot(body: Fields) -> Fields | None:
    kind = body.get("msg_type")
    return _seen(str(kind), body.get("card") if kind == "interactive" else body.get("content"))


def _seen(kind: str, said: object) -> Fields | None:
    match kind, said:
        case "text", {"text": str(text)} if text:
            return {"text": text}
        case "interactive", {"header": {"title": {"content": str(title)}}, "elements": [*elements]} if elements:
            lines = [element["text"]["content"] for element in elements]
            rows = tuple((label, value) for label, _, value in (line.partition(": ") for line in lines) if value)
            url = said.get("card_link", {}).get("url", "") if isinstance(said, dict) else ""
            return {"title": title, "text": "\n".join(lines), "rows": rows, "url": url}
    return None
