# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends notes by Feishu or Lark, hears who has read them, and links people's accounts.

A message carries the parcel's code, by which Feishu recognises a repeat for an hour. A card that it does not take goes
out as text within the same attempt.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from mailroom.core.clock import SECOND
from mailroom.core.secrets import Secret
from mailroom.senders import api
from mailroom.senders.api import NEITHER, Api, Keys, denied, sent, word
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
    Why,
    excerpt,
    require,
)
from mailroom.senders.feishu import bodies, receipts
from mailroom.senders.feishu.errors import CARD, STALE, TABLE, read
from mailroom.senders.feishu.manifest import MANIFEST
from mailroom.senders.http import Http, octets, parse_url
from mailroom.senders.note import Note
from mailroom.senders.verdicts import NO, Said

_NEEDED: Final = MappingProxyType({"app": ("app_id", "app_secret"), "robot": ("robot_token",)})
_OPEN_ID: Final = re.compile(r"[\w-]{1,64}", re.ASCII)
_LONGEST_UUID: Final = 50
_NOBODY: Final = Refused("address", "not the open_id of a person", why=Why.GONE)
_GROUP: Final = Refused("mode", "a group's bot knows no people")
# Whoever signed in is not among those for whom the app has been released.
_OUTSIDE: Final = "20010"


@dataclass(frozen=True, slots=True)
class Feishu:
    """The sender kind `feishu`."""

    http: Http
    tokens: Tokens
    manifest: Manifest = MANIFEST

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`."""
        self.manifest.check(settings, secrets)
        require(_NEEDED[self.manifest.value(settings, "mode")], settings, secrets)
        self.http.check(self.manifest.value(settings, "base_url"), name="base_url")
        parse_url(self.manifest.value(settings, "login_url"), name="login_url")

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        note, door = Note.read(parcel.content), self._door(account, parcel.now)
        deliver = door.to_group if door.is_robot else door.to_person
        if not door.is_robot and not _OPEN_ID.fullmatch(parcel.address):
            return _NOBODY
        card = bodies.card(note)
        if card is not None:
            said = await deliver(parcel, "interactive", card)
            if not isinstance(said, Said) or said.code not in CARD:
                return door.outcome(said)
        return door.outcome(await deliver(parcel, "text", bodies.text(note)))

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        """See `Hears`."""
        return receipts.hear(account, call)

    async def offer(self, account: Account, *, scene: str, back: str) -> Offer | Refused | TryLater:
        """See `Links`."""
        if self.manifest.value(account.settings, "mode") == "robot":
            return _GROUP
        asked = {
            "client_id": account.settings["app_id"],
            "redirect_uri": back,
            "response_type": "code",
            "state": scene,
        }
        login = self.manifest.value(account.settings, "login_url").rstrip("/")
        return Offer(f"{login}/open-apis/authen/v1/authorize?{urlencode(asked)}")

    async def linked(self, account: Account, *, said: Mapping[str, str], back: str) -> Linked | Refused | TryLater:
        """See `Links`."""
        door = self._door(account, 0)
        if door.is_robot:
            return _GROUP
        if not (code := said.get("code", "")):
            return Refused("denied", "Feishu did not say who it was")
        return await door.who(code, back)

    async def close(self) -> None:
        """See `SenderKind`. The connections are those of `Http`."""

    def _door(self, account: Account, now: int) -> _Door:
        base = self.manifest.value(account.settings, "base_url").rstrip("/")
        calls = Api.begin(self.http, read, account, self.manifest, now=now)
        return _Door(account, self.manifest.value(account.settings, "mode") == "robot", base, calls, self.tokens)


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return Feishu(tools.http, tools.tokens)


@dataclass(frozen=True, slots=True)
class _Door:
    """One account's calls, for one attempt."""

    account: Account
    is_robot: bool
    base: str
    calls: Api
    tokens: Tokens

    async def to_person(self, parcel: Parcel, kind: str, content: Mapping[str, Any]) -> Said | Outcome:
        """A message of the app."""
        body = {
            "receive_id": parcel.address,
            "msg_type": kind,
            "content": octets(content).decode(),
            "uuid": parcel.code[:_LONGEST_UUID],
        }

        async def call(token: Secret) -> Said | Outcome:
            return await self._with(token, "/open-apis/im/v1/messages?receive_id_type=open_id", body)

        secret = self.account.secrets["app_secret"]
        key = api.token_key("feishu", self.base, self.account.settings["app_id"], secret)
        return await Keys(self.tokens, key, self._fetch, STALE).use(call, until=self.calls.until)

    async def to_group(self, parcel: Parcel, kind: str, content: Mapping[str, Any]) -> Said | Outcome:
        """What a group's bot says."""
        token, secret = self.account.secrets["robot_token"], self.account.secrets.get("robot_secret")
        signed = {} if secret is None else {"timestamp": str(parcel.now // SECOND), "sign": sign(secret, parcel.now)}
        body = {**signed, "msg_type": kind, ("card" if kind == "interactive" else "content"): content}
        return await self.calls.ask(f"{self.base}/open-apis/bot/v2/hook/{quote(token.reveal(), safe='')}", body)

    def outcome(self, said: Said | Outcome) -> Outcome:
        """What follows from the answer to either."""
        return sent(said, TABLE) if self.is_robot else sent(said, TABLE, "data", "message_id", lost=NEITHER)

    async def who(self, code: str, back: str) -> Linked | Refused | TryLater:
        """Who has got that code by signing in."""
        app = self.account
        body = {
            "grant_type": "authorization_code",
            "client_id": app.settings["app_id"],
            "client_secret": app.secrets["app_secret"].reveal(),
            "code": code,
            "redirect_uri": back,
        }
        said = await self.calls.ask(f"{self.base}/open-apis/authen/v2/oauth/token", body, hide=(Secret(code),))
        if not (token := word(said, "access_token")):
            return _not_linked(said)
        said = await self._with(Secret(token), "/open-apis/authen/v1/user_info")
        user = said.fields.get("data") if isinstance(said, Said) and not said.code else None
        if not isinstance(user, dict) or not _OPEN_ID.fullmatch(str(user.get("open_id", ""))):
            return _not_linked(said)
        return Linked(str(user["open_id"]), excerpt(str(user.get("name", "")))[:64])

    async def _with(self, token: Secret, path: str, body: Mapping[str, Any] | None = None) -> Said | Outcome:
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        return await self.calls.ask(self.base + path, body, headers=headers, hide=(token,))

    async def _fetch(self) -> Token | Refused | TryLater:
        body = {
            "app_id": self.account.settings["app_id"],
            "app_secret": self.account.secrets["app_secret"].reveal(),
        }
        said = await self.calls.ask(f"{self.base}/open-apis/auth/v3/tenant_access_token/internal", body)
        return api.token(said, TABLE, text="tenant_access_token", lasts="expire")


def sign(secret: Secret, now: int) -> str:
    """A group bot's signature over the time in seconds; what other bots sign is the key here."""
    key = f"{now // SECOND}\n{secret.reveal()}".encode()
    return base64.b64encode(hmac.digest(key, b"", hashlib.sha256)).decode()


def _not_linked(said: Said | Outcome) -> Refused | TryLater:
    if isinstance(said, Said) and said.code == _OUTSIDE:
        return Refused(said.code, "not among the people whom the app is for", why=Why.GONE)
    return denied(said, TABLE, lacks="name", other=NO)
