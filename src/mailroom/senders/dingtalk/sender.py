# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends notes by DingTalk, asks what became of them, and links the accounts of the organisation's people.

A work notice that is taken is only queued; what became of it shows when it is asked about. What the app's robot writes
to one person has no key by which a repeat would be known: an answer that is lost leaves that open.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.senders import api, sealed
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
    Question,
    Refused,
    Reported,
    SenderKind,
    Sent,
    Token,
    Tokens,
    Tools,
    TryLater,
    Unknown,
    Why,
    excerpt,
    require,
)
from mailroom.senders.dingtalk import bodies, receipts
from mailroom.senders.dingtalk.errors import STALE, TABLE, read
from mailroom.senders.dingtalk.manifest import MANIFEST
from mailroom.senders.http import Http, parse_url
from mailroom.senders.note import Note
from mailroom.senders.verdicts import NO, Said

_APP: Final = ("app_key", "app_secret")
_NEEDED: Final = MappingProxyType({"work": (*_APP, "agent_id"), "oto": _APP, "robot": ("robot_token",)})
_USER_ID: Final = re.compile(r"[^\s,|\x00-\x1f\ud800-\udfff]{1,64}")  # a comma would bring it to several
_AT_ONCE: Final = 8  # questions
_NOBODY: Final = Refused("address", "not the ID of a person", why=Why.GONE)
_GROUP: Final = Refused("mode", "a group's robot knows no people")


