# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The disk is full, or what lies on it is gone: a temporary refusal, nothing half kept, and all is well afterwards.

The full disk is real: a file system of a few megabytes, in memory. Mounting it takes root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.town import greet, send, settle
from tests.talk import call

_DISK = 8 << 20
_BLOCK = os.sysconf("SC_PAGE_SIZE")  # of a file system in memory
_LARGE = 2000  # lines: more than what lies in a row
_HUGE = 200_000  # more than the disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill(disk: Path, *, leave: int) -> Path:
    """A file that leaves so many octets of the disk free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as out, contextlib.suppress(OSError):  # the server may take the last of it
        while (free := os.statvfs(disk).f_bavail * _BLOCK) > leave:
            out.write(bytes(min(free - leave, 1 << 20)))
    return ballast


async def test_mail_is_refused_before_the_disk_is_full(disk: Path) -> None:
    async with settle(disk / "data", reserve=1 << 20) as town, call(town.port) as c:
        await greet(c)
        ballast = _fill(disk, leave=(1 << 20) - 4096)
        await c("MAIL FROM:<bob@out.test>", "RCPT TO:<ann@kill.test>")
        await c.expect("250", "452 4.3.1")
        ballast.unlink()
        await c("RSET")
        await c.expect("250")
        assert (await send(town, c)).startswith("250")
        assert town.complaints() == []


async def test_a_disk_that_fills_up_refuses_and_keeps_nothing(disk: Path) -> None:
    async with settle(disk / "data") as town, call(town.port) as c:
        await greet(c)
        assert (await send(town, c)).startswith("250")
        ballast = _fill(disk, leave=0)
        replies = [await send(town, c) for _ in range(20)]
        assert replies[-1].startswith("452 4.3.1"), replies[-1]
        assert town.complaints() == []
        ballast.unlink()
        assert (await send(town, c)).startswith("250")
        assert (await send(town, c, lines=_LARGE)).startswith("250")
        assert town.complaints() == []


async def test_a_mail_larger_than_the_disk_is_refused_and_leaves_nothing(disk: Path) -> None:
    async with settle(disk / "data") as town, call(town.port) as c:
        await greet(c)
        assert (await send(town, c, lines=_HUGE)).startswith("452 4.3.1")
        assert town.spools == []
        assert (await send(town, c, lines=_LARGE)).startswith("250")
        assert town.complaints() == []


async def test_a_large_mail_finds_no_room_beside_small_ones(disk: Path) -> None:
    async with settle(disk / "data") as town, call(town.port) as c:
        await greet(c)
        _fill(disk, leave=100 << 10)
        assert (await send(town, c, lines=_LARGE)).startswith("452 4.3.1")
        assert town.spools == []
        assert town.complaints() == []


async def test_a_server_that_cannot_write_keeps_what_it_has(disk: Path) -> None:
    async with settle(disk / "data") as town, call(town.port) as c:
        await greet(c)
        _fill(disk, leave=300 << 10)
        replies = [await send(town, c, lines=100) for _ in range(100)]
        assert {reply[:3] for reply in replies} == {"250", "452"}
        assert town.complaints() == []


def _away(folder: Path) -> Callable[[], None]:
    """Put a file where the folder was: root may write anywhere, but not into a file as a folder."""
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    folder.write_bytes(b"")

    def back() -> None:
        folder.unlink()
        elsewhere.rename(folder)

    return back


async def test_without_the_body_store_large_mail_has_to_wait(tmp_path: Path) -> None:
    async with settle(tmp_path / "data") as town, call(town.port) as c:
        await greet(c)
        back = _away(town.data / "blobs")
        assert (await send(town, c, lines=_LARGE)).startswith("451 4.3.0")
        assert town.spools == []
        assert (await send(town, c)).startswith("250")
        back()
        assert (await send(town, c, lines=_LARGE)).startswith("250")
        assert town.complaints() == []


async def test_without_the_folder_for_spools_mail_has_to_wait(tmp_path: Path) -> None:
    async with settle(tmp_path / "data") as town, call(town.port) as c:
        await greet(c)
        back = _away(town.data / "incoming")
        await c("MAIL FROM:<bob@out.test>", "RCPT TO:<ann@kill.test>")
        await c.expect("250", "[24]5*")
        back()
        await c("RSET")
        await c.expect("250")
        assert (await send(town, c, lines=_LARGE)).startswith("250")
        assert town.complaints() == []


async def test_many_clients_at_a_full_disk_get_the_same_answer(disk: Path) -> None:
    async with settle(disk / "data") as town:
        _fill(disk, leave=0)

        async def one() -> str:
            async with call(town.port) as c:
                await greet(c)
                return [await send(town, c, lines=100) for _ in range(10)][-1]

        replies = await asyncio.gather(*(one() for _ in range(10)))
        assert {reply[:9] for reply in replies} == {"452 4.3.1"}
        assert town.complaints() == []
