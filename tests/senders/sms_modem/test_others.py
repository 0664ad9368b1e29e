# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Other people's modem software: gammu sends through our double, as a check of the double."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.senders.sms_modem.conftest import PHONE, Hall


@pytest.mark.parametrize("text", ["Hello [€]", "x" * 300, "您有新邮件" * 30])
async def test_gammu_sends_through_the_double(
    hall: Hall, tool: Callable[[str], str], tmp_path: Path, text: str
) -> None:
    config = tmp_path / "gammurc"
    config.write_text(f"[gammu]\ndevice = {hall.double.where}\nconnection = at115200\nmodel = at\n")
    process = await asyncio.create_subprocess_exec(
        tool("gammu"), "-c", str(config), "sendsms", "TEXT", PHONE, "-smscnumber", "+8613800100500",
        "-len", "1000", *(["-unicode"] if "您" in text else []), "-text", text,
        env={"LC_ALL": "C.UTF-8"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip  # a command line
    try:
        async with asyncio.timeout(30):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    assert [(one.to, one.text) for one in hall.shown] == [(PHONE, text)]