@dataclass(frozen=True, slots=True)
class DingTalk:
    """The sender kind `dingtalk`."""

    http: Http
    tokens: Tokens
    manifest: Manifest = MANIFEST

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`."""
        self.manifest.check(settings, secrets)
        require(_NEEDED[self.manifest.value(settings, "mode")], settings, secrets)
        if not re.fullmatch(r"[0-9]{0,18}", settings.get("agent_id", "")):
            raise InvalidValue(name="agent_id", reason="must be a number")
        if "aes_key" in secrets:
            sealed.key(secrets["aes_key"])
        for name in ("base_url", "api_url"):
            self.http.check(self.manifest.value(settings, name), name=name)
        parse_url(self.manifest.value(settings, "login_url"), name="login_url")

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        note, door = Note.read(parcel.content), self._door(account, parcel.now)
        if door.mode == "robot":
            return await door.to_group(note, parcel)
        if not _USER_ID.fullmatch(parcel.address):
            return _NOBODY
        return await (door.words(note, parcel) if door.mode == "oto" else door.notice(note, parcel))

    async def ask(self, account: Account, questions: Sequence[Question]) -> Sequence[Reported]:
        """See `Asks`. It ends with the first few questions of which one came to nothing."""
        if self.manifest.value(account.settings, "mode") == "robot":
            return ()
        asked = [question for question in questions if question.provider_id]
        found: list[Reported] = []
        for start in range(0, len(asked), _AT_ONCE):
            doors = ((self._door(account, one.sent_at), one) for one in asked[start : start + _AT_ONCE])
            heard = await asyncio.gather(*(door.fate(one) for door, one in doors))
            found += [one for one in heard if isinstance(one, Reported)]
            if not all(one is None or isinstance(one, Reported) for one in heard):
                break
        return found

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        """See `Hears`."""
        names = (account.settings.get(name, "") for name in ("app_key", "corp_id"))
        return receipts.hear(account, call, tuple(name for name in names if name))

    async def offer(self, account: Account, *, scene: str, back: str) -> Offer | Refused | TryLater:
        """See `Links`."""
        if self.manifest.value(account.settings, "mode") == "robot":
            return _GROUP
        asked = {
            "redirect_uri": back,
            "response_type": "code",
            "client_id": account.settings["app_key"],
            "scope": "openid",
            "state": scene,
            "prompt": "consent",
        }
        login = self.manifest.value(account.settings, "login_url").rstrip("/")
        return Offer(f"{login}/oauth2/auth?{urlencode(asked)}")

    async def linked(self, account: Account, *, said: Mapping[str, str], back: str) -> Linked | Refused | TryLater:
        """See `Links`."""
        door = self._door(account, 0)
        if door.mode == "robot":
            return _GROUP
        if not (code := said.get("authCode") or said.get("code", "")):
            return Refused("denied", "DingTalk did not say who it was")
        return await door.who(code)

    async def close(self) -> None:
        """See `SenderKind`. The connections are those of `Http`."""

    def _door(self, account: Account, now: int) -> _Door:
        old, new = (self.manifest.value(account.settings, name).rstrip("/") for name in ("base_url", "api_url"))
        calls = Api.begin(self.http, read, account, self.manifest, now=now)
        return _Door(account, self.manifest.value(account.settings, "mode"), old, new, calls, self.tokens)


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return DingTalk(tools.http, tools.tokens)


@dataclass(frozen=True, slots=True)
class _Door:
    """One account's calls, for one attempt. `old` and `new` are where DingTalk's two APIs are."""

    account: Account
    mode: str
    old: str
    new: str
    calls: Api
    tokens: Tokens

    async def notice(self, note: Note, parcel: Parcel) -> Outcome:
        """A work notice. Being taken means being queued."""
        body = {
            "agent_id": int(self.account.settings["agent_id"]),
            "userid_list": parcel.address,
            "to_all_user": False,
            "msg": bodies.work(note, parcel.code),
        }
        said = await self._old("/topapi/message/corpconversation/asyncsend_v2", body)
        return sent(said, TABLE, "task_id", lost=NEITHER)

    async def words(self, note: Note, parcel: Parcel) -> Outcome:
        """What the app's robot writes to one person."""
        key, said = bodies.one_to_one(note, parcel.code)
        body = {
            "robotCode": self.account.settings["app_key"],
            "userIds": [parcel.address],
            "msgKey": key,
            "msgParam": said,
        }
        answer = await self._new("/v1.0/robot/oToMessages/batchSend", body, idempotent=False)
        return sent(answer, TABLE, "processQueryKey", lost=Unknown(NEITHER.code, NEITHER.text))

    async def to_group(self, note: Note, parcel: Parcel) -> Outcome:
        """What a group's robot says."""
        query = {"access_token": self.account.secrets["robot_token"].reveal()}
        if secret := self.account.secrets.get("robot_secret"):
            query |= {"timestamp": str(parcel.now), "sign": sign(secret, parcel.now)}
        said = await self.calls.ask(f"{self.old}/robot/send?{urlencode(query)}", bodies.group(note, parcel.code))
        outcome = sent(said, TABLE, "errcode", lost=NEITHER)
        return Sent("", "0", outcome.text) if isinstance(outcome, Sent) else outcome

    async def fate(self, question: Question) -> Reported | Outcome | None:
        """What became of what was sent, if anything is known."""
        if self.mode == "oto":
            asked = {"robotCode": self.account.settings["app_key"], "processQueryKey": question.provider_id}
            said = await self._new(f"/v1.0/robot/oToMessages/readStatus?{urlencode(asked)}")
        elif re.fullmatch(r"[0-9]{1,18}", question.provider_id):
            body = {"agent_id": int(self.account.settings["agent_id"]), "task_id": int(question.provider_id)}
            said = await self._old("/topapi/message/corpconversation/getsendresult", body)
        else:
            return None
        if not isinstance(said, Said) or said.code:
            return None if isinstance(said, Said) else said
        return (receipts.of_words if self.mode == "oto" else receipts.of_notice)(said.fields, question)

    async def who(self, code: str) -> Linked | Refused | TryLater:
        """Who has got that code by signing in, if he is one of the organisation."""
        app = self.account
        body = {
            "clientId": app.settings["app_key"],
            "clientSecret": app.secrets["app_secret"].reveal(),
            "code": code,
            "grantType": "authorization_code",
        }
        said = await self.calls.ask(f"{self.new}/v1.0/oauth2/userAccessToken", body, hide=(Secret(code),))
        if not (token := word(said, "accessToken")):
            return _not_linked(said)
        said = await self._with(Secret(token), "/v1.0/contact/users/me")
        if not (union := word(said, "unionId")):
            return _not_linked(said)
        label = word(said, "nick")
        said = await self._old("/topapi/user/getbyunionid", {"unionid": union})
        result = said.fields.get("result") if isinstance(said, Said) else None
        if isinstance(said, Said) and not said.code and isinstance(result, dict):
            user = result.get("userid")
            if isinstance(user, str) and _USER_ID.fullmatch(user):
                return Linked(user, excerpt(label)[:64])
        return _not_linked(said)

    async def _old(self, path: str, body: Mapping[str, object]) -> Said | Outcome:
        async def call(token: Secret) -> Said | Outcome:
            query = urlencode({"access_token": token.reveal()})
            return await self.calls.ask(f"{self.old}{path}?{query}", body, hide=(token,))

        return await self._keys.use(call, until=self.calls.until)

    async def _new(
        self, path: str, body: Mapping[str, object] | None = None, *, idempotent: bool = True
    ) -> Said | Outcome:
        async def call(token: Secret) -> Said | Outcome:
            return await self._with(token, path, body, idempotent=idempotent)

        return await self._keys.use(call, until=self.calls.until)

    async def _with(
        self, token: Secret, path: str, body: Mapping[str, object] | None = None, *, idempotent: bool = True
    ) -> Said | Outcome:
        headers = {"x-acs-dingtalk-access-token": token.reveal()}
        return await self.calls.ask(f"{self.new}{path}", body, headers=headers, hide=(token,), idempotent=idempotent)

    @property
    def _keys(self) -> Keys:
        settings, secret = self.account.settings, self.account.secrets["app_secret"]
        return Keys(self.tokens, api.token_key("dingtalk", self.new, settings["app_key"], secret), self._fetch, STALE)

    async def _fetch(self) -> Token | Refused | TryLater:
        """One that both APIs take."""
        settings, secret = self.account.settings, self.account.secrets["app_secret"]
        body = {"appKey": settings["app_key"], "appSecret": secret.reveal()}
        said = await self.calls.ask(f"{self.new}/v1.0/oauth2/accessToken", body)
        return api.token(said, TABLE, text="accessToken", lasts="expireIn")


def sign(secret: Secret, now: int) -> str:
    """A group robot's signature over the time in milliseconds, not yet written for a URL."""
    word = secret.reveal()
    return base64.b64encode(hmac.digest(word.encode(), f"{now}\n{word}".encode(), hashlib.sha256)).decode()


def _not_linked(said: Said | Outcome) -> Refused | TryLater:
    if isinstance(said, Said) and said.code == "60121":
        return Refused(said.code, "not in the organisation", why=Why.GONE)
    return denied(said, TABLE, lacks="name", other=NO)
