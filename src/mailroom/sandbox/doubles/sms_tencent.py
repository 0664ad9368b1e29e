# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The double of Tencent Cloud's SMS service: SendSms, PullSmsSendStatusByPhoneNumber and the pushes of receipts."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import aiohttp
from aiohttp import web

from mailroom.core.clock import DAY, HOUR, MINUTE, SECOND
from mailroom.sandbox.double import Double
from mailroom.sandbox.phones import Arrival, Fate

_SHANGHAI: Final = timedelta(hours=8)
_SKEW: Final = 10 * MINUTE
_REDELIVERIES: Final = 2
_BATCH: Final = 100
_AUTHORIZATION: Final = re.compile(
    r"TC3-HMAC-SHA256 Credential=(\S+?)/(\S+?)/sms/tc3_request, SignedHeaders=(\S+?), Signature=([0-9a-f]{64})"
)
_VARIABLE: Final = re.compile(r"\{([0-9])\}")
_URL: Final = re.compile(r"https?://|www\.", re.IGNORECASE)
_SEND_FIELDS: Final = {
    "PhoneNumberSet": list,
    "SmsSdkAppId": str,
    "SignName": str,
    "TemplateId": str,
    "TemplateParamSet": list,
    "SessionContext": str,
}
_PULL_FIELDS: Final = {
    "BeginTime": int,
    "EndTime": int,
    "Offset": int,
    "Limit": int,
    "PhoneNumber": str,
    "SmsSdkAppId": str,
}


