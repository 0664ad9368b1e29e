# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What WeChat, WeCom, DingTalk and Feishu have in common: JSON over HTTP, codes in the body whatever the status, and a
token in each call that ends early.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from mailroom.core.clock import DAY, SECOND
from mailroom.core.secrets import Secret
from mailroom.senders.contract import (
    Account,
    Manifest,
    Outcome,
    Refused,
    Scope,
    Sent,
    Token,
    Tokens,
    TryLater,
    excerpt,
)
from mailroom.senders.http import Answer, Fault, Http, NoAnswer, fields, octets, text_of, unheard, wordless
from mailroom.senders.verdicts import ACCOUNT, Row, Said, Table

_TOKEN: Final = re.compile(r"[!-~]{1,4096}")  # as a header can hold it
# A yes without what shows that it is one, where a repeat is recognised.
NEITHER: Final = TryLater(Fault.GARBAGE.value, "an answer that says neither yes nor no", Scope.SENDER)

Read = Callable[[Mapping[str, Any], Answer, int], Said | None]


@dataclass(frozen=True, slots=True)
class Api:
    """One account's calls, for one attempt. `until` is the loop's time at which all of them have to end."""

    http: Http
    read: Read  # what an answer in JSON says at that time; None for one of no known shape
    hide: tuple[Secret, ...]
    now: int
    until: float

    @classmethod
    def begin(cls, http: Http, read: Read, account: Account, manifest: Manifest, *, now: int) -> Api:
        """For an attempt that begins at once."""
        until = asyncio.get_running_loop().time() + manifest.timeout / SECOND
        return cls(http, read, tuple(account.secrets.values()), now, until)

    async def ask(
        self,
        url: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        hide: tuple[Secret, ...] = (),
        idempotent: bool = True,
    ) -> Said | Outcome:
        """POST the body, or GET without one. What is no answer of the provider's may come from something between us,
        so that nobody knows whether a call that is not `idempotent` has been heard.
        """
        timeout = max(1, round((self.until - asyncio.get_running_loop().time()) * SECOND))
        if body is None:
            answer = await self.http.get(url, headers=headers, timeout=timeout)
        else:
            headers = {"Content-Type": "application/json; charset=utf-8", **headers}
            answer = await self.http.post(url, octets(body), headers=headers, timeout=timeout)
        if isinstance(answer, NoAnswer):
            return unheard(answer, idempotent=idempotent)
        hide = (*self.hide, *hide)
        said = self.read(fields(answer), answer, self.now)
        if said is None:
            return wordless(answer, now=self.now, hide=hide, idempotent=idempotent)
        return replace(said.shown(hide), at=self.now)


@dataclass(frozen=True, slots=True)
class Keys:
    """The access token of an account: shared under `key`, fetched by `fetch`, refused with one of the codes `stale`."""

    tokens: Tokens
    key: str
    fetch: Callable[[], Awaitable[Token | Refused | TryLater]]
    stale: Collection[str]

    async def use(self, call: Callable[[Secret], Awaitable[Said | Outcome]], *, until: float) -> Said | Outcome:
        """Call with the token; once more with a new one, if it is refused."""
        said: Said | Outcome = Said("", "")
        token: Secret | None = None
        for _ in range(2):
            try:
                async with asyncio.timeout_at(until):
                    got = await self.tokens.get(self.key, self.fetch, stale=token)
            except TimeoutError:
                return TryLater(Fault.TIMEOUT.value, "no access token in time", Scope.SENDER)
            if not isinstance(got, Secret):
                return got
            token = got
            said = await call(token)
            if not isinstance(said, Said) or said.code not in self.stale:
                break
        return said


def sent(said: Said | Outcome, table: Table, *path: str, lost: Outcome | None = None) -> Outcome:
    """What follows from an answer to a message. A yes holds the message's id at `path`; one without it is `lost`, where
    that is given.
    """
    if not isinstance(said, Said):
        return said
    if said.code:
        return table.judge(said)
    found: object = said.fields
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    is_id = isinstance(found, int | str) and not isinstance(found, bool) and found != ""
    if not is_id and lost is not None:
        return lost
    return Sent(excerpt(str(found)) if is_id else "", "0", said.text)


def word(said: Said | Outcome, name: str) -> str:
    """The text of that name in a yes; else nothing."""
    return text_of(said.fields, name) if isinstance(said, Said) and not said.code else ""


def denied(said: Said | Outcome, table: Table, *, lacks: str, other: Row | None = None) -> Refused | TryLater:
    """Why a call that may be repeated did not bring what was asked for: even a yes `lacks` it."""
    if isinstance(said, Said) and not said.code:
        return TryLater(Fault.GARBAGE.value, f"an answer without a {lacks}", Scope.SENDER)
    outcome = table.judge(said, other=other) if isinstance(said, Said) else said
    assert isinstance(outcome, Refused | TryLater), "what may be repeated is never in doubt"
    return outcome


def token(said: Said | Outcome, table: Table, *, text: str, lasts: str) -> Token | Refused | TryLater:
    """The token in an answer, by the names of its two fields. Whatever is not known to pass is for an administrator."""
    secret = word(said, text)
    seconds = said.fields.get(lasts) if isinstance(said, Said) else None
    if not _TOKEN.fullmatch(secret) or not isinstance(seconds, int):
        return denied(said, table, lacks="token", other=ACCOUNT)
    return Token(Secret(secret), min(max(seconds, 0) * SECOND, DAY))


def token_key(kind: str, base: str, account: str, secret: Secret) -> str:
    """Under which the account's token is shared: another as soon as one of them changes."""
    fingerprint = hashlib.sha256(f"{base}\n{secret.reveal()}".encode()).hexdigest()[:16]
    return f"{kind}:{account}:{fingerprint}"


def code_of(value: object) -> str | None:
    """A code as text, "" for the 0 that means yes; None for what is no code."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        return None
    return "" if value in (0, "0") else str(value)
