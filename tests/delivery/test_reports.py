# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Reports of others, from the mail that brings them to what is written down: no quota counts that, so it is bounded."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from mailroom.core.clock import DAY
from mailroom.delivery import queries, reports
from mailroom.delivery.posting import Envelope
from mailroom.mime import reports as reading
from mailroom.storage.ports import Store
from tests import make
from tests.stores import Watch


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


async def test_they_are_kept_for_thirteen_months_and_not_without_end(store: Store, watch: Watch) -> None:
    await make.organisation(store)
    for number in range(4):
        found = reading.read(report(number))
        await store.write(partial(reports.keep, found=found))
        watch.now += 100 * DAY

    async def kept() -> list[int]:
        return sorted(one.passed for one in await store.read(lambda tx: reports.kept(tx, "corp.example", limit=10)))

    await store.write(reports.forget)
    assert await kept() == [1, 2, 3]
    await store.write(lambda tx: queries.cap_reports(tx, "other.example", most=0))
    await store.write(lambda tx: queries.cap_reports(tx, "corp.example", most=2))
    assert await kept() == [2, 3]
