# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The double of a WeChat service account's API: whoever has an openid that begins with `o` follows it, unless a knob
says otherwise.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

import aiohttp
import segno
from aiohttp import web

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.sandbox import envelope
from mailroom.sandbox.double import Double, Handler
from mailroom.sandbox.phones import Arrival, Fate, Phones

_LASTS: Final = 7200
_OVERLAP: Final = 5 * MINUTE  # before its end a token is renewed, and both are good
_FORCED_A_DAY: Final = 20
_FORCED_APART: Final = 30 * SECOND
_REMEMBERED: Final = 10 * MINUTE
_KEPT: Final = 10_000  # messages, to tell repeats
_TRIES: Final = 3
_OPENID: Final = re.compile(r"o[\w-]{2,63}", re.ASCII)
_SHANGHAI: Final = 8 * HOUR

# What the value of a keyword may be.
_VALUES: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "thing": re.compile(r"[^\n\r]{1,20}"),
        "character_string": re.compile(r"[!-~]{1,32}"),
        "number": re.compile(r"(?=.{1,32}$)\d+(\.\d+)?", re.ASCII),
        "time": re.compile(r"(\d{4}(-\d\d?-\d\d?|年\d\d?月\d\d?日) ?)?\d\d?:\d\d(:\d\d)?", re.ASCII),
        "date": re.compile(r"\d{4}(-\d\d?-\d\d?|年\d\d?月\d\d?日)( \d\d?:\d\d(:\d\d)?)?", re.ASCII),
        "phrase": re.compile(r"[\u4e00-\u9fff]{1,5}"),
        "name": re.compile(r"[^\n\r]{1,10}|[^\u4e00-\u9fff\n\r]{1,20}"),
    }
)


