# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The double of Alibaba Cloud's SMS service: SendSms, QuerySendDetails and the pushes SmsReport."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, quote

import aiohttp
from aiohttp import web

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.sandbox.double import Double
from mailroom.sandbox.phones import Arrival, Fate

_SHANGHAI: Final = timedelta(hours=8)
_SKEW: Final = 15 * MINUTE
_REDELIVERIES: Final = 3
_AUTHORIZATION: Final = re.compile(r"ACS3-HMAC-SHA256 Credential=(\S+?),SignedHeaders=(\S+?),Signature=([0-9a-f]{64})")
_SIGNED: Final = {"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce"} | {
    "x-acs-version"
}
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_URL: Final = re.compile(r"https?://|www\.", re.IGNORECASE)


class _No(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, message: str = "", status: int = 200) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message or code, status


class Aliyun(Double):
    """The double `sms_aliyun`. A template is `[text, is of codes]`."""

    name: ClassVar[str] = "sms_aliyun"
    knobs: ClassVar[dict[str, Any]] = {
        "access_key_id": "LTAI-demo",
        "access_key_secret": "demo-secret",
        "signs": ["Mailroom"],
        "templates": {
            "SMS_1": ["您有新邮件，请登录查看。", False],
            "SMS_2": ["验证码${code}，五分钟内有效。", True],
            "SMS_3": ["您有${count}封新邮件，来自${from}。", False],
        },
        "gone": [],
        "blacklist": [],
        "ip_allowed": True,
        "balance": 100_000,
        "longest": 35,
        "notices_per_day": 50,
        "codes_per_minute": 1,
        "codes_per_hour": 5,
        "codes_per_day": 10,
        "drops": [],  # numbers whose SMS are taken and never arrive
    }

    _nonces: set[str]
    _times: defaultdict[tuple[str, str], list[int]]
    _serial: int

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._nonces, self._times, self._serial = set(), defaultdict(list), 0
        self._actions: Final = {"SendSms": self._send, "QuerySendDetails": self._query}

    def routes(self) -> Sequence[web.RouteDef]:
        return (web.post("/", self._answer),)

    def reset(self) -> None:
        super().reset()
        self._nonces.clear()
        self._times.clear()

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        await self.report((arrival, fate))

    async def report(self, *told: tuple[Arrival, Fate]) -> int:
        """Push one array of receipts, again and again until it is taken; how often it was pushed in all."""
        for arrival, fate in told:
            self.phones.settle(arrival.serial, fate)
        reports = [self._report(arrival, fate) for arrival, fate in told]
        for count in range(1, 2 + _REDELIVERIES if self.callback else 1):
            try:
                status, body = await self.call(json=reports)
                if status == 200 and json.loads(body).get("code") == 0:
                    return count
            except (aiohttp.ClientError, TimeoutError, ValueError):
                continue
        return 1 + _REDELIVERIES if self.callback else 0

    def _report(self, arrival: Arrival, fate: Fate) -> dict[str, Any]:
        arrived = fate is Fate.ARRIVED
        return {
            "phone_number": _bare(arrival.to),
            "send_time": self._local(arrival.at),
            "report_time": self._local(self.clock()),
            "success": arrived,
            "err_code": "DELIVERED" if arrived else "MOBILE_NOT_ON_SERVICE",
            "err_msg": "用户接收成功" if arrived else "空号",
            "sms_size": "1",
            "biz_id": arrival.id,
            "out_id": "",
        }

    def _local(self, at: int) -> str:
        return f"{datetime.fromtimestamp(at // SECOND, UTC) + _SHANGHAI:%Y-%m-%d %H:%M:%S}"

    async def _answer(self, request: web.Request) -> web.Response:
        self._serial += 1
        number = f"{self._serial:08X}-0000-4000-8000-000000000000"
        try:
            asked = self._admitted(request, await request.read())
            action = self._actions.get(request.headers["x-acs-action"])
            if action is None or request.headers["x-acs-version"] != "2017-05-25":
                raise _No("InvalidAction.NotFound", status=404)
            said, status = {"Code": "OK", "Message": "OK", **action(asked)}, 200
        except _No as no:
            said, status = {"Code": no.code, "Message": no.message}, no.status
        except (KeyError, ValueError) as fault:  # a header that is missing, or is none
            said, status = {"Code": "IncompleteSignature", "Message": str(fault)}, 400
        return web.json_response(said | {"RequestId": number}, status=status)

    def _admitted(self, request: web.Request, body: bytes) -> Mapping[str, str]:
        """The parameters of a call that is signed as it must be."""
        found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if not found or not _SIGNED.issubset(found[2].split(";")):
            raise _No("IncompleteSignature", status=400)
        if found[1] != self.set["access_key_id"]:
            raise _No("InvalidAccessKeyId.NotFound", "Specified access key is not found.", 404)
        moment = datetime.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(int(moment.timestamp()) * SECOND - self.clock()) > _SKEW:
            raise _No("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.", 400)
        asked = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True, strict_parsing=True))
        if not hmac.compare_digest(self._signature(request, body, asked, found[2]), found[3]):
            raise _No("SignatureDoesNotMatch", "Specified signature is not matched with our calculation.", 400)
        nonce = request.headers["x-acs-signature-nonce"]
        if nonce in self._nonces:
            raise _No("SignatureNonceUsed", "Specified signature nonce was used already.", 400)
        self._nonces.add(nonce)
        if not self.set["ip_allowed"]:
            raise _No("isv.DENY_IP_RANGE", "源IP地址所在的地区被禁用")
        return asked

    def _signature(self, request: web.Request, body: bytes, asked: Mapping[str, str], names: str) -> str:
        payload = hashlib.sha256(body).hexdigest()
        if payload != request.headers["x-acs-content-sha256"]:
            raise _No("SignatureDoesNotMatch", status=400)
        pairs = sorted(asked.items())
        canonical = [
            "POST",
            "/",
            "&".join("=".join(quote(text, safe="~") for text in pair) for pair in pairs),
            *(f"{name}:{request.headers[name].strip()}" for name in names.split(";")),
            "",
            names,
            payload,
        ]
        digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        text = f"ACS3-HMAC-SHA256\n{digest}".encode()
        return hmac.new(self.set["access_key_secret"].encode(), text, "sha256").hexdigest()

    def _send(self, asked: Mapping[str, str]) -> dict[str, Any]:
        numbers = asked.get("PhoneNumbers", "").split(",")
        if self.set["balance"] < len(numbers):
            raise _No("isv.AMOUNT_NOT_ENOUGH", "账户余额不足")
        if asked.get("SignName") not in self.set["signs"]:
            raise _No("isv.SMS_SIGNATURE_ILLEGAL", "该账号下找不到对应签名")
        if asked.get("TemplateCode") not in self.set["templates"]:
            raise _No("isv.SMS_TEMPLATE_ILLEGAL", "该账号下找不到对应模板")
        text, is_code = self.set["templates"][asked["TemplateCode"]]
        text = self._filled(text, asked.get("TemplateParam", ""))
        if len(numbers) > 1000:
            raise _No("isv.MOBILE_COUNT_OVER_LIMIT")
        for number in numbers:
            self._look_at(number)
        for number in numbers:
            self._count(number, is_code=is_code)
        self.set["balance"] -= len(numbers)
        name = f"{900_000_000_000_000_000 + self._serial}^0"
        for number in numbers:
            if number not in self.set["drops"]:
                shown = f"【{asked['SignName']}】{text}"
                receipts = (Fate.ARRIVED, Fate.LOST)
                self.phones.show(
                    self.name, _e164(number), shown, id=name, receipts=receipts, raw=json.dumps(dict(asked))
                )
        return {"BizId": name}

    def _filled(self, text: str, params: str) -> str:
        try:
            given = json.loads(params or "{}")
        except ValueError:
            raise _No("isv.INVALID_JSON_PARAM", "参数格式错误") from None
        if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
            raise _No("isv.INVALID_JSON_PARAM", "参数格式错误")
        for name in _VARIABLE.findall(text):
            value = given.get(name, "")
            if not value:
                raise _No("isv.TEMPLATE_MISSING_PARAMETERS", f"模板变量{name}缺失")
            if len(value) > self.set["longest"]:
                raise _No("isv.PARAM_LENGTH_LIMIT", "参数超过长度限制")
            if _URL.search(value):
                raise _No("isv.PARAM_NOT_SUPPORT_URL", "不支持URL")
            if "【" in value or "】" in value:
                raise _No("isv.TEMPLATE_PARAMS_ILLEGAL", "变量内容不符合规范")
        return _VARIABLE.sub(lambda found: str(given[found[1]]), text)

    def _look_at(self, number: str) -> None:
        if not re.fullmatch(r"1[0-9]{10}|[2-9][0-9]{6,14}", number) or number in self.set["gone"]:
            raise _No("isv.MOBILE_NUMBER_ILLEGAL", f"{number}invalid mobile number")
        if number in self.set["blacklist"]:
            raise _No("isv.BLACK_KEY_CONTROL_LIMIT", "黑名单管控")

    def _count(self, number: str, *, is_code: bool) -> None:
        """Refuse what is over the number's share, in the three sentences that only differ in a word."""
        limits = (
            ((MINUTE, "codes_per_minute", "分钟"), (HOUR, "codes_per_hour", "小时"), (DAY, "codes_per_day", "天"))
            if is_code
            else ((DAY, "notices_per_day", "天"),)
        )
        times, now = self._times[number, "code" if is_code else "notice"], self.clock()
        for span, knob, word in limits:
            if sum(now - at < span for at in times) >= self.set[knob]:
                raise _No("isv.BUSINESS_LIMIT_CONTROL", f"触发{word}级流控Permits:{self.set[knob]}")
        times.append(now)

    def _query(self, asked: Mapping[str, str]) -> dict[str, Any]:
        if not re.fullmatch(r"[1-9]|[1-4][0-9]|50", asked.get("PageSize", "")) or not asked.get("CurrentPage"):
            raise _No("isv.INVALID_PARAMETERS", "PageSize", 400)
        day = asked.get("SendDate", "")
        found = [
            {
                "PhoneNum": _bare(one.to),
                "SendStatus": {Fate.ARRIVED: 3, Fate.LOST: 2}.get(one.fate, 1),
                "ErrCode": {Fate.ARRIVED: "DELIVERED", Fate.LOST: "MOBILE_NOT_ON_SERVICE"}.get(one.fate, ""),
                "SendDate": self._local(one.at),
                "Content": one.text,
            }
            for one in self.phones.at(self.name, _e164(asked.get("PhoneNumber", "")))
            if asked.get("BizId", one.id) == one.id and self._local(one.at)[:10].replace("-", "") == day
        ]
        return {"TotalCount": len(found), "SmsSendDetailDTOs": {"SmsSendDetailDTO": found[: int(asked["PageSize"])]}}


def _e164(number: str) -> str:
    return f"+86{number}" if re.fullmatch(r"1[0-9]{10}", number) else f"+{number}"


def _bare(number: str) -> str:
    return number[3:] if number.startswith("+86") else number[1:]


DOUBLE = Aliyun
