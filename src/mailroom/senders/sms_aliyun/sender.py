# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends by the call SendSms, and asks QuerySendDetails what became of it.

`OutId` is only an echo: after an answer that was lost nothing tells whether the SMS was taken, so it is not repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from mailroom.core import clock as system
from mailroom.core.clock import Clock
from mailroom.core.secrets import Secret
from mailroom.senders import china, clouds, sms, template
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
from mailroom.senders.http import Answer, Http, NoAnswer, fields, parse_url, text_of, unheard, wordless
from mailroom.senders.sms_aliyun import receipts, signature
from mailroom.senders.sms_aliyun.errors import SHARE, SHARES, TABLE
from mailroom.senders.sms_aliyun.manifest import MANIFEST
from mailroom.senders.verdicts import LOST, NO_NUMBER, Said, closer

_VERSION: Final = "2017-05-25"


@dataclass(frozen=True, slots=True)
class Aliyun:
    """The sender kind `sms_aliyun`."""

    http: Http
    clock: Clock = system.now
    manifest: Manifest = MANIFEST

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`."""
        self.manifest.check(settings, secrets)
        self.http.check(self.manifest.value(settings, "base_url"), name="base_url")
        for name in ("params", "code_params"):
            template.lines(self.manifest.value(settings, name), name=name, known=template.VARIABLES)
        sms.number_of(self.manifest.value(settings, "longest"), "longest", most=500)

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        if not sms.digits(parcel.address):
            return NO_NUMBER
        nonce = f"{parcel.code}.{parcel.attempt}.{parcel.now}"
        said = await self._call(account, "SendSms", self._asked(account, parcel), now=parcel.now, nonce=nonce)
        return unheard(said, idempotent=False) if isinstance(said, NoAnswer) else _heard(said, account, parcel.now)

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        """See `Hears`."""
        return receipts.hear(account, call)

    async def ask(self, account: Account, questions: Sequence[Question]) -> Sequence[Reported]:
        """See `Asks`."""
        return await clouds.ask(questions, partial(self._details, account), receipts.read_detail)

    async def close(self) -> None:
        """See `SenderKind`. The connections are those of `Http`."""

    async def _details(self, account: Account, question: Question) -> Answer | NoAnswer:
        now = self.clock()
        asked = {
            "PhoneNumber": china.bare(question.address),
            "BizId": question.provider_id,
            "SendDate": f"{china.local(question.sent_at):%Y%m%d}",
            "PageSize": "1",
            "CurrentPage": "1",
        }
        nonce = f"{question.provider_id}.{question.address}.{now}"
        return await self._call(account, "QuerySendDetails", asked, now=now, nonce=nonce)

    async def _call(
        self, account: Account, action: str, parameters: Mapping[str, str], *, now: int, nonce: str
    ) -> Answer | NoAnswer:
        url = parse_url(self.manifest.value(account.settings, "base_url"))
        asked = signature.query(parameters)
        return await self.http.post(
            f"{str(url).rstrip('/')}/?{asked}",
            b"",
            headers=signature.headers(
                asked,
                host=url.host_port_subcomponent or "",
                action=action,
                version=_VERSION,
                key_id=account.settings.get("access_key_id", ""),
                secret=account.secret("access_key_secret"),
                now=now,
                nonce=hashlib.sha256(nonce.encode()).hexdigest()[:32],
            ),
            timeout=self.manifest.timeout,
        )

    def _asked(self, account: Account, parcel: Parcel) -> dict[str, str]:
        form = clouds.form(self.manifest, account, parcel)
        params = template.lines(form.params, name="params", known=template.VARIABLES)
        asked = {
            "PhoneNumbers": china.bare(parcel.address),
            "SignName": account.settings.get("sign", ""),
            "TemplateCode": form.approved,
            "OutId": parcel.code,
        }
        if params:
            filled = {name: form.value(text) for name, text in params.items()}
            asked["TemplateParam"] = json.dumps(filled, ensure_ascii=False)
        return asked


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return Aliyun(tools.http)


def _heard(answer: Answer, account: Account, now: int) -> Outcome:
    secrets, said = account.secrets.values(), fields(answer)
    if not (code := text_of(said, "Code")):
        return wordless(answer, now=now, hide=secrets, idempotent=False)
    if code == "OK":
        return Sent(excerpt(text_of(said, "BizId")), code)
    words = text_of(said, "Message")
    if code == SHARE:
        code = closer(code, words, SHARES)
    no = Said(code, f"{words} (request {text_of(said, 'RequestId')})", said, at=now)
    return TABLE.judge(no.shown(secrets), other=LOST if answer.status >= 500 else None)
