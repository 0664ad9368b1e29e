# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Pushes a parcel to a URL and reads from the status what became of it.

The parcel's content is the eight fields of a push, by their JSON names. One account is one receiver, so that whatever
is wrong short of a refused parcel concerns the whole account; a repeat is harmless since it carries the same
`webhook-id`. Status rules: Standard Webhooks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from mailroom.core.secrets import Secret
from mailroom.senders.contract import (
    Account,
    Manifest,
    Outcome,
    Parcel,
    Refused,
    Scope,
    SenderKind,
    Sent,
    Tools,
    TryLater,
    excerpt,
)
from mailroom.senders.http import Answer, Http, NoAnswer, Verify, unheard
from mailroom.senders.webhook import signature
from mailroom.senders.webhook.bodies import FORMATS
from mailroom.senders.webhook.manifest import MANIFEST


@dataclass(frozen=True, slots=True)
class Webhook:
    """The sender kind `webhook`."""

    http: Http
    manifest: Manifest = MANIFEST

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`. An empty `url` is allowed: it means no push."""
        self.manifest.check(settings, secrets)
        signature.keys(secrets.get("secret", Secret("")))
        if url := settings.get("url", ""):
            self.http.check(url)

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        form = FORMATS[self.manifest.value(account.settings, "format")]
        body = form.encode(parcel.content)
        signing = signature.keys(account.secret("secret"))
        answer = await self.http.post(
            account.settings.get("url", ""),
            body,
            headers={
                "Content-Type": form.media_type,
                **signature.headers(signing, body, code=parcel.code, now=parcel.now),
            },
            timeout=self.manifest.timeout,
            verify=Verify.NOTHING if self.manifest.value(account.settings, "verify_tls") == "no" else Verify.ALL,
        )
        return unheard(answer, idempotent=True) if isinstance(answer, NoAnswer) else _heard(answer, parcel.now, account)

    async def close(self) -> None:
        """See `SenderKind`. The connections are those of `Http`."""


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return Webhook(tools.http)


@dataclass(frozen=True, slots=True)
class _Said:
    code: str
    text: str
    after: int | None
    headers: Mapping[str, str]


def _sent(said: _Said) -> Outcome:
    return Sent("", said.code, said.text)


def _again(said: _Said) -> Outcome:
    # The header is Svix's way for a receiver to say that it will never take this one.
    if said.headers.get("webhook-delivery", "").strip().lower() == "abort-message":
        return Refused(said.code, said.text)
    return TryLater(said.code, said.text, Scope.SENDER, said.after)


def _redirected(said: _Said) -> Outcome:
    place = excerpt(said.headers.get("Location", ""))
    return TryLater(said.code, f"redirects are not followed (to {place})", Scope.SENDER)


def _gone(said: _Said) -> Outcome:
    return Refused(said.code, said.text, Scope.SENDER)


_BY_STATUS: Final[Mapping[int, Callable[[_Said], Outcome]]] = MappingProxyType({410: _gone})
_BY_CLASS: Final[Mapping[int, Callable[[_Said], Outcome]]] = MappingProxyType(
    {1: _again, 2: _sent, 3: _redirected, 4: _again, 5: _again}
)


def _heard(answer: Answer, now: int, account: Account) -> Outcome:
    rule = _BY_STATUS.get(answer.status) or _BY_CLASS.get(answer.status // 100, _again)
    words = answer.words(account.secrets.values())
    return rule(_Said(str(answer.status), words, answer.after(now), answer.headers))
