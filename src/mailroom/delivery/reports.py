# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Reports of other mail servers on mail in our name: found in mails that arrive, and written down beside them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mailroom.core.clock import DAY
from mailroom.core.errors import InvalidAddress, NotFound
from mailroom.delivery import queries
from mailroom.delivery.spool import Spool
from mailroom.directory import domains
from mailroom.mime import headers, preview
from mailroom.mime import reports as reading
from mailroom.mime.reports import Report, Unreadable
from mailroom.mime.scan import Part
from mailroom.storage.ports import Tx

_PARTS_MOST = 20  # that are looked at
_READ_MOST = 2  # of one mail; it has one, if it is honest
_KEPT_MOST = 256 * 1024  # octets: no quota counts them
_ROWS_MOST = 10_000  # on one domain; 25 reporters write so many in thirteen months
_KEPT_FOR = 396 * DAY
_TLS_TYPES = ("application/tlsrpt+gzip", "application/tlsrpt+json")
_ENDINGS = (".xml", ".xml.gz", ".gz", ".zip", ".json", ".json.gz")


async def find(spool: Spool, part: Part) -> Sequence[Report]:
    """The reports attached to the finished spool's mail; what cannot be read is none."""
    attached = [one for one in list(part.walk())[:_PARTS_MOST] if _is_report(one)][:_READ_MOST]
    return await asyncio.to_thread(_read, spool, attached) if attached else ()


def keep(tx: Tx, found: Sequence[Report]) -> None:
    """Write down those on domains of ours, each once however often it comes, unless it is far too large."""
    for one in found:
        try:
            domain = domains.get(tx, one.domain)
        except (NotFound, InvalidAddress):
            continue
        report = json.dumps(one.said, ensure_ascii=False)
        if len(report.encode()) > _KEPT_MOST:
            continue
        queries.add_report(
            tx,
            kind=one.kind,
            domain=domain.name,
            reporter=one.reporter,
            report_id=f"{one.id} {domain.name}",  # one TLS-RPT report may be on several domains
            begins_at=one.begins_at,
            ends_at=one.ends_at,
            report=report,
        )
        queries.cap_reports(tx, domain.name, most=_ROWS_MOST)


def forget(tx: Tx) -> None:
    """Forget what came thirteen months ago: a year can be compared with the one before."""
    queries.forget_reports(tx, before=tx.now - _KEPT_FOR)


@dataclass(frozen=True, slots=True)
class Kept:
    """A report that was written down, and its sums: mails for DMARC, sessions for TLS."""

    kind: str
    reporter: str
    begins_at: int
    ends_at: int
    passed: int
    failed: int
    said: dict[str, Any]


def kept(tx: Tx, domain: str, *, limit: int) -> Sequence[Kept]:
    """The reports on a domain, the newest first. Raises `NotFound`."""
    name = domains.get(tx, domain).name
    return [_to_kept(row) for row in queries.reports(tx, name, limit=limit)]


def _to_kept(row: tuple[Any, ...]) -> Kept:
    kind, _, reporter, _, begins_at, ends_at, text = row
    said = json.loads(text)
    if kind == "tls":
        passed, failed = (sum(one[name] for one in said["policies"]) for name in ("successful", "failed"))
    else:
        passed = sum(one["count"] for one in said["rows"] if "pass" in {one.get("dkim"), one.get("spf")})
        failed = said["total"] - passed
    return Kept(kind, reporter, begins_at, ends_at, passed, failed, said)


def _is_report(part: Part) -> bool:
    if part.children or part.size > 2 * reading.PACKED_MOST:
        return False
    if part.content_type in _TLS_TYPES:
        return True
    # RFC 7489 §7.2.1.1: receiver "!" domain "!" begin "!" end
    names = headers.assemble(part.params).get("name", ""), headers.assemble(part.disposition_params).get("filename", "")
    return any(name.count("!") >= 3 and name.lower().endswith(_ENDINGS) for name in names)


def _read(spool: Spool, attached: Sequence[Part]) -> list[Report]:
    found: list[Report] = []
    for part in attached:
        octets = preview.decoded(part, spool.read, limit=2 * reading.PACKED_MOST)
        try:
            found += reading.read(octets)
        except Unreadable:
            continue
    return found
