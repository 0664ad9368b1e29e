# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends a note to a member of an organisation, or to a group (developer.work.weixin.qq.com, "sending messages")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.senders import sealed, weixin
from mailroom.senders.api import Api, Keys, denied, sent, token, token_key
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
from mailroom.senders.http import Http, parse_url, text_of
from mailroom.senders.note import Note
from mailroom.senders.verdicts import Said
from mailroom.senders.wecom import bodies, receipts
from mailroom.senders.wecom.errors import STALE, TABLE
from mailroom.senders.wecom.manifest import MANIFEST

# "Creating members": 1 to 64 octets, the first of them a letter or a digit.
_USERID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_NEEDED: Final = {"app": ("corp_id", "agent_id", "corp_secret"), "robot": ("robot_key",)}


@dataclass(frozen=True, slots=True)
class WeCom:
    """The sender kind `wecom`. An address is a userid; a robot ignores it."""

    http: Http
    tokens: Tokens
    manifest: Manifest = MANIFEST

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`."""
        self.manifest.check(settings, secrets)
        require(_NEEDED[self.manifest.value(settings, "mode")], settings, secrets)
        agent = settings.get("agent_id", "")
        if agent and not (agent.isascii() and agent.isdecimal() and len(agent) < 12):
            raise InvalidValue(name="agent_id", reason="must be a number")
        missing = {"callback_token", "aes_key"} - secrets.keys()
        if len(missing) == 1:
            raise InvalidValue(name=missing.pop(), reason="is missing, and goes with the other one")
        if "aes_key" in secrets:
            sealed.key(secrets["aes_key"])
        self.http.check(self.manifest.value(settings, "base_url"), name="base_url")
        parse_url(self.manifest.value(settings, "login_url"), name="login_url")

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        note = Note.read(parcel.content)
        if self._is_robot(account):
            return sent(await self._say(account, bodies.robot(note), parcel.now), TABLE)
        if not _USERID.fullmatch(parcel.address):
            # "@all" would be everybody, and "a|b" two.
            return Refused("address", excerpt(f"{parcel.address} is no userid"), why=Why.GONE)
        body = {
            "touser": parcel.address,
            "agentid": int(account.settings.get("agent_id") or 0),
            **bodies.app(note, code=parcel.code),
        }
        said = await self._ask(account, "/cgi-bin/message/send", body=body, now=parcel.now)
        return _left_out(said, parcel.address) or sent(said, TABLE, "msgid")

    async def offer(self, account: Account, *, scene: str, back: str) -> Offer | Refused | TryLater:
        """See `Links`."""
        if self._is_robot(account):
            return Refused("robot", "a robot has a group, and no members")
        query = {
            "login_type": "CorpApp",
            "appid": account.settings.get("corp_id", ""),
            "agentid": account.settings.get("agent_id", ""),
            "redirect_uri": back,
            "state": scene,
        }
        return Offer(f"{self.manifest.value(account.settings, 'login_url')}?{urlencode(query)}")

    async def linked(self, account: Account, *, said: Mapping[str, str], back: str) -> Linked | Refused | TryLater:
        """See `Links`."""
        answer = await self._ask(account, "/cgi-bin/auth/getuserinfo", {"code": said.get("code", "")})
        if not isinstance(answer, Said) or answer.code:
            return denied(answer, TABLE, lacks="member")
        if not _USERID.fullmatch(member := text_of(answer.fields, "userid")):
            return Refused("stranger", "whoever signed in is no member of the organisation")
        return Linked(member, member)

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        """See `Hears`."""
        return receipts.hear(account, call)

    async def close(self) -> None:
        """See `SenderKind`. The connections are those of `Http`."""

    def _is_robot(self, account: Account) -> bool:
        return self.manifest.value(account.settings, "mode") == "robot"

    async def _say(self, account: Account, body: Mapping[str, Any], now: int) -> Said | Outcome:
        """As the robot."""
        key = account.secret("robot_key").reveal()
        url = f"{self._base(account)}/cgi-bin/webhook/send?{urlencode({'key': key})}"
        return await self._api(account, now).ask(url, body)

    async def _ask(
        self,
        account: Account,
        path: str,
        query: Mapping[str, str] = MappingProxyType({}),
        *,
        body: Mapping[str, Any] | None = None,
        now: int = 0,
    ) -> Said | Outcome:
        """As the application."""
        api, base = self._api(account, now), self._base(account)
        corp_id, corp_secret = account.settings.get("corp_id", ""), account.secret("corp_secret")

        async def fetch() -> Token | Refused | TryLater:
            asked = urlencode({"corpid": corp_id, "corpsecret": corp_secret.reveal()})
            said = await api.ask(f"{base}/cgi-bin/gettoken?{asked}")
            return token(said, TABLE, text="access_token", lasts="expires_in")

        async def call(key: Secret) -> Said | Outcome:
            url = f"{base}{path}?{urlencode({'access_token': key.reveal(), **query})}"
            return await api.ask(url, body, hide=(key,))

        keys = Keys(self.tokens, token_key("wecom", base, corp_id, corp_secret), fetch, STALE)
        return await keys.use(call, until=api.until)

    def _api(self, account: Account, now: int) -> Api:
        return Api.begin(self.http, weixin.read, account, self.manifest, now=now)

    def _base(self, account: Account) -> str:
        return self.manifest.value(account.settings, "base_url").rstrip("/")


def _left_out(said: Said | Outcome, member: str) -> Refused | None:
    """The member is not reached although the code says yes. Members come back in small letters."""
    shown = said.fields if isinstance(said, Said) else {}
    for name in ("invaliduser", "unlicenseduser"):
        if member.lower() in str(shown.get(name) or "").lower().split("|"):
            return Refused(name, excerpt(f"{name}: {member}"), why=Why.GONE)
    return None


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return WeCom(tools.http, tools.tokens)
