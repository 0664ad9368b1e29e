# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The DNS records that a domain is to have, as text to copy, and what the DNS has in their place. Only MX decides
whether mail is taken; the others are shown, and block nothing.
"""

from __future__ import annotations

import asyncio
import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dns.asyncresolver
import dns.exception
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

_SPF_MX: Final = re.compile(r"(?i)\s\+?mx(?:\s|$)")
_DKIM_KEY: Final = re.compile(r"p=([^;]*)")
_FOUND_MOST: Final = 20  # records of one name that are kept


class Purpose(enum.StrEnum):
    """What a record is for."""

    MX = "mx"  # brings the domain's mail here
    SPF = "spf"  # who may send as the domain
    DKIM = "dkim"  # what signs its mail
    DMARC = "dmarc"  # what others do with mail that fails both
    MTA_STS = "mta_sts"  # others deliver with TLS or not at all
    TLS_RPT = "tls_rpt"  # and report where that failed
    SETUP = "setup"  # mail programs set themselves up


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """One record to set: its type, its full name, and its value as a zone has it."""

    purpose: Purpose
    type: str
    name: str
    value: str


class Verdict(enum.StrEnum):
    """What the DNS has in a record's place."""

    GOOD = "good"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"  # no answer


@dataclass(frozen=True, slots=True)
class Compared:
    """A record to set, and what was found there."""

    record: DnsRecord
    verdict: Verdict
    found: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Its fields, as `from_json` takes them."""
        one = self.record
        return {
            "purpose": one.purpose.value,
            "type": one.type,
            "name": one.name,
            "value": one.value,
            "verdict": self.verdict.value,
            "found": list(self.found),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Compared:
        """What `to_json` gave."""
        record = DnsRecord(Purpose(fields["purpose"]), fields["type"], fields["name"], fields["value"])
        return cls(record, Verdict(fields["verdict"]), tuple(fields["found"]))


async def compare(names: dns.asyncresolver.Resolver, wanted: Sequence[DnsRecord]) -> list[Compared]:
    """Ask the DNS for each of the records, all at once."""
    questions = list(dict.fromkeys((one.name, one.type) for one in wanted))
    answers = dict(zip(questions, await asyncio.gather(*(_ask(names, *one) for one in questions)), strict=True))
    return [_judged(one, answers[one.name, one.type]) for one in wanted]


async def _ask(names: dns.asyncresolver.Resolver, name: str, kind: str) -> tuple[str, ...] | None:
    """What is there, as texts; none: nobody answered."""
    try:
        answer = await names.resolve(name, kind, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    except dns.exception.DNSException:
        return None
    return tuple(sorted(_text(rdata) for rdata in answer))[:_FOUND_MOST]


def _text(rdata: dns.rdata.Rdata) -> str:
    if isinstance(rdata, TXT):  # its strings are one text (RFC 7208 §3.3)
        return b"".join(rdata.strings).decode("utf-8", "replace")
    return rdata.to_text()


def _judged(record: DnsRecord, answer: tuple[str, ...] | None) -> Compared:
    if answer is None:
        return Compared(record, Verdict.UNKNOWN, ())
    rule = _RULES[record.purpose]
    found = tuple(text for text in answer if rule.concerns(text))
    if not found:
        return Compared(record, Verdict.MISSING, ())
    good = rule.fits(record.value, found)
    return Compared(record, Verdict.GOOD if good else Verdict.DIFFERENT, found)


@dataclass(frozen=True, slots=True)
class _Rule:
    concerns: Callable[[str], bool]
    fits: Callable[[str, tuple[str, ...]], bool]


def _begins(tag: str) -> Callable[[str], bool]:
    return lambda text: text.casefold().startswith(tag.casefold())


def _anything(_text: str) -> bool:
    return True


def _is_named(value: str, found: tuple[str, ...]) -> bool:
    """A record with the same host; preferences and weights are the administrator's."""
    return _host(value) in {_host(text) for text in found}


def _host(text: str) -> tuple[str, ...]:
    fields = text.lower().split()
    return (*fields[-2:-1], fields[-1].rstrip(".")) if len(fields) > _MX_FIELDS else (fields[-1].rstrip("."),)


_MX_FIELDS: Final = 2  # an SRV record has four, of which the last two say where


def _lets_us_send(_value: str, found: tuple[str, ...]) -> bool:
    return len(found) == 1 and _SPF_MX.search(found[0]) is not None  # two are an error (RFC 7208 §4.5)


def _has_key(value: str, found: tuple[str, ...]) -> bool:
    ours = _key(value)
    return any(_key(text) == ours for text in found)


def _key(text: str) -> str:
    match = _DKIM_KEY.search(text)
    return re.sub(r"\s", "", match[1]) if match else ""


def _is_one(_value: str, found: tuple[str, ...]) -> bool:
    return len(found) == 1


def _is_same(value: str, found: tuple[str, ...]) -> bool:
    return len(found) == 1 and "".join(found[0].split()).rstrip(";") == "".join(value.split()).rstrip(";")


_RULES: Final = {
    Purpose.MX: _Rule(_anything, _is_named),
    Purpose.SPF: _Rule(_begins("v=spf1"), _lets_us_send),
    Purpose.DKIM: _Rule(_anything, _has_key),
    Purpose.DMARC: _Rule(_begins("v=DMARC1"), _is_one),
    Purpose.MTA_STS: _Rule(_begins("v=STSv1"), _is_same),
    Purpose.TLS_RPT: _Rule(_begins("v=TLSRPTv1"), _is_one),
    Purpose.SETUP: _Rule(_anything, _is_named),
}
