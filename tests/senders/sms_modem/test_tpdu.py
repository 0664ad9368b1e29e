# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Status reports: whatever comes is read, or is none; and what a line makes of any octets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.senders.sms_modem.line import PROMPT, Line, Unusable
from mailroom.senders.sms_modem.tpdu import NoReport, Report, read_report


@given(st.binary(max_size=60))
def test_any_octets_are_a_report_or_none(octets: bytes) -> None:
    with contextlib.suppress(NoReport):
        report = read_report(octets)
        assert 0 <= report.reference < 256
        assert len(report.number) < 256


@pytest.mark.parametrize(
    ("octets", "report"),
    [
        ("0006C80D91683109000000F1623010000000006230100000002300", Report(0xC8, "8613900000001", 0)),
        ("0891683108100005F006050B915100550500F6623010000000006230100000000046", Report(5, "15005550006", 70)),
        ("000600088131090000623010000000006230100000000030FFFF", Report(0, "13900000", 48)),
    ],
    ids=["without the centre's address", "with it, and an odd number", "with optional fields"],
)
def test_reports_by_hand(octets: str, report: Report) -> None:
    assert read_report(bytes.fromhex(octets)) == report


@pytest.mark.parametrize(("status", "arrived", "pending"), [(0, 1, 0), (0x1F, 1, 0), (0x20, 0, 1), (0x40, 0, 0)])
def test_what_a_status_means(status: int, arrived: int, pending: int) -> None:
    report = Report(1, "861", status)
    assert (report.arrived, report.pending) == (bool(arrived), bool(pending))


async def test_a_line_reads_lines_and_prompts_in_flat_memory() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    heard: asyncio.Queue[str] = asyncio.Queue()
    lost = asyncio.Event()
    line = Line.at(os.ttyname(slave), 115200, hear=heard.put_nowait, lose=lost.set)
    try:
        os.write(master, b"\r\nO")
        os.write(master, b"K\r\n\r\n> ")
        async with asyncio.timeout(10):
            assert [await heard.get(), await heard.get()] == ["OK", PROMPT]
            flood = asyncio.to_thread(os.write, master, b"\xff" * 200_000 + b"\r\nOK\r\n")
            assert await flood == 200_006
            assert len(await heard.get()) <= 4096
            assert await heard.get() == "OK"
            await line.write(b"AT\r")
            assert os.read(master, 10) == b"AT\r"
            with pytest.raises(Unusable, match="another process uses it"):
                Line.at(os.ttyname(slave), 115200, hear=heard.put_nowait, lose=lost.set)
            os.close(slave)
            os.close(master)
            await lost.wait()
        with pytest.raises(OSError, match="closed"):
            await line.write(b"AT\r")
    finally:
        line.close()
