# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The Sender Rewriting Scheme: what we send on for others leaves with an envelope sender of ours, so that SPF passes,
and a bounce that comes back to that address finds its way to whom it is for. Made by us, hence nobody can have us relay
through it: it bears our hash, and runs out.

`SRS0=<hash>=<day>=<domain>=<local>@ours` stands for `local@domain`. An address that another forwarder has rewritten
becomes `SRS1=<hash>=<forwarder>=<what stood after its SRS0>@ours`, so that it does not grow with each one.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from mailroom.core.clock import DAY

_VALID: Final = 21  # days
_CIRCLE: Final = 1024  # days, until a day's name is used again
_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
# After SRS0 or SRS1 other forwarders write = or + or -.
_REWRITTEN: Final = re.compile(r"srs([01])([=+-])(.+)", re.IGNORECASE | re.DOTALL)
_MOST: Final = 512  # characters of an address


@dataclass(frozen=True, slots=True)
class Srs:
    """Rewrites and reads with one key."""

    key: bytes = field(repr=False)

    def forward(self, sender: str, *, domain: str, now: int) -> str:
        """The envelope sender, at `domain`, of a mail from `sender` that we send on. The null one stays."""
        local, at, host = sender.rpartition("@")
        if not at or len(sender) > _MOST:
            return ""
        if rewritten := _REWRITTEN.fullmatch(local):
            return self._again(rewritten, host, domain)
        day = now // DAY % _CIRCLE
        told = f"{_DIGITS[day >> 5]}{_DIGITS[day & 31]}={host}={local}"
        return f"SRS0={self._token('0', told)}={told}@{domain}"

    def _again(self, rewritten: re.Match[str], host: str, domain: str) -> str:
        number, sign, rest = rewritten.groups()
        if number == "1":  # the first forwarder stays; only who vouches for it is new
            _, _, told = rest.partition("=")
        else:
            told = f"{host}={sign}{rest}"
        return f"SRS1={self._token('1', told)}={told}@{domain}"

    def original(self, address: str, *, now: int) -> str | None:
        """Whom such an address of ours stands for; None: it is none, or has run out."""
        rewritten = _REWRITTEN.fullmatch(address.rpartition("@")[0]) if len(address) <= 2 * _MOST else None
        if rewritten is None:
            return None
        number, _, rest = rewritten.groups()
        digest, _, told = rest.partition("=")
        if not hmac.compare_digest(digest.upper().encode(), self._token(number, told).encode()):
            return None
        if number == "1":
            host, _, theirs = told.partition("=")
            return f"SRS0{theirs}@{host}" if host and theirs else None
        day, _, rest = told.partition("=")
        host, _, local = rest.partition("=")
        return f"{local}@{host}" if host and local and _is_fresh(day, now) else None

    def _token(self, number: str, told: str) -> str:
        return token(self.key, f"SRS{number}={told}")


def token(key: bytes, told: str) -> str:
    """What only we can have written beside `told`. Letters of any case are the same: some servers change them."""
    return base64.b32encode(hmac.digest(key, told.lower().encode(), "sha256")[:5]).decode()


def _is_fresh(day: str, now: int) -> bool:
    if len(day) != 2 or not set(day.upper()) <= set(_DIGITS):
        return False
    number = _DIGITS.index(day[0].upper()) << 5 | _DIGITS.index(day[1].upper())
    return (now // DAY - number) % _CIRCLE <= _VALID