class _No(Exception):
    """An error, of the whole call or of one number."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code, self.message = code, message or code


class Tencent(Double):
    """The double `sms_tencent`. With `no_variables` templates for the mainland hold none."""

    name: ClassVar[str] = "sms_tencent"
    knobs: ClassVar[dict[str, Any]] = {
        "secret_id": "AKID-demo",
        "secret_key": "demo-secret",
        "sdk_app_id": "1400006666",
        "signs": ["Mailroom"],
        "templates": {
            "1001": "您有新邮件，请登录查看。",
            "1002": "验证码{1}，五分钟内有效。",
            "1003": "您有{1}封新邮件，来自{2}。",
        },
        "no_variables": False,
        "longest": 12,
        "gone": [],
        "blacklist": [],
        "words": ["发票"],
        "balance": 100_000,
        "per_30_seconds": 1,
        "per_hour": 5,
        "per_day": 10,
        "drops": [],
        "forgets": [],  # numbers that are missing from SendStatusSet
    }

    _times: defaultdict[str, list[int]]
    _serial: int

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._times, self._serial = defaultdict(list), 0
        self._actions: Final = {
            "SendSms": (_SEND_FIELDS, self._send),
            "PullSmsSendStatusByPhoneNumber": (_PULL_FIELDS, self._pull),
        }

    def routes(self) -> Sequence[web.RouteDef]:
        return (web.post("/", self._answer),)

    def reset(self) -> None:
        super().reset()
        self._times.clear()

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        await self.report((arrival, fate))

    async def report(self, *told: tuple[Arrival, Fate]) -> int:
        """Push receipts in arrays, each again until it is taken; how often was pushed in all."""
        for arrival, fate in told:
            self.phones.settle(arrival.serial, fate)
        reports = [self._report(arrival, fate) for arrival, fate in told] if self.callback else []
        return sum([await self._push(reports[at : at + _BATCH]) for at in range(0, len(reports), _BATCH)])

    async def _push(self, reports: Sequence[Mapping[str, Any]]) -> int:
        for count in range(1, 2 + _REDELIVERIES):
            try:
                status, body = await self.call(json=reports)
                if status == 200 and json.loads(body).get("result") == 0:
                    return count
            except (aiohttp.ClientError, TimeoutError, ValueError):
                continue
        return 1 + _REDELIVERIES

    def _report(self, arrival: Arrival, fate: Fate) -> dict[str, Any]:
        arrived, china = fate is Fate.ARRIVED, arrival.to.startswith("+86")
        moment = datetime.fromtimestamp(self.clock() // SECOND, UTC) + _SHANGHAI
        return {
            "user_receive_time": f"{moment:%Y-%m-%d %H:%M:%S}",
            "nationcode": "86" if china else arrival.to[1:2],
            "mobile": arrival.to[3:] if china else arrival.to[2:],
            "report_status": "SUCCESS" if arrived else "FAIL",
            "errmsg": "DELIVRD" if arrived else "UNDELIV",
            "description": "用户短信送达成功" if arrived else "号码不存在",
            "sid": arrival.id,
            "ext": "",
        }

    async def _answer(self, request: web.Request) -> web.Response:
        self._serial += 1
        try:
            body = await request.read()
            self._admit(request, body)
            fields, action = self._action(request)
            said = action(_typed(body, fields))
        except _No as no:
            said = {"Error": {"Code": no.code, "Message": no.message}}
        except KeyError as missing:  # a header that is said to be signed
            said = {"Error": {"Code": "AuthFailure.InvalidAuthorization", "Message": str(missing)}}
        number = f"{self._serial:08x}-0000-4000-8000-000000000000"
        return web.json_response({"Response": said | {"RequestId": number}})

    def _action(self, request: web.Request) -> Any:
        if request.headers.get("X-TC-Version") != "2021-01-11":
            raise _No("NoSuchVersion")
        if not request.headers.get("X-TC-Region"):
            raise _No("MissingParameter", "The request is missing a required parameter `Region`.")
        action = self._actions.get(request.headers.get("X-TC-Action", ""))
        if action is None:
            raise _No("InvalidAction")
        return action

    def _admit(self, request: web.Request, body: bytes) -> None:
        found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        stamp = request.headers.get("X-TC-Timestamp", "")
        if not found or not stamp.isdecimal() or not {"content-type", "host"}.issubset(found[3].split(";")):
            raise _No("AuthFailure.InvalidAuthorization")
        if found[1] != self.set["secret_id"]:
            raise _No("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
        if abs(int(stamp) * SECOND - self.clock()) > _SKEW:
            raise _No("InternalError.RequestTimeException", "请求发起时间不正常")
        if f"{datetime.fromtimestamp(int(stamp), UTC):%Y-%m-%d}" != found[2]:
            raise _No("AuthFailure.SignatureFailure", "The date does not fit the timestamp.")
        headers = "".join(f"{name}:{request.headers[name].strip().lower()}\n" for name in found[3].split(";"))
        digest = hashlib.sha256(
            b"POST\n/\n\n" + f"{headers}\n{found[3]}\n{hashlib.sha256(body).hexdigest()}".encode()
        ).hexdigest()
        key = b"TC3" + self.set["secret_key"].encode()
        for step in (found[2], "sms", "tc3_request", f"TC3-HMAC-SHA256\n{stamp}\n{found[2]}/sms/tc3_request\n{digest}"):
            key = hmac.new(key, step.encode(), "sha256").digest()
        if not hmac.compare_digest(key.hex(), found[4]):
            raise _No("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")

    def _send(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        numbers = asked["PhoneNumberSet"]
        if asked["SmsSdkAppId"] != self.set["sdk_app_id"]:
            raise _No("UnauthorizedOperation.SmsSdkAppIdVerifyFail")
        if not 1 <= len(numbers) <= 200 or len(asked["SessionContext"].encode()) > 512:
            raise _No("InvalidParameterValue.ContentLengthLimit")
        if len({number.startswith("+86") for number in numbers}) > 1:
            raise _No("UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber")
        return {"SendStatusSet": [self._one(n, asked) for n in numbers if n not in self.set["forgets"]]}

    def _one(self, number: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        status = {"PhoneNumber": number, "SessionContext": asked["SessionContext"], "IsoCode": "CN"}
        try:
            text = self._text(number, asked)
            self._look_at(number, text)
        except _No as no:
            return status | {"SerialNo": "", "Fee": 0, "Code": no.code, "Message": no.message}
        self.set["balance"] -= 1
        self._times[number].append(self.clock())
        name = f"{self._serial}:{self.clock()}{number[-4:]}"
        if number not in self.set["drops"]:
            shown, raw = f"【{asked['SignName']}】{text}", json.dumps(dict(asked), ensure_ascii=False)
            self.phones.show(self.name, number, shown, id=name, receipts=(Fate.ARRIVED, Fate.LOST), raw=raw)
        return status | {"SerialNo": name, "Fee": 1, "Code": "Ok", "Message": "send success"}

    def _text(self, number: str, asked: Mapping[str, Any]) -> str:
        if asked["SignName"] not in self.set["signs"]:
            raise _No("FailedOperation.SignatureIncorrectOrUnapproved")
        text, values = self.set["templates"].get(asked["TemplateId"]), asked["TemplateParamSet"]
        if text is None:
            raise _No("FailedOperation.TemplateIncorrectOrUnapproved")
        if values and self.set["no_variables"] and number.startswith("+86"):
            raise _No("InvalidParameterValue.UnsupportedTemplateVariable")
        if len(values) != len(set(_VARIABLE.findall(text))):
            raise _No("FailedOperation.TemplateParamSetNotMatchApprovedTemplate")
        for value in values:
            if not isinstance(value, str) or not value or "【" in value:
                raise _No("InvalidParameterValue.TemplateParameterFormatError")
            if len(value) > self.set["longest"]:
                raise _No("InvalidParameterValue.TemplateParameterLengthLimit")
            if _URL.search(value):
                raise _No("InvalidParameterValue.ProhibitedUseUrlInTemplateParameter")
        return _VARIABLE.sub(lambda found: str(values[int(found[1]) - 1]), text)

    def _look_at(self, number: str, text: str) -> None:
        if not re.fullmatch(r"\+86(1[0-9]{10})|\+(?!86)[1-9][0-9]{6,14}", number) or number in self.set["gone"]:
            raise _No("InvalidParameterValue.IncorrectPhoneNumber")
        if number in self.set["blacklist"]:
            raise _No("FailedOperation.PhoneNumberInBlacklist")
        if any(word in text for word in self.set["words"]):
            raise _No("FailedOperation.ContainSensitiveWord")
        if self.set["balance"] < 1:
            raise _No("FailedOperation.InsufficientBalanceInSmsPackage")
        for span, knob, code in (
            (30 * SECOND, "per_30_seconds", "ThirtySecondLimit"),
            (HOUR, "per_hour", "OneHourLimit"),
            (DAY, "per_day", "DailyLimit"),
        ):
            if sum(self.clock() - at < span for at in self._times[number]) >= self.set[knob]:
                raise _No(f"LimitExceeded.PhoneNumber{code}")

    def _pull(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if asked["SmsSdkAppId"] != self.set["sdk_app_id"]:
            raise _No("UnauthorizedOperation.SmsSdkAppIdVerifyFail")
        if asked["Limit"] > _BATCH:
            raise _No("InvalidParameterValue.LimitInvalid")
        found = [
            {
                "PhoneNumber": one.to,
                "SerialNo": one.id,
                "ReportStatus": "SUCCESS" if one.fate is Fate.ARRIVED else "FAIL",
                "Description": "DELIVRD" if one.fate is Fate.ARRIVED else "UNDELIV",
            }
            for one in self.phones.at(self.name, asked["PhoneNumber"])
            if one.fate is not Fate.SENT and asked["BeginTime"] <= one.at // SECOND <= asked["EndTime"]
        ]
        return {"PullSmsSendStatusSet": found[asked["Offset"] :][: asked["Limit"]]}


def _typed(body: bytes, fields: Mapping[str, type]) -> Mapping[str, Any]:
    """The body, strictly: each field, of its type, and none else."""
    try:
        asked = json.loads(body)
    except ValueError:
        raise _No("InvalidParameter", "The body is not JSON.") from None
    if not isinstance(asked, dict):
        raise _No("InvalidParameter", "The body is no object.")
    for name in asked:
        if name not in fields:
            raise _No("UnknownParameter", f"The parameter `{name}` is not recognized.")
    for name, kind in fields.items():
        if name not in asked:
            raise _No("MissingParameter", f"The request is missing a required parameter `{name}`.")
        if type(asked[name]) is not kind:
            raise _No("InvalidParameter", f"The value of `{name}` is not of its type.")
    return asked


DOUBLE = Tencent
