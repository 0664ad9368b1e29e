# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends by the call SendSms, and asks PullSmsSendStatusByPhoneNumber what became of it.

`SessionContext` is only an echo: after an answer that was lost nothing tells whether the SMS was taken, so it is not
repeated. What is wrong stands at either of two places: in `Error` for the call, in the number's own status for the SMS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from mailroom.core import clock as system
from mailroom.core.clock import SECOND, Clock
from mailroom.core.secrets import Secret
from mailroom.senders import clouds, sms, template
from mailroom.senders.contract import (
    Account,
    Call,
    Forged,
    Heard,
    Manifest,
    Outcome,
    Parcel,
    Question,
    Reported,
    SenderKind,
    Sent,
    Tools,
    excerpt,
)
from mailroom.senders.http import Answer, Http, NoAnswer, fields, octets, parse_url, text_of, unheard, wordless
from mailroom.senders.sms_tencent import receipts, signature
from mailroom.senders.sms_tencent.errors import TABLE
from mailroom.senders.sms_tencent.manifest import MANIFEST
from mailroom.senders.template import Template
from mailroom.senders.verdicts import NO_NUMBER, Said

_VERSION: Final = "2021-01-11"
_MOST_VARIABLES: Final = 20
_PULLED: Final = 100  # the most that one answer holds


@dataclass(frozen=True, slots=True)
class Tencent:
    """The sender kind `sms_tencent`."""

    http: Http
    clock: Clock = system.now
    manifest: Manifest = MANIFEST

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`."""
        self.manifest.check(settings, secrets)
        self.http.check(self.manifest.value(settings, "base_url"), name="base_url")
        for name in ("params", "code_params"):
            _variables(self.manifest.value(settings, name), name)
        sms.number_of(self.manifest.value(settings, "longest"), "longest", most=500)

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        if not sms.digits(parcel.address):
            return NO_NUMBER
        said = await self._call(account, "SendSms", self._asked(account, parcel), now=parcel.now)
        return unheard(said, idempotent=False) if isinstance(said, NoAnswer) else _heard(said, account, parcel)

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        """See `Hears`."""
        return receipts.hear(account, call)

    async def ask(self, account: Account, questions: Sequence[Question]) -> Sequence[Reported]:
        """See `Asks`."""
        return await clouds.ask(questions, partial(self._status, account), receipts.read_pulled)

    async def close(self) -> None:
        """See `SenderKind`. The connections are those of `Http`."""

    async def _status(self, account: Account, question: Question) -> Answer | NoAnswer:
        now = self.clock()
        asked = {
            "BeginTime": question.sent_at // SECOND,
            "EndTime": now // SECOND,
            "Offset": 0,
            "Limit": _PULLED,
            "PhoneNumber": question.address,
            "SmsSdkAppId": account.settings.get("sdk_app_id", ""),
        }
        return await self._call(account, "PullSmsSendStatusByPhoneNumber", asked, now=now)

    async def _call(self, account: Account, action: str, asked: Mapping[str, Any], *, now: int) -> Answer | NoAnswer:
        url = parse_url(self.manifest.value(account.settings, "base_url"))
        body = octets(asked)
        return await self.http.post(
            f"{str(url).rstrip('/')}/",
            body,
            headers={
                "Authorization": signature.authorization(
                    body,
                    host=url.host_port_subcomponent or "",
                    key_id=account.settings.get("secret_id", ""),
                    secret=account.secret("secret_key"),
                    now=now,
                ),
                "Content-Type": signature.MEDIA_TYPE,
                "X-TC-Action": action,
                "X-TC-Region": self.manifest.value(account.settings, "region"),
                "X-TC-Timestamp": str(now // SECOND),
                "X-TC-Version": _VERSION,
            },
            timeout=self.manifest.timeout,
        )

    def _asked(self, account: Account, parcel: Parcel) -> dict[str, Any]:
        form = clouds.form(self.manifest, account, parcel)
        return {
            "PhoneNumberSet": [parcel.address],
            "SmsSdkAppId": account.settings.get("sdk_app_id", ""),
            "SignName": account.settings.get("sign", ""),
            "TemplateId": form.approved,
            "TemplateParamSet": [form.value(text) for text in _variables(form.params, "params")],
            "SessionContext": parcel.code,
        }


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return Tencent(tools.http)


def _variables(text: str, name: str) -> Sequence[Template]:
    written = [line.strip() for line in text.splitlines() if line.strip()]
    sms.number_of(str(len(written)), name, least=0, most=_MOST_VARIABLES)
    return [template.parse(line, name=name, known=template.VARIABLES) for line in written]


def _heard(answer: Answer, account: Account, parcel: Parcel) -> Outcome:
    secrets, response = account.secrets.values(), fields(answer).get("Response")
    status = _status(response, parcel.address) if isinstance(response, dict) else None
    if not isinstance(response, dict) or status is None:
        return wordless(answer, now=parcel.now, hide=secrets, idempotent=False)
    code, words, serial = (text_of(status, name) for name in ("Code", "Message", "SerialNo"))
    if code == "Ok":
        return Sent(excerpt(serial), code)
    no = Said(code, f"{words} (request {text_of(response, 'RequestId')})", status, at=parcel.now)
    return TABLE.judge(no.shown(secrets))


def _status(response: Mapping[str, Any], number: str) -> Mapping[str, Any] | None:
    """What is said of the call if that failed, else of the number; none: neither."""
    statuses = response.get("SendStatusSet")
    said = [response.get("Error"), *(statuses if isinstance(statuses, list) else ())]
    return next(
        (
            status
            for status in said
            if isinstance(status, dict) and text_of(status, "Code") and status.get("PhoneNumber", number) == number
        ),
        None,
    )
