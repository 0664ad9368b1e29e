# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The double of HTTP gateways for SMS, in the dialects that they speak, one a path.

| path | asked | answers |
|---|---|---|
| `/gbk` | a form in GBK: user, pwd = md5(account+password+ts), mobile, content, ts | `result=0&msgid=1` |
| `/json` | account, phone, msg, nonce; header X-Sign, HMAC of nonce+phone | `{"code":0,"data":{"msgid":"1"}}` |
| `/xml` | `<sms>` of account, password (SHA-1), mobile, content | `<response>` of result, msgid |
| `/plain` | GET: u, p, to, text | `ok:1`, `error:<number>` |
| `/number` | POST, a form: u, p, to, text | `1`, or with 200 as well `-3 balance` |
| `/reports` | GET: user, pwd | receipts not fetched yet, `{"list":[...]}` |
| `/report` | GET: msgid | one, `<report><status/></report>` |
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web

from mailroom.sandbox.double import Double
from mailroom.sandbox.phones import Arrival, Fate

_REDELIVERIES: Final = 3
_STATUS: Final = {Fate.ARRIVED: "DELIVRD", Fate.LOST: "UNDELIV", Fate.SENT: "ENROUTE"}
_NO: Final = {-1: "账号或密码错误", -2: "空号", -3: "balance", -4: "黑名单", -5: "敏感词", -6: "流控", -9: "format"}


