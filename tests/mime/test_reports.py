# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Aggregate reports, read; and attachments that pretend to be some."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.mime import reports
from mailroom.mime.reports import Unreadable

ROW = """
 <record>
  <row><source_ip>{source}</source_ip><count>{count}</count>
   <policy_evaluated><disposition>none</disposition><dkim>{dkim}</dkim><spf>fail</spf></policy_evaluated></row>
  <identifiers><header_from>corp.example</header_from></identifiers>
  <auth_results><spf><domain>corp.example</domain><result>fail</result></spf></auth_results>
 </record>"""
DMARC = (
    """<?xml version="1.0" encoding="UTF-8" ?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
 <report_metadata><org_name>Out &amp; Co</org_name><email>dmarc@out.example</email><report_id>42@out</report_id>
  <date_range><begin>1750000000</begin><end>1750086400</end></date_range></report_metadata>
 <policy_published><domain>Corp.Example</domain><adkim>r</adkim><p>none</p><pct>100</pct></policy_published>"""
    + ROW.format(source="192.0.2.1", count=7, dkim="pass")
    + ROW.format(source="198.51.100.9", count=2, dkim="fail")
    + "</feedback>"
).encode()
TLS: dict[str, Any] = {
    "organization-name": "Out",
    "date-range": {"start-datetime": "2025-06-15T00:00:00Z", "end-datetime": "2025-06-15T23:59:59Z"},
    "contact-info": "tls@out.example",
    "report-id": "2025-06-15T00:00:00Z_corp.example",
    "policies": [
        {
            "policy": {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "corp.example"},
            "summary": {"total-successful-session-count": 5, "total-failure-session-count": 3},
            "failure-details": [
                {
                    "result-type": "certificate-expired",
                    "failed-session-count": 3,
                    "receiving-mx-hostname": "mx.corp.example",
                }
            ],
        }
    ],
}


def zipped(octets: bytes, **more: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.xml", octets, **more)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zipped], ids=["plain", "gzip", "zip"])
def test_a_dmarc_report(pack: Any) -> None:
    [one] = reports.read(pack(DMARC))
    assert (one.kind, one.domain, one.reporter, one.id) == ("dmarc", "corp.example", "Out & Co", "42@out")
    assert (one.begins_at, one.ends_at) == (1_750_000_000_000, 1_750_086_400_000)
    assert one.said["total"] == 9
    assert one.said["policy"] == {"p": "none", "pct": "100", "adkim": "r"}
    assert one.said["rows"][0] == {
        "source": "192.0.2.1",
        "count": 7,
        "disposition": "none",
        "dkim": "pass",
        "spf": "fail",
        "from": "corp.example",
    }


def test_a_tls_report() -> None:
    [one] = reports.read(gzip.compress(json.dumps(TLS).encode()))
    assert (one.kind, one.domain, one.reporter) == ("tls", "corp.example", "Out")
    assert one.begins_at == 1_749_945_600_000
    assert one.said["policies"] == [
        {
            "type": "sts",
            "successful": 5,
            "failed": 3,
            "failures": [{"result": "certificate-expired", "count": 3, "host": "mx.corp.example", "reason": ""}],
        }
    ]


def test_texts_can_be_stored() -> None:
    [one] = reports.read(json.dumps(TLS | {"organization-name": "a\0b\ud800", "report-id": 7}).encode())
    assert (one.reporter, one.id) == ("a b?", "7")


LAUGHS = b"""<!DOCTYPE feedback [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><feedback>&b;</feedback>"""


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"hello",
        b"<feedback></feedback>",
        b"<feedback>",
        LAUGHS,
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        b"<a>" * 100_000,
        DMARC.replace(b"</feedback>", b"<record></record>" * 400_000 + b"</feedback>"),
        DMARC.replace(b"1750000000", b"yesterday"),
        b"{",
        b"{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        json.dumps(TLS | {"policies": {}}).encode(),
        json.dumps(TLS | {"policies": ["x"]}).encode(),
        json.dumps(TLS | {"date-range": {"start-datetime": "2025-06-15", "end-datetime": "9"}}).encode(),
        gzip.compress(DMARC)[:-20],
        gzip.compress(b"<" * (30 << 20)),
        zipped(b"<" * (30 << 20)),
        b"PK\3\4" + b"\0" * 100,
        zipped(DMARC, compress_type=zipfile.ZIP_STORED).replace(b"\0\0", b"\1\0"),
        b"x" * (6 << 20),
        zipped(DMARC, compress_type=zipfile.ZIP_BZIP2),  # 1 KB of it may be gigabytes, all at once
        zipped(DMARC, compress_type=zipfile.ZIP_LZMA),
        json.dumps(TLS | {"more": [1] * 800_000}).encode(),
    ],
    ids=range(25),
)
def test_what_is_none_is_unreadable(octets: bytes) -> None:
    with pytest.raises(Unreadable):
        reports.read(octets)


def test_of_many_rows_the_sums_are_kept() -> None:
    rows = ROW.format(source="192.0.2.1", count=1, dkim="pass").encode() * 2000
    [one] = reports.read(DMARC.replace(b"</feedback>", rows + b"</feedback>"))
    assert (one.said["total"], len(one.said["rows"])) == (2009, 1000)


@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from([DMARC, gzip.compress(DMARC), zipped(DMARC)]))
def test_rubbish_is_no_error_of_ours(rubbish: bytes, at: int, octets: bytes) -> None:
    try:
        found = reports.read(octets[:at] + rubbish + octets[at + len(rubbish) :])
    except Unreadable:
        return
    assert all(one.kind in {"dmarc", "tls"} for one in found)
