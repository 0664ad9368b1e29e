# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""MTA-STS (RFC 8461): what a domain asks of those who send to it. Found in the DNS and by HTTPS, and kept for as long
as it says, so that whoever can hide it later cannot undo it.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import dns.asyncresolver
import dns.exception

from mailroom.core.clock import DAY, SECOND
from mailroom.senders.contract import Kept, Policies
from mailroom.senders.email.lapsing import Lapsing
from mailroom.senders.http import Http, NoAnswer

_RECORD: Final = re.compile(r"v=STSv1\s*(?:;|\Z)")
_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_LONGEST: Final = 31_557_600  # seconds; §3.2
_PATTERNS_MOST: Final = 100
_TIMEOUT: Final = 30 * SECOND  # §3.3 suggests a minute
_PAUSE: Final = 300.0  # seconds before a policy that could not be had is asked for again


class Mode(enum.StrEnum):
    """What to do when a server does not fit (§5)."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """A domain's policy: the MX hosts that it has, and how serious it is."""

    mode: Mode
    mx: tuple[str, ...]
    max_age: int  # seconds

    def names(self, host: str) -> bool:
        """The host is one of them (§4.1)."""
        host = host.lower().rstrip(".")
        _, _, parent = host.partition(".")
        return host in self.mx or f"*.{parent}" in self.mx

    def to_json(self) -> str:
        """The policy at rest."""
        return json.dumps({"mode": self.mode.value, "mx": self.mx, "max_age": self.max_age})


def from_json(text: str) -> Policy:
    """The policy that `to_json` wrote."""
    fields = json.loads(text)
    return Policy(Mode(fields["mode"]), tuple(fields["mx"]), fields["max_age"])


def read_record(texts: Sequence[str]) -> str | None:
    """The id in the TXT records at `_mta-sts`; none unless exactly one of them is a record of this kind (§3.1)."""
    records = [text for text in texts if _RECORD.match(text)]
    if len(records) != 1:
        return None
    for pair in records[0].split(";")[1:]:
        key, _, value = pair.partition("=")
        if key.strip() == "id" and _ID.fullmatch(value.strip()):
            return value.strip()
    return None


def read_policy(text: str) -> Policy | None:
    """The policy in a policy file (§3.2); none in one that is no such file."""
    fields: dict[str, str] = {}
    patterns: list[str] = []
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if colon and key == "mx":
            patterns.append(value.lower().rstrip("."))
        elif colon:
            fields.setdefault(key, value)
    age = fields.get("max_age", "")
    if fields.get("version") != "STSv1" or fields.get("mode") not in list(Mode) or not re.fullmatch("[0-9]{1,10}", age):
        return None
    mode = Mode(fields["mode"])
    if not patterns and mode is not Mode.NONE:
        return None
    return Policy(mode, tuple(patterns[:_PATTERNS_MOST]), min(int(age), _LONGEST))


@dataclass(frozen=True, slots=True)
class Sts:
    """Finds the policies of domains. `port` is where policy hosts are asked: 443."""

    resolver: dns.asyncresolver.Resolver
    http: Http
    kept: Policies
    port: int
    _failed: Lapsing[str, None] = field(default_factory=lambda: Lapsing(_PAUSE))

    async def policy(self, domain: str, *, now: int) -> Policy | None:
        """The domain's policy: the one that we keep, or a newer one. None when it has none, or none can be had."""
        known = await self.kept.get(domain)
        policy = from_json(known.policy) if known else None
        published = read_record(await self._texts(f"_mta-sts.{domain}"))
        if published is None or domain in self._failed:
            return policy
        if known and policy and known.policy_id == published and now < known.expires_at - policy.max_age * SECOND + DAY:
            return policy
        fresh = await self._fetch(domain)
        if fresh is None:
            self._failed[domain] = None
            return policy
        kept = Kept(published, fresh.to_json(), now + fresh.max_age * SECOND)
        await self.kept.keep(domain, kept)
        return fresh

    async def _texts(self, name: str) -> Sequence[str]:
        try:
            answer = await self.resolver.resolve(name, "TXT")
        except (dns.exception.DNSException, ValueError):
            return ()
        return [b"".join(record.strings).decode("ascii", "replace") for record in answer]

    async def _fetch(self, domain: str) -> Policy | None:
        port = "" if self.port == 443 else f":{self.port}"
        answer = await self.http.get(f"https://mta-sts.{domain}{port}/.well-known/mta-sts.txt", timeout=_TIMEOUT)
        if isinstance(answer, NoAnswer) or answer.status != 200 or not answer.whole:
            return None
        return read_policy(answer.body.decode("utf-8", "replace"))
