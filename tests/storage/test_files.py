# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Large bodies on a local disk: where the files lie, who may read them, and what happens when the disk says no."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from pathlib import Path

import pytest

from mailroom.core import clock
from mailroom.core.errors import NoSpace, Unavailable
from mailroom.storage.engines.files import _meanings, open_files

NAME = hashlib.sha256(b"octets").hexdigest()


def spool(folder: Path) -> Path:
    source = folder / "spool"
    source.write_bytes(b"octets")
    return source


def test_a_body_lies_under_the_beginning_of_its_name_for_our_eyes_only(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    source = spool(tmp_path)
    asyncio.run(open_files(folder, clock.now).keep(NAME, source))

    assert (folder / NAME[:2] / NAME[2:4] / NAME).read_bytes() == b"octets"
    assert not source.exists()
    assert (folder / NAME[:2]).stat().st_mode & 0o077 == 0


@pytest.fixture
def other_file_system(tmp_path: Path) -> Path:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("not here: a second file system")
    return other


async def test_a_body_from_another_file_system_is_copied(tmp_path: Path, other_file_system: Path) -> None:
    files = open_files(tmp_path, clock.now)
    source = other_file_system / f"mailroom-test-{os.getpid()}"
    source.write_bytes(b"octets")
    try:
        await files.keep(NAME, source)
    finally:
        source.unlink(missing_ok=True)
    assert b"".join([chunk async for chunk in files.read(NAME)]) == b"octets"
    assert list(files.incoming.iterdir()) == []


def test_what_a_dead_process_left_is_deleted_after_a_day(tmp_path: Path) -> None:
    now = clock.now()
    files = open_files(tmp_path, clock.now)
    for name, age in (("incoming-old", 2 * clock.DAY), ("incoming-new", clock.HOUR), ("other", 2 * clock.DAY)):
        left = files.incoming / name
        left.touch()
        os.utime(left, (((now - age) / 1000),) * 2)

    open_files(tmp_path, lambda: now)

    assert sorted(left.name for left in files.incoming.iterdir()) == ["incoming-new", "other"]


async def test_a_disk_that_fails_is_unavailable(tmp_path: Path) -> None:
    files = open_files(tmp_path, clock.now)
    source = spool(tmp_path)
    (tmp_path / NAME[:2]).write_text("a file, where a folder must be")
    with pytest.raises(Unavailable):
        await files.keep(NAME, source)
    with pytest.raises(Unavailable):
        await files.drop(NAME)
    assert source.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_space(code: int) -> None:
    with pytest.raises(NoSpace), _meanings():
        raise OSError(code, os.strerror(code))
