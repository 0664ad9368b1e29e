# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The double of Twilio's Messages resource, with its signed status callbacks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from mailroom.core.clock import SECOND
from mailroom.sandbox.double import Double
from mailroom.sandbox.phones import Arrival, Fate

_KNOWN: Final = {"To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod"}
# Numbers that Twilio itself keeps for tests.
_MAGIC: Final = {"+15005550001": 21211, "+15005550002": 21612, "+15005550003": 21408, "+15005550009": 21614}
_STATUS: Final = {Fate.ARRIVED: "delivered", Fate.READ: "read", Fate.LOST: "undelivered", Fate.SENT: "sent"}
_REDELIVERIES: Final = 1


class _No(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Twilio(Double):
    """The double `sms_twilio`. It calls back where the last message said, if it said so."""

    name: ClassVar[str] = "sms_twilio"
    knobs: ClassVar[dict[str, Any]] = {
        "account_sid": "AC-demo",
        "auth_token": "demo-secret",
        "api_key": "SK-demo",
        "api_secret": "demo-api-secret",
        "numbers": ["+15005550006"],
        "services": ["MG-demo"],
        "gone": [],
        "opted_out": [],
        "words": [],
        "per_second": 100,
        "queue": 1000,  # messages that one sender may have on their way
    }

    _times: list[int]
    _serial: int

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._times, self._serial = [], 0

    def routes(self) -> Sequence[web.RouteDef]:
        return (web.post("/2010-04-01/Accounts/{sid}/Messages.json", self._answer),)

    def reset(self) -> None:
        super().reset()
        self._times.clear()

    async def press(self, arrival: Arrival, fate: Fate) -> None:
        self.phones.settle(arrival.serial, fate)
        if self.callback:
            await self.tell(arrival, _STATUS[fate])

    async def tell(self, arrival: Arrival, status: str) -> int:
        """One status callback, whichever state it speaks of; what it was answered, 0: nothing."""
        form = {
            "AccountSid": self.set["account_sid"],
            "ApiVersion": "2010-04-01",
            "From": (self.set["numbers"] or [""])[0],
            "MessageSid": arrival.id,
            "MessageStatus": status,
            "SmsSid": arrival.id,
            "SmsStatus": status,
            "To": arrival.to,
        }
        if status in {"undelivered", "failed"}:
            form["ErrorCode"] = "30003"
        said = self.callback + "".join(name + form[name] for name in sorted(form))
        digest = hmac.new(self.set["auth_token"].encode(), said.encode(), hashlib.sha1).digest()
        headers = {"X-Twilio-Signature": base64.b64encode(digest).decode()}
        for _ in range(1 + _REDELIVERIES):
            try:
                answered, _body = await self.call(data=form, headers=headers)
            except (aiohttp.ClientError, TimeoutError):
                continue
            return answered
        return 0

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            self._admit(request)
            form = self._read(request, await request.read())
            return web.json_response(self._take(form), status=201)
        except _No as no:
            more = f"https://www.twilio.com/docs/errors/{no.code}"
            said = {"code": no.code, "message": no.message, "more_info": more, "status": no.status}
            return web.json_response(said, status=no.status)

    def _admit(self, request: web.Request) -> None:
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, secret = base64.b64decode(shown, validate=True).decode().partition(":")
        except ValueError:
            user, secret = "", ""
        right = {self.set["account_sid"]: self.set["auth_token"], self.set["api_key"]: self.set["api_secret"]}
        if kind != "Basic" or right.get(user) != secret or not secret:
            raise _No(20003, "Authenticate", 401)
        if request.match_info["sid"] != self.set["account_sid"]:
            raise _No(20404, "The requested resource was not found", 404)
        now = self.clock()
        self._times = [at for at in self._times if now - at < SECOND]
        if len(self._times) >= self.set["per_second"]:
            raise _No(20429, "Too Many Requests", 429)
        self._times.append(now)

    def _read(self, request: web.Request, body: bytes) -> dict[str, str]:
        if request.content_type != "application/x-www-form-urlencoded":
            raise _No(21604, "A 'To' phone number is required.")
        form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True))
        if not _KNOWN.issuperset(form):
            raise _No(20001, f"Unknown parameters: {', '.join(sorted(set(form) - _KNOWN))}")
        return form

    def _take(self, form: dict[str, str]) -> dict[str, Any]:
        to, text = form.get("To", ""), form.get("Body", "")
        if not re.fullmatch(r"\+[1-9][0-9]{6,14}", to) or to in self.set["gone"]:
            raise _No(21211, f"Invalid 'To' Phone Number: {to}")
        if to in _MAGIC:
            raise _No(_MAGIC[to], f"The 'To' phone number {to} cannot be reached")
        if to in self.set["opted_out"]:
            raise _No(21610, "Attempt to send to unsubscribed recipient")
        if not form.get("From") and not form.get("MessagingServiceSid"):
            raise _No(21603, "A 'From' phone number is required.")
        if form.get("From", "") not in {"", *self.set["numbers"]}:
            raise _No(21606, "The 'From' phone number provided is not a valid message-capable number.")
        if not text:
            raise _No(21602, "Message body is required.")
        if len(text) > 1600:
            raise _No(21617, "The concatenated message body exceeds the 1600 character limit")
        if any(word in text for word in self.set["words"]):
            raise _No(30007, "Message filtered")
        if sum(one.fate is Fate.SENT for one in self.phones.at(self.name)) >= self.set["queue"]:
            raise _No(21611, "This 'From' number has exceeded the maximum number of queued messages")
        self._serial += 1
        name = f"SM{self._serial:032x}"
        self.callback = form.get("StatusCallback", "") or self.callback
        receipts = (Fate.ARRIVED, Fate.LOST)
        self.phones.show(self.name, to, text, id=name, receipts=receipts, raw=str(form))
        return {"sid": name, "status": "queued", "error_code": None, "error_message": None, "to": to, "body": text}


DOUBLE = Twilio
