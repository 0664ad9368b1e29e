# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends free text by Twilio's Messages resource.

It knows no key against repeats: after an answer that was lost the SMS is not sent again.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.senders import sms
from mailroom.senders.contract import (
    Account,
    Call,
    Forged,
    Heard,
    Manifest,
    Outcome,
    Parcel,
    SenderKind,
    Sent,
    Tools,
    excerpt,
)
from mailroom.senders.http import Answer, Http, NoAnswer, fields, parse_url, text_of, unheard, wordless
from mailroom.senders.note import Note
from mailroom.senders.sms_twilio import receipts
from mailroom.senders.sms_twilio.errors import TABLE
from mailroom.senders.sms_twilio.manifest import MANIFEST
from mailroom.senders.verdicts import BUSY, LOST, NO_NUMBER, Said, follows


@dataclass(frozen=True, slots=True)
class Twilio:
    """The sender kind `sms_twilio`."""

    http: Http
    manifest: Manifest = MANIFEST

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`."""
        self.manifest.check(settings, secrets)
        self.http.check(self.manifest.value(settings, "base_url"), name="base_url")
        if not settings.get("from") and not settings.get("messaging_service"):
            raise InvalidValue(name="from", reason="is missing, and so is messaging_service")
        if bool(settings.get("api_key")) != ("api_secret" in secrets):
            raise InvalidValue(name="api_secret", reason="goes with api_key, and only with it")
        if url := settings.get("callback_url"):
            parse_url(url, name="callback_url")
        sms.number_of(self.manifest.value(settings, "max_parts"), "max_parts", most=sms.PARTS_MOST)
        sms.number_of(self.manifest.value(settings, "rate"), "rate", most=1000)

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        if not sms.digits(parcel.address):
            return NO_NUMBER
        value = partial(self.manifest.value, account.settings)
        sid = quote(value("account_sid"), safe="")
        said = await self.http.post(
            f"{value('base_url').rstrip('/')}/2010-04-01/Accounts/{sid}/Messages.json",
            urlencode(self._asked(account, parcel), errors="replace").encode(),
            headers={"Authorization": _basic(account), "Content-Type": "application/x-www-form-urlencoded"},
            timeout=self.manifest.timeout,
        )
        return unheard(said, idempotent=False) if isinstance(said, NoAnswer) else _heard(said, account, parcel.now)

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        """See `Hears`."""
        return receipts.hear(account, call)

    async def close(self) -> None:
        """See `SenderKind`. The connections are those of `Http`."""

    def _asked(self, account: Account, parcel: Parcel) -> dict[str, str]:
        value = partial(self.manifest.value, account.settings)
        text = sms.fitted(Note.read(parcel.content).text, most=int(value("max_parts")))
        asked = {
            "To": parcel.address,
            "From": value("from"),
            "MessagingServiceSid": value("messaging_service"),
            "Body": text,
            "StatusCallback": value("callback_url"),
        }
        return {name: text for name, text in asked.items() if text}


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return Twilio(tools.http)


def _basic(account: Account) -> str:
    if user := account.settings.get("api_key"):
        secret = account.secret("api_secret")
    else:
        user, secret = account.settings.get("account_sid", ""), account.secret("auth_token")
    return f"Basic {base64.b64encode(f'{user}:{secret.reveal()}'.encode()).decode()}"


def _heard(answer: Answer, account: Account, now: int) -> Outcome:
    secrets, said = account.secrets.values(), fields(answer)
    if answer.status in {200, 201} and (sid := text_of(said, "sid")):
        return Sent(excerpt(sid), excerpt(text_of(said, "status")))
    if not (code := _code(said)):
        return wordless(answer, now=now, hide=secrets, idempotent=False)
    no = Said(code, text_of(said, "message"), said, at=now).shown(secrets)
    if answer.status == 429:
        return follows(BUSY, replace(no, after=answer.after(now)))
    return TABLE.judge(no, other=LOST if answer.status >= 500 else None)


def _code(said: Mapping[str, Any]) -> str:
    """A whole number; codes of other kinds are not Twilio's."""
    code = said.get("code")
    return str(code) if isinstance(code, int) and not isinstance(code, bool) else ""
