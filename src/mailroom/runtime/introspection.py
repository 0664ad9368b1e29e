# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Asks another service whom a token stands for (RFC 7662), for programs that sign in by OAUTHBEARER."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode

from mailroom.core import log
from mailroom.core.clock import SECOND
from mailroom.core.errors import Unavailable
from mailroom.core.secrets import Secret
from mailroom.core.settings import Oauth
from mailroom.directory.logins import Bearer
from mailroom.senders.http import Http, NoAnswer

_LOG = log.get("introspection")


@dataclass(frozen=True, slots=True)
class Introspection:
    """The service that the settings name. Unless they also say by which audience or scope a token for mail is known, it
    must answer for such tokens only.
    """

    http: Http
    oauth: Oauth

    async def __call__(self, token: Secret) -> Bearer | None:
        """Whom the token stands for; None: it is not in force. Raises `Unavailable`."""
        form = urlencode({"token": token.reveal(), "token_type_hint": "access_token"}).encode()
        answer = await self.http.post(self.oauth.introspection, form, headers=self._headers())
        if isinstance(answer, NoAnswer) or answer.status != 200 or not answer.whole:
            said = answer.text if isinstance(answer, NoAnswer) else f"HTTP {answer.status}"
            _LOG.warning("no introspection", url=self.oauth.introspection, reason=said)
            raise Unavailable(what="token introspection")
        try:
            return self._bearer(json.loads(answer.body))
        except (ValueError, TypeError, OverflowError, RecursionError) as fault:
            _LOG.warning("no introspection", url=self.oauth.introspection, reason="what it says cannot be read")
            raise Unavailable(what="token introspection") from fault

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self.oauth.client_id:
            # RFC 6749 §2.3.1: each is encoded as in a form before it goes into Basic.
            pair = f"{quote_plus(self.oauth.client_id)}:{quote_plus(self.oauth.client_secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return headers

    def _bearer(self, said: object) -> Bearer | None:
        if not isinstance(said, dict):
            raise TypeError
        name = said.get(self.oauth.user)
        if said.get("active") is not True or not isinstance(name, str) or not name:
            return None
        if not self._is_for_mail(said):
            _LOG.warning("token for something else", audience=str(said.get("aud")), scope=str(said.get("scope")))
            return None
        expires_at = said.get("exp")
        return Bearer(name, None if expires_at is None else int(expires_at) * SECOND)

    def _is_for_mail(self, said: Mapping[str, object]) -> bool:
        """RFC 7662 §2.2: `aud` is a text or a list of them, `scope` a text divided by spaces."""
        audience, scope = said.get("aud"), said.get("scope")
        meant = audience if isinstance(audience, list) else [audience]
        allowed = scope.split() if isinstance(scope, str) else []
        return (not self.oauth.audience or self.oauth.audience in meant) and set(self.oauth.scope.split()) <= {*allowed}