class Fault(Exception):
    """What the API answers instead of doing it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class _Token:
    text: str
    until: int


class WeChat(Double):
    """See the module. `offered` are the scenes of the codes that were made, the newest last, and their ends; `issued`
    counts access tokens.
    """

    name: ClassVar[str] = "wechat"
    knobs: ClassVar[dict[str, Any]] = {
        "app_id": "wx-demo",
        "app_secret": "demo-secret",
        "token": "demo-token",
        "aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",  # "": the plain mode
        "templates": {"mail-template": ["thing1", "thing2", "time3"]},
        "subscriptions": {"mail-subscription": ["thing1", "thing2", "time3"]},
        "gone": [],
        "unfollowed": [],
        "blacklisted": [],
        "refused": [],
        "quota": 100_000,  # messages a day
        "whitelist": "",  # the one address that may call; "": any
        "early": False,  # the receipt comes before the answer
    }

    def __init__(self, phones: Phones) -> None:
        super().__init__(phones)
        self.offered: dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        self.issued = 0
        self._stable: list[_Token] = []  # the newest last
        self._classic: list[_Token] = []
        self._forced: list[int] = []
        self._sent: dict[tuple[str, str], tuple[int, str]] = {}  # openid and client_msg_id -> when, msgid
        self._day, self._today = 0, 0
        self._tickets: set[str] = set()
        self._subscribed: set[str] = set()  # msgids of subscription notices
        self._serial = 200_228_331
        self.offered.clear()

    def reset(self) -> None:
        super().reset()
        self._begin()

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.route("*", "/cgi-bin/stable_token", self._answer(self._stable_token)),
            web.route("*", "/cgi-bin/token", self._answer(self._classic_token)),
            web.route("*", "/cgi-bin/message/template/send", self._answer(self._template)),
            web.route("*", "/cgi-bin/message/subscribe/bizsend", self._answer(self._subscription)),
            web.route("*", "/cgi-bin/qrcode/create", self._answer(self._qrcode)),
            web.get("/cgi-bin/showqrcode", self._show_code),
        ]

    def spoil(self) -> None:
        """End all tokens before their time."""
        self._stable.clear()
        self._classic.clear()

    def scenes(self) -> Sequence[str]:
        return [scene for scene, until in self.offered.items() if until >= self.clock()]

    async def scan(self, scene: str, address: str, label: str = "") -> None:
        """See `Double`: whoever does not follow the account yet follows it by that."""
        if address in self.set["unfollowed"]:
            self.set["unfollowed"] = [one for one in self.set["unfollowed"] if one != address]
            await self.emit(address, "subscribe", EventKey=f"qrscene_{scene}")
        else:
            await self.emit(address, "SCAN", EventKey=scene)

    async def unfollow(self, openid: str) -> None:
        """Somebody unfollows the account."""
        self.set["unfollowed"] = [*self.set["unfollowed"], openid]
        await self.emit(openid, "unsubscribe", EventKey="")

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        await self._tell(arrival.to, arrival.id, fate)
        await super().press(arrival, fate)

    async def verify(self) -> bool:
        """What WeChat does when a server's address is entered: whether the customer's server knows the token."""
        stamp, nonce, echo = str(self.clock() // SECOND), secrets.token_hex(5), secrets.token_hex(8)
        query = {"signature": envelope.sign(self.set["token"], stamp, nonce), "timestamp": stamp, "nonce": nonce}
        status, body = await self.call(method="GET", params={**query, "echostr": echo})
        return status == 200 and body == echo.encode()

    async def emit(self, openid: str, event: str, *, inner: str = "", **elements: str) -> int:
        """Call the customer of an event, up to three times until he takes it; the last status, 0 for none."""
        told = {
            "ToUserName": "gh_demo",
            "FromUserName": openid,
            "CreateTime": str(self.clock() // SECOND),
            "MsgType": "event",
            "Event": event,
            **elements,
        }
        xml = f"<xml>{''.join(f'<{tag}>{_cdata(text)}</{tag}>' for tag, text in told.items())}{inner}</xml>"
        status = 0
        for _ in range(_TRIES):
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                status, body = await self.send(xml, openid)
                if status == 200 and body in {b"", b"success"}:
                    break
        return status

    async def send(self, xml: str, openid: str) -> tuple[int, bytes]:
        """Call the customer with this XML, signed and, in the safe mode, sealed."""
        token, aes_key = self.set["token"], self.set["aes_key"]
        stamp, nonce = str(self.clock() // SECOND), secrets.token_hex(5)
        query = {
            "signature": envelope.sign(token, stamp, nonce),
            "timestamp": stamp,
            "nonce": nonce,
            "openid": openid,
        }
        if aes_key:
            sealed = envelope.seal(aes_key, xml, self.set["app_id"])
            query |= {"encrypt_type": "aes", "msg_signature": envelope.sign(token, stamp, nonce, sealed)}
            xml = f"<xml><ToUserName>{_cdata('gh_demo')}</ToUserName><Encrypt>{_cdata(sealed)}</Encrypt></xml>"
        return await self.call(params=query, data=xml.encode(), headers={"Content-Type": "text/xml"})

    async def _tell(self, openid: str, id_: str, fate: Fate) -> None:
        if id_ not in self._subscribed:
            status = "success" if fate is Fate.ARRIVED else "failed:user block"
            await self.emit(openid, "TEMPLATESENDJOBFINISH", MsgID=id_, Status=status)
            return
        code, words = ("0", "success") if fate is Fate.ARRIVED else ("1", "failed")
        inner = f"<MsgID>{id_}</MsgID><ErrorCode>{code}</ErrorCode><ErrorStatus>{_cdata(words)}</ErrorStatus>"
        notice = f"<SubscribeMsgSentEvent><List>{inner}</List></SubscribeMsgSentEvent>"
        await self.emit(openid, "subscribe_msg_sent_event", inner=notice)

    def _answer(self, act: Callable[[web.Request], Awaitable[dict[str, Any]]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            try:
                said = await act(request)
            except Fault as fault:
                rid = f"{secrets.token_hex(4)}-{secrets.token_hex(4)}"
                said = {"errcode": fault.code, "errmsg": f"{fault.text} rid: {rid}"}
            return web.json_response(said, dumps=_dumps)

        return handle

    async def _stable_token(self, request: web.Request) -> dict[str, Any]:
        asked = await _posted(request)
        if asked.get("grant_type") != "client_credential":
            raise Fault(40002, "invalid grant_type")
        self._know(str(asked.get("appid", "")), str(asked.get("secret", "")))
        self._check_address(request)
        if asked.get("force_refresh") is True:
            return self._force()
        now = self.clock()
        newest = self._stable[-1] if self._stable else None
        if newest is None or newest.until - now <= _OVERLAP:
            newest = self._issue(self._stable)
        return {"access_token": newest.text, "expires_in": (newest.until - now) // SECOND}

    def _force(self) -> dict[str, Any]:
        now = self.clock()
        self._forced = [at for at in self._forced if at > now - DAY]
        if len(self._forced) >= _FORCED_A_DAY or (self._forced and now - self._forced[-1] < _FORCED_APART):
            raise Fault(45009, "reach max api daily quota limit")
        self._forced.append(now)
        self._stable.clear()
        return {"access_token": self._issue(self._stable).text, "expires_in": _LASTS}

    async def _classic_token(self, request: web.Request) -> dict[str, Any]:
        query = request.query
        if query.get("grant_type") != "client_credential":
            raise Fault(40002, "invalid grant_type")
        self._know(query.get("appid", ""), query.get("secret", ""))
        self._check_address(request)
        for older in self._classic:
            older.until = min(older.until, self.clock() + _OVERLAP)
        return {"access_token": self._issue(self._classic).text, "expires_in": _LASTS}

    def _issue(self, tokens: list[_Token]) -> _Token:
        self.issued += 1
        tokens.append(_Token(secrets.token_urlsafe(96), self.clock() + _LASTS * SECOND))
        return tokens[-1]

    def _know(self, app_id: str, secret: str) -> None:
        if app_id != self.set["app_id"]:
            raise Fault(40013, "invalid appid")
        if secret != self.set["app_secret"]:
            raise Fault(40125, "invalid appsecret, view more at http://t.cn/RAEkdVq")

    def _check_address(self, request: web.Request) -> None:
        peer, allowed = request.remote or "", self.set["whitelist"]
        if allowed and peer != allowed:
            raise Fault(40164, f"invalid ip {peer}, not in whitelist")

    def _check_token(self, request: web.Request) -> None:
        text = request.query.get("access_token", "")
        if not text:
            raise Fault(41001, "access_token missing")
        token = next((one for one in (*self._stable, *self._classic) if one.text == text), None)
        if token is None:
            raise Fault(40001, "invalid credential, access_token is invalid or not latest")
        if token.until <= self.clock():
            raise Fault(42001, "access_token expired")
        self._check_address(request)

    async def _template(self, request: web.Request) -> dict[str, Any]:
        asked = await _posted(request)
        self._check_token(request)
        return await self._deliver(asked, self.set["templates"], url=asked.get("url", ""))

    async def _subscription(self, request: web.Request) -> dict[str, Any]:
        asked = await _posted(request)
        self._check_token(request)
        said = await self._deliver(asked, self.set["subscriptions"], url=asked.get("page", ""))
        self._subscribed.add(str(said["msgid"]))
        return said

    async def _deliver(self, asked: dict[str, Any], templates: Mapping[str, Any], *, url: Any) -> dict[str, Any]:
        openid, code = asked.get("touser"), asked.get("client_msg_id", "")
        if not isinstance(openid, str) or not _OPENID.fullmatch(openid) or openid in self.set["gone"]:
            raise Fault(40003, "invalid openid")
        if not isinstance(code, str) or not isinstance(url, str):
            raise Fault(47001, "data format error")
        if asked.get("template_id") not in templates:
            raise Fault(40037, "invalid template_id")
        rows = _rows(asked.get("data"), templates[asked["template_id"]])
        for knob, number, words in _UNWILLING:
            if openid in self.set[knob]:
                raise Fault(number, words)
        known = self._sent.get((openid, code)) if code else None
        if known is not None and self.clock() - known[0] < _REMEMBERED:
            return {"errcode": 0, "errmsg": "ok", "msgid": int(known[1])}
        self._count()
        self._serial += 1
        id_ = str(self._serial)
        if code:
            self._sent[openid, code] = (self.clock(), id_)
            if len(self._sent) > _KEPT:
                del self._sent[next(iter(self._sent))]
        self.phones.show(
            self.name,
            openid,
            "\n".join(value for _, value in rows),
            rows=rows,
            url=url,
            raw=_dumps(asked),
            id=id_,
            receipts=(Fate.ARRIVED, Fate.LOST),
        )
        if self.set["early"]:
            await self._tell(openid, id_, Fate.ARRIVED)
        return {"errcode": 0, "errmsg": "ok", "msgid": int(id_)}

    def _count(self) -> None:
        day = (self.clock() + _SHANGHAI) // DAY
        if day != self._day:
            self._day, self._today = day, 0
        if self._today >= self.set["quota"]:
            raise Fault(45009, "reach max api daily quota limit")
        self._today += 1

    async def _qrcode(self, request: web.Request) -> dict[str, Any]:
        asked = await _posted(request)
        self._check_token(request)
        scene = asked.get("action_info", {}).get("scene", {}).get("scene_str", "")
        seconds = asked.get("expire_seconds", 60)
        if asked.get("action_name") != "QR_STR_SCENE" or not isinstance(scene, str) or not 1 <= len(scene) <= 64:
            raise Fault(40053, "invalid action info")
        if not isinstance(seconds, int) or not 0 < seconds <= 2_592_000:
            raise Fault(40052, "invalid action name")
        ticket = secrets.token_urlsafe(40)
        self._tickets.add(ticket)
        self.offered[scene] = self.clock() + seconds * SECOND
        self.phones.touch()
        return {"ticket": ticket, "expire_seconds": seconds, "url": _scanned(ticket)}

    async def _show_code(self, request: web.Request) -> web.Response:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            raise web.HTTPNotFound
        image = io.BytesIO()
        segno.make(_scanned(ticket), micro=False).save(image, kind="png", scale=4)
        return web.Response(body=image.getvalue(), content_type="image/png")


_UNWILLING: Final = (
    ("unfollowed", 43004, "require subscribe"),
    ("blacklisted", 43019, "require remove blacklist"),
    ("refused", 43101, "user refuse to accept the msg"),
)


def _rows(data: Any, keywords: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if not isinstance(data, dict):
        raise Fault(47001, "data format error")
    rows = []
    for name in keywords:
        value = data[name].get("value") if isinstance(data.get(name), dict) else None
        if value is None or value == "":
            raise Fault(47003, f"argument invalid! data.{name}.value is empty")
        if not isinstance(value, str) or not _VALUES[name.rstrip("0123456789")].fullmatch(value):
            raise Fault(47003, f"argument invalid! data.{name}.value invalid")
        rows.append((name, value))
    return tuple(rows)


async def _posted(request: web.Request) -> dict[str, Any]:
    if request.method != "POST":
        raise Fault(43002, "require POST method")
    try:
        asked = json.loads(await request.read())
    except ValueError as fault:
        raise Fault(47001, "data format error") from fault
    if not isinstance(asked, dict) or request.content_type != "application/json":
        raise Fault(47001, "data format error")
    return asked


def _scanned(ticket: str) -> str:
    return f"http://weixin.qq.com/q/{ticket}"


def _cdata(text: str) -> str:
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


DOUBLE: Final = WeChat
