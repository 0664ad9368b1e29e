# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends a note to a follower of a service account (developers.weixin.qq.com, "template messages")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from mailroom.core.clock import MINUTE
from mailroom.core.secrets import Secret
from mailroom.senders import sealed, weixin
from mailroom.senders.api import Api, Keys, denied, sent, token, token_key, word
from mailroom.senders.contract import (
    Account,
    Call,
    Forged,
    Heard,
    Linked,
    Manifest,
    Offer,
    Outcome,
    Parcel,
    Refused,
    SenderKind,
    Token,
    Tokens,
    Tools,
    TryLater,
)
from mailroom.senders.http import Http
from mailroom.senders.note import Note
from mailroom.senders.verdicts import Said
from mailroom.senders.wechat import keywords, receipts
from mailroom.senders.wechat.errors import STALE, SUBSCRIPTION, TEMPLATE
from mailroom.senders.wechat.manifest import MANIFEST

_TEMPLATE: Final = "/cgi-bin/message/template/send"
_SUBSCRIPTION: Final = "/cgi-bin/message/subscribe/bizsend"
_CODE: Final = re.compile(r"[!-~]{1,300}")  # what a code to be scanned has room for
_OFFERED: Final = 600  # seconds for which a code can be scanned
_REMEMBERED: Final = 10 * MINUTE  # for so long a repeat is recognised by client_msg_id


@dataclass(frozen=True, slots=True)
class WeChat:
    """The sender kind `wechat`. An address is an openid."""

    http: Http
    tokens: Tokens
    manifest: Manifest = MANIFEST

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`."""
        self.manifest.check(settings, secrets)
        keywords.parse(self.manifest.value(settings, "fields"))
        if "aes_key" in secrets:
            sealed.key(secrets["aes_key"])
        self.http.check(self.manifest.value(settings, "base_url"), name="base_url")

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        note = Note.read(parcel.content)
        body: dict[str, Any] = {
            "touser": parcel.address,
            "template_id": account.settings.get("template_id", ""),
            "data": keywords.fill(keywords.parse(self.manifest.value(account.settings, "fields")), note),
        }
        if self.manifest.value(account.settings, "mode") == "subscription":
            if note.url:
                body["page"] = note.url
            said = await self._ask(account, _SUBSCRIPTION, body, now=parcel.now, idempotent=False)
            return sent(said, SUBSCRIPTION, "msgid")
        if note.url:
            body["url"] = note.url
        body["client_msg_id"] = parcel.code
        idempotent = self._next_is_soon(parcel.attempt)
        said = await self._ask(account, _TEMPLATE, body, now=parcel.now, idempotent=idempotent)
        return sent(said, TEMPLATE, "msgid")

    async def offer(self, account: Account, *, scene: str, back: str) -> Offer | Refused | TryLater:
        """See `Links`: a code with `scene` in it."""
        body = {
            "expire_seconds": _OFFERED,
            "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": scene}},
        }
        said = await self._ask(account, "/cgi-bin/qrcode/create", body)
        url = word(said, "url")
        return Offer(url, scan=True) if _CODE.fullmatch(url) else denied(said, TEMPLATE, lacks="code")

    async def linked(self, account: Account, *, said: Mapping[str, str], back: str) -> Linked | Refused | TryLater:
        """See `Links`. Nobody comes back: a `Scanned` is what follows an offer."""
        return Refused("scan", "an account is linked by scanning a code")

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        """See `Hears`."""
        return receipts.hear(account, call)

    async def close(self) -> None:
        """See `SenderKind`. The connections are those of `Http`."""

    def _next_is_soon(self, attempt: int) -> bool:
        """Whether a repeat after this attempt would still be recognised as one."""
        waits = self.manifest.retries[:attempt]
        return sum(waits) * (1 + self.manifest.jitter) + attempt * self.manifest.timeout < _REMEMBERED

    async def _ask(
        self, account: Account, path: str, body: Mapping[str, Any], *, now: int = 0, idempotent: bool = True
    ) -> Said | Outcome:
        base = self.manifest.value(account.settings, "base_url").rstrip("/")
        api = Api.begin(self.http, weixin.read, account, self.manifest, now=now)
        app_id, app_secret = account.settings.get("app_id", ""), account.secret("app_secret")

        async def fetch() -> Token | Refused | TryLater:
            # Asked in this way, all processes are given the same token, and none of them ends another's.
            wish = {
                "grant_type": "client_credential",
                "appid": app_id,
                "secret": app_secret.reveal(),
                "force_refresh": False,
            }
            said = await api.ask(f"{base}/cgi-bin/stable_token", wish)
            return token(said, TEMPLATE, text="access_token", lasts="expires_in")

        async def call(key: Secret) -> Said | Outcome:
            url = f"{base}{path}?{urlencode({'access_token': key.reveal()})}"
            return await api.ask(url, body, hide=(key,), idempotent=idempotent)

        keys = Keys(self.tokens, token_key("wechat", base, app_id, app_secret), fetch, STALE)
        return await keys.use(call, until=api.until)


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return WeChat(tools.http, tools.tokens)
