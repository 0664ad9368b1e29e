# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Reports of others, from the mail that brings them to what is written down: no quota counts that, so it is bounded."""

from __future__ import annotations

import json
from pathlib import Path

from mailroom.delivery import reports
from mailroom.delivery.posting import Envelope
from mailroom.storage.ports import Store
from tests import make


def report(number: int, *, failures: int = 0) -> bytes:
    said = {
        "report-id": f"r{number}",
        "date-range": {"start-datetime": "2025-06-15T00:00:00Z", "end-datetime": "2025-06-16T00:00:00Z"},
        "policies": [
            {
                "policy": {"policy-domain": "corp.example"},
                "summary": {"total-successful-session-count": number, "total-failure-session-count": failures},
                "failure-details": [{"result-type": "x" * 400}] * 100,
            }
        ]
        * (1 + failures),
    }
    return json.dumps(said).encode()


def mail(*attached: bytes) -> bytes:
    parts = b"".join(b"--b\r\nContent-Type: application/tlsrpt+json\r\n\r\n" + one + b"\r\n" for one in attached)
    head = b'From: r@out.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; boundary="b"\r\n\r\n'
    return head + parts + b"--b--\r\n"


async def test_few_and_small_ones_are_written_down(store: Store, tmp_path: Path) -> None:
    await make.organisation(store)
    acceptance = make.acceptance(store, tmp_path)
    for attached in ([report(1), report(2), report(3)], [report(4, failures=9)]):
        found = await acceptance.find("amy@corp.example", size=0)
        with acceptance.spool() as spool:
            spool.write(mail(*attached))
            await acceptance.accept(Envelope("r@out.example", (found,)), spool)
    kept = await store.read(lambda tx: reports.kept(tx, "corp.example", limit=10))
    assert sorted(one.passed for one in kept) == [1, 2]