class Gateway(Double):
    """The double `sms_gateway`. `push` says in which form receipts are pushed: json, array, form, get or xml."""

    name: ClassVar[str] = "sms_gateway"
    knobs: ClassVar[dict[str, Any]] = {
        "account": "demo",
        "password": "demo-secret",
        "gone": [],
        "blacklist": [],
        "words": ["发票"],
        "balance": 100_000,
        "busy": False,
        "push": "json",
        "reply": "OK",  # what it wants to hear
    }

    _serial: int
    _fetched: set[int]

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._serial, self._fetched = 0, set()

    def routes(self) -> Sequence[web.RouteDef]:
        return (
            web.get("/gbk", self._gbk),
            web.post("/gbk", self._gbk),
            web.post("/json", self._json),
            web.post("/xml", self._xml),
            web.get("/plain", self._plain),
            web.post("/number", self._number),
            web.get("/reports", self._reports),
            web.get("/report", self._report),
        )

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        await self.report((arrival, fate))

    async def report(self, *told: tuple[Arrival, Fate]) -> int:
        """Push receipts until each push is taken; how often was pushed in all."""
        for arrival, fate in told:
            self.phones.settle(arrival.serial, fate)
        if not self.callback:
            return 0
        reports = [_report(arrival, fate) for arrival, fate in told]
        batches: list[Any] = [reports] if self.set["push"] == "array" else reports
        return sum([await self._push(batch) for batch in batches])

    async def _push(self, report: Any) -> int:
        sent: Mapping[str, Callable[[], dict[str, Any]]] = {
            "json": lambda: {"json": report},
            "array": lambda: {"json": report},
            "form": lambda: {"data": report},
            "get": lambda: {"method": "GET", "path": f"?{urlencode(report)}"},
            "xml": lambda: {"data": _xml("report", report), "headers": {"Content-Type": "text/xml"}},
        }
        for count in range(1, 2 + _REDELIVERIES):
            try:
                status, body = await self.call(**sent[self.set["push"]]())
                if status == 200 and body.decode() == self.set["reply"]:
                    return count
            except (aiohttp.ClientError, TimeoutError):
                continue
        return 1 + _REDELIVERIES

    async def _gbk(self, request: web.Request) -> web.Response:
        raw = (
            request.rel_url.raw_query_string
            if request.method == "GET"
            else (await request.read()).decode("ascii", "replace")
        )
        form = dict(parse_qsl(raw, keep_blank_values=True, encoding="gbk", errors="replace"))
        words = f"{self.set['account']}{self.set['password']}{form.get('ts', '')}".encode("gbk")
        knows = form.get("pwd") == hashlib.md5(words, usedforsecurity=False).hexdigest()
        knows = knows and form.get("user") == self.set["account"] and form.get("ts", "").isdecimal()
        code, name = self._take(form.get("mobile", ""), form.get("content", ""), knows=knows, raw=raw)
        text = f"result={code}&msgid={name}" if name else f"result={code}&desc={_NO[code]}"
        return web.Response(body=text.encode("gbk"), content_type="text/html", charset="gbk")

    async def _json(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.read())
            number, text, nonce = (str(asked[name]) for name in ("phone", "msg", "nonce"))
        except (ValueError, KeyError, TypeError):
            return web.json_response({"code": 9, "msg": _NO[-9]}, status=400)
        right = hmac.new(self.set["password"].encode(), (nonce + number).encode(), "sha256").hexdigest()
        knows = asked.get("account") == self.set["account"] and request.headers.get("X-Sign") == right.upper()
        code, name = self._take(number, text, knows=knows, raw=json.dumps(asked))
        if name:
            return web.json_response({"code": 0, "msg": "ok", "data": {"msgid": name}})
        return web.json_response({"code": -code, "msg": _NO[code], "data": None})

    async def _xml(self, request: web.Request) -> web.Response:
        body = await request.text()
        try:
            root = ET.fromstring(body)  # noqa: S314  # expat expands nothing beyond its bounds
        except ET.ParseError:
            return web.Response(status=400, text=_xml("response", {"result": "9"}), content_type="text/xml")
        fields = {child.tag: child.text or "" for child in root}
        digest = hashlib.sha1(self.set["password"].encode(), usedforsecurity=False).hexdigest()
        knows = fields.get("account") == self.set["account"] and fields.get("password") == digest
        code, name = self._take(fields.get("mobile", ""), fields.get("content", ""), knows=knows, raw=body)
        text = '<?xml version="1.0" encoding="UTF-8"?>' + _xml("response", {"result": str(-code), "msgid": name})
        return web.Response(text=text, content_type="text/xml")

    async def _plain(self, request: web.Request) -> web.Response:
        asked = request.query
        knows = (asked.get("u"), asked.get("p")) == (self.set["account"], self.set["password"])
        code, name = self._take(asked.get("to", ""), asked.get("text", ""), knows=knows, raw=request.query_string)
        return web.Response(text=f"ok:{name}" if name else f"error:{100 - code}")

    async def _number(self, request: web.Request) -> web.Response:
        form = await request.post()
        knows = (form.get("u"), form.get("p")) == (self.set["account"], self.set["password"])
        code, name = self._take(str(form.get("to", "")), str(form.get("text", "")), knows=knows, raw=str(dict(form)))
        return web.Response(text=name or f"{code} {_NO[code]}")

    async def _reports(self, request: web.Request) -> web.Response:
        asked = request.query
        if (asked.get("user"), asked.get("pwd")) != (self.set["account"], self.set["password"]):
            return web.json_response({"code": 1, "list": []})
        ready = [one for one in self._settled() if one.serial not in self._fetched]
        self._fetched.update(one.serial for one in ready)
        return web.json_response({"code": 0, "list": [_report(one, one.fate) for one in ready]})

    async def _report(self, request: web.Request) -> web.Response:
        found = [one for one in self._settled() if one.id == request.query.get("msgid")]
        status = {"status": _STATUS[found[0].fate]} if found else {"status": _STATUS[Fate.SENT]}
        return web.Response(text=_xml("report", status), content_type="text/xml")

    def _settled(self) -> Sequence[Arrival]:
        return [one for one in self.phones.at(self.name) if one.fate is not Fate.SENT]

    def _take(self, number: str, text: str, *, knows: bool, raw: str) -> tuple[int, str]:
        """The number of what is wrong, and no name; or 0 and the name of an SMS that has arrived."""
        bare = number.removeprefix("+").removeprefix("86")
        wrong = (
            (-1, not knows),
            (-6, self.set["busy"]),
            (-3, self.set["balance"] < 1),
            (-2, not bare.isdecimal() or bare in self.set["gone"]),
            (-4, bare in self.set["blacklist"]),
            (-9, not text),
            (-5, any(word in text for word in self.set["words"])),
        )
        for code, is_wrong in wrong:
            if is_wrong:
                return code, ""
        self._serial += 1
        self.set["balance"] -= 1
        name, receipts = str(self._serial), (Fate.ARRIVED, Fate.LOST)
        to = f"+86{bare}" if len(bare) == 11 and bare.startswith("1") else f"+{bare}"
        self.phones.show(self.name, to, text, id=name, receipts=receipts, raw=raw)
        return 0, name


def _report(arrival: Arrival, fate: Fate) -> dict[str, str]:
    return {"msgid": arrival.id, "mobile": arrival.to.removeprefix("+86"), "status": _STATUS[fate]}


def _xml(root: str, fields: Mapping[str, str]) -> str:
    return f"<{root}>{''.join(f'<{name}>{escape(text)}</{name}>' for name, text in fields.items())}</{root}>"


DOUBLE = Gateway
