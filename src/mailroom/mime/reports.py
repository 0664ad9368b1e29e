# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What other mail servers report of mail in our name, read: DMARC's aggregates (RFC 7489 appendix C, RFC 9990), which
are XML in a zip or gzip file, and TLS-RPT's, which are JSON (RFC 8460). Whoever writes one may lie, and is bounded.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from xml.parsers import expat

from mailroom.mime import headers

PACKED_MOST: Final = 5 * 1024 * 1024  # octets of an attachment
_UNPACKED_MOST = 20 * 1024 * 1024
_JSON_MOST = 2 * 1024 * 1024  # of them; it is read in one go, and nothing else runs meanwhile
_ROWS_MOST = 1000  # that are kept; the sums are over all
_DEPTH_MOST = 20
_ELEMENTS_MOST = 300_000
_TEXT_MOST = 500
_LAST_TIME = 1 << 40  # seconds


class Unreadable(Exception):
    """It is no report, or one that nobody should have to read."""


@dataclass(frozen=True, slots=True)
class Report:
    """One report on one domain; times in milliseconds UTC, `said` is for JSON."""

    kind: str  # dmarc | tls
    domain: str
    reporter: str
    id: str
    begins_at: int
    ends_at: int
    said: Mapping[str, Any]


def read(octets: bytes) -> list[Report]:
    """The reports in an attachment, packed or not. Raises `Unreadable`."""
    plain = _unpacked(octets)
    head = plain[:100].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"<"):
        return [_dmarc(plain)]
    if head.startswith(b"{") and len(plain) <= _JSON_MOST:
        return _tls(plain)
    raise Unreadable


def _unpacked(octets: bytes) -> bytes:
    if len(octets) > PACKED_MOST:
        raise Unreadable
    try:
        if octets.startswith(b"\x1f\x8b"):
            unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
            plain = unpacking.decompress(octets, _UNPACKED_MOST)
            if not unpacking.eof:  # cut off, or far too much
                raise Unreadable
            return plain
        if octets.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(octets)) as archive, archive.open(_first(archive)) as file:
                plain = file.read(_UNPACKED_MOST)
                if file.read(1):
                    raise Unreadable
                return plain
    except (zlib.error, zipfile.BadZipFile, ArithmeticError, EOFError, LookupError, NotImplementedError) as fault:
        raise Unreadable from fault
    except (OSError, RuntimeError, ValueError) as fault:  # encrypted, or offsets that lie
        raise Unreadable from fault
    return octets


def _first(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    found = archive.infolist()[0]
    # Of the other methods `zipfile` unpacks all that it has read, however much that becomes.
    if found.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise Unreadable
    return found


# DMARC.


class _Reader:
    """Gathers the texts of an XML document by their paths, row by row."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._text = ""
        self.texts: dict[str, str] = {}
        self.rows: list[dict[str, str]] = []
        self.total = 0
        self._row: dict[str, str] = {}
        self._elements = 0

    def start(self, name: str, _attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if len(self._path) >= _DEPTH_MOST or self._elements > _ELEMENTS_MOST:
            raise Unreadable
        self._path.append(name.rpartition(":")[2][:_TEXT_MOST])
        self._text = ""
        if self._path == ["feedback", "record"]:
            self._row = {}

    def characters(self, text: str) -> None:
        if len(self._text) < _TEXT_MOST:
            self._text += text[:_TEXT_MOST]

    def end(self, _name: str) -> None:
        path, text = self._path, self._text.strip()
        if path[:2] == ["feedback", "record"]:
            if len(path) == 2:
                self._end_row()
            elif text:
                self._row.setdefault("/".join(path[2:]), text)
        elif text and len(self.texts) < _ROWS_MOST:
            self.texts.setdefault("/".join(path[1:]), text)
        path.pop()
        self._text = ""

    def _end_row(self) -> None:
        self.total += _number(self._row.get("row/count", ""))
        if len(self.rows) < _ROWS_MOST:
            self.rows.append(self._row)


def _dmarc(octets: bytes) -> Report:
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _refuse  # no entities, so none that grow
    parser.buffer_text = True
    try:
        parser.Parse(octets, True)
    except expat.ExpatError as fault:
        raise Unreadable from fault
    texts = reader.texts
    begins, ends = (_number(texts.get(f"report_metadata/date_range/{name}", "")) for name in ("begin", "end"))
    domain, number = texts.get("policy_published/domain", ""), texts.get("report_metadata/report_id", "")
    if not (domain and number and begins):
        raise Unreadable
    said = {
        "total": reader.total,
        "policy": {name: texts[f"policy_published/{name}"] for name in _POLICY if f"policy_published/{name}" in texts},
        "rows": [_row(row) for row in reader.rows],
    }
    reporter = texts.get("report_metadata/org_name", "")
    return Report("dmarc", domain.lower().rstrip("."), reporter, number, begins * 1000, ends * 1000, said)


_POLICY = ("p", "sp", "np", "pct", "adkim", "aspf", "t", "testing")
_ROW = {
    "row/source_ip": "source",
    "row/policy_evaluated/disposition": "disposition",
    "row/policy_evaluated/dkim": "dkim",
    "row/policy_evaluated/spf": "spf",
    "identifiers/header_from": "from",
}


def _row(row: Mapping[str, str]) -> dict[str, Any]:
    said: dict[str, Any] = {ours: row[theirs] for theirs, ours in _ROW.items() if theirs in row}
    return said | {"count": _number(row.get("row/count", ""))}


def _refuse(*_anything: object) -> None:
    raise Unreadable


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0


# TLS-RPT.


def _tls(octets: bytes) -> list[Report]:
    try:
        said = json.loads(octets)
        period = said["date-range"]
        begins, ends = _moment(period["start-datetime"]), _moment(period["end-datetime"])
        number, reporter = _text(said["report-id"]), _text(said.get("organization-name", ""))
        by_domain: dict[str, list[dict[str, Any]]] = {}
        for one in said["policies"][:_ROWS_MOST]:
            domain = _text(one["policy"]["policy-domain"]).lower().rstrip(".")
            by_domain.setdefault(domain, []).append(_policy(one))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as fault:
        raise Unreadable from fault
    return [
        Report("tls", domain, reporter, number, begins, ends, {"policies": rows}) for domain, rows in by_domain.items()
    ]


def _policy(one: Mapping[str, Any]) -> dict[str, Any]:
    summary = one.get("summary", {})
    return {
        "type": _text(one["policy"].get("policy-type", "")),
        "successful": _count(summary.get("total-successful-session-count")),
        "failed": _count(summary.get("total-failure-session-count")),
        "failures": [_failure(each) for each in _list(one.get("failure-details"))[:100]],
    }


def _failure(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "result": _text(one.get("result-type", "")),
        "count": _count(one.get("failed-session-count")),
        "host": _text(one.get("receiving-mx-hostname", "")),
        "reason": _text(one.get("failure-reason-code", "")),
    }


def _moment(text: str) -> int:
    moment = datetime.fromisoformat(text)
    seconds = int(moment.timestamp())
    if moment.tzinfo is None or not 0 <= seconds < _LAST_TIME:
        raise ValueError(text)
    return seconds * 1000


def _text(value: object) -> str:
    """A text that can be stored: JSON may hold NUL, and halves of characters."""
    if not isinstance(value, str | int):
        return ""
    return headers.one_line(str(value)[:_TEXT_MOST]).encode("utf-8", "replace").decode()


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < _LAST_TIME else 0


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
