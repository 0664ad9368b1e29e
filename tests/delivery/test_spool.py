# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The spool: small mails in memory, large ones in a file, and nothing left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailroom.delivery.spool import SMALL, Spool
from mailroom.mime.scan import scan
from tests import make


def written(folder: Path, octets: bytes, chunk: int = 10_000) -> Spool:
    spool = Spool(folder)
    for start in range(0, len(octets), chunk):
        spool.write(octets[start : start + chunk])
    return spool


@pytest.mark.parametrize(("size", "files"), [(0, 0), (1, 0), (SMALL - 1, 0), (SMALL, 0), (SMALL + 1, 1), (500_000, 1)])
def test_a_mail_of_more_than_64_kib_lies_in_a_file(tmp_path: Path, size: int, files: int) -> None:
    octets = make.mail(size=size)[:size]
    with written(tmp_path, octets) as spool:
        assert spool.finish() == scan(octets)
        assert len(list(tmp_path.iterdir())) == files
        assert (spool.path is not None, spool.size) == (bool(files), size)
        assert spool.read(0, size) == octets
        if spool.path is not None:
            assert spool.path.read_bytes() == octets
            assert spool.path.stat().st_mode & 0o777 == 0o600
            assert spool.sha256 == hashlib.sha256(octets).hexdigest()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1000, 100_000])
@pytest.mark.parametrize(("start", "end"), [(0, 10), (990, 1000), (10, 10), (995, 200_000), (150_000, 200_000)])
def test_any_range_reads_as_a_slice(tmp_path: Path, size: int, start: int, end: int) -> None:
    octets = make.mail(size=size)
    with written(tmp_path, octets, chunk=999) as spool:
        spool.finish()
        assert spool.read(start, end) == octets[start:end]


def test_one_chunk_may_cross_the_border(tmp_path: Path) -> None:
    octets = make.mail(size=SMALL + 1)
    with written(tmp_path, octets, chunk=len(octets)) as spool:
        spool.finish()
        assert spool.read(0, len(octets)) == octets


@pytest.mark.parametrize("size", [1000, 100_000])
def test_closing_twice_or_after_the_file_was_taken_is_harmless(tmp_path: Path, size: int) -> None:
    spool = written(tmp_path, make.mail(size=size))
    spool.finish()
    if spool.path is not None:
        spool.path.rename(tmp_path / "taken")
    spool.close()
    spool.close()
    assert [each.name for each in tmp_path.iterdir()] == (["taken"] if size > SMALL else [])


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 80,000 octets: what a full disk looks like to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("size", [80_001, 85_000, 500_000])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    with pytest.raises(OSError, match="large"), Spool(tmp_path) as spool:  # noqa: PT012 # any of the three may tell
        for start in range(0, size, 10_000):
            spool.write(b"x" * min(10_000, size - start))
        spool.finish()
        raise AssertionError("the file system took it")
    assert list(tmp_path.iterdir()) == []


def test_the_reserve_is_kept_while_a_mail_grows(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    beyond = disk.f_blocks * disk.f_frsize + 1
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as told, Spool(tmp_path, reserve=beyond) as spool:
        spool.write(b"x" * (SMALL + 1))
    assert told.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_it_is_asked_for_again_and_again(tmp_path: Path) -> None:
    with Spool(tmp_path, reserve=1) as spool:
        for _ in range(300):
            spool.write(b"x" * 10_000)
        tmp_path.rename(tmp_path.with_name("gone"))  # the file can be written still; its disk cannot be asked
        with pytest.raises(FileNotFoundError):  # noqa: PT012 # within the next MiB
            for _ in range(1 + (1 << 20) // 10_000):
                spool.write(b"x" * 10_000)
        tmp_path.with_name("gone").rename(tmp_path)
